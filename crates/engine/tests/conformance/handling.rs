//! Retries, pausing and the circuit breaker.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use oxbus_engine::host::Notice;
use oxbus_model::breaker::BreakerState;
use oxbus_model::delivery::Settlement;
use oxbus_testkit::eventually;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::fixture::Fixture;
use crate::support::{Event, FAILED, Inbox, PATIENCE, Record, barrier};

suite! {
    retries_at_different_times, a_retry_waits_for_a_slot, many_retries_at_once, giving_up, pause_and_resume, a_retry_falls_due_while_paused, circuit_opens_and_drops, circuit_closes_again,
}

/// A handler that asks at its first attempt for the delay given as data, and then succeeds.
fn later(inbox: &Inbox) -> impl Fn(Event) -> Settlement + Send + Sync + 'static {
    let inbox = inbox.clone();
    move |event| match event.attempt {
        1 => Settlement::RetryLater(event.data().as_u64().expect("a delay")),
        _ => {
            inbox.put(event);
            Settlement::Succeeded
        }
    }
}

/// Each retry comes at its own time and not before, though nothing else happens to the client.
async fn retries_at_different_times(fixture: &Fixture) {
    let bus = fixture.bus().await;
    let waits: Arc<Mutex<Vec<(u64, Duration)>>> = Arc::default();
    let (seen, first) = (waits.clone(), Mutex::new(HashMap::new()));
    let handler = move |event: Event| {
        let delay = event.data().as_u64().unwrap();
        let now = Instant::now();
        match first.lock().unwrap().entry(delay) {
            Entry::Vacant(entry) => {
                entry.insert(now);
                Settlement::RetryLater(delay)
            }
            Entry::Occupied(entry) => {
                seen.lock().unwrap().push((delay, now - *entry.get()));
                Settlement::Succeeded
            }
        }
    };
    bus.subscribe(&["job"], Value::Null, handler).await.unwrap();
    let delays = [90, 30, 150, 60, 0];
    bus.publish_many(delays.map(|delay| Record::new("job", delay)).into()).await;
    eventually(PATIENCE, "all retries", || async { waits.lock().unwrap().len() == 5 }).await;
    let mut waits = waits.lock().unwrap();
    waits.sort_unstable();
    // The engine's clock has milliseconds: one may be cut off at either end.
    let early = |(delay, waited): &&(u64, Duration)| {
        *waited + Duration::from_millis(2) < Duration::from_millis(*delay)
    };
    assert!(waits.iter().find(early).is_none(), "{waits:?}");
    assert!(waits.iter().map(|(delay, _)| *delay).eq([0, 30, 60, 90, 150]), "{waits:?}");
}

/// A retry that falls due while all slots are taken runs as soon as one is free.
async fn a_retry_waits_for_a_slot(fixture: &Fixture) {
    let bus = fixture.bus().await;
    let inbox = Inbox::default();
    let (seen, busy) = (inbox.clone(), Duration::from_millis(60));
    let handler = move |event: Event| {
        let seen = seen.clone();
        async move {
            if event.data() == json!("slow") {
                tokio::time::sleep(busy).await;
            } else if event.attempt == 1 {
                return Settlement::RetryLater(20);
            }
            seen.put(event);
            Settlement::Succeeded
        }
    };
    bus.subscribe_async(&["job"], json!({ "concurrency": 1 }), handler).await.unwrap();
    bus.publish_many(vec![Record::new("job", "again"), Record::new("job", "slow")]).await;
    inbox.wait_for(2).await;
    // On a slow machine the retry may be due before the other one has started.
    let data = inbox.data();
    assert!(data.len() == 2 && data.contains(&json!("slow")) && data.contains(&json!("again")), "{data:?}");
}

/// More retries fall due at once than one drain hands out, or than may run.
async fn many_retries_at_once(fixture: &Fixture) {
    let bus = fixture.bus().await;
    for concurrency in [1, 7, 1000] {
        let (inbox, count) = (Inbox::default(), 2 * oxbus_engine::DRAIN_LIMIT + 88);
        let options = json!({ "concurrency": concurrency });
        let subscription = bus.subscribe(&["job"], options, later(&inbox)).await.unwrap();
        bus.publish_many((0..count).map(|_| Record::new("job", 30)).collect()).await;
        inbox.wait_for(count).await;
        assert!(bus.unsubscribe(subscription).await);
        assert_eq!(inbox.len(), count);
    }
}

/// After `maxRetries`, or at once when it is pointless, an event is given up and counted.
async fn giving_up(fixture: &Fixture) {
    let bus = fixture.bus().await;
    let attempts: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
    let retry = json!({ "initialDelay": 1, "maxDelay": 1 });
    for (name, options) in [
        ("final", json!({ "retry": retry })),
        ("twice", json!({ "retry": retry, "maxRetries": 2 })),
        ("later", json!({ "maxRetries": 1 })),
        ("never", json!({ "retryOnError": false })),
        ("late", json!({ "retry": retry, "maxRetries": 1 })),
    ] {
        let attempts = attempts.clone();
        let handler = move |event: Event| {
            *attempts.lock().unwrap().entry(event.event_type()).or_default() += 1;
            match name {
                "final" => Settlement::Failed { retryable: false },
                "later" => Settlement::RetryLater(1),
                "late" => Settlement::TimedOut { retryable: true },
                _ => FAILED,
            }
        };
        bus.subscribe(&[name], options, handler).await.unwrap();
        bus.publish(name, 1).await.unwrap();
    }
    eventually(PATIENCE, "all given up", || async { bus.stats().counts.events_failed == 5 }).await;
    let seen = attempts.lock().unwrap().clone();
    let expected = [("final", 1), ("twice", 3), ("later", 2), ("never", 1), ("late", 2)];
    assert_eq!(seen, expected.map(|(name, n)| (name.to_owned(), n)).into());
    let stats = bus.stats();
    assert_eq!((stats.counts.handler_errors, stats.counts.events_retried), (9, 4));
    assert_eq!((stats.counts.zombie_handlers, stats.error_rate), (2, 1.0));
    bus.client().finish_timed_out(0);
    assert_eq!(bus.stats().counts.zombie_handlers, 1);
}

/// A paused subscription keeps what arrives, in order, and hands it out when it goes on.
async fn pause_and_resume(fixture: &Fixture) {
    let bus = fixture.bus().await;
    let inbox = Inbox::default();
    let subscription = bus.subscribe(&["job"], Value::Null, inbox.handler()).await.unwrap();
    let other = Inbox::of(&bus, &["job"]).await;
    for round in 0..3 {
        inbox.clear();
        bus.pause(subscription, true);
        for n in 0..5 {
            bus.publish("job", n).await.unwrap();
        }
        barrier(&bus, &bus).await;
        assert_eq!((inbox.len(), other.len()), (0, 5 * (round + 1)));
        bus.pause(subscription, false);
        inbox.wait_for(5).await;
        assert_eq!(inbox.data(), (0..5).map(Value::from).collect::<Vec<_>>());
    }
}

/// A retry that falls due during a pause runs after it.
async fn a_retry_falls_due_while_paused(fixture: &Fixture) {
    let bus = fixture.bus().await;
    let inbox = Inbox::default();
    let subscription = bus.subscribe(&["job"], Value::Null, later(&inbox)).await.unwrap();
    for pause in [Duration::from_millis(50), Duration::ZERO] {
        inbox.clear();
        let retried = bus.stats().counts.events_retried;
        bus.publish("job", 20).await.unwrap();
        eventually(PATIENCE, "the failure", || async { bus.stats().counts.events_retried > retried }).await;
        bus.pause(subscription, true);
        // There is no condition to wait for: the sleep lets the retry fall due during the pause.
        tokio::time::sleep(pause).await;
        bus.pause(subscription, false);
        inbox.wait_for(1).await;
    }
}

fn circuit(state: BreakerState) -> impl Fn(&Notice) -> bool {
    move |notice| matches!(notice, Notice::Circuit { state: its, .. } if *its == state)
}

/// An open circuit starts no handler: what waits and what arrives is dropped and counted.
async fn circuit_opens_and_drops(fixture: &Fixture) {
    let bus = fixture.bus().await;
    let (calls, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let (counted, permits) = (calls.clone(), gate.clone());
    let handler = move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        let permits = permits.clone();
        async move {
            permits.acquire().await.unwrap().forget();
            FAILED
        }
    };
    let options = json!({
        "circuitBreaker": { "minimumCalls": 4 }, "retryOnError": false, "concurrency": 4,
    });
    let subscription = bus.subscribe_async(&["job"], options, handler).await.unwrap();
    bus.publish_many((0..10).map(|n| Record::new("job", n)).collect()).await;
    eventually(PATIENCE, "four calls", || async { calls.load(Ordering::SeqCst) == 4 }).await;
    barrier(&bus, &bus).await;
    // With four calls in the window the circuit opens at the fourth result: exactly those four run.
    bus.pause(subscription, true);
    gate.add_permits(4);
    let opened = bus.notices.wait_for(circuit(BreakerState::Open)).await;
    assert!(matches!(opened, Notice::Circuit { subscription: s, .. } if s == subscription));
    bus.pause(subscription, false);
    bus.publish_many((0..3).map(|n| Record::new("job", n)).collect()).await;
    barrier(&bus, &bus).await;
    let counts = bus.stats().counts;
    assert_eq!((calls.load(Ordering::SeqCst), counts.events_failed, counts.events_dropped), (4, 4, 6 + 3));
    // The other subscriptions of the client are not concerned.
    let inbox = Inbox::of(&bus, &["job"]).await;
    bus.publish("job", 1).await.unwrap();
    inbox.wait_for(1).await;
}

/// A half-open circuit lets one call try; when that succeeds it closes.
async fn circuit_closes_again(fixture: &Fixture) {
    let bus = fixture.bus().await;
    let (well, inbox) = (Arc::new(AtomicBool::new(false)), Inbox::default());
    let (state, seen) = (well.clone(), inbox.clone());
    let handler = move |event| {
        if !state.load(Ordering::SeqCst) {
            return FAILED;
        }
        seen.put(event);
        Settlement::Succeeded
    };
    let options = json!({
        "circuitBreaker": { "minimumCalls": 2, "resetTimeout": 50 },
        "retry": { "initialDelay": 1, "maxDelay": 1 }, "maxRetries": 1000,
    });
    bus.subscribe(&["job"], options, handler).await.unwrap();
    bus.publish("job", 1).await.unwrap();
    bus.notices.wait_for(circuit(BreakerState::Open)).await;
    // The retry waits for the circuit. It is the call that tries, again and again, until it succeeds.
    let mark = bus.notices.mark();
    bus.notices.wait_from(mark, circuit(BreakerState::HalfOpen)).await;
    well.store(true, Ordering::SeqCst);
    bus.notices.wait_from(mark, circuit(BreakerState::Closed)).await;
    inbox.wait_for(1).await;
    bus.publish("job", 2).await.unwrap();
    inbox.wait_for(2).await;
    assert_eq!(inbox.data(), [json!(1), json!(2)]);
}
