//! Connections that break while entries are read and settled.

use oxbus_model::ErrorKind;
use oxbus_model::delivery::Settlement;
use oxbus_testkit::{FaultProxy, RedisServer, seeded};
use rand::Rng;
use serde_json::json;

use super::{DEAD_LETTERS, keeper, length, member, numbered, settled, sorted, store};
use crate::setup::{is_error, millis, soak};
use crate::support::{Event, Inbox};

/// Whatever connection of a consumer breaks, and whenever: every entry is handled once, and none stays pending.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_lose_nothing_and_repeat_nothing() {
    let mut rng = seeded("cut");
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let (bus, publisher) = (keeper(&proxy.url(), 30_000).await, keeper(&server.url(), 30_000).await);
    let inbox = Inbox::default();
    let put = inbox.handler();
    // Retries are settled by scripts, successes by XACK: both are cut.
    let handler = move |event: Event| {
        if event.attempt == 1 && event.data().as_u64().is_some_and(|n| n % 3 == 0) {
            return Settlement::RetryLater(3);
        }
        put(event)
    };
    bus.subscribe(&["job"], member("workers", json!({})), handler).await.unwrap();
    let rounds = soak(40, 400);
    for round in 0..rounds {
        store(&publisher, numbered(round * 50..round * 50 + 50)).await;
        let open = proxy.open_connections();
        if let Some(victim) = open.get(rng.random_range(0..open.len().max(1))) {
            match rng.random_range(0..4) {
                0 => proxy.reset(*victim),
                1 => proxy.cut_connection_after_client_bytes(*victim, rng.random_range(1..2_000)),
                2 => proxy.cut_connection_after_swallowing(*victim, rng.random_range(1..2_000)),
                _ => proxy.cut(*victim),
            }
        }
        // A little time between the faults, so that they meet different moments.
        tokio::time::sleep(millis(rng.random_range(0..60))).await;
    }
    settled(&server, "workers").await;
    assert_eq!(sorted(&inbox), (0..rounds * 50).collect::<Vec<_>>());
    assert_eq!(length(&server, DEAD_LETTERS).await, 0);
    let counts = bus.stats().counts;
    assert_eq!((counts.events_delivered, counts.events_lost), (rounds * 50, 0));
    bus.disconnect().await;
}

/// The server closes all connections while acknowledgements are on their way: what was acknowledged is, and
/// the rest is acknowledged afterwards, without another call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledgements_without_an_answer_are_given_again() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let (bus, publisher) = (keeper(&proxy.url(), 30_000).await, keeper(&server.url(), 30_000).await);
    let inbox = Inbox::with(&bus, &["job"], member("workers", json!({}))).await;
    store(&publisher, numbered(0..1)).await;
    settled(&server, "workers").await;
    for round in 1..=10_u64 {
        let commands = proxy.wait_for_connection("XACK").await;
        if round % 2 == 0 {
            // The server executes these, and its replies are lost.
            proxy.freeze_replies(commands);
        } else {
            // The client believes these to be sent, and the server never gets them.
            proxy.cut_connection_after_swallowing(commands, 20);
        }
        store(&publisher, numbered(round * 10..round * 10 + 10)).await;
        inbox.wait_for(round as usize * 10 + 1).await;
        proxy.cut(commands);
        settled(&server, "workers").await;
    }
    assert_eq!(sorted(&inbox), (0..1).chain(10..110).collect::<Vec<_>>());
    bus.disconnect().await;
}

/// Loops that panic say so and start again; every entry is handled once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loops_that_panic_lose_nothing_and_repeat_nothing() {
    let server = RedisServer::start().await;
    let (bus, publisher) = (keeper(&server.url(), 30_000).await, keeper(&server.url(), 30_000).await);
    let inbox = Inbox::with(&bus, &["job"], member("workers", json!({}))).await;
    for round in 0..12_u64 {
        let publishing = publisher.start_publish(&numbered(round * 50..round * 50 + 50));
        let name = ["reader", "consumer"][round as usize % 2];
        let mark = bus.notices.mark();
        bus.client().inject_panic(name);
        let fault = |notice: &_| is_error(notice, ErrorKind::Internal);
        let notice = bus.notices.wait_from(mark, fault).await;
        assert!(format!("{notice:?}").contains(name), "{notice:?}");
        publishing.results().await.into_iter().for_each(|result| drop(result.unwrap()));
    }
    settled(&server, "workers").await;
    assert_eq!(sorted(&inbox), (0..600).collect::<Vec<_>>());
    assert_eq!(bus.stats().counts.events_lost, 0);
    bus.disconnect().await;
}
