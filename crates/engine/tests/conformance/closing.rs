//! The end of a client, and what it can say of itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use oxbus_engine::State;
use oxbus_engine::host::Notice;
use oxbus_model::delivery::Settlement;
use oxbus_model::{ErrorKind, Outcome};
use oxbus_testkit::eventually;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::fixture::Fixture;
use crate::support::{Bus, FAILED, Inbox, PATIENCE, Record, Remote, barrier};

suite! {
    every_publish_settles_once, drains_handlers, a_handler_beyond_the_limit_is_abandoned, idempotent, stats_balance, health_and_state,
}

/// Whether a client drains or is destroyed while it publishes: every publish settles exactly once.
async fn every_publish_settles_once(fixture: &Fixture) {
    let witness = fixture.bus().await;
    let inbox = Inbox::of(&witness, &["job"]).await;
    let mut taken = 0;
    for drains in [true, false] {
        let bus = Arc::new(fixture.bus().await);
        let mut publishers = Vec::new();
        let started = Arc::new(AtomicUsize::new(0));
        for _ in 0..4 {
            let (bus, started) = (bus.clone(), started.clone());
            publishers.push(tokio::spawn(async move {
                let mut batches = Vec::new();
                for batch in 0.. {
                    let over = bus.state() == State::Closed;
                    batches.push(bus.start_publish(&vec![Record::new("job", 1); 1 + batch % 5]));
                    started.fetch_add(1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    if over {
                        break;
                    }
                }
                batches
            }));
        }
        eventually(PATIENCE, "some load", || async { started.load(Ordering::SeqCst) > 100 }).await;
        if drains {
            bus.disconnect().await;
        } else {
            bus.client().destroy();
        }
        for publisher in publishers {
            for batch in publisher.await.unwrap() {
                for result in batch.results().await {
                    match result.map_err(|e| (e.kind, e.outcome)) {
                        Ok(receipt) if receipt.remote == Remote::Resolved => taken += 1,
                        // Hybrid mode: the publish resolves whatever becomes of it on the server.
                        Ok(_) if !drains && fixture.capabilities.local_first => {}
                        Ok(receipt) => panic!("{receipt:?}"),
                        Err((ErrorKind::Closed, Some(Outcome::NotSent))) => {}
                        Err((ErrorKind::QueueFull, Some(Outcome::NotSent))) => {}
                        Err((ErrorKind::ConnectionLost, Some(Outcome::Unknown))) if !drains => {}
                        Err(other) => panic!("{other:?}"),
                    }
                }
            }
        }
        bus.check();
        assert_eq!(bus.stats().in_flight, 0);
    }
    let counts = || witness.stats().counts;
    eventually(PATIENCE, "what the broker took", || async {
        let counts = counts();
        counts.events_delivered + counts.events_dropped >= taken
    })
    .await;
    assert!(inbox.len() as u64 + counts().events_dropped >= taken);
}

/// `disconnect` lets running handlers finish, and what they publish meanwhile go out; what waited is dropped.
async fn drains_handlers(fixture: &Fixture) {
    let witness = fixture.bus().await;
    let done = Inbox::of(&witness, &["done"]).await;
    let bus = Arc::new(fixture.bus().await);
    let (gate, calls) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (permits, counted, publisher) = (gate.clone(), calls.clone(), Arc::downgrade(&bus));
    let handler = move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        let (permits, publisher) = (permits.clone(), publisher.clone());
        async move {
            permits.acquire().await.unwrap().forget();
            publisher.upgrade().unwrap().publish("done", 1).await.unwrap();
            Settlement::Succeeded
        }
    };
    bus.subscribe_async(&["job"], json!({ "concurrency": 3 }), handler).await.unwrap();
    bus.publish_many((0..5).map(|n| Record::new("job", n)).collect()).await;
    eventually(PATIENCE, "the calls", || async { calls.load(Ordering::SeqCst) == 3 }).await;
    let barriers = barrier(&bus, &bus).await;
    let closing = tokio::spawn({
        let bus = bus.clone();
        async move { bus.disconnect().await }
    });
    bus.wait_for_state(State::Draining).await;
    let refused = bus.subscribe(&["late"], Value::Null, |_| Settlement::Succeeded).await;
    assert_eq!(refused.unwrap_err().kind, ErrorKind::Closed);
    // Nothing is taken in any more, but handlers that run are waited for.
    witness.publish("job", 9).await.unwrap();
    assert!(!closing.is_finished());
    gate.add_permits(3);
    closing.await.unwrap();
    done.wait_for(3).await;
    let counts = bus.stats().counts;
    assert_eq!((calls.load(Ordering::SeqCst), counts.events_delivered), (3, 3 + barriers));
    assert_eq!(counts.events_dropped, 2);
}

/// A handler that does not end in time does not keep the client from closing.
async fn a_handler_beyond_the_limit_is_abandoned(fixture: &Fixture) {
    let bus = fixture.bus().await;
    let started = Arc::new(Semaphore::new(0));
    let seen = started.clone();
    let handler = move |_| {
        seen.add_permits(1);
        std::future::pending::<Settlement>()
    };
    bus.subscribe_async(&["job"], Value::Null, handler).await.unwrap();
    bus.publish("job", 1).await.unwrap();
    started.acquire().await.unwrap().forget();
    let before = Instant::now();
    let unfinished = bus.disconnect_within(Some(50)).await;
    assert_eq!(
        unfinished,
        json!({ "publishes": 0, "settled": true }),
        "it is told; the host knows of handlers"
    );
    assert!(before.elapsed() >= Duration::from_millis(50) && before.elapsed() < Duration::from_secs(5));
    assert_eq!(bus.state(), State::Closed);
}

/// Closing twice, or what was never opened, is no fault; what comes after is refused.
async fn idempotent(fixture: &Fixture) {
    let bus = fixture.bus().await;
    Inbox::of(&bus, &["job"]).await;
    tokio::join!(bus.disconnect(), bus.disconnect());
    bus.disconnect().await;
    bus.client().destroy();
    let closed = |n: &Notice| matches!(n, Notice::Closed);
    bus.notices.wait_for(closed).await;
    assert_eq!(bus.notices.all().iter().filter(|n| closed(n)).count(), 1);
    let error = bus.publish("job", 1).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::Closed, Some(Outcome::NotSent)));
    assert_eq!(bus.connect().await.unwrap_err().kind, ErrorKind::Closed);
    assert_eq!(bus.wait_until_ready(None).await.unwrap_err().kind, ErrorKind::Closed);
    let refused = bus.subscribe(&["job"], Value::Null, |_| Settlement::Succeeded).await;
    assert_eq!(refused.unwrap_err().kind, ErrorKind::Closed);
    assert_eq!(bus.health().await["state"], json!("closed"));
    let idle = fixture.idle_bus(json!({}));
    assert_eq!(idle.state(), State::Idle);
    idle.disconnect().await;
    assert_eq!(idle.state(), State::Closed);
}

/// What came in is what was delivered, failed, dropped or skipped: the counters account for everything.
async fn stats_balance(fixture: &Fixture) {
    let (publisher, bus) = (fixture.bus().await, fixture.bus().await);
    let retry = json!({ "initialDelay": 1, "maxDelay": 1 });
    let fails_sometimes = |event: crate::support::Event| match event.data().as_u64().unwrap() % 5 {
        0 => Settlement::Failed { retryable: false },
        1 => FAILED,
        2 if event.attempt == 1 => Settlement::RetryLater(1),
        _ => Settlement::Succeeded,
    };
    for options in [
        json!({ "retry": retry, "maxRetries": 2 }),
        json!({ "retry": retry, "queue": { "maxEvents": 7 }, "concurrency": 2 }),
        json!({ "filter": { "data": [1, 2, 3] } }),
        json!({ "retry": retry, "circuitBreaker": { "minimumCalls": 5, "errorThresholdPercentage": 20 } }),
    ] {
        bus.subscribe(&["job.*"], options, fails_sometimes).await.unwrap();
    }
    let ending = bus.subscribe(&["job.*"], json!({ "concurrency": 1 }), fails_sometimes).await.unwrap();
    let accepted = |bus: &Bus| {
        let c = bus.stats().counts;
        c.events_delivered + c.events_failed + c.events_dropped + c.events_skipped
    };
    for batch in 0..10 {
        let records = (0..50).map(|n| Record::new(format!("job.{n}"), batch * 50 + n)).collect();
        publisher.publish_many(records).await.into_iter().for_each(|result| drop(result.unwrap()));
    }
    eventually(PATIENCE, "all to be received", || async { bus.stats().counts.events_received == 500 }).await;
    assert!(bus.unsubscribe(ending).await);
    publisher.publish("job.last", 3).await.unwrap();
    eventually(PATIENCE, "all to be received", || async { bus.stats().counts.events_received == 501 }).await;
    // What an open circuit holds back is dropped when the client closes.
    bus.disconnect().await;
    assert_eq!(accepted(&bus), 500 * 5 + 4, "{:?}", bus.stats().counts);
    let stats = bus.stats();
    assert_eq!((stats.memory, stats.in_flight, stats.active_subscriptions), (0, 0, 0));
    assert!(stats.counts.handler_errors >= stats.counts.events_failed);
    assert_eq!(publisher.stats().counts.events_published, 501);
}

/// The state and the report say what is.
async fn health_and_state(fixture: &Fixture) {
    let bus = fixture.idle_bus(json!({}));
    assert_eq!(bus.state(), State::Idle);
    assert_eq!(bus.health().await["status"], json!("unhealthy"), "nothing is usable yet");
    bus.connect().await.unwrap();
    bus.notices.wait_for(|n| matches!(n, Notice::Ready)).await;
    Inbox::of(&bus, &["a", "b.*"]).await;
    let report = bus.health().await;
    assert_eq!((&report["status"], &report["state"]), (&json!("healthy"), &json!("ready")), "{report}");
    if fixture.capabilities.open_to_others {
        assert_eq!((&report["redis"]["connected"], report["latency"].is_number()), (&json!(true), true));
    } else {
        assert_eq!(
            (&report["redis"], &report["latency"]),
            (&Value::Null, &Value::Null),
            "there is no server"
        );
    }
    assert!(report["connections"].as_object().is_some_and(|links| !links.is_empty()));
    let stats = bus.stats();
    assert_eq!((stats.active_subscriptions, stats.pattern_subscriptions), (1, 1));
    assert_eq!(bus.disconnect_within(None).await, Value::Null, "nothing was given up");
    assert_eq!(bus.state(), State::Closed);
}
