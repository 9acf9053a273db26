//! Delays that were asked for, over restarts, deaths and in great numbers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oxbus_model::delivery::Settlement;
use oxbus_testkit::eventually;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::setup::{Group, dead_letters, numbered, store, workers, workers_with};
use crate::fixture::Fixture;
use crate::support::{Bus, Event, Inbox, PATIENCE, Record};

suite! {
    with cluster;
    over_deploys, what_fails_in_a_drain, order_over_a_restart, over_a_death, many,
}

const HOUR: u64 = 3_600_000;

/// What was called: the data of the event, the attempt and when.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<(u64, u32, Instant)>>>);

impl Calls {
    /// A handler that asks for a delay in the first attempt at an event: the one that is given for its number, if any.
    fn handler(&self, delays: &'static [(u64, u64)]) -> impl Fn(Event) -> Settlement + use<> {
        let calls = self.clone();
        move |event: Event| {
            let n = event.data().as_u64().unwrap();
            calls.0.lock().unwrap().push((n, event.attempt, Instant::now()));
            let delay = delays.iter().find(|(of, _)| *of == n && event.attempt == 1);
            delay.map_or(Settlement::Succeeded, |(_, delay)| Settlement::RetryLater(*delay))
        }
    }

    fn all(&self) -> Vec<(u64, u32)> {
        self.0.lock().unwrap().iter().map(|(n, attempt, _)| (*n, *attempt)).collect()
    }

    /// Waits until an event was called for an attempt; returns how long after the first one that was.
    async fn waited(&self, n: u64, attempt: u32) -> Duration {
        let is_there = || async { self.all().contains(&(n, attempt)) };
        eventually(PATIENCE, &format!("attempt {attempt} at {n}"), is_there).await;
        let calls = self.0.lock().unwrap();
        let at = |attempt| calls.iter().find(|call| (call.0, call.1) == (n, attempt)).unwrap().2;
        // The engine's clock has milliseconds: one may be cut off at either end.
        at(attempt) - at(1) + Duration::from_millis(2)
    }
}

/// A client whose group is there, and which handles with these delays.
async fn worker(fixture: &Fixture, calls: &Calls, delays: &'static [(u64, u64)], options: Value) -> Bus {
    let bus = fixture.keeper().await;
    bus.subscribe(&["job"], options, calls.handler(delays)).await.unwrap();
    bus
}

/// Waits until so many events have been called.
async fn called(calls: &Calls, count: usize) {
    eventually(PATIENCE, &format!("{count} calls"), || async { calls.all().len() >= count }).await;
}

/// A deploy neither shortens a delay nor uses up an attempt, however often it comes.
async fn over_deploys(fixture: &Fixture) {
    const DELAYS: &[(u64, u64)] = &[(0, HOUR), (1, 1_500)];
    let (calls, keeper) = (Calls::default(), fixture.keeper().await);
    let mut bus = worker(fixture, &calls, DELAYS, workers()).await;
    store(&keeper, numbered("job", 0..3)).await;
    called(&calls, 3).await;
    for n in 3..8 {
        bus.disconnect().await;
        bus = worker(fixture, &calls, DELAYS, workers()).await;
        // It works, and has looked for what it could take over.
        store(&keeper, numbered("job", n..n + 1)).await;
        // The retry may be among the calls already, so that their number does not tell.
        eventually(PATIENCE, &format!("a call for {n}"), || async { calls.all().contains(&(n, 1)) }).await;
    }
    let waited = calls.waited(1, 2).await;
    assert!(waited >= Duration::from_millis(1_500), "{waited:?}");
    assert!(waited < Duration::from_secs(20), "found when it was due, not after the lease: {waited:?}");
    let group = Group::workers(&keeper, fixture);
    group.wait_for_pending(1).await;
    let mut all = calls.all();
    all.sort_unstable();
    let once = (2..8).map(|n| (n, 1));
    assert_eq!(all, [(0, 1), (1, 1), (1, 2)].into_iter().chain(once).collect::<Vec<_>>());
    assert_eq!(dead_letters(&keeper, &fixture.jobs()).await, Vec::<Value>::new());
    // The one that is left is nobody's, with the attempt that was made.
    let pending = group.pending().await;
    assert_eq!((&pending[0]["consumer"], &pending[0]["deliveryCount"]), (&json!("oxbus:delayed"), &json!(1)));
    let facts = group.facts().await;
    assert_eq!((&facts["pending"], &facts["delayed"]), (&json!(1), &json!(1)));
    assert_eq!(bus.stats().counts.events_lost, 0);
    // `recover` leaves it alone.
    let recovered = keeper.request("streams.recover", json!({ "minIdle": 0 })).await.unwrap();
    assert_eq!(recovered["checked"], 0);
}

/// A handler that asks for a delay while its client drains gets it.
async fn what_fails_in_a_drain(fixture: &Fixture) {
    let (calls, keeper) = (Calls::default(), fixture.keeper().await);
    let (one, release) = (fixture.keeper().await, Arc::new(tokio::sync::Notify::new()));
    let (seen, gate) = (calls.clone(), release.clone());
    let handler = move |event: Event| {
        let (handle, gate) = (seen.handler(&[(0, 800)]), gate.clone());
        async move {
            let settlement = handle(event);
            gate.notified().await;
            settlement
        }
    };
    one.subscribe_async(&["job"], workers(), handler).await.unwrap();
    store(&keeper, numbered("job", 0..1)).await;
    called(&calls, 1).await;
    let ((), ()) = tokio::join!(one.disconnect(), async { release.notify_one() });
    let _two = worker(fixture, &calls, &[], workers()).await;
    let waited = calls.waited(0, 2).await;
    assert!(waited >= Duration::from_millis(800), "{waited:?}");
}

/// What is behind a delayed event of its key stays behind it through a restart; other keys go on.
async fn order_over_a_restart(fixture: &Fixture) {
    for order in ["key", "stream"] {
        let fixture = &fixture.scoped(&format!("{order}-"));
        let options = || workers_with(json!({ "orderBy": order }));
        let keyed = |n: u64| Record::new("job", n).with(json!({ "key": if n == 3 { "b" } else { "a" } }));
        let (calls, keeper) = (Calls::default(), fixture.keeper().await);
        let one = worker(fixture, &calls, &[(0, 1_500)], options()).await;
        store(&keeper, vec![keyed(0), keyed(1)]).await;
        called(&calls, 1).await;
        let retried = || async { one.stats().counts.events_retried == 1 };
        eventually(PATIENCE, "the retry", retried).await;
        one.disconnect().await;
        // More comes while nobody is there, and after.
        store(&keeper, vec![keyed(2), keyed(3)]).await;
        let two = worker(fixture, &calls, &[], options()).await;
        store(&keeper, vec![keyed(4)]).await;
        let waited = calls.waited(0, 2).await;
        assert!(waited >= Duration::from_millis(1_500), "{waited:?}");
        Group::workers(&two, fixture).settled().await;
        let all = calls.all();
        if order == "key" {
            assert_eq!(all[..2], [(0, 1), (3, 1)], "the other key did not wait");
            assert_eq!(all[2..], [(0, 2), (1, 1), (2, 1), (4, 1)]);
        } else {
            assert_eq!(all, [(0, 1), (0, 2), (1, 1), (2, 1), (3, 1), (4, 1)]);
        }
    }
}

/// The death of a client that holds a delayed event shortens no delay that is longer than the lease.
async fn over_a_death(fixture: &Fixture) {
    let (calls, keeper) = (Calls::default(), fixture.hasty_keeper().await);
    // With an order the event stays with its client.
    let options = || workers_with(json!({ "orderBy": "stream" }));
    let mut bus = fixture.hasty_keeper().await;
    bus.subscribe(&["job"], options(), calls.handler(&[(0, 4_000)])).await.unwrap();
    store(&keeper, numbered("job", 0..1)).await;
    for _ in 0..2 {
        let group = Group::workers(&keeper, fixture);
        let consumer = format!("tests-{}", bus.client().instance_id());
        let recorded = || async {
            let pending = group.pending().await;
            pending.first().is_some_and(|e| e["consumer"] == consumer && e["deliveryCount"] == 2)
        };
        eventually(PATIENCE, "the delay is the client's", recorded).await;
        bus.client().destroy();
        bus = fixture.hasty_keeper().await;
        bus.subscribe(&["job"], options(), calls.handler(&[])).await.unwrap();
    }
    let waited = calls.waited(0, 2).await;
    assert!(waited >= Duration::from_millis(4_000), "{waited:?}");
    Group::workers(&keeper, fixture).settled().await;
    assert_eq!(calls.all(), [(0, 1), (0, 2)]);
}

/// More delayed events than a client holds leave its memory, and it reads on.
async fn many(fixture: &Fixture) {
    // Group subscriptions of a client in hybrid mode are those of one on Redis.
    let count = if fixture.capabilities.local_first { 12_000 } else { 100_000 };
    let bus = fixture.keeper().await;
    let (later, inbox) = (Arc::new(Mutex::new(0)), Inbox::default());
    let (asked, seen) = (later.clone(), inbox.clone());
    let handler = move |event: Event| {
        if event.event_type() == "job.now" {
            seen.put(event);
            return Settlement::Succeeded;
        }
        *asked.lock().unwrap() += 1;
        Settlement::RetryLater(HOUR)
    };
    bus.subscribe(&["job", "job.now"], workers_with(json!({ "concurrency": 300 })), handler).await.unwrap();
    for n in 0..count / 2_000 {
        // Two thousand at once may take longer than a publish waits by default.
        let records = numbered("job", n * 2_000..(n + 1) * 2_000).into_iter();
        store(&bus, records.map(|record| record.with(json!({ "timeout": 60_000 }))).collect()).await;
    }
    store(&bus, vec![Record::new("job.now", 0).with(json!({ "timeout": 60_000 }))]).await;
    let group = Group::workers(&bus, fixture);
    // A busy machine may take longer than the limit for all of them, but not for each tenth.
    for tenth in 1..=10 {
        let called = || async { *later.lock().unwrap() >= count / 10 * tenth };
        eventually(3 * PATIENCE, "the handler is called", called).await;
    }
    inbox.wait_for(1).await;
    for tenth in 1..=10 {
        let left = || async { group.facts().await["delayed"].as_u64() >= Some(count / 10 * tenth) };
        eventually(3 * PATIENCE, "delayed events leave the client", left).await;
    }
    assert_eq!(group.facts().await["delayed"], count);
    assert_eq!(*later.lock().unwrap(), count, "each was called once");
    // The server has them a moment before the client is told.
    eventually(PATIENCE, "nothing is held", || async { bus.stats().memory == 0 }).await;
    // Who comes next has none of them in its memory either.
    let next = fixture.keeper().await;
    let fresh = Inbox::with(&next, &["job.now"], workers()).await;
    bus.disconnect().await;
    store(&next, vec![Record::new("job.now", 1)]).await;
    fresh.wait_for(1).await;
}
