//! Servers that refuse to store: full, busy, demoted, forbidding.

use oxbus_engine::host::Notice;
use oxbus_model::{ErrorKind, Outcome};
use oxbus_testkit::{RedisServer, Tracker, eventually};
use serde_json::json;

use super::{check, keeping, records, stored};
use crate::setup::{assert_between, failed, hasty, ready, timed};
use crate::support::{Inbox, PATIENCE, Published, Record};

/// Scenario 11: a server without memory refuses each event for itself, at once, and publishes none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_rejects_and_publishes_nothing() {
    let server = RedisServer::start().await;
    let bus = ready(keeping(json!({ "redis": server.url(), "persistence": { "ttl": 60_000 } }))).await;
    let plain = ready(keeping(json!({ "redis": server.url() }))).await;
    let inbox = Inbox::of(&plain, &["*"]).await;
    server.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let tracker = Tracker::new();
    for (round, bus) in [&bus, &plain].into_iter().enumerate() {
        let (results, took) = timed(bus.start_publish(&records(&tracker, round, 200, 10)).results()).await;
        assert_between(took, 0, 50);
        for (n, result) in results.iter().enumerate() {
            assert_eq!(failed(result, Outcome::Rejected).kind, ErrorKind::ServerOom);
            tracker.rejected(format!("{round}-{n}"));
        }
    }
    // With persistence a live event is not published unless it was stored.
    let live = bus.publish("live", 1).await;
    assert_eq!(failed(&live, Outcome::Rejected).kind, ErrorKind::ServerOom);
    plain.publish_with("live", 1, json!({ "id": "live" })).await.unwrap();
    server.command(&["CONFIG", "SET", "maxmemory", "0"]).await;
    for (round, bus) in [(2, &bus), (3, &plain)] {
        for (n, result) in
            bus.start_publish(&records(&tracker, round, 8, 10)).results().await.iter().enumerate()
        {
            result.as_ref().unwrap();
            tracker.resolved(format!("{round}-{n}"));
        }
        assert_eq!(bus.stats().counts.reconnections, 0);
    }
    check(&server, &tracker).await;
    // Three of four events are live; nothing that was refused is among them.
    inbox.wait_for(13).await;
    assert!(inbox.ids().iter().all(|id| id == "live" || id.starts_with(['2', '3'])), "{:?}", inbox.ids());
    bus.disconnect().await;
    plain.disconnect().await;
}

/// Scenario 15: a server that refuses for a while is waited for on the same connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_for_a_while_is_not_left() {
    let server = RedisServer::start().await;
    let bus = ready(keeping(json!({ "redis": server.url() }))).await;
    let mix = || [Record::new("job", 1), Record::new("quiet", 1), Record::new("job", 1).with_id("a")];
    let expect = |results: Vec<Published>, kind| {
        for result in results {
            assert_eq!(failed(&result, Outcome::Rejected).kind, kind);
        }
    };
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "1"]).await;
    expect(bus.start_publish(&mix()).results().await, ErrorKind::NotReplicated);
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "0"]).await;

    server.command(&["CONFIG", "SET", "lua-time-limit", "1"]).await;
    let (mut busy, mut killer) = (server.control().await.unwrap(), server.control().await.unwrap());
    let script = tokio::spawn(async move { busy.call(&["EVAL", "while true do end", "0"]).await });
    let refused =
        || async { matches!(bus.publish("job", 1).await, Err(error) if error.kind == ErrorKind::ServerBusy) };
    eventually(PATIENCE, "a busy server", refused).await;
    expect(bus.start_publish(&mix()).results().await, ErrorKind::ServerBusy);
    assert_eq!(killer.call(&["SCRIPT", "KILL"]).await.unwrap().text(), "OK");
    script.await.unwrap().unwrap();
    for result in bus.start_publish(&mix()).results().await {
        result.unwrap();
    }
    assert_eq!(bus.stats().counts.reconnections, 0);
    bus.disconnect().await;
}

/// A server that becomes a replica stores nothing more, and is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demoted_server_is_left_at_the_first_event() {
    let (server, other) = (RedisServer::start().await, RedisServer::start().await);
    for (event_type, options) in
        [("job", json!({})), ("quiet", json!({})), ("job", json!({ "id": "a", "deduplicate": true }))]
    {
        let bus = ready(keeping(hasty(&server.url()))).await;
        server.command(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]).await;
        let mark = bus.notices.mark();
        let refused = bus.publish_with(event_type, 1, options.clone()).await;
        assert_eq!(failed(&refused, Outcome::Rejected).kind, ErrorKind::NotMaster);
        bus.has_lost(mark, &["publisher"]).await;
        server.command(&["REPLICAOF", "NO", "ONE"]).await;
        bus.wait_until_ready(Some(20_000)).await.unwrap();
        bus.publish_with(event_type, 1, options).await.unwrap();
        bus.disconnect().await;
    }
}

/// A channel that may not be published to does not keep an event from its stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_may_not_be_published_is_stored() {
    let server = RedisServer::start().await;
    server.command(&["ACL", "SETUSER", "default", "resetchannels", "&job.open", "&broadcast"]).await;
    let bus = ready(keeping(hasty(&server.url()))).await;
    let records: Vec<Record> =
        (0..100).map(|n| Record::new(if n % 2 == 0 { "job.open" } else { "job.closed" }, n)).collect();
    for result in bus.start_publish(&records).results().await {
        assert!(result.unwrap().stored.is_some());
    }
    assert_eq!(stored(&server, "jobs").await.len(), 100);
    let told = || {
        let of = |notice: &Notice| match notice {
            Notice::Warning { code: "STORED_ONLY", message } => {
                assert!(message.contains("channel") && !message.contains("user_script"), "{message}");
                message.split(' ').next()?.parse::<usize>().ok()
            }
            _ => None,
        };
        bus.notices.all().iter().filter_map(of).sum::<usize>()
    };
    eventually(PATIENCE, "all are told", || async { told() == 50 }).await;
    bus.disconnect().await;

    // Storing and publishing together needs scripts; storing alone does not.
    server.command(&["ACL", "SETUSER", "default", "allchannels", "-@scripting"]).await;
    let bus = ready(keeping(hasty(&server.url()))).await;
    let refused = bus.publish("job", 1).await;
    assert_eq!(failed(&refused, Outcome::Rejected).kind, ErrorKind::PermissionDenied);
    bus.publish("quiet", 1).await.unwrap();
    bus.disconnect().await;
}
