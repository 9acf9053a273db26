//! Many events in one call of a script are as if each were alone.

use oxbus_model::{ErrorKind, Outcome};
use oxbus_testkit::{FaultProxy, RedisServer, Tracker, eventually};
use serde_json::json;

use super::{keeping, stored};
use crate::setup::{failed, ready};
use crate::support::{Bus, Inbox, PATIENCE, Record};

/// A server that forgets its scripts is given them again; nothing is lost, stored twice, or out of order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgotten_scripts_are_sent_again() {
    let server = RedisServer::start().await;
    let bus = ready(keeping(json!({ "redis": server.url() }))).await;
    let live = Inbox::of(&bus, &["job"]).await;
    let tracker = Tracker::new();
    let mut ids = Vec::new();
    for round in 0..30 {
        if round % 3 == 0 {
            server.command(&["SCRIPT", "FLUSH"]).await;
        }
        let records: Vec<Record> = (0..200)
            .map(|n| {
                let id = format!("{round}-{n}");
                tracker.published(id.clone());
                ids.push(id.clone());
                let once = n % 50 == 49;
                Record::new("job", n).with(json!({ "id": id, "deduplicate": once }))
            })
            .collect();
        let batches: Vec<_> = records.chunks(20).map(|chunk| bus.start_publish(chunk)).collect();
        if round % 2 == 0 {
            for batch in batches {
                for result in batch.results().await {
                    result.unwrap();
                }
            }
        }
    }
    let all = || async { bus.stats().in_flight == 0 };
    eventually(PATIENCE, "all are settled", all).await;
    assert_eq!(bus.stats().counts.events_published, 6_000);
    // A server that forgets the scripts between two calls of a pipeline refuses the one and may know them again for the
    // next: each event is there once, not in every case in its order.
    let (mut kept, mut wanted) = (stored(&server, "jobs").await, ids.clone());
    kept.sort();
    wanted.sort();
    assert!(kept == wanted, "lost or doubled");
    live.wait_for(6_000).await;
    let mut heard = live.ids();
    heard.sort();
    assert!(heard == wanted, "lost or doubled");
    // The scripts are forgotten ten times, each time for all calls that are on their way.
    assert!((10..=300).contains(&server.calls("eval").await), "{}", server.calls("eval").await);
    assert_eq!(bus.stats().counts.reconnections, 0);
    bus.disconnect().await;
}

/// Events that share a call are cancelled and expire for themselves while it waits; the others are stored in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_event_of_a_call_is_cancelled() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let bus = ready(keeping(json!({ "redis": { "url": proxy.url(), "commandTimeout": 10_000 } }))).await;
    proxy.refuse(true);
    bus.loses(&["publisher"], async { proxy.cut_all() }).await;
    let records: Vec<Record> = (0..100)
        .map(|n| {
            let timeout = if n == 40 { 100 } else { 10_000 };
            Record::new("job", n).with(json!({ "id": n.to_string(), "timeout": timeout }))
        })
        .collect();
    let batch = bus.start_publish(&records);
    let cancelled = [0, 1, 17, 39, 41, 63, 64, 65, 99];
    cancelled.iter().for_each(|index| bus.cancel(batch.number, *index));
    // All events of a call are cancelled at once, and some of them twice.
    let more = bus.start_publish(&vec![Record::new("job", "gone"); 10]);
    (0..10).rev().chain(0..10).for_each(|index| bus.cancel(more.number, index));
    for result in more.results().await {
        assert_eq!(failed(&result, Outcome::NotSent).kind, ErrorKind::Aborted);
    }
    let expired = || async { bus.stats().in_flight == 100 - cancelled.len() as u64 - 1 };
    eventually(PATIENCE, "one has expired", expired).await;
    proxy.refuse(false);
    let mut expected = Vec::new();
    for (n, result) in (0..).zip(batch.results().await) {
        if n == 40 {
            assert_eq!(failed(&result, Outcome::NotSent).kind, ErrorKind::PublishTimeout);
        } else if cancelled.contains(&n) {
            assert_eq!(failed(&result, Outcome::NotSent).kind, ErrorKind::Aborted);
        } else {
            result.unwrap();
            expected.push(n.to_string());
        }
    }
    assert_eq!(stored(&server, "jobs").await, expected);

    // The call was sent, so its event may have been stored.
    // The publisher's, and that of the commands if the health report has opened it.
    let connections = proxy.open_connections();
    connections.iter().for_each(|connection| proxy.freeze_replies(*connection));
    let batch = bus.start_publish(&vec![Record::new("job", 1); 3]);
    let there = || async { stored(&server, "jobs").await.len() == expected.len() + 3 };
    eventually(PATIENCE, "all three are stored", there).await;
    bus.cancel(batch.number, 1);
    // Had it been answered first, it would have been published.
    let cancelled = || async { bus.stats().in_flight == 2 };
    eventually(PATIENCE, "one is cancelled", cancelled).await;
    connections.iter().for_each(|connection| proxy.thaw(*connection));
    let results = batch.results().await;
    assert_eq!(failed(&results[1], Outcome::Unknown).kind, ErrorKind::Aborted);
    assert!(results[0].is_ok() && results[2].is_ok());
    bus.disconnect().await;
}

/// Many publishers beside each other on one client: each keeps its order, in the stream and live.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_of_publishing_is_that_of_the_stream() {
    let server = RedisServer::start().await;
    let bus: Bus = ready(keeping(json!({ "redis": server.url() }))).await;
    let live = Inbox::of(&bus, &["job*"]).await;
    let mut expected = Vec::new();
    let mut batches = Vec::new();
    for n in 0..300 {
        let records: Vec<Record> = (0..n % 7 + 1)
            .map(|i| {
                let id = format!("{n}-{i}");
                let options = match (n + i) % 5 {
                    0 => json!({ "id": id, "deduplicate": true }),
                    1 => json!({ "id": id, "causationId": "c" }),
                    _ => json!({ "id": id }),
                };
                expected.push(id);
                Record::new("job", 1).with(options)
            })
            .collect();
        batches.push(bus.start_publish(&records));
    }
    for batch in batches {
        for result in batch.results().await {
            result.unwrap();
        }
    }
    assert!(stored(&server, "jobs").await == expected, "out of order");
    live.wait_for(expected.len()).await;
    assert!(live.ids() == expected, "out of order");
    bus.disconnect().await;
}

/// Every entry has exactly the fields of the codec, whichever way it is stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_ways_of_storing_write_the_same_fields() {
    let server = RedisServer::start().await;
    let bus = ready(keeping(json!({ "redis": server.url(), "serviceName": "api" }))).await;
    let given = json!({
        "id": "i", "timestamp": 0, "correlationId": "co", "causationId": "ca", "key": "k", "metadata": { "a": 1 },
    });
    let fields = |entry: &oxbus_testkit::Value| -> Vec<(String, String)> {
        let items = entry.items()[1].items();
        items.chunks(2).map(|pair| (pair[0].text(), pair[1].text())).collect()
    };
    let mut seen = Vec::new();
    for (event_type, stream, once) in
        [("job", "jobs", false), ("job", "jobs", true), ("quiet", "quiet", false)]
    {
        let mut options = given.clone();
        options["deduplicate"] = json!(once);
        let receipt = bus.publish_with(event_type, json!({ "é": [1] }), options).await.unwrap();
        let id = receipt.message_id().to_owned();
        let entry = server.command(&["XRANGE", stream, &id, &id]).await;
        let mut all = fields(&entry.items()[0]);
        assert_eq!(all.remove(1), ("eventType".to_owned(), event_type.to_owned()));
        seen.push(all);
    }
    let names: Vec<&str> = seen[0].iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["eventId", "timestamp", "source", "correlationId", "causationId", "data", "meta"]);
    assert_eq!(seen[0][5].1, "{\"é\":[1]}");
    assert!(seen[0] == seen[1] && seen[1] == seen[2], "{seen:?}");
    // It shares a call with events that have no cause.
    let records: Vec<Record> = (0..6)
        .map(|n| {
            let options = if n % 3 == 1 { json!({ "causationId": "c" }) } else { json!({ "key": "k" }) };
            Record::new("job.mixed", n).with(options)
        })
        .collect();
    let results = bus.publish_many(records).await;
    for (n, result) in results.into_iter().enumerate() {
        let id = result.unwrap().message_id().to_owned();
        let entry = server.command(&["XRANGE", "jobs", &id, &id]).await;
        let all = fields(&entry.items()[0]);
        assert_eq!(all.iter().any(|(name, value)| name == "causationId" && value == "c"), n % 3 == 1);
        assert_eq!(all[all.len() - 2], ("data".to_owned(), n.to_string()));
    }
    bus.disconnect().await;
}
