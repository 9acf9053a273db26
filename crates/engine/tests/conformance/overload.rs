//! Everything is bounded, and everything dropped is counted.

use std::collections::HashSet;
use std::sync::Arc;

use oxbus_model::delivery::Settlement;
use oxbus_model::{ErrorKind, Outcome};
use oxbus_testkit::eventually;
use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::support::{Bus, Inbox, PATIENCE, Record, barrier};

suite! {
    drop_oldest, drop_newest, latest_per_key, bytes_are_bounded, a_blocked_host, unsubscribe_under_load, queue_full,
}

/// Publishes `records` to a paused subscription with this queue. Returns what its handler got in the
/// end, after checking that what was published is what was delivered and what was dropped.
async fn overflow(fixture: &Fixture, queue: Value, records: Vec<Record>) -> Vec<Value> {
    let bus = fixture.bus().await;
    let inbox = Inbox::default();
    let subscription = bus.subscribe(&["job"], json!({ "queue": queue }), inbox.handler()).await.unwrap();
    bus.pause(subscription, true);
    let published = records.len();
    bus.publish_many(records).await.into_iter().for_each(|result| drop(result.unwrap()));
    let first = barrier(&bus, &bus).await;
    let before = bus.stats().counts;
    let kept = published - usize::try_from(before.events_dropped).unwrap();
    bus.pause(subscription, false);
    inbox.wait_for(kept).await;
    let second = barrier(&bus, &bus).await;
    let counts = bus.stats().counts;
    assert_eq!(inbox.len(), kept);
    assert_eq!(counts.events_dropped, before.events_dropped);
    // The barriers were delivered as well.
    assert_eq!(counts.events_delivered, kept as u64 + first + second);
    inbox.data()
}

fn numbered(count: usize) -> Vec<Record> {
    (0..count).map(|n| Record::new("job", n)).collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<Value> {
    range.map(Value::from).collect()
}

/// The default: the oldest go.
async fn drop_oldest(fixture: &Fixture) {
    assert_eq!(overflow(fixture, json!({ "maxEvents": 10 }), numbered(25)).await, numbers(15..25));
}

/// `drop-newest`: what arrives goes.
async fn drop_newest(fixture: &Fixture) {
    let queue = json!({ "maxEvents": 10, "overflow": "drop-newest" });
    assert_eq!(overflow(fixture, queue, numbered(25)).await, numbers(0..10));
}

/// `latest-per-key`: an event takes the place of the waiting one of its key.
async fn latest_per_key(fixture: &Fixture) {
    let queue = json!({ "maxEvents": 4, "overflow": "latest-per-key" });
    let records = (0..40).map(|n| Record::new("job", n).with(json!({ "key": format!("k{}", n % 4) })));
    assert_eq!(overflow(fixture, queue, records.collect()).await, numbers(36..40));
}

/// Bytes are bounded as well as events.
async fn bytes_are_bounded(fixture: &Fixture) {
    let records = (0..10).map(|n| Record::new("job", json!({ "n": n, "text": "x".repeat(10_000) })));
    let got = overflow(fixture, json!({ "maxBytes": 35_000 }), records.collect()).await;
    assert_eq!(got.iter().map(|d| d["n"].clone()).collect::<Vec<_>>(), numbers(7..10));
}

/// A host that does not drain loses no more than the queue says, and hears of everything afterwards.
async fn a_blocked_host(fixture: &Fixture) {
    let (publisher, subscriber) = (fixture.bus().await, fixture.bus().await);
    let inbox = Inbox::with(&subscriber, &["job"], json!({ "queue": { "maxEvents": 1000 } })).await;
    let blocked = subscriber.block().await;
    for _ in 0..10 {
        publisher.publish_many(numbered(256)).await.into_iter().for_each(|result| drop(result.unwrap()));
    }
    let received = || async { subscriber.stats().counts.events_received == 2560 };
    eventually(PATIENCE, "the engine to receive all the same", received).await;
    assert_eq!(subscriber.stats().counts.events_dropped, 1560);
    drop(blocked);
    inbox.wait_for(1000).await;
    let stats = subscriber.stats();
    assert_eq!((inbox.len(), stats.counts.events_delivered + stats.counts.events_dropped), (1000, 2560));
    assert_eq!(stats.memory, 0);
}

/// A subscription that ends under load leaves nothing unaccounted for.
async fn unsubscribe_under_load(fixture: &Fixture) {
    let (publisher, subscriber) = (fixture.bus().await, fixture.bus().await);
    for concurrency in [1, 2, 256] {
        for _ in 0..5 {
            let inbox = Inbox::default();
            let options = json!({ "concurrency": concurrency });
            let subscription = subscriber.subscribe(&["job"], options, inbox.handler()).await.unwrap();
            let batch = publisher.start_publish(&numbered(500));
            inbox.wait_for(20).await;
            assert!(subscriber.unsubscribe(subscription).await);
            batch.results().await.into_iter().for_each(|result| drop(result.unwrap()));
            barrier(&publisher, &subscriber).await;
        }
    }
    let accounted = || async {
        let c = subscriber.stats().counts;
        c.events_received == c.events_delivered + c.events_dropped
    };
    eventually(PATIENCE, "every event to be delivered or dropped", accounted).await;
}

async fn refused(bus: &Bus, records: Vec<Record>) -> Vec<usize> {
    let mut refused = Vec::new();
    for (n, result) in bus.publish_many(records).await.into_iter().enumerate() {
        if let Err(error) = result {
            assert_eq!((error.kind, error.outcome), (ErrorKind::QueueFull, Some(Outcome::NotSent)));
            refused.push(n);
        }
    }
    refused
}

/// Beyond the bounds of publishes in flight, more are refused at once; the room comes back.
async fn queue_full(fixture: &Fixture) {
    let performance = json!({ "maxInFlight": 5, "maxInFlightBytes": 1000 });
    let bus = Arc::new(fixture.bus_with(json!({ "performance": performance })).await);
    let inbox = Inbox::of(&bus, &["job"]).await;
    for _ in 0..3 {
        assert_eq!(refused(&bus, numbered(8)).await, [5, 6, 7]);
        assert_eq!(refused(&bus, vec![Record::new("job", "x".repeat(1000))]).await, [0]);
        assert_eq!(refused(&bus, numbered(5)).await, [0; 0]);
        // Refused for themselves, they take no room for long either.
        let bad = bus.publish_many((0..5).map(|_| Record::new("bad type", 1)).collect()).await;
        assert!(bad.iter().all(|r| r.as_ref().is_err_and(|e| e.kind == ErrorKind::InvalidType)));
    }
    barrier(&bus, &bus).await;
    assert_eq!((inbox.len(), bus.stats().in_flight, bus.stats().memory), (30, 0, 0));
    let ids: HashSet<_> = inbox.events().iter().map(|e| e.id()).collect();
    assert_eq!(ids.len(), 30);
    let _ = bus.subscribe(&["job"], Value::Null, |_| Settlement::Succeeded).await.unwrap();
}
