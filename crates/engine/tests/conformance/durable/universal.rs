//! Counterparts of Watermill's universal tests; each names its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use oxbus_model::delivery::Settlement;
use oxbus_testkit::eventually;
use serde_json::{Value, json};

use super::setup::{Gate, Group, member, numbered, numbers, sorted, store, workers, workers_with};
use tokio::task::JoinSet;

use crate::fixture::Fixture;
use crate::support::{Event, FAILED, Inbox, PATIENCE, Record};

/// Gives all tests of this file to a macro.
macro_rules! each {
    ($macro:ident) => {
        $macro! {
            publish_subscribe, a_new_subscriber_receives_old_messages, resend_on_error, no_ack, continue_after_errors, consumer_groups, topic, message_ctx, subscribe_ctx, all_subscriptions_of_a_group,
        }
    };
}

each!(suite);

/// The tests of this file, run side by side.
mod at_once {
    use super::stress;

    suite! { with cluster; stress }
}

/// TestPublishSubscribe: 100 messages arrive once, unchanged, with their metadata; as live ones do.
async fn publish_subscribe(fixture: &Fixture) {
    let (publisher, worker) = (fixture.keeper().await, fixture.keeper().await);
    let inbox = Inbox::with(&worker, &["job.*"], workers()).await;
    let live = Inbox::of(&worker, &["job.*"]).await;
    let texts = ["plain", "quote \" and \\", "line\nfeed", "é€😀", "\u{0}\u{7f}\u{2028}"];
    let data =
        |n: usize| json!({ "n": n, "text": texts[n % texts.len()], "list": [null, 1.5, {"deep": []}] });
    let records = (0..100).map(|n| {
        Record::new("job.created", data(n)).with(json!({
            "userId": format!("u{n}"), "metadata": { "n": n }, "key": format!("k{n}"), "causationId": "c",
        }))
    });
    let results = publisher.publish_many(records.collect()).await;
    inbox.wait_for(100).await;
    live.wait_for(100).await;
    Group::workers(&worker, fixture).settled().await;
    assert_eq!((inbox.len(), live.len()), (100, 100));
    for (n, (event, result)) in inbox.events().iter().zip(results).enumerate() {
        let receipt = result.unwrap();
        let stored = event.stored();
        assert_eq!((&*stored.stream, &*stored.group), (&*fixture.jobs(), "workers"));
        assert_eq!((event.message_id().as_str(), event.deliveries()), (receipt.message_id(), 1));
        assert!(fixture.are_received(receipt.receivers, 1), "{} received", receipt.receivers);
        assert_eq!(event.id(), receipt.id);
        assert_eq!((event.attempt, event.pattern), (1, 0));
        let metadata = event.metadata();
        assert_eq!((&metadata["userId"], &metadata["n"]), (&json!(format!("u{n}")), &json!(n)));
        assert_eq!(metadata["timestamp"], json!(receipt.timestamp));
        assert_eq!((event.event_type().as_str(), event.data()), ("job.created", data(n)));
    }
    let events = |inbox: &Inbox| inbox.events().iter().map(Event::json).collect::<Vec<_>>();
    assert_eq!(events(&inbox), events(&live));
    let counts = worker.stats().counts;
    assert_eq!((counts.events_delivered, counts.events_failed, counts.events_lost), (200, 0, 0));
    worker.disconnect().await;
    publisher.publish("job.created", 1).await.unwrap();
    publisher.disconnect().await;
    assert_eq!(inbox.len(), 100);
}

/// TestNewSubscriberReceivesOldMessages: a group starts where it was told to.
async fn a_new_subscriber_receives_old_messages(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let ids = store(&bus, numbered("job", 0..20)).await;
    let from = |from: Value| {
        let name = format!("from {from}");
        (member(&name, json!({ "from": from })), name)
    };
    let mut inboxes = Vec::new();
    for (options, first) in [
        (from(json!("beginning")).0, 0),
        (from(json!(ids[6])).0, 7),
        (from(json!(ids[19])).0, 20),
        (from(json!("new")).0, 20),
        (member("by default", json!({})), 20),
        (from(json!(0)).0, 0),
        (from(json!("2001-01-01T00:00:00.000Z")).0, 0),
    ] {
        inboxes.push((Inbox::with(&bus, &["job"], options.clone()).await, options, first));
    }
    store(&bus, numbered("job", 20..30)).await;
    for (inbox, options, first) in inboxes {
        inbox.wait_for(30 - first as usize).await;
        Group::of(&bus, &fixture.jobs(), options["group"].as_str().unwrap()).settled().await;
        assert_eq!(numbers(&inbox), (first..30).collect::<Vec<_>>(), "{options}");
    }
}

/// TestResendOnError: a failed event is handed out again until it succeeds.
async fn resend_on_error(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let inbox = Inbox::default();
    let seen = inbox.clone();
    let handler = move |event: Event| {
        let attempt = event.attempt;
        seen.put(event);
        if attempt < 3 { FAILED } else { Settlement::Succeeded }
    };
    bus.subscribe(&["job"], workers_with(json!({ "maxRetries": 3 })), handler).await.unwrap();
    store(&bus, numbered("job", 0..20)).await;
    inbox.wait_for(60).await;
    Group::workers(&bus, fixture).settled().await;
    let mut attempts: HashMap<String, Vec<u32>> = HashMap::new();
    for event in inbox.events() {
        attempts.entry(event.id()).or_default().push(event.attempt);
    }
    assert_eq!(attempts.len(), 20);
    assert!(attempts.values().all(|a| *a == [1, 2, 3]), "{attempts:?}");
    let counts = bus.stats().counts;
    assert_eq!((counts.events_retried, counts.handler_errors, counts.events_failed), (40, 40, 0));
}

/// TestNoAck: in order, the next event waits until the one before is settled.
async fn no_ack(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let gate = Gate::new();
    let ordered = workers_with(json!({ "orderBy": "stream" }));
    bus.subscribe_async(&["job"], ordered, gate.handler()).await.unwrap();
    let witness = Inbox::with(&bus, &["job"], member("witness", json!({}))).await;
    for round in 1..=5 {
        store(&bus, numbered("job", 0..2)).await;
        witness.wait_for(2 * round).await;
        gate.started.wait_for(round).await;
        assert_eq!(gate.started.len(), round, "one at a time");
        gate.open(1);
    }
    gate.open(5);
    gate.started.wait_for(10).await;
    Group::workers(&bus, fixture).settled().await;
}

/// TestContinueAfterErrors: after 100 failures of each of 3 groups all 50 events are handled.
async fn continue_after_errors(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let mut inboxes = Vec::new();
    for group in ["one", "two", "three"] {
        let inbox = Inbox::default();
        let (seen, failures) = (inbox.clone(), AtomicUsize::new(0));
        let handler = move |event| {
            if failures.fetch_add(1, Ordering::SeqCst) < 100 {
                return FAILED;
            }
            seen.put(event);
            Settlement::Succeeded
        };
        let options = member(group, json!({ "maxRetries": 1000, "concurrency": 4 }));
        bus.subscribe(&["job.*"], options, handler).await.unwrap();
        inboxes.push((group, inbox));
    }
    store(&bus, (0..50).map(|n| Record::new(format!("job.{n}"), n)).collect()).await;
    for (group, inbox) in &inboxes {
        inbox.wait_for(50).await;
        Group::of(&bus, &fixture.jobs(), group).settled().await;
        assert_eq!(sorted(inbox), (0..50).collect::<Vec<_>>());
    }
    let counts = bus.stats().counts;
    assert_eq!((counts.handler_errors, counts.events_retried, counts.events_failed), (300, 300, 0));
}

/// TestConsumerGroups: each group gets every event once, whatever the number of its clients.
async fn consumer_groups(fixture: &Fixture) {
    let publisher = fixture.keeper().await;
    let (mut workers, mut inboxes) = (Vec::new(), Vec::new());
    for group in ["one", "two"] {
        let inbox = Inbox::default();
        for _ in 0..3 {
            let bus = fixture.keeper().await;
            bus.subscribe(&["job"], member(group, json!({})), inbox.handler()).await.unwrap();
            workers.push(bus);
        }
        inboxes.push((group, inbox));
    }
    store(&publisher, numbered("job", 0..50)).await;
    for (group, inbox) in inboxes {
        inbox.wait_for(50).await;
        Group::of(&publisher, &fixture.jobs(), group).settled().await;
        assert_eq!(sorted(&inbox), (0..50).collect::<Vec<_>>());
    }
}

/// TestTopic: no cross-talk between types, nor between streams.
async fn topic(fixture: &Fixture) {
    let (publisher, worker) = (fixture.keeper().await, fixture.keeper().await);
    let one = Inbox::with(&worker, &["job.1"], member("one", json!({}))).await;
    let two = Inbox::with(&worker, &["job.2"], member("two", json!({}))).await;
    let notes = Inbox::with(&worker, &["note.1"], member("notes", json!({}))).await;
    let types = ["job.1", "job.2", "job.10", "note.1", "note.2"];
    let records = (0..50).map(|n| Record::new(types[n % 5], n)).collect();
    let results = publisher.publish_many(records).await;
    let streams = results.into_iter().map(|result| result.unwrap().stored.unwrap().stream);
    assert!(streams.enumerate().all(|(n, s)| s == if n % 5 < 3 { fixture.jobs() } else { fixture.notes() }));
    for (inbox, stream, group, n) in [
        (one, fixture.jobs(), "one", 0),
        (two, fixture.jobs(), "two", 1),
        (notes, fixture.notes(), "notes", 3),
    ] {
        inbox.wait_for(10).await;
        Group::of(&worker, &stream, group).settled().await;
        assert_eq!(numbers(&inbox), (0..10).map(|m| m * 5 + n).collect::<Vec<_>>());
    }
    // What a group reads and nobody in it wants is settled without a handler. It counts when the server has answered.
    let skipped = || async { worker.stats().counts.events_skipped == 20 + 20 + 10 };
    eventually(PATIENCE, "all that is skipped counts", skipped).await;
}

/// TestMessageCtx: a handler call ends once. It goes on when its subscription ends, and its success counts.
async fn message_ctx(fixture: &Fixture) {
    let (bus, other) = (fixture.keeper().await, fixture.keeper().await);
    let gate = Gate::new();
    let subscription = bus.subscribe_async(&["job"], workers(), gate.handler()).await.unwrap();
    store(&bus, numbered("job", 0..1)).await;
    gate.started.wait_for(1).await;
    let token = gate.started.events()[0].token;
    assert!(bus.unsubscribe(subscription).await);
    let inbox = Inbox::with(&other, &["job"], workers()).await;
    gate.open(1);
    Group::workers(&other, fixture).settled().await;
    // It is settled; the others were never given.
    let failed = |token| (token, FAILED, 1);
    bus.client().settle([token, token + 1, token + 7].map(failed));
    let counts = bus.stats().counts;
    assert_eq!((counts.events_delivered, counts.handler_errors, counts.events_retried), (1, 0, 0));
    store(&bus, numbered("job", 1..2)).await;
    inbox.wait_for(1).await;
    assert_eq!(numbers(&inbox), [1]);
    bus.disconnect().await;
}

/// TestSubscribeCtx: when a subscription ends, events go to the next one.
async fn subscribe_ctx(fixture: &Fixture) {
    let (publisher, one, two) = (fixture.keeper().await, fixture.keeper().await, fixture.keeper().await);
    let (first, second) = (Inbox::default(), Inbox::default());
    let subscription = one.subscribe(&["job"], workers(), first.handler()).await.unwrap();
    store(&publisher, numbered("job", 0..10)).await;
    first.wait_for(10).await;
    assert!(one.unsubscribe(subscription).await);
    assert!(!one.unsubscribe(subscription).await);
    store(&publisher, numbered("job", 10..20)).await;
    two.subscribe(&["job"], workers(), second.handler()).await.unwrap();
    store(&publisher, numbered("job", 20..30)).await;
    second.wait_for(20).await;
    Group::workers(&two, fixture).settled().await;
    assert_eq!((sorted(&first), sorted(&second)), ((0..10).collect(), (10..30).collect()));
    one.disconnect().await;
}

/// A group that several subscriptions of a client share: an event is settled when all of them have had it.
async fn all_subscriptions_of_a_group(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let (gate, calls) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
    bus.subscribe_async(&["job"], workers(), gate.handler()).await.unwrap();
    let counted = calls.clone();
    let twice = move |event: Event| {
        counted.fetch_add(1, Ordering::SeqCst);
        if event.attempt == 1 { FAILED } else { Settlement::Succeeded }
    };
    bus.subscribe(&["*", "job"], workers(), twice).await.unwrap();
    let other = Inbox::with(&bus, &["job.other"], workers()).await;
    store(&bus, numbered("job", 0..5)).await;
    gate.started.wait_for(5).await;
    eventually(PATIENCE, "the retries", || async { calls.load(Ordering::SeqCst) == 10 }).await;
    let group = Group::workers(&bus, fixture);
    assert_eq!(group.facts().await["pending"], 5);
    gate.open(5);
    group.settled().await;
    assert_eq!((gate.started.len(), calls.load(Ordering::SeqCst), other.len()), (5, 10, 0));
}

/// TestPubSubStressTest: all of these tests at once on one broker, each with names of its own.
async fn stress(fixture: &Fixture) {
    let mut rounds = JoinSet::new();
    for round in 0..3 {
        macro_rules! start {
            ($($test:ident),+ $(,)?) => {
                $({
                    let fixture = fixture.scoped(&format!("{}-{round}:", stringify!($test)));
                    rounds.spawn(async move { $test(&fixture).await });
                })+
            };
        }
        each!(start);
    }
    while let Some(ended) = rounds.join_next().await {
        ended.expect("a test that passes beside others");
    }
}
