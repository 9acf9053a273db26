//! Streams, groups and entries that disappear.

use std::time::Duration;

use oxbus_model::ErrorKind;
use oxbus_model::stream_store::EntryId;
use oxbus_testkit::{RedisServer, eventually};
use serde_json::json;
use tokio::time::Instant;

use super::{JOBS, keeper, keeper_beside_others, member, numbered, pending, settled, sorted, store, workers};
use crate::setup::{is_error, millis};
use crate::support::{Bus, Inbox, PATIENCE, lost, recreated};

/// How often the server was asked to create a group or to read for one.
async fn asked(server: &RedisServer) -> (u64, u64) {
    (server.calls("xgroup|create").await, server.calls("xreadgroup").await)
}

/// Scenario 39: everything is deleted; what is stored afterwards is handled, from its first entry on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_everything_is_deleted_every_new_event_is_handled() {
    let server = RedisServer::start().await;
    let bus = keeper(&server.url(), 30_000).await;
    let inbox = Inbox::with(&bus, &["job"], workers()).await;
    for round in 0..5_u64 {
        let (before, started) = (asked(&server).await, Instant::now());
        server.command(&["FLUSHALL"]).await;
        store(&bus, numbered(round * 10..round * 10 + 10)).await;
        inbox.wait_for(round as usize * 10 + 10).await;
        settled(&server, "workers").await;
        let (after, took) = (asked(&server).await, started.elapsed());
        assert!(after.0 - before.0 <= 2 + took.as_secs(), "groups were made {} times", after.0 - before.0);
    }
    assert_eq!(sorted(&inbox), (0..50).collect::<Vec<_>>());
    bus.disconnect().await;
}

/// Scenario 4: a server without persistence is killed and comes back empty.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_server_has_come_back_empty_every_new_event_is_handled() {
    let server = RedisServer::start().await;
    let bus = keeper(&server.url(), 30_000).await;
    let inbox = Inbox::with(&bus, &["job"], workers()).await;
    for round in 0..3_u64 {
        store(&bus, numbered(round * 20..round * 20 + 10)).await;
        settled(&server, "workers").await;
        bus.loses(&["publisher"], server.restart()).await;
        bus.wait_until_ready(Some(20_000)).await.unwrap();
        store(&bus, numbered(round * 20 + 10..round * 20 + 20)).await;
        inbox.wait_for(round as usize * 20 + 20).await;
        settled(&server, "workers").await;
    }
    assert_eq!(sorted(&inbox), (0..60).collect::<Vec<_>>());
    bus.disconnect().await;
}

/// A server that comes back from its files has forgotten how many entries a group has read. That is no loss,
/// and no lag; and what is lost later is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_from_its_files_has_lost_nothing() {
    let server = RedisServer::builder().arg("appendonly", "yes").arg("appendfsync", "always").start().await;
    let bus = keeper(&server.url(), 30_000).await;
    let inbox = Inbox::with(&bus, &["job"], workers()).await;
    for round in 0..4_u64 {
        // Some are read before the end of the server, and some after it.
        store(&bus, numbered(round * 20..round * 20 + 10)).await;
        settled(&server, "workers").await;
        bus.loses(&["publisher"], server.restart()).await;
        bus.wait_until_ready(Some(20_000)).await.unwrap();
        store(&bus, numbered(round * 20 + 10..round * 20 + 20)).await;
        settled(&server, "workers").await;
    }
    // The reads of these have looked for losses.
    assert_eq!((sorted(&inbox), bus.notices.find(lost)), ((0..80).collect(), vec![]));
    let info = bus.request("streams.info", json!({ "name": JOBS })).await.unwrap();
    assert_eq!(info["groups"][0]["lag"], 0);
    bus.disconnect().await;
    let publisher = keeper(&server.url(), 30_000).await;
    store(&publisher, numbered(80..90)).await;
    server.command(&["XTRIM", JOBS, "MAXLEN", "=", "4"]).await;
    let bus = keeper(&server.url(), 30_000).await;
    let rest = Inbox::with(&bus, &["job"], workers()).await;
    settled(&server, "workers").await;
    assert_eq!(sorted(&rest), (86..90).collect::<Vec<_>>());
    assert_eq!(bus.notices.wait_to_find(lost).await.count, 6);
    bus.disconnect().await;
}

/// Waits until the loop of a group reads again, and shows it by an event.
async fn is_alive(bus: &Bus, server: &RedisServer, inbox: &Inbox, n: u64) {
    let before = inbox.len();
    store(bus, numbered(n..n + 1)).await;
    inbox.wait_for(before + 1).await;
    settled(server, "workers").await;
}

/// Scenario 40: the stream or the group disappears under a reader that waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_or_group_that_disappears_under_a_waiting_reader_is_made_again() {
    let server = RedisServer::start().await;
    let bus = keeper(&server.url(), 30_000).await;
    let inbox = Inbox::with(&bus, &["job"], workers()).await;
    is_alive(&bus, &server, &inbox, 0).await;
    let ways: [&[&str]; 4] = [
        &["DEL", JOBS],
        &["XGROUP", "DESTROY", JOBS, "workers"],
        &["RENAME", JOBS, "elsewhere"],
        &["UNLINK", JOBS],
    ];
    for (n, way) in (1..).zip(ways) {
        let (mark, before, started) = (bus.notices.mark(), asked(&server).await, Instant::now());
        server.command(way).await;
        let from = bus.notices.wait_to_find_from(mark, recreated).await;
        eprintln!("{way:?}: made again behind {from} after {:?}", started.elapsed());
        is_alive(&bus, &server, &inbox, n).await;
        let (after, took) = (asked(&server).await, started.elapsed());
        assert!(after.0 - before.0 <= 2 + took.as_secs(), "{way:?}: {before:?} {after:?}");
        // A read blocks for 300 ms; each of a few interruptions may cost one or two more.
        assert!(after.1 - before.1 <= 12 + took.as_millis() as u64 / 100, "{way:?}: {before:?} {after:?}");
    }
    // The group may deliver again what was acknowledged since the last heartbeat.
    let mut seen = sorted(&inbox);
    seen.dedup();
    assert_eq!(seen, (0..5).collect::<Vec<_>>());
    bus.disconnect().await;
}

/// A group that cannot be made again is not asked for without pause.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_cannot_be_made_again_is_asked_for_now_and_then() {
    const WATCHED: Duration = Duration::from_secs(3);
    let server = RedisServer::start().await;
    let bus = keeper(&server.url(), 30_000).await;
    let inbox = Inbox::with(&bus, &["job"], workers()).await;
    is_alive(&bus, &server, &inbox, 0).await;
    server.command(&["ACL", "SETUSER", "default", "-xgroup"]).await;
    server.command(&["DEL", JOBS]).await;
    let commands = async || {
        let info = server.info("stats").await;
        info["total_commands_processed"].parse::<u64>().unwrap()
    };
    let (before, started) = (commands().await, Instant::now());
    // There is no condition to wait for, because the test measures a rate.
    let over = || async { started.elapsed() >= WATCHED };
    eventually(PATIENCE, "some seconds", over).await;
    let per_second = (commands().await - before) / WATCHED.as_secs();
    eprintln!("{per_second} commands per second");
    // Heartbeats of the links and the group are among these.
    assert!(per_second <= 100, "{per_second} commands per second");
    let health = bus.health().await;
    assert_eq!(health["status"], "degraded");
    assert_eq!(health["streams"][JOBS]["error"]["code"], "ERR_BUS_PERMISSION_DENIED");
    let told = bus.notices.all().into_iter().filter(|notice| is_error(notice, ErrorKind::PermissionDenied));
    assert_eq!(told.count(), 1, "once, not each time");
    store(&bus, numbered(1..11)).await;
    server.command(&["ACL", "SETUSER", "default", "+xgroup"]).await;
    inbox.wait_for(11).await;
    settled(&server, "workers").await;
    assert_eq!(sorted(&inbox), (0..11).collect::<Vec<_>>());
    bus.disconnect().await;
}

/// Scenario 41: entries are trimmed, pending and unread ones. None of them reaches a handler without its data,
/// each is told of, and none stays pending.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trimmed_entries_are_told_and_not_kept_pending() {
    let server = RedisServer::start().await;
    let (bus, publisher) =
        (keeper_beside_others(&server.url(), 400, 800).await, keeper(&server.url(), 400).await);
    let inbox = Inbox::default();
    let idle = bus.subscribe(&["job"], workers(), inbox.handler()).await.unwrap();
    is_alive(&publisher, &server, &inbox, 0).await;
    assert!(bus.unsubscribe(idle).await);
    let gone = async || {
        let consumers = server.command(&["XINFO", "CONSUMERS", JOBS, "workers"]).await;
        consumers.items().is_empty()
    };
    eventually(PATIENCE, "the consumer has left", gone).await;
    let ids = store(&publisher, numbered(1..31)).await;
    // Somebody else reads ten and dies; of those five are trimmed, and nothing of what nobody has read;
    // then those that are left are read by another, and all but the last five of the unread ones are trimmed.
    server.command(&["XREADGROUP", "GROUP", "workers", "dead", "COUNT", "10", "STREAMS", JOBS, ">"]).await;
    server.command(&["XTRIM", JOBS, "MINID", "=", &ids[5]]).await;
    server.command(&["XDEL", JOBS, &ids[7]]).await;
    bus.subscribe(&["job"], member("workers", json!({})), inbox.handler()).await.unwrap();
    settled(&server, "workers").await;
    eventually(PATIENCE, "the loss", || async { bus.stats().counts.events_lost == 6 }).await;
    assert_eq!(sorted(&inbox), [0, 6, 7].into_iter().chain(9..31).collect::<Vec<_>>());
    let told = bus.notices.find(lost);
    assert_eq!(told.iter().map(|told| told.count).sum::<u64>(), 6);
    let (first, last): (EntryId, EntryId) = (ids[0].parse().unwrap(), ids[7].parse().unwrap());
    assert!(told.iter().all(|told| first <= told.from && told.to <= last), "{told:?}");
    assert_eq!(pending(&server, "workers").await, 0);
    bus.disconnect().await;
}

/// Makes the stream one that somebody trims by hand, as each reader sees from its first look on. Of one that was never
/// trimmed it believes, for some milliseconds after a read, that nobody does (`docs/design/durable.md`).
async fn trimmed_by_hand(server: &RedisServer) {
    server.command(&["XADD", JOBS, "*", "eventType", "other", "data", "1"]).await;
    server.command(&["XTRIM", JOBS, "MAXLEN", "=", "0"]).await;
}

/// Streams that are trimmed all the time by others: handlers get whole events only, what is lost is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_trimmed_under_load() {
    let server = RedisServer::start().await;
    trimmed_by_hand(&server).await;
    let (bus, publisher) = (keeper(&server.url(), 400).await, keeper(&server.url(), 400).await);
    let inbox = Inbox::with(&bus, &["job"], workers()).await;
    for round in 0..60_u64 {
        store(&publisher, numbered(round * 100..round * 100 + 100)).await;
        server.command(&["XTRIM", JOBS, "MAXLEN", "=", "20"]).await;
        if round % 20 == 0 {
            tokio::time::sleep(millis(5)).await;
        }
    }
    settled(&server, "workers").await;
    let all = || async { inbox.len() as u64 + bus.stats().counts.events_lost >= 6_000 };
    eventually(PATIENCE, "each is handled or told as lost", all).await;
    let handled = sorted(&inbox);
    assert!(handled.windows(2).all(|pair| pair[0] < pair[1]), "handled twice");
    assert_eq!(handled.len() as u64 + bus.stats().counts.events_lost, 6_000);
    bus.disconnect().await;
}

/// Two consumers share a group whose stream is trimmed in front of them: to nothing, to little, to more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_consumers_of_a_group_handle_and_are_told_of_is_all() {
    let server = RedisServer::start().await;
    trimmed_by_hand(&server).await;
    let (bus, peer) = (keeper(&server.url(), 400).await, keeper(&server.url(), 400).await);
    let publisher = keeper(&server.url(), 400).await;
    let inboxes =
        [Inbox::with(&bus, &["job"], workers()).await, Inbox::with(&peer, &["job"], workers()).await];
    for round in 0..60_u64 {
        store(&publisher, numbered(round * 100..round * 100 + 100)).await;
        let left = ["0", "20", "70"][round as usize % 3];
        server.command(&["XTRIM", JOBS, "MAXLEN", "=", left]).await;
        if round % 5 == 0 {
            tokio::time::sleep(millis(5)).await;
        }
    }
    settled(&server, "workers").await;
    let told = || bus.stats().counts.events_lost + peer.stats().counts.events_lost;
    let handled = || inboxes.iter().map(Inbox::len).sum::<usize>() as u64;
    eventually(PATIENCE, "each is handled or told as lost", || async { handled() + told() >= 6_000 }).await;
    assert_eq!(handled() + told(), 6_000, "{} handled, {} told", handled(), told());
    bus.disconnect().await;
    peer.disconnect().await;
}
