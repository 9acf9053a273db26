//! Events that are stored, and then published on their lanes: two steps, as a script reaches only lanes in the slot of its stream.

use oxbus_engine::host::Notice;
use oxbus_model::ErrorKind;
use oxbus_testkit::{ClusterSet, RedisServer};
use serde_json::{Value, json};

use super::{able, lanes, master_of, sharded, with};
use crate::setup::ready;
use crate::support::{Inbox, is_warning};

/// A type of the stream `orders` whose lane is on another master than the stream.
async fn far_type(set: &ClusterSet) -> String {
    let home = set.master_of_key("orders").await.port();
    for n in 0.. {
        let name = format!("o.{n}");
        if master_of(set, lanes().of(name.as_bytes())).await.port() != home {
            return name;
        }
    }
    unreachable!()
}

/// Stored, kept, deduplicated and replicated events are all published once, and a duplicate is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_is_published_behind_it() {
    let Some(set) = able(ClusterSet::start().await).await else { return };
    let (publisher, bus) = (ready(sharded(&set)).await, ready(sharded(&set)).await);
    let live = Inbox::of(&bus, &["o.*"]).await;
    let group = Inbox::with(&bus, &["o.*"], json!({ "group": "workers" })).await;
    let plain = publisher.publish_with("o.a", 1, json!({ "id": "plain" })).await.unwrap();
    assert_eq!(plain.receivers, 1);
    assert!(!plain.message_id().is_empty());
    let once = json!({ "id": "once", "deduplicate": true });
    let (first, second) = (
        publisher.publish_with("o.a", 2, once.clone()).await.unwrap(),
        publisher.publish_with("o.a", 2, once).await.unwrap(),
    );
    assert_eq!((first.message_id(), first.receivers), (second.message_id(), 1));
    assert_eq!(second.receivers, 0, "a duplicate");
    let replicated = json!({ "id": "replicated", "replicas": 1 });
    assert_eq!(publisher.publish_with("o.a", 3, replicated).await.unwrap().receivers, 1);
    let kept = ready(with(sharded(&set), json!({ "streams": [], "persistence": {} }))).await;
    assert_eq!(kept.publish_with("o.a", 4, json!({ "id": "kept" })).await.unwrap().receivers, 1);
    // Three steps.
    let both = ready(with(sharded(&set), json!({ "persistence": {} }))).await;
    assert_eq!(both.publish_with("o.a", 5, json!({ "id": "both" })).await.unwrap().receivers, 1);
    for id in ["kept", "both"] {
        let event = both.request("getEvent", json!({ "id": id })).await.unwrap();
        assert!(event.to_string().contains(id), "{event}");
    }
    live.wait_for(5).await;
    group.wait_for(4).await;
    assert_eq!(live.ids(), ["plain", "once", "replicated", "kept", "both"]);
    for bus in [both, kept, publisher, bus] {
        bus.disconnect().await;
    }
}

/// The master of the lane is away: the event is stored, and its publish resolves, with a warning that it was not published.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_that_nobody_serves_does_not_undo_what_is_stored() {
    let settings = RedisServer::builder().arg("cluster-require-full-coverage", "no");
    let Some(set) = able(ClusterSet::builder().node(settings).replicas(0).start().await).await else {
        return;
    };
    let publisher = ready(sharded(&set)).await;
    let name = far_type(&set).await;
    publisher.publish(&name, 1).await.unwrap();
    let home = master_of(&set, lanes().of(name.as_bytes())).await;
    let link = format!("publisher@{}", home.addr());
    publisher.loses(&[&link], async { set.kill(home) }).await;
    let mark = publisher.notices.mark();
    let receipt = publisher.publish_with(&name, 2, json!({ "timeout": 1_000 })).await.unwrap();
    assert_eq!(receipt.receivers, 0);
    let told = |notice: &Notice| is_warning(notice, "STORED_ONLY");
    publisher.notices.wait_from(mark, told).await;
    let entries = set.master_of_key("orders").await.command(&["XRANGE", "orders", "-", "+"]).await;
    assert_eq!(entries.items().last().unwrap().items()[0].text(), receipt.message_id());
    // Of an event that is not stored the publish says what is true of it.
    let lane = lanes().of(name.as_bytes());
    let late = publisher.publish_with(super::type_on(lane), 3, json!({ "timeout": 500 })).await.unwrap_err();
    assert_eq!(late.kind, ErrorKind::PublishTimeout, "{late}");
    publisher.disconnect().await;
}

/// A client that closes waits for the second step as for the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_waits_until_what_is_stored_is_published() {
    let Some(set) = able(ClusterSet::builder().replicas(0).start().await).await else { return };
    let bus = ready(sharded(&set)).await;
    let live = Inbox::of(&bus, &["o.*", "m.*", "p.*"]).await;
    for round in 0..5_u64 {
        let publisher = ready(sharded(&set)).await;
        let records: Vec<_> = (0..300_u64)
            .map(|n| crate::support::Record::new(super::super::TYPES[(n % 3) as usize], round * 300 + n))
            .collect();
        let started = publisher.start_publish(&records);
        publisher.disconnect().await;
        for result in started.results().await {
            assert_eq!(result.unwrap().receivers, 1);
        }
    }
    live.wait_for(1_500).await;
    let of_type = |name: &str| -> Vec<Value> {
        live.events()
            .into_iter()
            .filter(|event| event.event_type() == name)
            .map(|event| event.data())
            .collect()
    };
    for name in super::super::TYPES {
        let numbers = of_type(name);
        assert!(numbers.is_sorted_by_key(|number| number.as_u64()) && numbers.len() == 500, "{name}");
    }
    bus.disconnect().await;
}
