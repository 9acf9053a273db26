//! Handlers that run in order: of a key, or of a whole group.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use oxbus_model::ErrorKind;
use oxbus_model::delivery::Settlement;
use oxbus_testkit::eventually;
use serde_json::json;

use super::setup::{Gate, Group, dead_letters, member, numbered, numbers, store, workers_with};
use crate::fixture::Fixture;
use crate::support::{Event, FAILED, Inbox, PATIENCE, Record};

suite! {
    with cluster;
    by_key, a_key_that_waits, by_stream, a_late_call_keeps_its_place, one_order_for_a_group,
}

/// By key: the numbers of the events and their attempts, in the order of the calls.
type Calls = HashMap<String, Vec<(u64, u32)>>;

/// Events of several keys in turn, their data the number within the key.
fn keyed(keys: u64, each: u64) -> Vec<Record> {
    let record = |n: u64| Record::new("job", n / keys).with(json!({ "key": format!("k{}", n % keys) }));
    (0..keys * each).map(record).collect()
}

fn key_of(event: &Event) -> String {
    event.metadata()["key"].as_str().unwrap_or_default().to_owned()
}

/// One at a time per key, also through retries; keys side by side.
async fn by_key(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    // Which keys run, and what each key has done, every call of it.
    let running: Arc<Mutex<HashSet<String>>> = Arc::default();
    let calls: Arc<Mutex<Calls>> = Arc::default();
    let (now, done) = (running.clone(), calls.clone());
    let handler = move |event: Event| {
        let (key, n, attempt) = (key_of(&event), event.data().as_u64().unwrap(), event.attempt);
        assert!(now.lock().unwrap().insert(key.clone()), "{key} runs already");
        done.lock().unwrap().entry(key.clone()).or_default().push((n, attempt));
        let now = now.clone();
        async move {
            // Others get a turn while it runs.
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
            now.lock().unwrap().remove(&key);
            if n % 3 == 0 && attempt < 3 { FAILED } else { Settlement::Succeeded }
        }
    };
    let options = workers_with(json!({ "orderBy": "key", "concurrency": 8 }));
    bus.subscribe_async(&["job"], options, handler).await.unwrap();
    store(&bus, keyed(5, 12)).await;
    eventually(PATIENCE, "all events", || async { bus.stats().counts.events_delivered == 60 }).await;
    Group::workers(&bus, fixture).settled().await;
    let expected: Vec<(u64, u32)> =
        (0..12).flat_map(|n| (1..=if n % 3 == 0 { 3 } else { 1 }).map(move |attempt| (n, attempt))).collect();
    let calls = calls.lock().unwrap();
    assert_eq!(calls.len(), 5);
    assert!(calls.values().all(|of_key| *of_key == expected), "{calls:?}");
}

/// A key that stands still holds up only itself; events without a key are not ordered.
async fn a_key_that_waits(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let gate = Gate::new();
    let options = workers_with(json!({ "orderBy": "key", "concurrency": 4 }));
    let (waiting, fine) = (gate.handler(), Inbox::default());
    let seen = fine.clone();
    let handler = move |event: Event| {
        let call = (event.metadata()["key"] == "slow").then(|| waiting(event.clone()));
        let seen = seen.clone();
        async move {
            match call {
                Some(call) => call.await,
                None => {
                    seen.put(event);
                    Settlement::Succeeded
                }
            }
        }
    };
    bus.subscribe_async(&["job"], options, handler).await.unwrap();
    let record = |n: u64| match n % 3 {
        0 => Record::new("job", n).with(json!({ "key": "slow" })),
        1 => Record::new("job", n).with(json!({ "key": "fast" })),
        _ => Record::new("job", n),
    };
    store(&bus, (0..60).map(record).collect()).await;
    fine.wait_for(40).await;
    assert_eq!(numbers(&gate.started), [0]);
    for round in 1..=20 {
        gate.started.wait_for(round).await;
        assert_eq!(gate.started.len(), round);
        gate.open(1);
    }
    Group::workers(&bus, fixture).settled().await;
    assert_eq!(numbers(&gate.started), (0..20).map(|n| n * 3).collect::<Vec<_>>());
}

/// Strictly one at a time, through retries and past what fails for good, over all streams of the group.
async fn by_stream(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let calls: Arc<Mutex<Vec<(u64, u32)>>> = Arc::default();
    let seen = calls.clone();
    let handler = move |event: Event| {
        let n = event.data().as_u64().unwrap();
        seen.lock().unwrap().push((n, event.attempt));
        if n.is_multiple_of(5) { FAILED } else { Settlement::Succeeded }
    };
    let options = workers_with(json!({ "orderBy": "stream", "maxRetries": 2 }));
    bus.subscribe(&["job"], options, handler).await.unwrap();
    store(&bus, numbered("job", 0..40)).await;
    eventually(PATIENCE, "all events", || async { bus.stats().counts.events_delivered == 32 }).await;
    Group::workers(&bus, fixture).settled().await;
    let expected: Vec<(u64, u32)> =
        (0..40).flat_map(|n| (1..=if n % 5 == 0 { 3 } else { 1 }).map(move |a| (n, a))).collect();
    assert_eq!(*calls.lock().unwrap(), expected);
    let dead_letters = dead_letters(&bus, &fixture.jobs()).await;
    assert_eq!(dead_letters.len(), 8);
}

/// A call that has timed out keeps its place until it really ends; only then is it tried again.
async fn a_late_call_keeps_its_place(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let inbox = Inbox::default();
    let seen = inbox.clone();
    let handler = move |event: Event| {
        let late = event.attempt == 1 && event.data() == json!("late");
        seen.put(event);
        if late { Settlement::TimedOut { retryable: true } } else { Settlement::Succeeded }
    };
    bus.subscribe(&["job"], workers_with(json!({ "orderBy": "key" })), handler).await.unwrap();
    let record = |key: &str, data: &str| Record::new("job", data).with(json!({ "key": key }));
    store(&bus, vec![record("a", "late"), record("a", "next"), record("b", "other")]).await;
    let calls = || inbox.events().into_iter().map(|event| (event.data(), event.attempt)).collect::<Vec<_>>();
    inbox.wait_for(2).await;
    assert_eq!(calls(), [(json!("late"), 1), (json!("other"), 1)]);
    assert_eq!(bus.stats().counts.zombie_handlers, 1);
    // Long after the retry is due it has not begun, while others come and go.
    for n in 0..20 {
        store(&bus, vec![record("b", &n.to_string())]).await;
        inbox.wait_for(3 + n).await;
    }
    assert!(calls().iter().all(|(data, attempt)| *attempt == 1 && data != "next"), "{:?}", calls());
    bus.client().finish_timed_out(inbox.events()[0].token);
    inbox.wait_for(24).await;
    assert_eq!(calls()[22..], [(json!("late"), 2), (json!("next"), 1)]);
    Group::workers(&bus, fixture).settled().await;
    assert_eq!(bus.stats().counts.zombie_handlers, 0);
}

/// All subscriptions of a group in one client agree on its consumer and its order.
async fn one_order_for_a_group(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let ordered = json!({ "orderBy": "key", "consumer": "me" });
    let inbox = Inbox::with(&bus, &["job"], workers_with(ordered.clone())).await;
    for other in [
        json!({ "orderBy": "stream", "consumer": "me" }),
        json!({ "consumer": "me" }),
        json!({ "orderBy": "key", "consumer": "you" }),
    ] {
        let error = bus.subscribe(&["job"], workers_with(other), |_| FAILED).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidOptions, "{error}");
    }
    let same = Inbox::with(&bus, &["job"], workers_with(ordered)).await;
    let free = Inbox::with(&bus, &["job"], member("free", json!({}))).await;
    store(&bus, numbered("job", 0..3)).await;
    for inbox in [inbox, same, free] {
        inbox.wait_for(3).await;
    }
    assert_eq!(Group::workers(&bus, fixture).consumers().await, ["me"]);
}
