//! Requests and reads on connections that fail.

#![allow(clippy::disallowed_methods, reason = "a test is no client, and its tasks log nothing")]

use std::time::Duration;

use oxbus_model::Outcome;
use oxbus_model::consumer::{GroupKey, Read};
use oxbus_testkit::eventually;
use oxbus_testkit::server::unused_port;

use super::*;
use crate::transport::link_id::LinkId;

const PATIENCE: Duration = Duration::from_secs(30);
const KEY: GroupKey = GroupKey(7);

fn read(limit: usize) -> Read {
    let streams = Arc::from([Arc::from(STREAM)]);
    Read { key: KEY, group: GROUP.into(), consumer: "a".into(), streams, limit, behind: None }
}

async fn failure(answer: impl Future<Output = Result<Response, BusError>>) -> (ErrorKind, Option<Outcome>) {
    let error = answer.await.expect_err("an error");
    (error.kind, error.outcome)
}

#[tokio::test]
async fn a_server_that_has_forgotten_its_scripts_is_told_them_again() {
    let rig = Rig::with_group().await;
    for _ in 0..2 {
        rig.server.command(&["SCRIPT", "FLUSH"]).await;
        assert!(matches!(rig.done(beat("a", "i")).await, Response::Facts(_)));
        assert!(matches!(rig.done(beat("a", "i")).await, Response::Facts(_)));
    }
}

#[tokio::test]
async fn all_is_the_same_in_the_older_protocol() {
    let rig = Rig::start().await;
    rig.server.command(&["ACL", "SETUSER", "default", "-hello"]).await;
    rig.open(Position::Beginning).await;
    let ids = rig.append(3).await;
    rig.deliver("a", 2).await;
    let Response::Facts(facts) = rig.done(beat("a", "i")).await else { panic!() };
    assert_eq!(facts.oldest_pending, Some(ids[0]));
    assert_eq!(rig.claimed(own("a", EntryId::MIN, 9, false)).await.0.len(), 2);
    assert_eq!(rig.claimed(claim("b", 0, &ids)).await.0[1].deliveries, 2);
    assert_eq!(rig.lost(bury("a", &ids)).await, ids);
    let retain = Request::ApplyRetention {
        stream: STREAM.into(),
        instance: "i".into(),
        max_len: Some(0),
        max_age: None,
        safe: true,
    };
    assert_eq!(rig.count(retain).await, 0);
    assert!(matches!(rig.done(Request::Describe { stream: STREAM.into() }).await, Response::Stream(Some(_))));
    assert_eq!(rig.count(Request::RemoveDeadConsumers { member: member("a"), pause: 0 }).await, 0);

    rig.transport.join(KEY, GROUP.into());
    let arrived = || async {
        // An order before the connection has ended with it.
        rig.transport.read(read(9));
        rig.pending().await.len() == 3
    };
    eventually(PATIENCE, "the read of the third", arrived).await;
    rig.transport.leave(KEY).await;
}

#[tokio::test]
async fn without_a_connection_nothing_is_sent() {
    let (transport, _) = transport(&format!("redis://127.0.0.1:{}", unused_port()), json!({}));
    for _ in 0..2 {
        let not_sent = (ErrorKind::ConnectionLost, Some(Outcome::NotSent));
        assert_eq!(failure(transport.store().execute(Request::Time)).await, not_sent);
    }
    transport.close();
    transport.ended().await;
    let closed = (ErrorKind::Closed, Some(Outcome::NotSent));
    assert_eq!(failure(transport.store().execute(Request::Time)).await, closed);
}

#[tokio::test]
async fn what_was_sent_and_not_answered_is_unknown() {
    let server = RedisServer::start().await;
    let settings = json!({ "commandTimeout": 300, "connectTimeout": 60_000, "heartbeat": 60_000 });
    let (transport, _) = transport(&server.url(), settings);
    let time = || transport.store().execute(Request::Time);
    time().await.unwrap();
    server.freeze();
    let late = (ErrorKind::CommandTimeout, Some(Outcome::Unknown));
    let lost = (ErrorKind::ConnectionLost, Some(Outcome::Unknown));
    let seen = failure(time()).await;
    assert!(seen == late || seen == lost, "{seen:?}");
    server.thaw();
    eventually(PATIENCE, "an answer", || async { time().await.is_ok() }).await;
}

#[tokio::test]
async fn a_connection_that_is_lost_is_made_again() {
    let rig = Rig::with_group().await;
    rig.append(1).await;
    rig.deliver("a", 1).await;
    // Held up by the server, so that it is unanswered when the connection is cut.
    rig.server.command(&["CLIENT", "PAUSE", "60000", "WRITE"]).await;
    let waiting = tokio::spawn(rig.transport.store().execute(beat("a", "i")));
    let blocked =
        || async { rig.server.command(&["INFO", "clients"]).await.text().contains("blocked_clients:1") };
    eventually(PATIENCE, "the pause", blocked).await;
    rig.server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    assert_eq!(failure(async { waiting.await.unwrap() }).await.1, Some(Outcome::Unknown));
    rig.server.command(&["CLIENT", "UNPAUSE"]).await;
    eventually(PATIENCE, "an answer", || async { rig.ask(beat("a", "i")).await.is_ok() }).await;
}

#[tokio::test]
async fn a_demoted_server_is_left() {
    let rig = Rig::with_group().await;
    rig.server.command(&["REPLICAOF", "127.0.0.1", &unused_port().to_string()]).await;
    let write = || rig.ask(beat("a", "i"));
    assert_eq!(failure(write()).await, (ErrorKind::NotMaster, Some(Outcome::Rejected)));
    rig.server.command(&["REPLICAOF", "NO", "ONE"]).await;
    eventually(PATIENCE, "a master", || async { write().await.is_ok() }).await;
}

#[tokio::test]
async fn a_read_ends_in_time_without_entries_or_with_the_first() {
    let server = RedisServer::start().await;
    let (transport, shared) = transport(&server.url(), json!({ "heartbeat": 500 }));
    let rig = Rig { server, transport };
    rig.open(Position::Beginning).await;
    rig.transport.join(KEY, GROUP.into());
    let is_up = || async {
        shared.lifecycle.links().get(&LinkId::Reader("billing".into())).is_some_and(|link| link.up)
    };
    eventually(PATIENCE, "the reader", is_up).await;
    // A server counts a waiting read when it begins, or, from 7.2 on, when it ends.
    let ended = || async {
        let info = rig.server.command(&["INFO", "all"]).await.text();
        let line = info.lines().find_map(|line| line.strip_prefix("cmdstat_xreadgroup:calls="))?;
        let calls = line.split(',').next()?.parse::<u32>().ok();
        calls.filter(|_| info.contains("blocked_clients:0"))
    };
    for count in 1..=3 {
        rig.transport.read(read(2));
        eventually(PATIENCE, "the end of a read", || async { ended().await >= Some(count) }).await;
    }
    rig.transport.read(read(2));
    let ids = rig.append(5).await;
    eventually(PATIENCE, "the first", || async { !rig.pending().await.is_empty() }).await;
    // Without another order nothing more is read.
    let first = rig.pending().await.len();
    assert!(first <= 2, "{first}");
    assert_eq!(rig.pending().await[0].0, ids[0]);
    rig.transport.leave(KEY).await;
    assert_eq!(rig.pending().await.len(), first);
    assert!(!shared.lifecycle.links().contains_key(&LinkId::Reader("billing".into())));
}

#[tokio::test]
async fn a_reader_leaves_though_its_read_is_blocked() {
    for denied in [false, true] {
        let rig = Rig::with_group().await;
        if denied {
            rig.server.deny("client|unblock").await;
        }
        rig.transport.join(KEY, GROUP.into());
        let info = async |section: &str| rig.server.command(&["INFO", section]).await.text();
        let blocked = || async {
            rig.transport.read(read(9));
            info("clients").await.contains("blocked_clients:1")
        };
        eventually(PATIENCE, "a blocked read", blocked).await;
        rig.transport.leave(KEY).await;
        let free = || async { info("clients").await.contains("blocked_clients:0") };
        eventually(PATIENCE, "its end", free).await;
        let stats = info("commandstats").await;
        // Servers before 7 count no subcommands.
        if stats.contains('|') {
            assert_ne!(stats.contains("cmdstat_client|unblock:calls=1"), denied);
        }
        // It is not there any more, and another may be.
        rig.transport.leave(KEY).await;
        rig.transport.join(KEY, GROUP.into());
        rig.transport.close();
        rig.transport.ended().await;
    }
}
