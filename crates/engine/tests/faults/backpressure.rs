//! Handlers that are slower than what comes in.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use oxbus_model::delivery::Settlement;
use oxbus_testkit::{RedisServer, eventually};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::setup::{millis, ready, seconds, soak};
use crate::support::{Inbox, PATIENCE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_handler_loses_the_oldest_counted_and_slows_nobody_else() {
    const LIMIT: u64 = 100;
    let server = RedisServer::start().await;
    let config = json!({ "redis": server.url() });
    let (slow, fast, publisher) =
        (ready(config.clone()).await, ready(config.clone()).await, ready(config).await);
    let all = Inbox::with(&fast, &["a"], json!({ "queue": { "maxEvents": 1_000_000 } })).await;
    let handled = Arc::new(Mutex::new(Vec::new()));
    let running = Arc::new(AtomicUsize::new(0));
    let (seen, most) = (handled.clone(), Arc::new(AtomicUsize::new(0)));
    let peak = most.clone();
    let options = json!({ "concurrency": 2, "queue": { "maxEvents": LIMIT } });
    let handler = move |event: crate::support::Event| {
        let (seen, running, peak) = (seen.clone(), running.clone(), peak.clone());
        async move {
            peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(millis(10)).await;
            running.fetch_sub(1, Ordering::SeqCst);
            seen.lock().unwrap().push(event.data().as_u64().unwrap());
            Settlement::Succeeded
        }
    };
    slow.subscribe_async(&["a"], options, handler).await.unwrap();
    let started = Instant::now();
    let mut published = 0;
    while started.elapsed() < soak(seconds(3), seconds(60)) {
        // This is ten times what two handlers of ten milliseconds can handle.
        let records: Vec<_> =
            (published..published + 20).map(|n| crate::support::Record::new("a", n)).collect();
        publisher
            .start_publish(&records)
            .results()
            .await
            .into_iter()
            .for_each(|result| drop(result.unwrap()));
        published += 20;
        let counts = slow.stats().counts;
        let waiting = counts.events_received - counts.events_delivered - counts.events_dropped;
        // Counters read one after the other may be a batch of handler calls apart.
        assert!(waiting <= LIMIT + 4, "{waiting} wait or run");
        sleep(millis(8)).await;
    }
    all.wait_for(usize::try_from(published).unwrap()).await;
    let settled = || async {
        let counts = slow.stats().counts;
        counts.events_received == published && counts.events_delivered + counts.events_dropped == published
    };
    eventually(PATIENCE, "everything is delivered or dropped", settled).await;
    let counts = slow.stats().counts;
    assert!(counts.events_dropped > published / 2, "{counts:?}");
    assert_eq!(handled.lock().unwrap().len() as u64, counts.events_delivered);
    assert_eq!(most.load(Ordering::SeqCst), 2);
    // The oldest events are dropped, so that the last published one is handled.
    assert!(handled.lock().unwrap().contains(&(published - 1)));
    assert_eq!((counts.reconnections, slow.stats().memory), (0, 0));
    slow.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_does_not_drain_keeps_the_connection_and_a_bounded_queue() {
    let server = RedisServer::builder().arg("client-output-buffer-limit", "pubsub 1mb 1mb 1").start().await;
    let bus = ready(json!({ "redis": server.url() })).await;
    let publisher = ready(json!({ "redis": server.url() })).await;
    let inbox = Inbox::with(&bus, &["a"], json!({ "queue": { "maxEvents": 500 } })).await;
    let blocked = bus.block().await;
    let data = "x".repeat(5_000);
    // One batch is below the server's limit. A client that did not read meanwhile would reach it with the next
    // batches; one that reads gets each of them before the next is published, however fast the publisher is.
    for batch in 1..=100 {
        let records = vec![crate::support::Record::new("a", data.clone()); 50];
        publisher.start_publish(&records).results().await.into_iter().for_each(|r| drop(r.unwrap()));
        let read = || async { bus.stats().counts.events_received == 50 * batch };
        eventually(PATIENCE, "the socket is read though the host is blocked", read).await;
    }
    assert_eq!(bus.stats().counts.events_dropped, 4_500);
    drop(blocked);
    inbox.wait_for(500).await;
    assert_eq!(bus.stats().counts.reconnections, 0);
    bus.disconnect().await;
}
