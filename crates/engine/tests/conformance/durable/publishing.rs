//! Storing events: once, within bounds, and with an answer for each.

use oxbus_model::{ErrorKind, Outcome};
use oxbus_testkit::eventually;
use serde_json::json;

use super::setup::{Group, member, numbered, numbers, store, workers};
use crate::fixture::Fixture;
use crate::support::{Inbox, PATIENCE, Record};

suite! {
    with cluster;
    receipts, duplicates, duplicates_run_out, publish_refusals, retention,
}

/// Ids grow in the order of publishing, and each stored event has its entry.
async fn receipts(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let records = (0..500).map(|n| match n % 4 {
        0 => Record::new("job", n),
        1 => Record::new("live", n),
        2 => Record::new("job.given", n).with(json!({ "id": format!("id-{n}") })),
        _ => Record::new("note.x", n).with(json!({ "timestamp": 1_000_000_000_000_u64 })),
    });
    let results = bus.publish_many(records.collect()).await;
    let mut last = None;
    for (n, result) in results.into_iter().enumerate() {
        let receipt = result.unwrap();
        assert_eq!(receipt.id.starts_with("id-"), n % 4 == 2);
        let Some(stored) = receipt.stored else {
            assert_eq!(n % 4, 1);
            continue;
        };
        assert_eq!(stored.stream, if n % 4 == 3 { fixture.notes() } else { fixture.jobs() });
        assert!(!stored.duplicate);
        if n % 4 != 3 {
            let id = stored.message_id.parse::<oxbus_model::stream_store::EntryId>().unwrap();
            assert!(last < Some(id));
            last = Some(id);
        }
    }
    assert_eq!(Group::workers(&bus, fixture).stream().await["length"], 250);
}

/// Of events of one id within the time only the first is stored and published.
async fn duplicates(fixture: &Fixture) {
    let (bus, other) = (fixture.keeper().await, fixture.keeper().await);
    let inbox = Inbox::with(&bus, &["*"], workers()).await;
    let live = Inbox::of(&bus, &["job"]).await;
    let once = json!({ "id": "order-1", "deduplicate": true });
    let first = bus.publish_with("job", 1, once.clone()).await.unwrap();
    assert!(!first.stored.as_ref().unwrap().duplicate);
    for bus in [&bus, &other] {
        let again = bus.publish_with("job", 2, once.clone()).await.unwrap();
        let stored = again.stored.clone().unwrap();
        assert!(stored.duplicate);
        assert_eq!((stored.message_id.as_str(), again.id.as_str()), (first.message_id(), "order-1"));
        assert_eq!((stored.stream, again.receivers), (fixture.jobs(), 0));
    }
    // This holds within one batch too, whose other events are not concerned.
    let record = |id: &str| Record::new("job", 3).with(json!({ "id": id, "deduplicate": { "ttl": 60_000 } }));
    let results = bus.publish_many(vec![record("a"), Record::new("job", 4), record("a"), record("b")]).await;
    let duplicate: Vec<bool> = results.into_iter().map(|r| r.unwrap().stored.unwrap().duplicate).collect();
    assert_eq!(duplicate, [false, false, true, false]);
    // Without the option nobody looks for duplicates.
    bus.publish_with("job", 5, json!({ "id": "order-1" })).await.unwrap();
    inbox.wait_for(5).await;
    let all = if fixture.capabilities.local_first { vec![1, 2, 3, 4, 3, 3, 5] } else { vec![1, 3, 4, 3, 5] };
    live.wait_for(all.len()).await;
    Group::workers(&bus, fixture).settled().await;
    assert_eq!((numbers(&inbox), numbers(&live)), (vec![1, 3, 4, 3, 5], all));
}

/// After the time an id is new again.
async fn duplicates_run_out(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let short = json!({ "id": "order-1", "deduplicate": { "ttl": 50 } });
    let first = bus.publish_with("job", 1, short.clone()).await.unwrap();
    let stored = || async { bus.publish_with("job", 2, short.clone()).await.unwrap().stored.unwrap() };
    eventually(PATIENCE, "the end of its time", || async { !stored().await.duplicate }).await;
    assert_ne!(first.message_id(), Group::workers(&bus, fixture).stream().await["lastId"]);
}

/// What cannot be stored is refused before anything is stored or published.
async fn publish_refusals(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let live = Inbox::of(&bus, &["*"]).await;
    for (record, kind) in [
        (Record::new("job", 1).with(json!({ "deduplicate": true })), ErrorKind::InvalidOptions),
        (Record::new("live", 1).with(json!({ "id": "x", "deduplicate": true })), ErrorKind::InvalidOptions),
        (Record::new("live", 1).with(json!({ "replicas": 1 })), ErrorKind::InvalidOptions),
        (Record::new("job", 1).with(json!({ "stream": "nowhere" })), ErrorKind::NoStream),
        (Record::new("job", 1).with(json!({ "stream": "" })), ErrorKind::InvalidOptions),
        (Record::new("job", 1).with(json!({ "stream": true })), ErrorKind::InvalidOptions),
        (Record::new("job", "x".repeat(600 << 10)), ErrorKind::EventTooLarge),
        (Record::new("job ", 1), ErrorKind::InvalidType),
    ] {
        let shown = format!("{} {}", record.event_type, record.options);
        let error = bus.publish_raw(record).await.expect_err(&shown);
        assert_eq!((error.kind, error.outcome), (kind, Some(Outcome::NotSent)), "{shown}: {error}");
    }
    bus.publish("job", 2).await.unwrap();
    live.wait_for(1).await;
    assert_eq!(
        (numbers(&live), Group::workers(&bus, fixture).stream().await["length"].clone()),
        (vec![2], json!(1))
    );
}

/// Retention keeps the newest, but nothing that a group has yet to read.
async fn retention(fixture: &Fixture) {
    let named = |name: &str, more: serde_json::Value| {
        let mut stream = json!({ "name": fixture.name(name), "events": format!("{name}.*") });
        super::setup::merge(&mut stream, more);
        stream
    };
    let bus = fixture.keeper_with(json!({ "streams": [
        named("short", json!({ "retention": "count", "maxLength": 20 })),
        named("young", json!({ "retention": "time", "retentionValue": 100 })),
        named("safe", json!({ "retention": "count", "maxLength": 20 })),
    ] }));
    let bus = bus.await;
    let waiting = Inbox::default();
    let safe = member("late", json!({}));
    let subscription = bus.subscribe(&["safe.*"], safe.clone(), waiting.handler()).await.unwrap();
    // The group is known and lives; then it stands still.
    store(&bus, numbered("safe.x", 0..1)).await;
    Group::of(&bus, &fixture.name("safe"), "late").settled().await;
    bus.pause(subscription, true);
    for event_type in ["short.x", "young.x", "safe.x"] {
        store(&bus, numbered(event_type, 1..101)).await;
    }
    let length = |name: &'static str| {
        let bus = &bus;
        async move { Group::of(bus, &fixture.name(name), "").stream().await["length"].as_u64().unwrap() }
    };
    eventually(PATIENCE, "the janitor", || async {
        length("short").await <= 20 && length("young").await == 0
    })
    .await;
    assert_eq!(length("short").await, 20);
    assert!(length("safe").await >= 100, "unread entries were trimmed");
    bus.pause(subscription, false);
    waiting.wait_for(101).await;
    eventually(PATIENCE, "the janitor again", || async { length("safe").await <= 20 }).await;
    assert_eq!(numbers(&waiting), (0..101).collect::<Vec<_>>());
    assert_eq!(bus.stats().counts.events_lost, 0);
}
