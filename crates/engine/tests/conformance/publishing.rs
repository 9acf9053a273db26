//! What is refused, and what the rest of a batch makes of it.

use oxbus_model::delivery::Settlement;
use oxbus_model::{BusError, ErrorKind, Outcome};
use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::support::{Inbox, Record, barrier};

suite! {
    bad_records_fail_alone, size_limits, given_options_reach_the_event, subscribe_refusals, cancelled, large_events,
}

/// A bad type or option is named, and refuses its own record only.
async fn bad_records_fail_alone(fixture: &Fixture) {
    let bus = fixture.bus().await;
    let inbox = Inbox::of(&bus, &["*"]).await;
    let long = "x".repeat(257);
    let types = ["", "a b", "é", "room:a", "user:a", "broadcast", &long, "a*"];
    let options = [
        ("colour", json!({ "colour": 1 })),
        ("id", json!({ "id": "" })),
        ("timeout", json!({ "timeout": 0 })),
        ("userId", json!({ "userId": 7 })),
        ("timestamp", json!({ "timestamp": "noon" })),
        ("metadata", json!({ "metadata": [] })),
        ("metadata.source", json!({ "metadata": { "source": "x" } })),
        ("replicas", json!({ "replicas": 1 })),
        ("audience", json!({ "audience": "room" })),
    ];
    let mut records = vec![Record::new("good", 0)];
    let mut expected = vec![None];
    for event_type in types {
        records.extend([Record::new(event_type, 1), Record::new("good", records.len())]);
        expected.extend([Some((ErrorKind::InvalidType, Some("type"))), None]);
    }
    for (path, options) in options {
        records.extend([Record::new("bad", 1).with(options), Record::new("good", records.len())]);
        expected.extend([Some((ErrorKind::InvalidOptions, Some(path))), None]);
    }
    let good = expected.iter().filter(|e| e.is_none()).count();
    let results = bus.publish_many(records).await;
    for (n, (result, expected)) in results.iter().zip(expected).enumerate() {
        let error = result.as_ref().err();
        assert_eq!(error.map(|e| (e.kind, e.path.as_deref())), expected, "record {n}: {result:?}");
        assert_eq!(error.and_then(|e| e.outcome), expected.map(|_| Outcome::NotSent));
    }
    let barriers = barrier(&bus, &bus).await;
    let arrived = inbox.types().iter().filter(|t| *t == "good").count();
    assert_eq!((arrived, inbox.types().iter().any(|t| t == "bad")), (good, false));
    assert_eq!(bus.stats().counts.events_published, good as u64 + barriers, "the barrier is more");
}

/// Sizes are inclusive limits, of the data and of the whole event.
async fn size_limits(fixture: &Fixture) {
    let small = json!({ "validation": { "maxEventBytes": 2000, "maxDataBytes": 1000 } });
    for (more, data) in [(small, 1000), (json!({}), 512 << 10)] {
        let bus = fixture.bus_with(more).await;
        let inbox = Inbox::of(&bus, &["big"]).await;
        // Two quotes belong to the JSON.
        let text = |bytes: usize| "x".repeat(bytes - 2);
        bus.publish("big", text(data)).await.unwrap();
        let too_large = bus.publish("big", text(data + 1)).await.unwrap_err();
        assert_eq!((too_large.kind, too_large.outcome), (ErrorKind::EventTooLarge, Some(Outcome::NotSent)));
        let metadata = json!({ "metadata": { "more": text(data + 200) } });
        let whole = bus.publish_with("big", text(data), metadata).await.unwrap_err();
        assert_eq!(whole.kind, ErrorKind::EventTooLarge);
        inbox.wait_for(1).await;
        barrier(&bus, &bus).await;
        assert_eq!(inbox.data(), [json!(text(data))]);
    }
}

/// Every option of a publish is found in its event.
async fn given_options_reach_the_event(fixture: &Fixture) {
    let bus = fixture.bus().await;
    let inbox = Inbox::of(&bus, &["order"]).await;
    let options = json!({
        "id": "id \"1\" é", "timestamp": "2026-11-21T04:04:05+01:00", "source": "s", "correlationId": "co",
        "causationId": "ca", "userId": "u", "organizationId": "o", "traceparent": "tp", "tracestate": "ts",
        "key": "k", "metadata": { "own": [1, { "a": null }] }, "timeout": 5000,
    });
    let receipt = bus.publish_with("order", json!([]), options).await.unwrap();
    inbox.wait_for(1).await;
    let event = inbox.events()[0].json();
    assert_eq!((receipt.id.as_str(), &event["id"]), ("id \"1\" é", &json!("id \"1\" é")));
    let expected = json!({
        "timestamp": "2026-11-21T03:04:05.000Z", "source": "s", "instanceId": bus.client().instance_id(),
        "correlationId": "co", "causationId": "ca", "userId": "u", "organizationId": "o",
        "traceparent": "tp", "tracestate": "ts", "key": "k", "own": [1, { "a": null }],
    });
    assert_eq!(event["metadata"], expected);
    // An id may be used again: live events are never de-duplicated.
    bus.publish_many((0..3).map(|n| Record::new("order", n).with_id("same")).collect()).await;
    inbox.wait_for(4).await;
}

/// A subscription that is refused leaves nothing behind.
async fn subscribe_refusals(fixture: &Fixture) {
    let bus = fixture.bus().await;
    let long = "x".repeat(1025);
    let refused = async |patterns: &[&str], options: Value| -> BusError {
        bus.subscribe(patterns, options, |_| Settlement::Succeeded).await.unwrap_err()
    };
    for patterns in [&[][..], &[""], &["good", ""], &[long.as_str()]] {
        let error = refused(patterns, Value::Null).await;
        assert_eq!((error.kind, error.outcome), (ErrorKind::InvalidPattern, None), "{patterns:?}");
    }
    for (path, options) in [
        ("concurrency", json!({ "concurrency": 0 })),
        ("consumer", json!({ "consumer": "c" })),
        ("colour", json!({ "colour": 1 })),
        ("queue.overflow", json!({ "queue": { "overflow": "block" } })),
        ("retry.jitter", json!({ "retry": { "jitter": "some" } })),
        ("circuitBreaker.window", json!({ "circuitBreaker": { "window": 0 } })),
        ("filter.a..b", json!({ "filter": { "a..b": 1 } })),
    ] {
        let error = refused(&["good"], options).await;
        assert_eq!((error.kind, error.path.as_deref()), (ErrorKind::InvalidOptions, Some(path)));
    }
    assert_eq!((bus.stats().active_subscriptions, bus.stats().pattern_subscriptions), (0, 0));
    assert_eq!(bus.publish("good", 1).await.unwrap().receivers, 0);
}

/// A publish that is cancelled settles once, as aborted or as what it had become.
async fn cancelled(fixture: &Fixture) {
    let bus = fixture.bus().await;
    let inbox = Inbox::of(&bus, &["job"]).await;
    let (mut resolved, mut unknown) = (0, 0);
    for round in 0..50 {
        let batch = bus.start_publish(&vec![Record::new("job", round); 5]);
        bus.cancel(batch.number, round % 7);
        bus.cancel(batch.number, round % 7);
        for (index, result) in (0..).zip(batch.results().await) {
            match result.map_err(|e| (e.kind, e.outcome)) {
                Ok(_) => resolved += 1,
                Err((ErrorKind::Aborted, Some(Outcome::NotSent))) if index == round % 7 => {}
                Err((ErrorKind::Aborted, Some(Outcome::Unknown))) if index == round % 7 => unknown += 1,
                Err(other) => panic!("{index} of round {round}: {other:?}"),
            }
        }
        bus.cancel(round, 0);
    }
    barrier(&bus, &bus).await;
    let published = resolved..=resolved + unknown;
    let possible = if fixture.capabilities.local_first { 250..=250 } else { published };
    assert!(possible.contains(&inbox.len()), "{resolved} {unknown} {}", inbox.len());
    assert_eq!(bus.stats().in_flight, 0);
}

/// Large events do not fit into one drain; all arrive, in order.
async fn large_events(fixture: &Fixture) {
    let bus = fixture.bus().await;
    let inbox = Inbox::of(&bus, &["big"]).await;
    let text = "x".repeat(500_000);
    for round in 0..4 {
        let records = (0..10).map(|n| Record::new("big", json!({ "n": round * 10 + n, "text": text })));
        bus.publish_many(records.collect()).await.into_iter().for_each(|result| drop(result.unwrap()));
    }
    inbox.wait_for(40).await;
    let numbers: Vec<u64> = inbox.data().iter().map(|d| d["n"].as_u64().unwrap()).collect();
    assert!(numbers.iter().copied().eq(0..40), "{numbers:?}");
}
