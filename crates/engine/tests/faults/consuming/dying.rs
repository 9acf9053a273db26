//! Clients and servers that die in the middle.

use std::sync::Arc;
use std::time::Duration;

use oxbus_engine::State;
use oxbus_model::Outcome;
use oxbus_model::delivery::Settlement;
use oxbus_testkit::tracker::Ending;
use oxbus_testkit::{FaultProxy, RedisServer, Tracker, eventually, seeded};
use rand::Rng;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::{
    DEAD_LETTERS, dead_letter_ids, keeper, length, member, numbered, pending, settled, sorted, store, workers,
};
use crate::setup::{assert_between, millis, seconds, soak, timed};
use crate::support::{Bus, Event, Inbox, PATIENCE, Record};

/// Scenario 36: what a dead consumer had begun is handled elsewhere, soon after its lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_consumer_had_begun_is_handled_elsewhere() {
    const LEASE: u64 = 500;
    let server = RedisServer::start().await;
    let (one, two) = (keeper(&server.url(), LEASE).await, keeper(&server.url(), LEASE).await);
    let (started, mut begun) = mpsc::unbounded_channel();
    let stuck = move |event: Event| {
        started.send(event.message_id()).unwrap();
        std::future::pending::<Settlement>()
    };
    one.subscribe_async(&["job"], workers(), stuck).await.unwrap();
    let ids = store(&two, numbered(0..10)).await;
    for id in &ids {
        assert_eq!(begun.recv().await.as_ref(), Some(id));
    }
    let inbox = Inbox::with(&two, &["job"], workers()).await;
    one.client().destroy();
    let ((), took) = timed(inbox.wait_for(10)).await;
    assert_between(took, 0, LEASE + 5_000);
    settled(&server, "workers").await;
    assert_eq!(sorted(&inbox), (0..10).collect::<Vec<_>>());
    assert!(inbox.events().iter().all(|event| (event.deliveries(), event.attempt) == (2, 2)));
    two.disconnect().await;
}

/// Publishes tracked events until it is told to stop. Returns their ids and when each was resolved.
async fn publish_until(
    bus: Arc<Bus>,
    tracker: Arc<Tracker>,
    name: String,
    stop: Arc<tokio::sync::Notify>,
) -> Vec<(String, Instant)> {
    let mut resolved = Vec::new();
    let stopped = stop.notified();
    tokio::pin!(stopped);
    for batch in 0.. {
        let id = |n: usize| format!("{name}-{batch}-{n}");
        let record = |n| {
            tracker.published(id(n));
            Record::new("job", n).with_id(&id(n))
        };
        let results = bus.publish_many((0..20).map(record).collect()).await;
        for (n, result) in results.iter().enumerate() {
            let ending = match result.as_ref().map_err(|error| error.outcome) {
                Ok(_) => {
                    resolved.push((id(n), Instant::now()));
                    Ending::Resolved
                }
                Err(Some(Outcome::Unknown)) => Ending::Unknown,
                Err(Some(Outcome::Rejected)) => Ending::Rejected,
                Err(Some(Outcome::NotSent)) => Ending::NotSent,
                Err(None) => panic!("a publish without an outcome: {result:?}"),
            };
            tracker.ended(id(n), ending);
        }
        tokio::select! {
            biased;
            () = &mut stopped => break,
            () = sleep(millis(2)) => {}
        }
    }
    resolved
}

/// Scenario 37: the server is killed under load and comes back with what it had written (everysec).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_under_load_loses_nothing_that_it_had_kept() {
    let server = RedisServer::builder().arg("appendonly", "yes").arg("appendfsync", "everysec").start().await;
    let (tracker, stop) = (Arc::new(Tracker::new()), Arc::new(tokio::sync::Notify::new()));
    let mut consumers = Vec::new();
    for _ in 0..2 {
        let (bus, tracker) = (keeper(&server.url(), 2_000).await, tracker.clone());
        let handler = move |event: Event| {
            tracker.received(event.id());
            Settlement::Succeeded
        };
        bus.subscribe(&["job"], workers(), handler).await.unwrap();
        consumers.push(bus);
    }
    let mut publishers = Vec::new();
    for p in 0..2 {
        let bus = Arc::new(keeper(&server.url(), 2_000).await);
        publishers.push(tokio::spawn(publish_until(bus, tracker.clone(), format!("p{p}"), stop.clone())));
    }
    let target = soak(3_000, 50_000);
    let loaded = || async { tracker.count(Ending::Resolved) >= target };
    eventually(PATIENCE, "some load", loaded).await;
    // What was resolved until now has to be kept once it is written, which happens every second.
    let written = Instant::now();
    let old = || async { written.elapsed() >= millis(2_200) };
    eventually(PATIENCE, "the next write of the server's file", old).await;
    server.kill();
    server.restart().await;
    let before = tracker.count(Ending::Resolved);
    let again = || async { tracker.count(Ending::Resolved) >= before + 500 };
    eventually(PATIENCE, "load after it", again).await;
    stop.notify_waiters();
    let mut resolved = Vec::new();
    for publisher in publishers {
        resolved.extend(publisher.await.unwrap());
    }
    settled(&server, "workers").await;
    let arrived: std::collections::HashSet<String> = tracker.arrivals().into_iter().collect();
    let lost = resolved.iter().filter(|(id, at)| *at <= written && !arrived.contains(id)).count();
    assert_eq!(lost, 0, "of {}", resolved.len());
    tracker.assert_failed_not_received();
    tracker.assert_only_published_received();
    eprintln!(
        "{} resolved, {} missing, {} twice",
        resolved.len(),
        tracker.missing().len(),
        tracker.duplicates().len()
    );
    assert_eq!(length(&server, DEAD_LETTERS).await, 0);
    for bus in consumers {
        bus.disconnect().await;
    }
}

/// A client whose handler gives everything up and says so.
async fn giving_up(url: &str) -> (Bus, mpsc::UnboundedReceiver<()>) {
    let bus = keeper(url, 200).await;
    let (sender, called) = mpsc::unbounded_channel();
    let handler = move |_| {
        // The test may have stopped listening.
        let _ = sender.send(());
        Settlement::Failed { retryable: false }
    };
    bus.subscribe(&["job"], member("workers", json!({})), handler).await.unwrap();
    (bus, called)
}

/// A random moment shortly before or after an entry is moved to the dead letters.
fn moment(rng: &mut impl Rng) -> Duration {
    Duration::from_micros(rng.random_range(0..3_000))
}

/// Scenario 44: whoever dies when an event is given up, it is a dead letter once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_die_while_events_are_given_up_leave_one_dead_letter_each() {
    let mut rng = seeded("dying clients");
    let server = RedisServer::start().await;
    let publisher = keeper(&server.url(), 200).await;
    let mut ids = Vec::new();
    for round in 0..soak(40, 300) {
        let (bus, mut called) = giving_up(&server.url()).await;
        let records = (0..3).map(|n| {
            ids.push(format!("{round}-{n}"));
            Record::new("job", n).with_id(&format!("{round}-{n}"))
        });
        store(&publisher, records.collect()).await;
        called.recv().await;
        sleep(moment(&mut rng)).await;
        bus.client().destroy();
    }
    let (last, _called) = giving_up(&server.url()).await;
    settled(&server, "workers").await;
    ids.sort_unstable();
    assert_eq!(dead_letter_ids(&server).await, ids);
    last.disconnect().await;
}

/// The same when the server dies, with every write kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_while_events_are_given_up_has_one_dead_letter_each() {
    let mut rng = seeded("dying server");
    let server = RedisServer::builder().arg("appendonly", "yes").arg("appendfsync", "always").start().await;
    let publisher = keeper(&server.url(), 200).await;
    let (bus, mut called) = giving_up(&server.url()).await;
    let mut ids = Vec::new();
    for round in 0..soak(12, 100) {
        let records: Vec<_> =
            (0..5).map(|n| Record::new("job", n).with_id(&format!("{round}-{n}"))).collect();
        store(&publisher, records).await;
        ids.extend((0..5).map(|n| format!("{round}-{n}")));
        called.recv().await;
        sleep(moment(&mut rng)).await;
        publisher.loses(&["publisher"], server.restart()).await;
        publisher.wait_until_ready(Some(20_000)).await.unwrap();
        while called.try_recv().is_ok() {}
    }
    bus.wait_for_state(State::Ready).await;
    settled(&server, "workers").await;
    ids.sort_unstable();
    assert_eq!(dead_letter_ids(&server).await, ids);
    bus.disconnect().await;
}

/// The same when connections break, so that nobody knows whether the move has happened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_while_events_are_given_up_leave_one_dead_letter_each() {
    let mut rng = seeded("breaking connections");
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let publisher = keeper(&server.url(), 200).await;
    let (bus, mut called) = giving_up(&proxy.url()).await;
    let mut ids = Vec::new();
    for round in 0..soak(25, 300) {
        let records: Vec<_> =
            (0..5).map(|n| Record::new("job", n).with_id(&format!("{round:03}-{n}"))).collect();
        store(&publisher, records).await;
        ids.extend((0..5).map(|n| format!("{round:03}-{n}")));
        called.recv().await;
        sleep(moment(&mut rng)).await;
        proxy.cut_all();
        while called.try_recv().is_ok() {}
    }
    settled(&server, "workers").await;
    assert_eq!(dead_letter_ids(&server).await, ids);
    assert_eq!(pending(&server, "workers").await, 0);
    bus.disconnect_within(Some(seconds(5).as_millis() as u64)).await;
}
