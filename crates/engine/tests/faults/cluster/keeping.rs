//! Events that a stream stores and that are kept by their id: two steps, as the two are in different slots.

use oxbus_engine::host::Notice;
use oxbus_model::{ErrorKind, Outcome};
use oxbus_testkit::{ClusterSet, RedisServer};
use serde_json::{Value, json};

use super::{TYPES, of_set};
use crate::setup::{assert_between, failed, ready, timed};
use crate::support::{Inbox, Record, is_warning};

/// A configuration that keeps what it stores, with a history that is on another master than `orders`.
async fn keeping(set: &ClusterSet) -> Value {
    let mut config = of_set(set);
    let home = set.master_of_key("orders").await.port();
    let mut number = 0;
    while set.master_of_key(&format!("p{number}:history")).await.port() == home {
        number += 1;
    }
    config["channelPrefix"] = json!(format!("p{number}:"));
    config["persistence"] = json!({ "ttl": 60_000 });
    config
}

/// The key of the history.
fn history(config: &Value) -> String {
    format!("{}history", config["channelPrefix"].as_str().unwrap())
}

/// Whether the server has an event by its id: clients know those as well that they have heard.
async fn is_kept(set: &ClusterSet, config: &Value, id: &str) -> bool {
    let prefix = config["channelPrefix"].as_str().unwrap();
    let key = format!("{{{}}}:{prefix}event:{id}", history(config));
    set.master_of_key(&key).await.command(&["EXISTS", &key]).await.int() == 1
}

fn is_stored_only(notice: &Notice) -> bool {
    is_warning(notice, "STORED_ONLY")
}

/// Stored, deduplicated, replicated and live events are each kept once, also those whose client closes at once; one that could
/// not be kept is stored nevertheless.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_is_kept_behind_it() {
    let set = ClusterSet::start().await;
    let config = keeping(&set).await;
    let (publisher, bus) = (ready(config.clone()).await, ready(config.clone()).await);
    let live = Inbox::of(&bus, &["*"]).await;
    let key = history(&config);
    let entries = || async { set.master_of_key(&key).await.command(&["XLEN", &key]).await.int() };
    for (n, options) in [
        json!({}),
        json!({ "deduplicate": true }),
        json!({ "replicas": 1 }),
        json!({ "replicas": 1, "deduplicate": true }),
    ]
    .into_iter()
    .enumerate()
    {
        for event_type in TYPES {
            let id = format!("{event_type}-{n}");
            let mut options = options.clone();
            options["id"] = json!(id);
            let receipt = publisher.publish_with(event_type, n, options).await.unwrap();
            assert!(!receipt.message_id().is_empty());
            assert!(is_kept(&set, &config, &id).await, "{id}");
        }
    }
    publisher.publish_with("live", 1, json!({ "id": "live-1" })).await.unwrap();
    assert!(is_kept(&set, &config, "live-1").await);
    assert_eq!(entries().await, 13);
    // A duplicate is not kept again.
    let again =
        publisher.publish_with("o.a", 1, json!({ "id": "o.a-1", "deduplicate": true })).await.unwrap();
    assert!(again.stored.unwrap().duplicate);
    assert_eq!(entries().await, 13);
    live.wait_for(13).await;
    let query = json!({ "type": "m.*", "source": "redis" });
    let past = bus.request("getHistory", query).await.unwrap();
    assert_eq!(past["events"].as_array().map(Vec::len), Some(4), "{past}");
    let other = ready(config.clone()).await;
    let found = other.request("getEvent", json!({ "id": "m.a-0" })).await.unwrap();
    assert!(found.to_string().contains("m.a-0"), "{found}");
    other.disconnect().await;

    let closing = ready(config.clone()).await;
    let records: Vec<Record> = (0..300).map(|n| Record::new(TYPES[n % 3], n)).collect();
    let publishing = closing.start_publish(&records);
    closing.disconnect().await;
    for result in publishing.results().await {
        result.unwrap();
    }
    assert_eq!(entries().await, 313);

    // Something else is there: the server refuses the second step, and nothing is half kept.
    set.master_of_key(&key).await.command(&["DEL", &key]).await;
    set.master_of_key(&key).await.command(&["SET", &key, "not a stream"]).await;
    live.clear();
    let refused = publisher.publish_with("o.a", 1, json!({ "id": "refused" })).await.unwrap();
    publisher.notices.wait_for(is_stored_only).await;
    assert!(!is_kept(&set, &config, "refused").await);
    let stored = set.master_of_key("orders").await.command(&["XREVRANGE", "orders", "+", "-"]).await;
    assert_eq!(stored.items()[0].items()[0].text(), refused.message_id());
    live.wait_for_id("refused").await;
    assert_eq!(live.times("refused"), 1);
    for bus in [publisher, bus] {
        bus.disconnect().await;
    }
}

/// The master of what is kept is away: a stream on another one goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_nobody_serves_does_not_undo_what_is_stored() {
    let settings = RedisServer::builder().arg("cluster-require-full-coverage", "no");
    let set = ClusterSet::builder().node(settings).replicas(0).start().await;
    let config = keeping(&set).await;
    let (publisher, bus) = (ready(config.clone()).await, ready(of_set(&set)).await);
    publisher.publish("o.a", 0).await.unwrap();
    let group = Inbox::with(&bus, &["o.*"], json!({ "group": "workers" })).await;
    let home = set.master_of_key(&history(&config)).await;
    let link = format!("publisher@{}", home.addr());
    publisher.loses(&[&link], async { set.kill(home) }).await;
    let mark = publisher.notices.mark();
    let publish = publisher.publish_with("o.a", 1, json!({ "id": "late", "timeout": 1_000 }));
    let (receipt, took) = timed(publish).await;
    let receipt = receipt.unwrap();
    assert_between(took, 0, 1_000);
    publisher.notices.wait_from(mark, is_stored_only).await;
    group.wait_for_id("late").await;
    let stored = set.master_of_key("orders").await.command(&["XREVRANGE", "orders", "+", "-"]).await;
    assert_eq!(stored.items()[0].items()[0].text(), receipt.message_id());
    // An abort of the second step says that the event may be there, and where.
    let publishing =
        publisher.start_publish(&[Record::new("o.a", 2).with(json!({ "id": "aborted", "timeout": 30_000 }))]);
    group.wait_for_id("aborted").await;
    let number = publishing.number;
    publisher.cancel(number, 0);
    let aborted = publishing.results().await.remove(0);
    assert_eq!(failed(&aborted, Outcome::Unknown).kind, ErrorKind::Aborted);
    assert!(publisher.stored_nevertheless(number, 0).is_some());
    // What is kept and not stored says what is true of it.
    let live = publisher.publish_with("live", 3, json!({ "timeout": 500 })).await.unwrap_err();
    assert_eq!((live.kind, live.outcome), (ErrorKind::PublishTimeout, Some(Outcome::NotSent)), "{live}");
    publisher.disconnect_within(Some(1_000)).await;
    bus.disconnect().await;
}
