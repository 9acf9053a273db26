//! Connections that stand still while they stay open.

use oxbus_engine::host::Notice;
use oxbus_model::delivery::Settlement;
use oxbus_testkit::{FaultProxy, RedisServer, eventually};
use serde_json::json;
use tokio::sync::mpsc;

use super::{DEAD_LETTERS, JOBS, keeper, length, member, numbered, pending, settled, sorted, store, workers};
use crate::setup::{assert_between, timed};
use crate::support::{Event, Inbox, PATIENCE, claim_lost};

/// A read of these clients blocks for one heartbeat at most.
const BLOCK: u64 = 300;

/// Scenario 38: a reader whose connection stands still is found and replaced, while the others go on; what
/// was delivered into the dead connection is handled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stands_still_is_replaced() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let (bus, publisher) = (keeper(&proxy.url(), 30_000).await, keeper(&server.url(), 30_000).await);
    let inbox = Inbox::with(&bus, &["job"], workers()).await;
    store(&publisher, numbered(0..1)).await;
    inbox.wait_for(1).await;
    for round in 0..2_u64 {
        let reader = proxy.wait_for_connection("XREADGROUP").await;
        let mark = bus.notices.mark();
        // In every other round the server still receives what the client sends.
        if round == 0 {
            proxy.freeze_replies(reader);
        } else {
            proxy.freeze(reader);
        }
        store(&publisher, numbered(round + 1..round + 2)).await;
        let broken =
            |n: &Notice| matches!(n, Notice::Disconnected { link, .. } if &**link == "reader:workers");
        let (_, took) = timed(bus.notices.wait_from(mark, broken)).await;
        assert_between(took, 0, BLOCK + 4_000);
        inbox.wait_for(round as usize + 2).await;
        // The server learns of the end of that connection only now.
        proxy.cut(reader);
        // No other connection was replaced.
        bus.publish("live", 1).await.unwrap();
        let links = bus.notices.all();
        let others = links.iter().filter(|n| matches!(n, Notice::Disconnected { .. }) && !broken(n)).count();
        assert_eq!(others, 0);
    }
    settled(&server, "workers").await;
    assert_eq!(sorted(&inbox), [0, 1, 2]);
    assert!(inbox.events().iter().all(|event| (event.attempt, event.deliveries()) == (1, 1)));
    bus.disconnect().await;
}

/// The connection on which entries are settled stands still: claims are kept, and everything is settled
/// when it is replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_for_commands_stands_still() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let (bus, publisher) = (keeper(&proxy.url(), 30_000).await, keeper(&server.url(), 30_000).await);
    let inbox = Inbox::with(&bus, &["job"], workers()).await;
    store(&publisher, numbered(0..1)).await;
    settled(&server, "workers").await;
    for round in 0..2_u64 {
        let commands = proxy.wait_for_connection("XACK").await;
        if round == 0 {
            proxy.freeze_replies(commands);
        } else {
            proxy.freeze(commands);
        }
        store(&publisher, numbered(round * 10 + 1..round * 10 + 11)).await;
        settled(&server, "workers").await;
        proxy.cut(commands);
        store(&publisher, numbered(100 + round..101 + round)).await;
        settled(&server, "workers").await;
    }
    assert_eq!(sorted(&inbox), (0..21).chain(100..102).collect::<Vec<_>>(), "none is handled twice");
    bus.disconnect().await;
}

/// Scenario 46 without the process: all connections of a client stand still for longer than its lease. Another
/// one handles what it had; when it is back its results do no harm.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_cut_off_for_longer_than_its_lease_does_no_harm() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let (one, two) = (keeper(&proxy.url(), 500).await, keeper(&server.url(), 500).await);
    let (started, mut begun) = mpsc::unbounded_channel();
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let permits = gate.clone();
    let handler = move |event: Event| {
        started.send(event.token).unwrap();
        let permits = permits.clone();
        async move {
            permits.acquire().await.unwrap().forget();
            match event.data().as_u64() {
                Some(0 | 1) => Settlement::Succeeded,
                Some(2 | 3) => Settlement::Failed { retryable: true },
                _ => Settlement::Failed { retryable: false },
            }
        }
    };
    let subscription = one.subscribe_async(&["job"], workers(), handler).await.unwrap();
    store(&two, numbered(0..6)).await;
    for _ in 0..6 {
        begun.recv().await;
    }
    one.pause(subscription, true);
    proxy.blackhole_new(true);
    proxy.freeze_all();
    let inbox = Inbox::with(&two, &["job"], workers()).await;
    inbox.wait_for(6).await;
    settled(&server, "workers").await;
    // Half of its calls end while the client is cut off, half when it is back.
    gate.add_permits(3);
    proxy.blackhole_new(false);
    proxy.cut_all();
    one.wait_until_ready(Some(20_000)).await.unwrap();
    gate.add_permits(3);
    let ended = || async {
        let counts = one.stats().counts;
        counts.events_delivered + counts.handler_errors == 6
    };
    eventually(PATIENCE, "the end of its calls", ended).await;
    one.pause(subscription, false);
    store(&two, numbered(10..40)).await;
    settled(&server, "workers").await;
    assert_eq!(sorted(&inbox)[..6], [0, 1, 2, 3, 4, 5]);
    assert_eq!(length(&server, DEAD_LETTERS).await, 0);
    // None of the six was called again.
    let of_six = |inbox: &Inbox| inbox.data().iter().filter(|data| data.as_u64() < Some(6)).count();
    assert_eq!(of_six(&inbox), 6);
    let mut again = Vec::new();
    while let Ok(token) = begun.try_recv() {
        again.push(token);
    }
    assert!(again.len() <= 30, "{again:?}");
    assert!(one.notices.find(|notice| claim_lost(notice).map(<[u32]>::len)).len() <= 6);
    gate.add_permits(1_000);
    one.disconnect().await;
    two.disconnect().await;
}

/// Scenario 51: a group that does not get on holds nobody up, and one at a time means in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_does_not_get_on_holds_nobody_up() {
    let server = RedisServer::start().await;
    let bus = keeper(&server.url(), 30_000).await;
    let stuck = |_| std::future::pending::<Settlement>();
    bus.subscribe_async(&["job"], member("slow", json!({})), stuck).await.unwrap();
    let fast = Inbox::with(&bus, &["job"], member("fast", json!({ "concurrency": 1 }))).await;
    let other = Inbox::with(&bus, &["job"], member("other", json!({}))).await;
    for chunk in 0..10 {
        store(&bus, numbered(chunk * 200..chunk * 200 + 200)).await;
    }
    fast.wait_for(2_000).await;
    other.wait_for(2_000).await;
    for group in ["fast", "other"] {
        settled(&server, group).await;
    }
    let order: Vec<u64> = fast.data().iter().map(|data| data.as_u64().unwrap()).collect();
    assert!(order.iter().copied().eq(0..2_000));
    assert_eq!(other.len(), 2_000);
    assert!(pending(&server, "slow").await >= 16);
    let entries = server.command(&["XLEN", JOBS]).await.int();
    assert!(pending(&server, "slow").await < entries, "a stuck group does not take everything");
    bus.disconnect_within(Some(100)).await;
}
