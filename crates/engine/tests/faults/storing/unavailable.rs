//! Configured groups that are missing and cannot be made: nothing is stored that they would miss, and it is told.

use oxbus_engine::host::Notice;
use oxbus_model::{ErrorKind, Outcome};
use oxbus_testkit::{RedisServer, eventually};
use serde_json::{Value, json};

use super::stored;
use crate::setup::{failed, hasty, ready};
use crate::support::{Bus, Inbox, PATIENCE, Record, recreated};

/// `job…` is for the group `workers`, `quiet…` is stored for `readers` without being published, and `free…` for nobody.
fn grouped(url: &str, mode: &str) -> Value {
    let mut config = hasty(url);
    config["mode"] = json!(mode);
    config["streams"] = json!([
        { "name": "jobs", "events": "job*", "consumerGroups": ["workers"] },
        { "name": "quiet", "events": "quiet*", "realtime": false, "consumerGroups": ["readers"] },
        { "name": "free", "events": "free*" },
    ]);
    config
}

async fn connected(url: &str, mode: &str) -> Bus {
    let bus = ready(grouped(url, mode)).await;
    bus.wait_until_ready(None).await.unwrap();
    bus
}

async fn publish_for(bus: &Bus, event_type: &str, timeout: u64) -> crate::support::Published {
    bus.publish_with(event_type, 1, json!({ "timeout": timeout })).await
}

/// The code of what is wrong with a stream.
async fn fault_of(bus: &Bus, stream: &str) -> (String, Option<String>) {
    let health = bus.health().await;
    let code = health["streams"][stream]["error"]["code"].as_str().map(ToOwned::to_owned);
    (health["status"].as_str().unwrap().to_owned(), code)
}

/// While the connections come back one after the other, a group is looked for before it can be: that is no fault of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_server_is_no_fault_of_a_group() {
    let server = RedisServer::start().await;
    let bus = connected(&server.url(), "redis").await;
    for n in 0..8 {
        bus.loses(&["publisher"], server.restart()).await;
        bus.wait_until_ready(Some(20_000)).await.unwrap();
        publish_for(&bus, "job", 20_000).await.unwrap();
        let told: Vec<Notice> =
            bus.notices.all().into_iter().filter(|notice| matches!(notice, Notice::Error(_))).collect();
        assert!(told.is_empty(), "restart {n}: {told:?}");
    }
    bus.disconnect().await;
}

fn errors(bus: &Bus, part: &str) -> usize {
    let is_it = |n: &Notice| matches!(n, Notice::Error(error) if error.message.contains(part));
    bus.notices.all().iter().filter(|notice| is_it(notice)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_stored_that_a_group_would_miss() {
    for mode in ["redis", "hybrid"] {
        let server = RedisServer::start().await;
        server.command(&["XGROUP", "CREATE", "quiet", "readers", "$", "MKSTREAM"]).await;
        server.command(&["ACL", "SETUSER", "default", "-xgroup"]).await;
        let bus = connected(&server.url(), mode).await;
        let degraded = ("degraded".to_owned(), Some("ERR_BUS_PERMISSION_DENIED".to_owned()));
        assert_eq!(fault_of(&bus, "jobs").await, degraded, "{mode}");
        // What is for it waits, and all else goes on: live events, streams without groups, groups that are there.
        let waiting = bus.start_publish(&[Record::new("job", 7).with(json!({ "timeout": 20_000 }))]);
        for event_type in ["live", "free", "quiet"] {
            publish_for(&bus, event_type, 20_000).await.unwrap();
        }
        let replicated = json!({ "timeout": 300, "replicas": 1 });
        for refused in [publish_for(&bus, "job", 300).await, bus.publish_with("job.b", 1, replicated).await] {
            let error = failed(&refused, Outcome::NotSent);
            assert_eq!(error.kind, ErrorKind::GroupUnavailable, "{error:?}");
            for part in ["\"workers\"", "\"jobs\"", "command"] {
                assert!(error.message.contains(part), "{}", error.message);
            }
        }
        let cancelled = bus.start_publish(&[Record::new("job", 8), Record::new("job", 9)]);
        bus.cancel(cancelled.number, 0);
        let cancelled = cancelled.results().await;
        assert_eq!(failed(&cancelled[0], Outcome::NotSent).kind, ErrorKind::Aborted);
        assert_eq!(failed(&cancelled[1], Outcome::NotSent).kind, ErrorKind::GroupUnavailable);
        assert_eq!(errors(&bus, "group \"workers\" of stream \"jobs\" cannot be made"), 1, "once");
        assert!(stored(&server, "quiet").await.len() == 1 && stored(&server, "free").await.len() == 1);

        server.command(&["ACL", "SETUSER", "default", "+xgroup"]).await;
        waiting.results().await.remove(0).unwrap();
        assert_eq!(stored(&server, "jobs").await.len(), 1);
        assert_eq!(fault_of(&bus, "jobs").await, ("healthy".to_owned(), None));
        let inbox = Inbox::with(&bus, &["job*"], json!({ "group": "workers" })).await;
        inbox.wait_for(1).await;
        assert_eq!(inbox.data(), [json!(7)]);
        bus.disconnect().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_another_type_is_no_stream_for_a_group() {
    let server = RedisServer::start().await;
    server.command(&["SET", "jobs", "text"]).await;
    let bus = connected(&server.url(), "redis").await;
    let refused = publish_for(&bus, "job", 300).await;
    assert_eq!(failed(&refused, Outcome::NotSent).kind, ErrorKind::GroupUnavailable);
    assert_eq!(fault_of(&bus, "jobs").await.1.unwrap(), "ERR_BUS_WRONG_TYPE");
    server.command(&["DEL", "jobs"]).await;
    publish_for(&bus, "job", 20_000).await.unwrap();
    bus.disconnect().await;
}

/// What may only look, and not make anything, can publish for groups that are there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_is_there_needs_no_right_to_make_it() {
    for rule in ["-xgroup", "-@scripting", "-xinfo +xinfo|groups -eval -evalsha"] {
        let server = RedisServer::start().await;
        for (stream, group) in [("jobs", "workers"), ("quiet", "readers")] {
            server.command(&["XGROUP", "CREATE", stream, group, "$", "MKSTREAM"]).await;
        }
        let rules: Vec<&str> = ["ACL", "SETUSER", "default"].into_iter().chain(rule.split(' ')).collect();
        server.command(&rules).await;
        let bus = connected(&server.url(), "redis").await;
        publish_for(&bus, "quiet", 20_000).await.unwrap();
        assert_eq!(errors(&bus, "cannot be made"), 0, "{rule}");
        if rule == "-xgroup" {
            assert_eq!(fault_of(&bus, "quiet").await, ("healthy".to_owned(), None));
        }
        bus.disconnect().await;
    }
}

/// Without the right to look nothing is known of a group, and its stream is not stored in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_may_not_be_looked_for_is_refused_by_name() {
    let server = RedisServer::start().await;
    server.command(&["ACL", "SETUSER", "default", "-xinfo"]).await;
    let bus = connected(&server.url(), "redis").await;
    let refused = publish_for(&bus, "job", 300).await;
    let error = failed(&refused, Outcome::NotSent);
    assert_eq!(error.kind, ErrorKind::GroupUnavailable);
    assert!(!error.message.contains("nil") && !error.message.contains("user_script"), "{}", error.message);
    assert_eq!(fault_of(&bus, "jobs").await.1.unwrap(), "ERR_BUS_PERMISSION_DENIED");
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_disappears_later_is_told_and_made_again() {
    let server = RedisServer::start().await;
    let bus = connected(&server.url(), "redis").await;
    publish_for(&bus, "free", 20_000).await.unwrap();
    assert_eq!(fault_of(&bus, "jobs").await, ("healthy".to_owned(), None));

    server.command(&["ACL", "SETUSER", "default", "-xgroup"]).await;
    let mut admin = server.control().await.unwrap();
    server.command(&["ACL", "SETUSER", "admin", "on", "nopass", "+@all", "~*"]).await;
    admin.call(&["AUTH", "admin", "any"]).await.unwrap();
    admin.call(&["XGROUP", "DESTROY", "jobs", "workers"]).await.unwrap();
    admin.call(&["DEL", "free"]).await.unwrap();
    assert_eq!(fault_of(&bus, "jobs").await.0, "degraded");
    assert_eq!(fault_of(&bus, "free").await.1.unwrap(), "ERR_BUS_NO_STREAM");
    // It is looked for at once, and cannot be made.
    let is_refused = || async { fault_of(&bus, "jobs").await.1.unwrap() == "ERR_BUS_PERMISSION_DENIED" };
    eventually(PATIENCE, "the group is refused", is_refused).await;
    let refused = publish_for(&bus, "job", 300).await;
    assert_eq!(failed(&refused, Outcome::NotSent).kind, ErrorKind::GroupUnavailable);

    let mark = bus.notices.mark();
    admin.call(&["ACL", "SETUSER", "default", "+xgroup"]).await.unwrap();
    publish_for(&bus, "job", 20_000).await.unwrap();
    publish_for(&bus, "free", 20_000).await.unwrap();
    bus.notices.wait_to_find_from(mark, recreated).await;
    assert_eq!(fault_of(&bus, "jobs").await, ("healthy".to_owned(), None));
    bus.disconnect().await;
}
