//! Events that are only stored, and events that are kept by their id.

use oxbus_model::{ErrorKind, Outcome};
use oxbus_testkit::{RedisServer, eventually};
use serde_json::{Value, json};

use super::{keeping, stored};
use crate::setup::{failed, ready};
use crate::support::{Inbox, PATIENCE, Record};

/// A store without live events: what no stream stores is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_pubsub_nothing_is_published() {
    let server = RedisServer::start().await;
    let bus = ready(keeping(json!({ "redis": server.url(), "pubsub": false }))).await;
    for event_type in ["job", "quiet"] {
        bus.publish(event_type, 1).await.unwrap();
    }
    assert_eq!(failed(&bus.publish("live", 1).await, Outcome::NotSent).kind, ErrorKind::NoStream);
    let kept = bus.publish_with("live", 1, json!({ "stream": "quiet" })).await.unwrap();
    assert_eq!(kept.stored.unwrap().stream, "quiet");
    assert_eq!((server.calls("publish").await, server.calls("xadd").await), (0, 3));
    bus.disconnect().await;
}

/// With `persistence` every event is kept by its id and in the history, for its time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_kept_by_their_id() {
    let server = RedisServer::start().await;
    let mut config = keeping(json!({ "redis": server.url(), "channelPrefix": "p:" }));
    config["persistence"] = json!({ "ttl": 60_000 });
    let bus = ready(config.clone()).await;
    let live = Inbox::of(&bus, &["*"]).await;
    let types = ["job", "quiet", "live", "job"];
    let records: Vec<Record> = (0..40)
        .map(|n: usize| {
            let once = n % 4 == 3;
            Record::new(types[n % 4], n).with(json!({ "id": format!("e-{n}"), "deduplicate": once }))
        })
        .collect();
    for (n, result) in bus.publish_many(records.clone()).await.into_iter().enumerate() {
        assert_eq!(result.unwrap().stored.is_some(), n % 4 != 2);
    }
    let ids: Vec<String> = (0..40).map(|n| format!("e-{n}")).collect();
    assert_eq!(stored(&server, "p:history").await, ids);
    for (n, id) in ids.iter().enumerate() {
        let key = format!("p:event:{id}");
        let event: Value = serde_json::from_str(&server.command(&["GET", &key]).await.text()).unwrap();
        assert_eq!(
            (&event["id"], &event["type"], &event["data"]),
            (&json!(id), &json!(types[n % 4]), &json!(n))
        );
        assert!((1..=60_000).contains(&server.command(&["PTTL", &key]).await.int()));
    }
    live.wait_for(30).await;
    // A duplicate is not kept again.
    server.command(&["DEL", "p:event:e-3"]).await;
    let again = bus.publish_raw(records[3].clone()).await.unwrap();
    assert!(again.stored.unwrap().duplicate);
    assert_eq!(server.command(&["EXISTS", "p:event:e-3"]).await.int(), 0);
    assert_eq!(stored(&server, "p:history").await.len(), 40);
    bus.disconnect().await;

    // The history is trimmed by time, though not at once.
    config["persistence"] = json!({ "ttl": 1, "history": true });
    let bus = ready(config).await;
    let trimmed = || async {
        bus.publish("live", 1).await.unwrap();
        stored(&server, "p:history").await.len() <= 200
    };
    for _ in 0..400 {
        trimmed().await;
    }
    eventually(PATIENCE, "the old ones are gone", trimmed).await;
    bus.disconnect().await;
}
