//! The server, or the way to it, stands still while its connections stay open.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use oxbus_model::Outcome;
use oxbus_testkit::{FaultProxy, RedisServer, eventually};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::setup::{FAR, SLACK, assert_between, failed, hasty, is_gap, millis, ready, seconds, timed};
use crate::support::{Bus, Inbox, Record};

async fn connection_ids(server: &RedisServer) -> HashSet<String> {
    server.clients().await.iter().map(|client| client["id"].clone()).collect()
}

/// Publishes to a frozen server: unknown after `limit`, and well again after it goes on.
async fn freeze_and_thaw(config: impl Fn(&str) -> Value, limit: u64) {
    let server = RedisServer::start().await;
    let bus = ready(config(&server.url())).await;
    let watcher = ready(json!({ "redis": server.url() })).await;
    let inbox = Inbox::of(&watcher, &["a"]).await;
    bus.publish("a", "before").await.unwrap();
    let (before, mark) = (connection_ids(&server).await, bus.notices.mark());
    server.freeze();
    let records: Vec<Record> = (0..10).map(|n| Record::new("a", n).with_id(&format!("frozen-{n}"))).collect();
    let (results, took) = timed(bus.start_publish(&records).results()).await;
    for result in &results {
        failed(result, Outcome::Unknown);
    }
    assert_between(took, limit, limit + 1_000);
    bus.has_lost(mark, &["publisher"]).await;
    assert_eq!(bus.health().await["status"], "unhealthy");

    server.thaw();
    let (published, took) =
        timed(bus.publish_with("a", 1, json!({ "timeout": 30_000, "id": "after" }))).await;
    published.unwrap();
    assert_between(took, 0, 5_000);
    let mine = async || {
        let now = connection_ids(&server).await;
        // The watcher has two connections, which it may have kept or replaced.
        now.len() == 3 && now.difference(&before).next().is_some()
    };
    eventually(seconds(10), "the connection is a new one", mine).await;
    // The watcher's connection may be replaced as well, and what is published meanwhile is a gap for it.
    let number = AtomicUsize::new(0);
    let hears = async || {
        let id = format!("after-{}", number.fetch_add(1, Ordering::Relaxed));
        bus.publish_with("a", 1, json!({ "id": id })).await.unwrap();
        inbox.ids().iter().any(|id| id.starts_with("after"))
    };
    eventually(seconds(30), "the watcher hears events again", hears).await;
    let ids = inbox.ids();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "an event came twice: {ids:?}");
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_makes_publishes_unknown_and_is_used_again_when_it_goes_on() {
    freeze_and_thaw(hasty, 1_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_defaults_a_frozen_server_makes_publishes_unknown_after_five_seconds() {
    freeze_and_thaw(|url| json!({ "redis": url }), 5_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_connection_is_found_by_idle_and_by_publishing_clients() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let config = json!({ "redis": proxy.url() });
    let (idle, busy) = (ready(config.clone()).await, ready(config).await);
    busy.publish("a", 1).await.unwrap();
    proxy.freeze_all();
    let frozen = Instant::now();
    let batch = busy.start_publish(&[Record::new("a", 2), Record::new("a", 3)]);
    for bus in [&idle, &busy] {
        bus.has_lost(0, &["publisher"]).await;
        assert!(frozen.elapsed() <= seconds(7) + SLACK, "found after {:?}", frozen.elapsed());
    }
    for result in batch.results().await {
        failed(&result, Outcome::Unknown);
    }
    for bus in [&idle, &busy] {
        let (published, took) = timed(bus.publish_with("a", 4, json!({ "timeout": 30_000 }))).await;
        published.unwrap();
        assert_between(took, 0, 6_000);
        bus.disconnect().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_subscriber_is_found_while_the_publisher_goes_on() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let bus = ready(json!({ "redis": proxy.url() })).await;
    let inbox = Inbox::of(&bus, &["a"]).await;
    assert_eq!(bus.health().await["status"], "healthy");
    let subscriber = proxy.wait_for_connection("SUBSCRIBE").await;
    proxy.freeze(subscriber);
    proxy.refuse(true);
    let (health, took) = timed(bus.health()).await;
    assert_between(took, 0, 1_000);
    assert_eq!(health["connections"]["publisher"]["status"], "up");
    let (_, took) = timed(bus.has_lost(0, &["subscriber"])).await;
    assert_between(took, 0, 7_000);
    let health = bus.health().await;
    assert_eq!((&health["status"], &health["state"]), (&json!("degraded"), &json!("reconnecting")));
    let connections = &health["connections"];
    assert_eq!(connections["subscriber"]["status"], "down");
    assert_eq!(connections["publisher"]["status"], "up");
    bus.publish("a", 1).await.unwrap();

    proxy.refuse(false);
    bus.notices.wait_for(is_gap).await;
    bus.publish_with("a", 2, json!({ "id": "after" })).await.unwrap();
    inbox.wait_for_id("after").await;
    assert_eq!(bus.health().await["status"], "healthy");
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_server_only_delays_publishes() {
    let server = RedisServer::start().await;
    let bus = ready(json!({ "redis": server.url() })).await;
    let before = connection_ids(&server).await;
    let paused = async {
        server.command(&["CLIENT", "PAUSE", "3000", "WRITE"]).await;
        let records: Vec<Record> = (0..20).map(|n| Record::new("a", n)).collect();
        bus.start_publish(&records).results().await
    };
    let (results, took) = timed(paused).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_between(took, 3_000, 3_000);
    assert_eq!(server.calls("publish").await, 20);
    assert_eq!((connection_ids(&server).await, bus.stats().counts.reconnections), (before, 0));
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_to_connect_that_nobody_answers_ends_in_time() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    proxy.blackhole_new(true);
    let bus = Bus::with_config(hasty(&proxy.url()));
    let (connected, took) = timed(bus.connect()).await;
    assert_eq!(connected.unwrap_err().kind, oxbus_model::ErrorKind::ConnectTimeout);
    assert_between(took, 1_000, 1_000);
    let other = Bus::with_config(hasty(&proxy.url()));
    other.connect_within(Some(100)).await.unwrap_err();
    let ((), took) = timed(other.disconnect()).await;
    assert_between(took, 0, 0);
    proxy.blackhole_new(false);
    bus.wait_until_ready(Some(10_000)).await.unwrap();
    bus.disconnect().await;
}

/// A client that does not run for a while, as in a process that is stopped or gets no time, does not take the server for dead
/// whose answers have come meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_client_that_did_not_run_for_a_while_reads_before_it_gives_up() {
    let server = RedisServer::start().await;
    let redis = json!({ "url": server.url(), "heartbeat": 100 });
    let bus = ready(json!({ "redis": redis })).await;
    let inbox = Inbox::of(&bus, &["a"]).await;
    for round in 1..=4 {
        // Heartbeats are written, and not answered before nobody reads them.
        server.command(&["CLIENT", "PAUSE", "700", "ALL"]).await;
        sleep(millis(350)).await;
        // On the only thread that runs what a client does.
        let blocking = tokio::spawn(async { std::thread::sleep(seconds(2)) });
        blocking.await.unwrap();
        bus.publish_with("a", round, json!({ "timeout": FAR })).await.unwrap();
        inbox.wait_for(round).await;
    }
    assert_eq!(bus.stats().counts.reconnections, 0);
    bus.disconnect().await;
}
