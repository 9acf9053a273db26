//! Groups that the server does not let work any more: it is told once, and the report of health says so at once.

use oxbus_engine::host::Notice;
use oxbus_model::ErrorKind;
use oxbus_testkit::{RedisServer, eventually};
use serde_json::json;

use super::{JOBS, hasty_keeper, numbered, settled, sorted, store, workers};
use crate::setup::ready;
use crate::support::{Bus, Inbox, PATIENCE};

fn errors(bus: &Bus) -> Vec<ErrorKind> {
    bus.notices.find(|notice| match notice {
        Notice::Error(error) => Some(error.kind),
        _ => None,
    })
}

async fn fault_of(bus: &Bus) -> Option<String> {
    let health = bus.health().await;
    assert_eq!(health["status"] == "degraded", health["streams"][JOBS].get("error").is_some(), "{health}");
    health["streams"][JOBS]["error"]["code"].as_str().map(ToOwned::to_owned)
}

/// A right that is taken away, and given back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_taken_away_is_told_once_and_shows_in_health() {
    for command in ["xreadgroup", "xack"] {
        let server = RedisServer::start().await;
        let bus = ready(hasty_keeper(&server.url(), 30_000)).await;
        let inbox = Inbox::with(&bus, &["job"], workers()).await;
        store(&bus, numbered(0..1)).await;
        settled(&server, "workers").await;
        assert_eq!(fault_of(&bus).await, None);
        server.command(&["ACL", "SETUSER", "default", &format!("-{command}")]).await;
        store(&bus, numbered(1..3)).await;
        let degraded = || async { fault_of(&bus).await.as_deref() == Some("ERR_BUS_PERMISSION_DENIED") };
        eventually(PATIENCE, &format!("{command} is missed"), degraded).await;
        let told = || async { !errors(&bus).is_empty() };
        eventually(PATIENCE, &format!("{command} is told"), told).await;
        // Some more refusals, which come with a growing pause.
        let calls = async || server.info("stats").await["total_error_replies"].parse::<u64>().unwrap();
        let before = calls().await;
        eventually(PATIENCE, "more refusals", || async { calls().await >= before + 3 }).await;
        assert_eq!(errors(&bus), [ErrorKind::PermissionDenied], "{command}: once");
        server.command(&["ACL", "SETUSER", "default", &format!("+{command}")]).await;
        settled(&server, "workers").await;
        eventually(PATIENCE, "all is well", || async { fault_of(&bus).await.is_none() }).await;
        assert_eq!(sorted(&inbox), [0, 1, 2]);
        bus.disconnect().await;
    }
}

/// One of two streams becomes another type of key: the other is read on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_another_type_is_told_once_and_others_are_read() {
    let server = RedisServer::start().await;
    let mut config = hasty_keeper(&server.url(), 30_000);
    config["streams"].as_array_mut().unwrap().push(json!({ "name": "others", "events": "other" }));
    let bus = ready(config).await;
    let inbox = Inbox::with(&bus, &["job", "other"], workers()).await;
    store(&bus, numbered(0..1)).await;
    settled(&server, "workers").await;
    server.command(&["SET", "text", "text"]).await;
    server.command(&["RENAME", "text", JOBS]).await;
    let degraded = || async { fault_of(&bus).await.as_deref() == Some("ERR_BUS_WRONG_TYPE") };
    eventually(PATIENCE, "another type", degraded).await;
    bus.publish("other", 1).await.unwrap();
    inbox.wait_for(2).await;
    eventually(PATIENCE, "it is told", || async { !errors(&bus).is_empty() }).await;
    assert_eq!(errors(&bus), [ErrorKind::WrongType], "once");
    server.command(&["DEL", JOBS]).await;
    store(&bus, numbered(2..3)).await;
    inbox.wait_for(3).await;
    eventually(PATIENCE, "all is well", || async { fault_of(&bus).await.is_none() }).await;
    bus.disconnect().await;
}
