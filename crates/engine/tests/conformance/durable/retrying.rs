//! Attempts, their delays, and where they end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oxbus_model::delivery::Settlement;
use oxbus_testkit::eventually;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::setup::{Gate, Group, dead_letters, event_in, numbered, store, workers, workers_with};
use crate::fixture::Fixture;
use crate::support::{Event, FAILED, Inbox, PATIENCE, Record, Verdict, dead_lettered};

suite! {
    with cluster;
    always_failing, giving_up, retry_later, without_dead_letters, attempts_survive, one_of_two_fails, many_retries_at_once,
}

/// The attempts of each event, by type.
#[derive(Clone, Default)]
struct Attempts(Arc<Mutex<HashMap<String, Vec<u32>>>>);

impl Attempts {
    fn add(&self, event: &Event) {
        self.0.lock().unwrap().entry(event.event_type()).or_default().push(event.attempt);
    }

    fn of(&self, event_type: &str) -> Vec<u32> {
        self.0.lock().unwrap().get(event_type).cloned().unwrap_or_default()
    }
}

/// An event that always fails is called `maxRetries + 1` times, with growing delays, and then is one dead
/// letter that tells everything. Others go on meanwhile.
async fn always_failing(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let calls: Arc<Mutex<Vec<(u32, Instant)>>> = Arc::default();
    let (seen, others) = (calls.clone(), Inbox::default());
    let error = json!({ "name": "TypeError", "message": "no such thing", "stack": "at x", "code": "E1" });
    let (thrown, fine) = (error.clone(), others.clone());
    let handler = move |event: Event| {
        if event.event_type() == "job.fine" {
            fine.put(event);
            return Settlement::Succeeded.into();
        }
        seen.lock().unwrap().push((event.attempt, Instant::now()));
        Verdict::failed(true, &thrown)
    };
    let retry = json!({ "initialDelay": 40, "maxDelay": 100, "multiplier": 2, "jitter": "none" });
    bus.subscribe(&["job.*"], workers_with(json!({ "retry": retry })), handler).await.unwrap();
    let failing = Record::new("job.failing", json!({ "n": 1 })).with(json!({ "userId": "u" }));
    let receipt = bus.publish_raw(failing).await.unwrap();
    store(&bus, numbered("job.fine", 0..20)).await;
    others.wait_for(20).await;
    let told = bus.notices.wait_to_find(dead_lettered).await;
    Group::workers(&bus, fixture).settled().await;

    let calls = calls.lock().unwrap().clone();
    assert!(calls.iter().map(|(attempt, _)| *attempt).eq(1..=4), "{calls:?}");
    let gaps = calls.windows(2).map(|pair| pair[1].1 - pair[0].1);
    for (gap, least) in gaps.zip([40, 80, 100]) {
        // The engine's clock has milliseconds: one may be cut off at either end.
        assert!(gap + Duration::from_millis(2) >= Duration::from_millis(least), "{gap:?} for {least}");
    }
    assert_eq!((told.stream, told.group, told.attempts), (fixture.jobs(), "workers".to_owned(), 4));
    assert_eq!((told.message_id.as_str(), told.event_id), (receipt.message_id(), Some(receipt.id.clone())));
    assert_eq!((told.reason.as_str(), &told.error, told.kept), ("failed", &error, true));

    let dead_letters = dead_letters(&bus, &fixture.jobs()).await;
    assert_eq!(dead_letters.len(), 1);
    let dead_letter = &dead_letters[0];
    assert_eq!((&dead_letter["stream"], &dead_letter["group"]), (&json!(fixture.jobs()), &json!("workers")));
    assert_eq!(
        (&dead_letter["messageId"], &dead_letter["attempts"]),
        (&json!(receipt.message_id()), &json!(4))
    );
    assert_eq!((&dead_letter["reason"], &dead_letter["error"]), (&json!("failed"), &error));
    let consumer = format!("tests-{}", bus.client().instance_id());
    assert_eq!(dead_letter["consumer"], json!(consumer));
    let event = event_in(&dead_letter["event"]);
    assert_eq!((&event["id"], &event["data"]), (&json!(receipt.id), &json!({ "n": 1 })));
    assert_eq!(event["metadata"]["userId"], "u");

    let counts = bus.stats().counts;
    assert_eq!((counts.events_failed, counts.events_dead_lettered), (1, 1));
    assert_eq!((counts.handler_errors, counts.events_retried, counts.events_delivered), (4, 3, 20));
}

/// How a failure ends: at once when it is not to be tried again, after a delay of its own, or after its time.
async fn giving_up(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let attempts = Attempts::default();
    for (name, options) in [
        ("final", json!({})),
        ("twice", json!({ "maxRetries": 1 })),
        (
            "later",
            json!({ "maxRetries": 2, "retry": { "initialDelay": 80_000_000, "maxDelay": 80_000_000 } }),
        ),
        ("never", json!({ "retryOnError": false })),
        ("late", json!({ "maxRetries": 1 })),
    ] {
        let attempts = attempts.clone();
        let handler = move |event: Event| {
            attempts.add(&event);
            match name {
                "final" => Settlement::Failed { retryable: false },
                "later" => Settlement::RetryLater(1),
                "late" => Settlement::TimedOut { retryable: true },
                _ => FAILED,
            }
        };
        bus.subscribe(&[&format!("job.{name}")], workers_with(options), handler).await.unwrap();
    }
    let names = ["final", "twice", "later", "never", "late"];
    store(&bus, names.iter().map(|name| Record::new(format!("job.{name}"), 1)).collect()).await;
    let dead_letters = || async { dead_letters(&bus, &fixture.jobs()).await };
    eventually(PATIENCE, "the dead letters", || async { dead_letters().await.len() == 5 }).await;
    Group::workers(&bus, fixture).settled().await;
    for (name, expected, reason) in [
        ("final", &[1][..], "not-retryable"),
        ("twice", &[1, 2], "failed"),
        ("later", &[1, 2, 3], "failed"),
        ("never", &[1], "failed"),
        ("late", &[1, 2], "failed"),
    ] {
        let event_type = format!("job.{name}");
        assert_eq!(attempts.of(&event_type), expected, "{name}");
        let dead_letters = dead_letters().await;
        let dead_letter = dead_letters
            .iter()
            .find(|dead_letter| event_in(&dead_letter["event"])["type"] == *event_type)
            .unwrap();
        assert_eq!(
            (dead_letter["attempts"].as_u64(), &dead_letter["reason"]),
            (Some(expected.len() as u64), &json!(reason))
        );
        // Without a word of the host there is still an error.
        assert!(dead_letter["error"]["message"].is_string(), "{dead_letter}");
    }
    let stats = bus.stats();
    assert_eq!((stats.counts.handler_errors, stats.counts.events_retried), (9, 4));
    assert_eq!((stats.counts.zombie_handlers, stats.counts.events_dead_lettered), (2, 5));
    assert_eq!(stats.error_rate, 1.0);
}

/// `RetryLater` sets the next delay, and others pass in the meantime.
async fn retry_later(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let times: Arc<Mutex<HashMap<u64, Instant>>> = Arc::default();
    let (first, done) = (times.clone(), Inbox::default());
    let seen = done.clone();
    let handler = move |event: Event| {
        let delay = event.data().as_u64().unwrap();
        if event.attempt == 1 {
            first.lock().unwrap().insert(delay, Instant::now());
            return Settlement::RetryLater(delay);
        }
        let waited = first.lock().unwrap()[&delay].elapsed() + Duration::from_millis(2);
        assert!(waited >= Duration::from_millis(delay), "{delay} after {waited:?}");
        seen.put(event);
        Settlement::Succeeded
    };
    bus.subscribe(&["job"], workers_with(json!({ "concurrency": 1 })), handler).await.unwrap();
    let delays = [150, 20, 90, 0, 60];
    store(&bus, delays.map(|delay| Record::new("job", delay)).into()).await;
    done.wait_for(5).await;
    Group::workers(&bus, fixture).settled().await;
    assert_eq!(super::setup::sorted(&done), [0, 20, 60, 90, 150]);
}

/// Where dead letters are not kept, an event that fails for good is settled, counted and told.
async fn without_dead_letters(fixture: &Fixture) {
    let bus = fixture.keeper_with(json!({ "deadLetter": { "enabled": false } })).await;
    bus.subscribe(&["job"], workers_with(json!({ "maxRetries": 1 })), |_| FAILED).await.unwrap();
    store(&bus, numbered("job", 0..3)).await;
    eventually(PATIENCE, "the end of all", || async { bus.notices.find(dead_lettered).len() == 3 }).await;
    Group::workers(&bus, fixture).settled().await;
    assert!(bus.notices.find(dead_lettered).iter().all(|told| !told.kept && told.attempts == 2));
    let errors = bus.notices.all().into_iter();
    let errors = errors.filter(|notice| matches!(notice, oxbus_engine::host::Notice::Error(_))).count();
    assert_eq!((errors, dead_letters(&bus, &fixture.jobs()).await.len()), (3, 0));
    let counts = bus.stats().counts;
    assert_eq!((counts.events_failed, counts.events_dead_lettered), (3, 0));
}

/// Attempts survive the client: the next one to handle an event goes on counting.
async fn attempts_survive(fixture: &Fixture) {
    let options = || workers_with(json!({ "maxRetries": 5 }));
    let (one, two) = (fixture.hasty_keeper().await, fixture.hasty_keeper().await);
    let calls = Inbox::default();
    let (seen, gate) = (calls.clone(), Gate::new());
    let waiting = gate.handler();
    let handler = move |event: Event| {
        seen.put(event.clone());
        let call = (event.attempt == 3).then(|| waiting(event));
        async move {
            match call {
                Some(call) => call.await,
                None => FAILED,
            }
        }
    };
    one.subscribe_async(&["job"], options(), handler).await.unwrap();
    store(&one, numbered("job", 0..1)).await;
    gate.started.wait_for(1).await;
    // The retry was recorded before it began: nobody can count less.
    let count = || async { Group::workers(&two, fixture).pending().await[0]["deliveryCount"] == 3 };
    eventually(PATIENCE, "the attempts in the store", count).await;
    one.client().destroy();
    let seen = calls.clone();
    let failing = move |event| {
        seen.put(event);
        FAILED
    };
    two.subscribe(&["job"], options(), failing).await.unwrap();
    let told = two.notices.wait_to_find(dead_lettered).await;
    Group::workers(&two, fixture).settled().await;
    let attempts: Vec<u32> = calls.events().iter().map(|event| event.attempt).collect();
    assert_eq!((attempts, told.attempts), ((1..=6).collect(), 6));
}

/// When one of the subscriptions of a group fails for good, the others are not called again, and the event
/// is a dead letter once.
async fn one_of_two_fails(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let (fine, gate) = (Inbox::with(&bus, &["job"], workers()).await, Gate::new());
    bus.subscribe(&["job"], workers_with(json!({ "maxRetries": 2 })), |_| FAILED).await.unwrap();
    bus.subscribe_async(&["job"], workers(), gate.handler()).await.unwrap();
    store(&bus, numbered("job", 0..4)).await;
    gate.started.wait_for(4).await;
    eventually(PATIENCE, "the failures", || async { bus.stats().counts.handler_errors == 12 }).await;
    // It is settled when all are.
    assert_eq!(Group::workers(&bus, fixture).facts().await["pending"], 4);
    assert_eq!(dead_letters(&bus, &fixture.jobs()).await.len(), 0);
    gate.open(4);
    Group::workers(&bus, fixture).settled().await;
    let kept = dead_letters(&bus, &fixture.jobs()).await;
    assert_eq!((kept.len(), fine.len(), gate.started.len()), (4, 4, 4));
    assert!(kept.iter().all(|dead_letter| dead_letter["attempts"] == 3), "{kept:?}");
}

/// More retries fall due at once than one drain hands out, or than may run.
async fn many_retries_at_once(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    for concurrency in [1, 7, 300] {
        let (inbox, count) = (Inbox::default(), oxbus_engine::DRAIN_LIMIT + 88);
        let seen = inbox.clone();
        let handler = move |event: Event| {
            if event.attempt == 1 {
                return Settlement::RetryLater(30);
            }
            seen.put(event);
            Settlement::Succeeded
        };
        let options = workers_with(json!({ "concurrency": concurrency }));
        let subscription = bus.subscribe(&["job"], options, handler).await.unwrap();
        bus.publish_many(vec![Record::new("job", Value::Null); count]).await;
        inbox.wait_for(count).await;
        Group::workers(&bus, fixture).settled().await;
        assert_eq!(inbox.len(), count);
        assert!(bus.unsubscribe(subscription).await);
        let retried = bus.stats().counts.events_retried;
        assert_eq!(retried % count as u64, 0, "each is retried once");
    }
    assert_eq!(dead_letters(&bus, &fixture.jobs()).await, Vec::<Value>::new());
}
