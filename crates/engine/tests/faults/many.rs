//! Very many subscriptions.

use std::future::Future;
use std::task::Poll;

use oxbus_model::delivery::Settlement;
use oxbus_testkit::RedisServer;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::setup::{is_gap, millis, ready, seconds};
use crate::support::Record;

const SUBSCRIPTIONS: usize = 100;
const CHANNELS: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_channels_come_back_in_chunks_while_publishes_go_on() {
    let server = RedisServer::start().await;
    let bus = ready(json!({ "redis": { "url": server.url(), "commandTimeout": 30_000 } })).await;
    let began = Instant::now();
    for s in 0..SUBSCRIPTIONS {
        let names: Vec<String> = (0..CHANNELS).map(|c| format!("many.{s}.{c}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        bus.subscribe(&names, Value::Null, |_| Settlement::Succeeded).await.unwrap();
    }
    // How fast the machine is at the moment.
    let subscribed_in = began.elapsed();
    let subscribes = server.calls("subscribe").await;
    let mark = bus.notices.mark();
    bus.loses(&["subscriber"], server.client_kill_pubsub()).await;
    let killed = Instant::now();
    let mut latencies = Vec::new();
    while !bus.notices.all().iter().skip(mark).any(is_gap) {
        let started = Instant::now();
        bus.publish_raw(Record::new("other", 1)).await.unwrap();
        latencies.push(started.elapsed());
        sleep(millis(2)).await;
    }
    let took = killed.elapsed();
    latencies.sort();
    let p99 = latencies[latencies.len() * 99 / 100];
    let chunks = server.calls("subscribe").await - subscribes;
    eprintln!(
        "100,000 channels again after {took:?}; {chunks} commands; publish p99 {p99:?} of {}",
        latencies.len()
    );
    assert!(took <= seconds(10).max(3 * subscribed_in), "{took:?}, where subscribing took {subscribed_in:?}");
    assert!((190..=250).contains(&chunks), "{chunks} commands");
    // A publish waits for a part of them at the most.
    assert!(p99 < millis(100).max(took / 10), "{p99:?} of {took:?}");
    for s in [0, SUBSCRIPTIONS - 1] {
        for c in [0, CHANNELS - 1] {
            assert_eq!(server.pubsub_numsub(&format!("many.{s}.{c}")).await, 1);
        }
    }
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_very_many_subscriptions_closes_soon() {
    const COUNT: usize = 30_000;
    let server = RedisServer::start().await;
    let bus = ready(json!({ "redis": { "url": server.url(), "commandTimeout": 30_000 } })).await;
    let started = Instant::now();
    let names: Vec<String> = (0..COUNT).map(|n| format!("one.{n}")).collect();
    let patterns: Vec<[&str; 1]> = names.iter().map(|name| [name.as_str()]).collect();
    let mut all: Vec<_> =
        patterns.iter().map(|p| Box::pin(bus.subscribe(p, Value::Null, |_| Settlement::Succeeded))).collect();
    // The client is asked at the first poll; the answers are not waited for one by one.
    std::future::poll_fn(|cx| {
        all.iter_mut().for_each(|one| drop(one.as_mut().poll(cx)));
        Poll::Ready(())
    })
    .await;
    drop(all);
    let confirmed = async || server.pubsub_numsub(&names[COUNT - 1]).await == 1;
    oxbus_testkit::eventually(seconds(30), "the last is subscribed", confirmed).await;
    let subscribing = started.elapsed();
    let (_, closing) = crate::setup::timed(bus.disconnect_within(None)).await;
    eprintln!("{COUNT} subscriptions after {subscribing:?}, closed in {closing:?}");
    // To look through all of them for each of them would take minutes.
    assert!(closing <= seconds(30), "{closing:?}");
}
