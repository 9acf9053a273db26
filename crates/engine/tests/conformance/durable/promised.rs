//! What must be stored: a type that no stream stores is refused, or the publisher learns that a group waits for it.

use oxbus_engine::host::Notice;
use oxbus_model::{ErrorKind, Outcome};
use serde_json::{Value, json};

use super::setup::member;
use crate::fixture::Fixture;
use crate::support::{Bus, Inbox, PATIENCE, Published, Record, to_room, to_user};

suite! {
    with cluster;
    what_must_be_stored_is_refused_elsewhere, a_publish_that_must_be_stored, a_type_that_a_group_waits_for_is_told,
    types_beyond_those_that_are_counted_are_looked_up,
}

/// A client with the stream `orders` of `order.*`.
async fn orders(fixture: &Fixture, more: Value) -> Bus {
    let mut config = json!({ "streams": [{ "name": "orders", "events": "order.*" }] });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    fixture.bus_with(config).await
}

fn assert_refused(result: &Published, what: &str) {
    let error = result.as_ref().err().unwrap_or_else(|| panic!("{what} was published"));
    assert_eq!((error.kind, error.outcome), (ErrorKind::NoStream, Some(Outcome::NotSent)), "{what}: {error}");
}

async fn what_must_be_stored_is_refused_elsewhere(fixture: &Fixture) {
    for (durable, is_durable) in [(json!(true), true), (json!(["mail.*", "order.*"]), false)] {
        let bus = orders(fixture, json!({ "durable": durable })).await;
        assert!(bus.publish("order.paid", 1).await.unwrap().stored.is_some());
        assert_refused(&bus.publish("mail.sent", 1).await, "mail.sent");
        let broadcast = Record::new("mail.sent", 1).with(json!({ "audience": "broadcast" }));
        assert_refused(&bus.publish_raw(broadcast).await, "a broadcast");
        let other = bus.publish("note", 1).await;
        if is_durable {
            assert_refused(&other, "note")
        } else {
            drop(other.unwrap())
        }
        // Who says so has it live.
        bus.publish_with("mail.sent", 1, json!({ "durable": false })).await.unwrap();
        bus.publish_with("mail.sent", 1, json!({ "stream": false })).await.unwrap();
        bus.publish_raw(to_room("lobby", "mail.sent", 1)).await.unwrap();
        bus.publish_raw(to_user("ann", "mail.sent", 1)).await.unwrap();
        bus.disconnect().await;
    }
}

async fn a_publish_that_must_be_stored(fixture: &Fixture) {
    let bus = orders(fixture, json!({})).await;
    let durable = |record: Record| record.with(json!({ "durable": true }));
    let publish = async |record: Record| bus.publish_raw(durable(record)).await;
    assert!(publish(Record::new("order.paid", 1)).await.unwrap().stored.is_some());
    assert_refused(&publish(Record::new("mail.sent", 1)).await, "mail.sent");
    let room = json!({ "durable": true, "audience": { "room": "lobby" } });
    assert_refused(&bus.publish_with("order.paid", 1, room).await, "a room");
    let room = json!({ "durable": true, "stream": "orders", "audience": { "room": "lobby" } });
    assert!(bus.publish_with("order.paid", 1, room).await.unwrap().stored.is_some());
    let mut contradictions = vec![json!({ "durable": true, "stream": false }), json!({ "durable": 1 })];
    if fixture.capabilities.local_first {
        contradictions.push(json!({ "durable": true, "localOnly": true }));
    }
    for options in contradictions {
        let error = bus.publish_with("order.paid", 1, options.clone()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidOptions, "{options}");
    }
    bus.disconnect().await;
}

/// The messages of warnings of types that are not stored.
fn told(bus: &Bus) -> Vec<String> {
    bus.notices.find(|notice| match notice {
        Notice::Warning { code: "TYPE_NOT_STORED", message } => Some(message.clone()),
        _ => None,
    })
}

async fn a_type_that_a_group_waits_for_is_told(fixture: &Fixture) {
    let worker = orders(fixture, json!({})).await;
    Inbox::with(&worker, &["order.paid", "*.sent"], member("billing", json!({}))).await;
    let other = orders(fixture, json!({})).await;
    Inbox::with(&other, &["order.lost"], member("gone", json!({}))).await;
    other.disconnect().await;

    let publisher = fixture.bus_with(json!({ "streams": [{ "name": "typos", "events": "ordr.*" }] })).await;
    for (n, event_type) in ["mail.sent", "order.open", "order.paid", "order.paid"].into_iter().enumerate() {
        publisher.publish_raw(to_room("lobby", "order.sent", 1)).await.unwrap();
        publisher.publish(event_type, n as u64).await.unwrap();
    }
    let is_told = || async { !told(&publisher).is_empty() };
    oxbus_testkit::eventually(PATIENCE, "the publisher is warned", is_told).await;
    let warning = told(&publisher).remove(0);
    for part in ["\"billing\"", "\"orders\"", "\"order.paid\""] {
        assert!(warning.contains(part), "{warning}");
    }
    // Another that is wanted, and one of a group that is gone, which comes first.
    worker.request("streams.removeGroup", json!({ "name": "orders", "group": "gone" })).await.unwrap();
    for event_type in ["order.lost", "order.sent"] {
        publisher.publish(event_type, 1).await.unwrap();
    }
    oxbus_testkit::eventually(PATIENCE, "the other", || async { told(&publisher).len() == 2 }).await;
    assert!(told(&publisher)[1].contains("\"order.sent\""), "{:?}", told(&publisher));
    // The worker stores what it publishes.
    worker.publish("order.paid", 1).await.unwrap();
    assert_eq!(told(&worker), [""; 0]);
    publisher.disconnect().await;
    worker.disconnect().await;
}

/// Metrics tell 200 types apart. What a group waits for is told of more, and that it is not of still more.
async fn types_beyond_those_that_are_counted_are_looked_up(fixture: &Fixture) {
    let worker = orders(fixture, json!({})).await;
    Inbox::with(&worker, &["order.n300", "order.n1500"], member("billing", json!({}))).await;
    let publisher = fixture.bus_with(json!({ "streams": [{ "name": "typos", "events": "ordr.*" }] })).await;
    let publish = async |numbers: std::ops::Range<u32>| {
        let records = numbers.map(|n| Record::new(format!("order.n{n}"), n)).collect();
        publisher.publish_many(records).await.into_iter().for_each(|result| drop(result.unwrap()));
    };
    publish(0..301).await;
    oxbus_testkit::eventually(PATIENCE, "the warning", || async { told(&publisher).len() == 1 }).await;
    assert!(told(&publisher)[0].contains("\"order.n300\""), "{:?}", told(&publisher));
    let warned = |notice: &Notice| matches!(notice, Notice::Warning { code: "TYPES_NOT_LOOKED_UP", .. });
    assert!(!publisher.notices.all().iter().any(warned));
    publish(301..1_600).await;
    publisher.notices.wait_for(warned).await;
    publish(0..1_600).await;
    assert_eq!(publisher.notices.all().iter().filter(|notice| warned(notice)).count(), 1);
    publisher.disconnect().await;
    worker.disconnect().await;
}
