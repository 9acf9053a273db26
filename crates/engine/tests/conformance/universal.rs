//! Counterparts of Watermill's universal tests; each names its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use oxbus_model::delivery::Settlement;
use oxbus_testkit::eventually;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::fixture::Fixture;
use crate::support::{FAILED, Inbox, PATIENCE, Record, barrier};

suite! {
    publish_subscribe, a_new_subscriber_gets_nothing_old, resend_on_error, no_ack, continue_after_errors, topic, subscribe_ctx, message_ctx,
}

/// TestPublishSubscribe: 100 messages arrive once, unchanged, with their metadata.
async fn publish_subscribe(fixture: &Fixture) {
    let (publisher, subscriber) = (fixture.bus().await, fixture.bus().await);
    let inbox = Inbox::of(&subscriber, &["user.created"]).await;
    let texts = ["plain", "quote \" and \\", "line\nfeed", "é€😀", "\u{0}\u{7f}\u{2028}"];
    let data =
        |n: usize| json!({ "n": n, "text": texts[n % texts.len()], "list": [null, 1.5, {"deep": []}] });
    let records = (0..100).map(|n| {
        Record::new("user.created", data(n))
            .with(json!({ "userId": format!("u{n}"), "metadata": { "n": n } }))
    });
    let results = publisher.publish_many(records.collect()).await;
    inbox.wait_for(100).await;
    barrier(&publisher, &subscriber).await;
    let events = inbox.events();
    assert_eq!(events.len(), 100);
    for (n, (event, result)) in events.iter().zip(results).enumerate() {
        let receipt = result.unwrap();
        assert!(fixture.are_received(receipt.receivers, 1), "{} received", receipt.receivers);
        assert_eq!(event.id(), receipt.id);
        assert_eq!((event.event_type().as_str(), event.data()), ("user.created", data(n)));
        let metadata = event.metadata();
        assert_eq!((&metadata["userId"], &metadata["n"]), (&json!(format!("u{n}")), &json!(n)));
        assert_eq!(metadata["timestamp"], json!(receipt.timestamp));
        assert_eq!((event.attempt, event.pattern, event.channel()), (1, 0, None));
    }
    subscriber.disconnect().await;
    assert_eq!(publisher.publish("user.created", 1).await.unwrap().receivers, 0);
    publisher.disconnect().await;
    assert_eq!(inbox.len(), 100);
}

/// The reverse of TestNewSubscriberReceivesOldMessages: live events are not kept.
async fn a_new_subscriber_gets_nothing_old(fixture: &Fixture) {
    let bus = fixture.bus().await;
    for n in 0..10 {
        bus.publish("old", n).await.unwrap();
    }
    // What is published at one node of a cluster may still be on its way to another one.
    barrier(&bus, &bus).await;
    let inbox = Inbox::of(&bus, &["*"]).await;
    bus.publish("new", 1).await.unwrap();
    inbox.wait_for(1).await;
    barrier(&bus, &bus).await;
    assert!(!inbox.types().iter().any(|t| t == "old"));
}

/// TestResendOnError: a failed event is handed out again until it succeeds.
async fn resend_on_error(fixture: &Fixture) {
    let bus = fixture.bus().await;
    let inbox = Inbox::default();
    let seen = inbox.clone();
    let options = json!({ "retry": { "initialDelay": 1, "maxDelay": 2 }, "maxRetries": 3 });
    let handler = move |event: crate::support::Event| {
        let attempt = event.attempt;
        seen.put(event);
        if attempt < 3 { FAILED } else { Settlement::Succeeded }
    };
    bus.subscribe(&["job"], options, handler).await.unwrap();
    bus.publish_many((0..20).map(|n| Record::new("job", n)).collect()).await;
    inbox.wait_for(60).await;
    barrier(&bus, &bus).await;
    let mut attempts: HashMap<String, Vec<u32>> = HashMap::new();
    for event in inbox.events() {
        attempts.entry(event.id()).or_default().push(event.attempt);
    }
    assert_eq!(attempts.len(), 20);
    assert!(attempts.values().all(|a| *a == [1, 2, 3]), "{attempts:?}");
    let counts = bus.stats().counts;
    assert_eq!((counts.events_retried, counts.handler_errors, counts.events_failed), (40, 40, 0));
}

/// TestNoAck: with a concurrency of one, the next event waits until the one before is settled.
async fn no_ack(fixture: &Fixture) {
    let bus = fixture.bus().await;
    let (started, permits) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let (seen, gate) = (started.clone(), permits.clone());
    let handler = move |_| {
        seen.fetch_add(1, Ordering::SeqCst);
        let gate = gate.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            Settlement::Succeeded
        }
    };
    bus.subscribe_async(&["job"], json!({ "concurrency": 1 }), handler).await.unwrap();
    bus.publish_many((0..5).map(|n| Record::new("job", n)).collect()).await;
    for round in 1..=5 {
        let reached = || async { started.load(Ordering::SeqCst) == round };
        eventually(PATIENCE, "the next handler", reached).await;
        barrier(&bus, &bus).await;
        assert_eq!(started.load(Ordering::SeqCst), round, "one at a time");
        permits.add_permits(1);
    }
    eventually(PATIENCE, "all settled", || async { bus.stats().counts.events_delivered >= 5 }).await;
}

/// TestContinueAfterErrors: after 100 failures on each of 3 subscriptions all 50 events are handled.
async fn continue_after_errors(fixture: &Fixture) {
    let bus = fixture.bus().await;
    let options =
        json!({ "retry": { "initialDelay": 1, "maxDelay": 1 }, "maxRetries": 1000, "concurrency": 4 });
    let mut inboxes = Vec::new();
    for _ in 0..3 {
        let inbox = Inbox::default();
        let (seen, failures) = (inbox.clone(), AtomicUsize::new(0));
        let handler = move |event| {
            if failures.fetch_add(1, Ordering::SeqCst) < 100 {
                return FAILED;
            }
            seen.put(event);
            Settlement::Succeeded
        };
        bus.subscribe(&["job.*"], options.clone(), handler).await.unwrap();
        inboxes.push(inbox);
    }
    bus.publish_many((0..50).map(|n| Record::new(format!("job.{n}"), n)).collect()).await;
    for inbox in &inboxes {
        inbox.wait_for(50).await;
        let mut data: Vec<_> = inbox.data().iter().map(|d| d.as_u64().unwrap()).collect();
        data.sort_unstable();
        assert_eq!(data, (0..50).collect::<Vec<_>>());
    }
    eventually(PATIENCE, "the last settlements", || async { bus.stats().counts.events_delivered == 150 })
        .await;
    let counts = bus.stats().counts;
    assert_eq!((counts.handler_errors, counts.events_retried, counts.events_failed), (300, 300, 0));
}

/// TestTopic: no cross-talk between types.
async fn topic(fixture: &Fixture) {
    let (publisher, subscriber) = (fixture.bus().await, fixture.bus().await);
    let one = Inbox::of(&subscriber, &["topic.1"]).await;
    let two = Inbox::of(&subscriber, &["topic.2"]).await;
    let prefix = Inbox::of(&subscriber, &["topic."]).await;
    let records = (0..40).map(|n| Record::new(format!("topic.{}", 1 + n % 2), n)).collect();
    publisher.publish_many(records).await;
    barrier(&publisher, &subscriber).await;
    assert!(one.types().iter().all(|t| t == "topic.1") && two.types().iter().all(|t| t == "topic.2"));
    assert_eq!((one.len(), two.len(), prefix.len()), (20, 20, 0));
}

/// TestSubscribeCtx: once a subscription has ended it gets nothing, and the next one gets everything.
async fn subscribe_ctx(fixture: &Fixture) {
    let (publisher, subscriber) = (fixture.bus().await, fixture.bus().await);
    let first = Inbox::default();
    let subscription = subscriber.subscribe(&["job"], Value::Null, first.handler()).await.unwrap();
    publisher.publish("job", 1).await.unwrap();
    first.wait_for(1).await;
    assert!(subscriber.unsubscribe(subscription).await);
    assert!(!subscriber.unsubscribe(subscription).await, "there is none of that number any more");
    let second = Inbox::of(&subscriber, &["job"]).await;
    publisher.publish("job", 2).await.unwrap();
    second.wait_for(1).await;
    barrier(&publisher, &subscriber).await;
    assert_eq!((first.data(), second.data()), (vec![json!(1)], vec![json!(2)]));
    assert_eq!(subscriber.stats().active_subscriptions, 1);
}

/// TestMessageCtx: a handler call ends once. Settling it again, or after its subscription ended, changes nothing.
async fn message_ctx(fixture: &Fixture) {
    let bus = fixture.bus().await;
    let release = Arc::new(Semaphore::new(0));
    let (gate, running) = (release.clone(), Arc::new(Mutex::new(Vec::new())));
    let seen = running.clone();
    let handler = move |event: crate::support::Event| {
        seen.lock().unwrap().push(event.data());
        let gate = gate.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            FAILED
        }
    };
    let subscription = bus.subscribe_async(&["job"], Value::Null, handler).await.unwrap();
    bus.publish("job", 1).await.unwrap();
    eventually(PATIENCE, "the call", || async { running.lock().unwrap().len() == 1 }).await;
    assert!(bus.unsubscribe(subscription).await);
    release.add_permits(1);
    eventually(PATIENCE, "its end", || async { bus.stats().counts.events_failed == 1 }).await;
    // Tokens start at zero: these are settled, or were never given.
    bus.client().settle((0..5).map(|token| (token, Settlement::Succeeded, 1)));
    let counts = bus.stats().counts;
    assert_eq!((counts.events_delivered, counts.handler_errors, counts.events_retried), (0, 1, 0));
    bus.disconnect().await;
}
