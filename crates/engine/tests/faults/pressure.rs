//! More publishes than can be held, and publishes in a race with the end.

use std::process::Command;

use oxbus_model::{ErrorKind, Outcome};
use oxbus_testkit::{RedisServer, eventually};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::setup::{FAR, SLACK, assert_between, failed, millis, ready, seconds};
use crate::support::Record;

/// Runs an ignored test in a process of its own, as the memory of other tests would be counted too.
fn alone(name: &str) {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program).args(["--exact", name, "--ignored", "--nocapture"]).output().unwrap();
    let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    eprintln!("{}", printed[1]);
    assert!(output.status.success() && printed[0].contains("1 passed"), "{}{}", printed[0], printed[1]);
}

#[test]
fn a_flood_towards_a_frozen_server_is_refused_at_once_beyond_the_limit_and_keeps_memory_bounded() {
    alone("pressure::flood_of_small_events");
}

#[test]
fn a_flood_of_large_events_is_bounded_by_their_bytes() {
    alone("pressure::flood_of_large_events");
}

/// The resident memory of this process, in bytes.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// 200,000 small publishes: the number of events is the limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by a test above"]
async fn flood_of_small_events() {
    const LIMIT: usize = 100_000;
    let server = RedisServer::start().await;
    // What is accepted has no end as long as the server stands still: what is refused is refused before that.
    let redis = json!({ "url": server.url(), "commandTimeout": 2 * FAR, "heartbeat": 2 * FAR });
    let bus = ready(json!({ "redis": redis })).await;
    bus.publish("a", "warm").await.unwrap();
    server.freeze();
    let records = vec![Record::new("order.created", json!({ "n": 1, "name": "x".repeat(80) })); 250];
    let before = resident();
    let started = std::time::Instant::now();
    let batches: Vec<_> = (0..800).map(|_| bus.start_publish(&records)).collect();
    let submitted = started.elapsed();
    let (mut full, mut published) = (0, 0);
    let mut batches = batches.into_iter();
    let kept: Vec<_> = batches.by_ref().take(LIMIT / 250).collect();
    for batch in batches {
        for result in batch.results().await {
            assert_eq!(failed(&result, Outcome::NotSent).kind, ErrorKind::QueueFull);
            full += 1;
        }
    }
    assert_eq!(bus.stats().in_flight, LIMIT as u64);
    let grown = resident().saturating_sub(before);
    eprintln!("small: 200,000 in {submitted:?}, {full} refused, grown by {} MiB", grown >> 20);
    assert!(grown <= (64 << 20) * 13 / 10 + 200_000 * 120, "grown by {} MiB", grown >> 20);
    server.thaw();
    for batch in kept {
        for result in batch.results().await {
            result.unwrap();
            published += 1;
        }
    }
    assert_eq!((full, published), (200_000 - LIMIT, LIMIT));
    assert_eq!(bus.stats().in_flight, 0);
    bus.publish_with("a", 1, json!({ "timeout": 20_000 })).await.unwrap();
    bus.disconnect().await;
}

/// Large publishes: their bytes are the limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by a test above"]
async fn flood_of_large_events() {
    const BYTES: usize = 64 << 20;
    let server = RedisServer::start().await;
    let bus = ready(json!({ "redis": server.url() })).await;
    bus.publish("a", "warm").await.unwrap();
    server.freeze();
    let record = [Record::new("a", "x".repeat(100_000))];
    let before = resident();
    let batches: Vec<_> = (0..2_000).map(|_| bus.start_publish(&record)).collect();
    let mut full = 0;
    let mut batches = batches.into_iter();
    let kept: Vec<_> = batches.by_ref().take(BYTES / 100_100).collect();
    for batch in batches {
        let result = batch.results().await.remove(0);
        full += usize::from(failed(&result, Outcome::NotSent).kind == ErrorKind::QueueFull);
    }
    // Events are written after they were submitted, so the highest value within a while counts.
    let mut grown = 0;
    for _ in 0..100 {
        grown = grown.max(resident().saturating_sub(before));
        sleep(millis(10)).await;
    }
    eprintln!("large: {full} of 2,000 refused, grown by {} MiB", grown >> 20);
    assert!(full >= 2_000 - BYTES / 100_000 - 1);
    assert!(grown <= BYTES * 13 / 10 + BYTES, "grown by {} MiB", grown >> 20);
    drop(kept);
    server.thaw();
    bus.publish_with("a", 1, json!({ "timeout": 20_000 })).await.unwrap();
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishes_in_a_race_with_the_end_are_resolved_or_closed() {
    let server = RedisServer::start().await;
    for round in 0..10 {
        let bus = ready(json!({ "redis": server.url() })).await;
        let mut batches = Vec::new();
        let (_, ()) = tokio::join!(bus.disconnect_within(None), async {
            for n in 0..200 {
                batches.push(bus.start_publish(&[Record::new("a", n), Record::new("a", n)]));
                if n % 7 == round % 7 {
                    tokio::task::yield_now().await;
                }
            }
        });
        let mut closed = false;
        for batch in batches {
            for result in batch.results().await {
                if let Err(error) = &result {
                    assert_eq!((error.kind, error.outcome), (ErrorKind::Closed, Some(Outcome::NotSent)));
                    closed = true;
                } else {
                    assert!(!closed, "a publish was accepted after one was refused");
                }
            }
        }
        let late = bus.publish("a", 1).await;
        assert_eq!(failed(&late, Outcome::NotSent).kind, ErrorKind::Closed);
        assert_eq!(bus.stats().in_flight, 0);
        // Twice is the same as once.
        bus.disconnect().await;
    }
    let gone = async || server.connected_clients().await == 0;
    eventually(seconds(10), "no connection is left", gone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_towards_a_frozen_server_ends_within_its_limit_and_settles_everything() {
    let server = RedisServer::start().await;
    let bus = ready(json!({ "redis": { "url": server.url(), "commandTimeout": 30_000 } })).await;
    server.freeze();
    let records = vec![Record::new("a", "x".repeat(100_000)); 100];
    let batch = bus.start_publish(&records);
    let (_, took) = crate::setup::timed(bus.disconnect_within(Some(500))).await;
    crate::setup::assert_between(took, 500, 500);
    let mut outcomes = Vec::new();
    for result in batch.results().await {
        outcomes.push(result.unwrap_err().outcome.unwrap());
    }
    // The written publishes are unknown, and come first.
    assert!(outcomes.contains(&Outcome::Unknown) && outcomes.contains(&Outcome::NotSent));
    assert!(outcomes.is_sorted_by_key(|outcome| *outcome == Outcome::NotSent));
    assert_eq!(bus.stats().in_flight, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_queue_expires_and_is_cancelled_without_going_through_it_each_time() {
    let server = RedisServer::start().await;
    let redis = json!({ "url": server.url(), "commandTimeout": 1_000 });
    let bus = ready(json!({ "redis": redis })).await;
    bus.loses(&["publisher"], async { server.kill() }).await;
    // Deadlines of many different milliseconds, and bytes enough to be felt when they are moved.
    let record = Record::new("a", "x".repeat(300));
    let mut batches = Vec::new();
    for _ in 0..1_200 {
        let submitted = Instant::now();
        let batch = bus.start_publish(&vec![record.clone(); 50]);
        batches.push(tokio::spawn(async move {
            for result in batch.results().await {
                failed(&result, Outcome::NotSent);
            }
            submitted.elapsed()
        }));
        sleep(millis(1)).await;
    }
    let mut latest = millis(0);
    for batch in batches {
        latest = latest.max(batch.await.unwrap());
    }
    eprintln!("60,000 publishes: the latest was settled after {latest:?}");
    assert_between(latest, 1_000, 1_000);

    let batch = bus.start_publish(&vec![record.with(json!({ "timeout": 30_000 })); 5_000]);
    let started = Instant::now();
    for index in (0..5_000).rev() {
        bus.cancel(batch.number, index);
    }
    for result in batch.results().await {
        assert_eq!(failed(&result, Outcome::NotSent).kind, ErrorKind::Aborted);
    }
    eprintln!("5,000 publishes were cancelled in {:?}", started.elapsed());
    assert!(started.elapsed() <= seconds(5) + SLACK, "{:?}", started.elapsed());
    assert_eq!(bus.stats().in_flight, 0);
    server.restart().await;
    bus.publish_with("a", 1, json!({ "timeout": 20_000 })).await.unwrap();
    assert_eq!(server.calls("publish").await, 1);
    bus.disconnect().await;
}
