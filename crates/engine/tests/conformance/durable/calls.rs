//! How handlers are called: several events at once, or none for a while.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use oxbus_engine::host::Notice;
use oxbus_model::breaker::BreakerState;
use oxbus_model::delivery::Settlement;
use oxbus_testkit::eventually;
use serde_json::{Value, json};

use super::setup::{
    Gate, Group, dead_letters, member, numbered, numbers, sorted, store, workers, workers_with,
};
use crate::fixture::Fixture;
use crate::support::{Event, FAILED, Inbox, PATIENCE};

suite! {
    with cluster;
    batches, failing_batches, many_batches, pause_and_resume, a_paused_client_leaves_the_rest_to_others, circuit_breaker, backpressure,
}

/// The calls of a handler of batches.
type Batches = Arc<Mutex<Vec<Vec<Event>>>>;

fn handled(batches: &Batches) -> Vec<u64> {
    let batches = batches.lock().unwrap();
    let mut numbers: Vec<u64> =
        batches.iter().flatten().map(|event| event.data().as_u64().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

/// A handler gets several events at once, never more than it asked for, and fewer when no more come in time.
async fn batches(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let batches = Batches::default();
    let seen = batches.clone();
    let options = workers_with(json!({ "batch": { "size": 4, "wait": 30 } }));
    let handler = move |events: Vec<Event>| {
        seen.lock().unwrap().push(events);
        async { Settlement::Succeeded }
    };
    bus.subscribe_batch(&["job"], options, handler).await.unwrap();
    store(&bus, numbered("job", 0..10)).await;
    Group::workers(&bus, fixture).settled().await;
    store(&bus, numbered("job", 10..11)).await;
    Group::workers(&bus, fixture).settled().await;
    assert_eq!(handled(&batches), (0..11).collect::<Vec<_>>());
    let batches = batches.lock().unwrap();
    assert!(batches.iter().all(|events| (1..=4).contains(&events.len())), "{batches:?}");
    assert_eq!(batches[0].len(), 4);
    for events in batches.iter() {
        assert!(events.iter().all(|event| event.token == events[0].token));
        assert!(events.iter().all(|event| event.stored().batch as usize == events.len()));
    }
    assert_eq!(bus.stats().counts.events_delivered, 11);
}

/// A batch settles as one: all of it is tried again, or given up.
async fn failing_batches(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let batches = Batches::default();
    let seen = batches.clone();
    let options = workers_with(json!({ "batch": { "size": 3, "wait": 10 }, "maxRetries": 1 }));
    let handler = move |events: Vec<Event>| {
        let settlement = match (events[0].attempt, events.iter().any(|event| event.data() == json!(99))) {
            (_, true) => Settlement::Failed { retryable: false },
            (1, _) => FAILED,
            _ => Settlement::Succeeded,
        };
        seen.lock().unwrap().push(events);
        async move { settlement }
    };
    bus.subscribe_batch(&["job"], options, handler).await.unwrap();
    store(&bus, numbered("job", 0..6)).await;
    eventually(PATIENCE, "the second attempts", || async { bus.stats().counts.events_delivered == 6 }).await;
    Group::workers(&bus, fixture).settled().await;
    let mut twice: Vec<u64> = (0..6).chain(0..6).collect();
    twice.sort_unstable();
    assert_eq!(handled(&batches), twice);
    store(&bus, numbered("job", 97..100)).await;
    Group::workers(&bus, fixture).settled().await;
    let dead_letters = dead_letters(&bus, &fixture.jobs()).await;
    let with_it = batches.lock().unwrap().last().map(Vec::len);
    assert_eq!(Some(dead_letters.len()), with_it);
    assert!(dead_letters.iter().all(|dead_letter| dead_letter["reason"] == "not-retryable"));
}

/// Large batches of many events, several at once.
async fn many_batches(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let batches = Batches::default();
    let seen = batches.clone();
    let options = workers_with(json!({ "batch": { "size": 400, "wait": 20 }, "concurrency": 3 }));
    let handler = move |events: Vec<Event>| {
        seen.lock().unwrap().push(events);
        async {
            tokio::task::yield_now().await;
            Settlement::Succeeded
        }
    };
    bus.subscribe_batch(&["job"], options, handler).await.unwrap();
    store(&bus, numbered("job", 0..2_000)).await;
    Group::workers(&bus, fixture).settled().await;
    assert_eq!(handled(&batches), (0..2_000).collect::<Vec<_>>());
    let largest = batches.lock().unwrap().iter().map(Vec::len).max();
    assert!(largest <= Some(400), "{largest:?}");
}

/// A paused subscription gets nothing, and everything when it goes on; nothing of it is lost meanwhile.
async fn pause_and_resume(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let inbox = Inbox::default();
    let subscription = bus.subscribe(&["job"], workers(), inbox.handler()).await.unwrap();
    let other = Inbox::with(&bus, &["job"], member("others", json!({}))).await;
    for round in 0..3_u64 {
        bus.pause(subscription, true);
        store(&bus, numbered("job", round * 100..round * 100 + 100)).await;
        other.wait_for(round as usize * 100 + 100).await;
        assert_eq!(inbox.len() as u64, round * 100);
        bus.pause(subscription, false);
        inbox.wait_for(round as usize * 100 + 100).await;
    }
    Group::workers(&bus, fixture).settled().await;
    assert_eq!(numbers(&inbox), (0..300).collect::<Vec<_>>());
}

/// While all of a group is paused it reads no more: others of the group get what comes.
async fn a_paused_client_leaves_the_rest_to_others(fixture: &Fixture) {
    let (one, two) = (fixture.keeper().await, fixture.keeper().await);
    let mine = Inbox::default();
    let subscription = one.subscribe(&["job"], workers(), mine.handler()).await.unwrap();
    one.pause(subscription, true);
    let theirs = Inbox::with(&two, &["job"], workers()).await;
    // One read was under way before the pause and may still bring something.
    store(&two, numbered("job", 0..50)).await;
    Group::workers(&two, fixture).wait_for_delivered().await;
    let before = theirs.len();
    store(&two, numbered("job", 50..100)).await;
    theirs.wait_for(before.max(50)).await;
    one.pause(subscription, false);
    Group::workers(&two, fixture).settled().await;
    let all = [sorted(&mine), sorted(&theirs)].concat();
    let mut all = all;
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<_>>());
}

fn circuit(state: BreakerState) -> impl Fn(&Notice) -> bool {
    move |notice| matches!(notice, Notice::Circuit { state: its, .. } if *its == state)
}

/// An open circuit starts no handler, loses nothing and reads no more; half-open one call tries.
async fn circuit_breaker(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let (well, calls, inbox) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Inbox::default());
    let (state, counted, seen) = (well.clone(), calls.clone(), inbox.clone());
    let handler = move |event: Event| {
        counted.fetch_add(1, Ordering::SeqCst);
        if !state.load(Ordering::SeqCst) {
            return FAILED;
        }
        seen.put(event);
        Settlement::Succeeded
    };
    let options = workers_with(json!({
        "circuitBreaker": { "minimumCalls": 3, "resetTimeout": 200 }, "maxRetries": 1_000, "concurrency": 1,
    }));
    let subscription = bus.subscribe(&["job"], options, handler).await.unwrap();
    let other = Inbox::with(&bus, &["job"], member("others", json!({}))).await;
    store(&bus, numbered("job", 0..1)).await;
    let opened = bus.notices.wait_for(circuit(BreakerState::Open)).await;
    assert!(matches!(opened, Notice::Circuit { subscription: s, .. } if s == subscription));
    let mark = bus.notices.mark();
    store(&bus, numbered("job", 1..1_000)).await;
    other.wait_for(1_000).await;
    bus.notices.wait_from(mark, circuit(BreakerState::HalfOpen)).await;
    // Three calls opened it, and each half-open moment has one.
    let probes = bus.notices.all().iter().filter(|notice| circuit(BreakerState::HalfOpen)(notice)).count();
    assert!(calls.load(Ordering::SeqCst) <= 3 + probes + 1);
    let facts = Group::workers(&bus, fixture).facts().await;
    assert!(facts["lag"].as_u64() > Some(0), "an open circuit reads on: {facts}");
    well.store(true, Ordering::SeqCst);
    bus.notices.wait_from(mark, circuit(BreakerState::Closed)).await;
    inbox.wait_for(1_000).await;
    Group::workers(&bus, fixture).settled().await;
    assert_eq!(sorted(&inbox), (0..1_000).collect::<Vec<_>>());
    assert_eq!(dead_letters(&bus, &fixture.jobs()).await, Vec::<Value>::new());
    assert_eq!(bus.stats().counts.events_dropped, 0);
}

/// Many events of many sizes through one slow subscription: what waits is bounded by the stream, not by memory.
async fn backpressure(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let gate = Gate::new();
    bus.subscribe_async(&["job"], workers_with(json!({ "concurrency": 2 })), gate.handler()).await.unwrap();
    store(&bus, numbered("job", 0..5_000)).await;
    gate.started.wait_for(2).await;
    let group = Group::workers(&bus, fixture);
    // Few are prefetched for a handler that does not end.
    assert!(group.facts().await["lag"].as_u64() > Some(2_000));
    gate.open(5_000);
    group.settled().await;
    assert_eq!(sorted(&gate.started), (0..5_000).collect::<Vec<_>>());
}
