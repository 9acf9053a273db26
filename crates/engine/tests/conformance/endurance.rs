//! Counterparts of Watermill's universal tests with many messages, publishers or subscribers.

use std::collections::HashMap;
use std::sync::Arc;

use oxbus_engine::host::Notice;
use oxbus_model::ErrorKind;
use oxbus_model::delivery::Settlement;
use oxbus_testkit::tracker::Ending;
use oxbus_testkit::{Tracker, eventually};
use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::support::{Bus, Event, Inbox, PATIENCE, Record, barrier, end, tracked, tracking};

suite! {
    concurrent_subscribe, concurrent_subscribe_multiple_topics, publish_subscribe_in_order, continue_after_subscribe_close, concurrent_close, publisher_close, reconnect,
}

/// TestConcurrentSubscribe: 5,000 messages, 50 subscribers on 5 clients; each gets each once, in order.
async fn concurrent_subscribe(fixture: &Fixture) {
    let publisher = fixture.bus().await;
    let mut subscribers = Vec::new();
    let mut inboxes = Vec::new();
    for client in 0..5 {
        let bus = fixture.bus().await;
        for n in 0..10 {
            // An exact type, a pattern and overlapping patterns, in turn.
            let patterns: &[&str] =
                [&["user.created"][..], &["user.*"], &["user.created", "user.*", "*"]][(client + n) % 3];
            let inbox = Inbox::of(&bus, patterns).await;
            inboxes.push((n, inbox));
        }
        subscribers.push(bus);
    }
    let records: Vec<_> = (0..5000).map(|n| Record::new("user.created", n)).collect();
    let mut ids = Vec::new();
    for chunk in records.chunks(256) {
        for result in publisher.publish_many(chunk.to_vec()).await {
            ids.push(result.unwrap().id);
        }
    }
    for (n, inbox) in &inboxes {
        inbox.wait_for(5000).await;
        let got: Vec<String> = inbox.events().iter().map(Event::id).collect();
        assert!(got == ids, "subscriber {n} got {} events, or not in order", got.len());
    }
    for bus in &subscribers {
        let counts = bus.stats().counts;
        assert_eq!((counts.events_delivered, counts.events_dropped), (50_000, 0));
    }
}

/// TestConcurrentSubscribeMultipleTopics: 20 types of 100 messages, subscribed and published at once.
async fn concurrent_subscribe_multiple_topics(fixture: &Fixture) {
    let bus = Arc::new(fixture.bus().await);
    let tracker = Arc::new(Tracker::new());
    let topics = (0..20).map(|topic| {
        let (bus, tracker) = (bus.clone(), tracker.clone());
        tokio::spawn(async move {
            let event_type = format!("topic.{topic}");
            bus.subscribe(&[&event_type], Value::Null, tracking(&tracker)).await.unwrap();
            let records = tracked(&tracker, &event_type, &event_type, 100);
            for (n, result) in bus.publish_many(records).await.iter().enumerate() {
                end(&tracker, format!("{event_type}-{n}"), result);
            }
        })
    });
    for topic in topics.collect::<Vec<_>>() {
        topic.await.unwrap();
    }
    eventually(PATIENCE, "all messages", || async { tracker.received_count() == 2000 }).await;
    barrier(&bus, &bus).await;
    tracker.assert_resolved_received();
    tracker.assert_no_duplicates();
    assert_eq!(tracker.count(Ending::Resolved), 2000);
}

/// TestPublishSubscribeInOrder: the events of each of 16 publishers stay in order.
async fn publish_subscribe_in_order(fixture: &Fixture) {
    let subscriber = fixture.bus().await;
    let inbox = Inbox::of(&subscriber, &["order.*"]).await;
    let mut publishers = Vec::new();
    for p in 0..16_usize {
        let bus = fixture.bus().await;
        publishers.push(tokio::spawn(async move {
            // Batches of several sizes, none awaited before the next is started.
            let records: Vec<_> =
                (0..64).map(|n| Record::new(format!("order.{p}"), json!({ "p": p, "n": n }))).collect();
            let batches: Vec<_> = records.chunks(1 + p % 7).map(|chunk| bus.start_publish(chunk)).collect();
            for batch in batches {
                batch.results().await.into_iter().for_each(|result| drop(result.unwrap()));
            }
            bus.disconnect().await;
        }));
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
    inbox.wait_for(16 * 64).await;
    let mut by_publisher: HashMap<u64, Vec<u64>> = HashMap::new();
    for data in inbox.data() {
        by_publisher.entry(data["p"].as_u64().unwrap()).or_default().push(data["n"].as_u64().unwrap());
    }
    assert_eq!(by_publisher.len(), 16);
    assert!(by_publisher.values().all(|seen| seen.iter().copied().eq(0..64)), "{by_publisher:?}");
}

/// TestContinueAfterSubscribeClose: 5 batches of 1,000, each with a new subscription, none lost.
async fn continue_after_subscribe_close(fixture: &Fixture) {
    let (publisher, mut subscriber) = (fixture.bus().await, fixture.bus().await);
    let tracker = Arc::new(Tracker::new());
    for batch in 0..5_usize {
        let subscription = subscriber.subscribe(&["batch.*"], Value::Null, tracking(&tracker)).await.unwrap();
        let name = format!("batch.{batch}");
        let records = tracked(&tracker, &name, &name, 1000);
        for (n, result) in publisher.publish_many(records).await.iter().enumerate() {
            end(&tracker, format!("{name}-{n}"), result);
        }
        eventually(PATIENCE, "the batch", || async { tracker.missing().is_empty() }).await;
        // In turn the subscription ends, or the client as a whole.
        if batch % 2 == 0 {
            assert!(subscriber.unsubscribe(subscription).await);
        } else {
            subscriber.disconnect().await;
            subscriber = fixture.bus().await;
        }
    }
    tracker.assert_no_duplicates();
    assert_eq!(tracker.received_count(), 5000);
}

/// TestConcurrentClose: while 10 clients subscribe and close, and after it, others are not disturbed.
async fn concurrent_close(fixture: &Fixture) {
    let (publisher, subscriber) = (fixture.bus().await, fixture.bus().await);
    let inbox = Inbox::of(&subscriber, &["job"]).await;
    let mut closing = Vec::new();
    for _ in 0..10 {
        let bus = fixture.bus().await;
        closing.push(tokio::spawn(async move {
            let subscribed = bus.subscribe(&["job", "*"], Value::Null, |_| Settlement::Succeeded).await;
            subscribed.unwrap();
            bus.disconnect().await;
        }));
    }
    for n in 0..50 {
        publisher.publish("job", n).await.unwrap();
    }
    for task in closing {
        task.await.unwrap();
    }
    for n in 50..100 {
        let told = publisher.publish("job", n).await.unwrap().receivers;
        assert!(fixture.are_received(told, 1), "{told} received");
    }
    inbox.wait_for(100).await;
    assert_eq!(inbox.data(), (0..100).map(Value::from).collect::<Vec<_>>());
}

/// TestPublisherClose: 10,000 messages by 20 publishers that close at once; none is lost.
async fn publisher_close(fixture: &Fixture) {
    let subscriber = fixture.bus().await;
    let tracker = Arc::new(Tracker::new());
    subscriber.subscribe(&["close.*"], Value::Null, tracking(&tracker)).await.unwrap();
    let mut publishers = Vec::new();
    for p in 0..20 {
        let (bus, tracker) = (fixture.bus().await, tracker.clone());
        publishers.push(tokio::spawn(async move {
            let name = format!("close.{p}");
            let records = tracked(&tracker, &name, &name, 500);
            let batches: Vec<_> = records.chunks(100).map(|chunk| bus.start_publish(chunk)).collect();
            bus.disconnect().await;
            for (at, batch) in batches.into_iter().enumerate() {
                for (n, result) in batch.results().await.iter().enumerate() {
                    end(&tracker, format!("{name}-{}", at * 100 + n), result);
                }
            }
        }));
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
    assert_eq!(tracker.count(Ending::Resolved), 10_000, "a publisher that drains loses nothing");
    eventually(PATIENCE, "all messages", || async { tracker.received_count() == 10_000 }).await;
    tracker.assert_no_duplicates();
    assert_eq!(subscriber.stats().counts.events_dropped, 0);
}

/// TestReconnect: the broker restarts twice under load. Live events are at most once, so what is lost is
/// said: every publish has an outcome, a gap is reported, and after it everything arrives again.
async fn reconnect(fixture: &Fixture) {
    let Some(fixture) = fixture.lasting().await else { return };
    let subscriber = fixture.bus().await;
    let tracker = Arc::new(Tracker::new());
    subscriber.subscribe(&["load.*"], Value::Null, tracking(&tracker)).await.unwrap();
    let mut publishers = Vec::new();
    // A restart of a cluster may take longer than a publish waits by default.
    let patient = || json!({ "redis": { "commandTimeout": 60_000 } });
    for _ in 0..10 {
        publishers.push(Arc::new(fixture.bus_with(patient()).await));
    }
    let mut running = Vec::new();
    for (p, bus) in publishers.iter().enumerate() {
        let (bus, tracker) = (bus.clone(), tracker.clone());
        running.push(tokio::spawn(async move { publish_while(&bus, &tracker, p).await }));
    }
    for resolved in [700, 1000] {
        eventually(PATIENCE, "some load", || async { tracker.count(Ending::Resolved) >= resolved }).await;
        let mark = subscriber.notices.mark();
        fixture.restart().await;
        let gap = subscriber.notices.wait_from(mark, |n| matches!(n, Notice::Gap { .. })).await;
        let Notice::Gap { from, to, patterns, .. } = gap else { unreachable!() };
        assert!(from <= to && patterns == ["load.*"], "{from} {to} {patterns:?}");
    }
    for publisher in running {
        publisher.await.unwrap();
    }
    tracker.assert_all_ended();
    for bus in &publishers {
        bus.wait_until_ready(Some(60_000)).await.unwrap();
    }
    let before = tracker.received_count();
    let bus = fixture.bus_with(patient()).await;
    let after = tracked(&tracker, "load.after", "after", 100);
    for (n, result) in bus.publish_many(after).await.iter().enumerate() {
        let told = result.as_ref().unwrap().receivers;
        assert!(fixture.are_received(told, 1), "the subscription survived: {told} received");
        end(&tracker, format!("after-{n}"), result);
    }
    eventually(PATIENCE, "what comes after", || async { tracker.received_count() >= before + 100 }).await;
    tracker.assert_no_duplicates();
    tracker.assert_failed_not_received();
    tracker.assert_only_published_received();
    assert!(subscriber.stats().counts.reconnections >= 2);
}

/// 200 batches of 1 to 10 publishes; each must settle, whatever the broker does.
async fn publish_while(bus: &Bus, tracker: &Tracker, p: usize) {
    for batch in 0..60 {
        let name = format!("load-{p}-{batch}");
        let records = tracked(tracker, "load.event", &name, 1 + batch % 10);
        for (n, result) in bus.publish_many(records).await.iter().enumerate() {
            if let Err(error) = result {
                assert_eq!(error.kind, ErrorKind::ConnectionLost, "{error:?}");
            }
            end(tracker, format!("{name}-{n}"), result);
        }
    }
}
