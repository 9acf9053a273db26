//! Servers that do not offer a command to the client: removed, as services that manage servers do, or denied by rules.

use oxbus_engine::host::Notice;
use oxbus_model::{ErrorKind, Outcome};
use oxbus_testkit::{RedisServer, eventually};
use serde_json::{Value, json};

use crate::setup::{failed, hasty, ready};
use crate::support::{Bus, Inbox, PATIENCE, is_warning};

const STREAM: &str = "jobs";

fn storing(url: &str) -> Value {
    let mut config = hasty(url);
    config["streams"] = json!([{ "name": STREAM, "events": "job*", "consumerGroups": ["workers"] }]);
    config
}

/// A server without `command`, and one where rules deny it.
async fn without(command: &str) -> [RedisServer; 2] {
    let removed = RedisServer::builder().arg("rename-command", format!("{command} \"\"")).start().await;
    let denied = RedisServer::start().await;
    denied.command(&["ACL", "SETUSER", "default", &format!("-{command}")]).await;
    [removed, denied]
}

/// Live and stored events arrive.
async fn works(bus: &Bus) {
    let live = Inbox::of(bus, &["live"]).await;
    let stored = Inbox::with(bus, &["job"], json!({ "group": "workers" })).await;
    bus.publish("live", 1).await.unwrap();
    bus.publish("job", 1).await.unwrap();
    live.wait_for(1).await;
    stored.wait_for(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_role_is_used() {
    for server in without("role").await {
        let bus = ready(storing(&server.url())).await;
        works(&bus).await;
        assert_eq!(bus.health().await["status"], "healthy");
        // The links look for signs of life without it.
        let before = server.calls("ping").await;
        eventually(PATIENCE, "pings", || async { server.calls("ping").await > before }).await;
        assert_eq!(bus.stats().counts.reconnections, 0);
        bus.disconnect().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_tells_nothing_of_itself_is_well_and_its_dangers_unknown() {
    for server in without("info").await {
        let bus = ready(storing(&server.url())).await;
        works(&bus).await;
        let health = bus.health().await;
        assert_eq!((&health["status"], &health["redis"]["connected"]), (&json!("healthy"), &json!(true)));
        assert!(health["latency"].as_f64().is_some_and(|latency| latency > 0.0), "{health}");
        let codes: Vec<&Value> = health["warnings"].as_array().unwrap().iter().map(|w| &w["code"]).collect();
        assert_eq!(codes, ["SERVER_INFO_DENIED"]);
        bus.notices.wait_for(|notice| is_warning(notice, "SERVER_INFO_DENIED")).await;
        bus.disconnect().await;
        // Where the policy must be known, that is a refusal.
        let mut strict = storing(&server.url());
        strict["requireNoEviction"] = json!(true);
        Bus::with_config(strict).connect().await.unwrap_err();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_to_wait_for_replicas_is_told_as_such() {
    for server in without("wait").await {
        let bus = ready(storing(&server.url())).await;
        let result = bus.publish_with("job", 1, json!({ "replicas": 1 })).await;
        let error = failed(&result, Outcome::Unknown);
        assert_eq!(error.kind, ErrorKind::NotReplicated);
        assert!(error.message.contains("refused to wait for replicas (WAIT): "), "{}", error.message);
        bus.disconnect().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_denied_in_a_script_is_a_lack_of_permission_in_plain_words() {
    for command in ["xinfo", "xinfo|groups", "time", "xadd"] {
        let server = RedisServer::start().await;
        server.command(&["XGROUP", "CREATE", STREAM, "workers", "$", "MKSTREAM"]).await;
        server.deny(command).await;
        let bus = ready(storing(&server.url())).await;
        let error = match command {
            "xadd" => bus.publish("job", 1).await.map(drop),
            // Presence goes by the server's time.
            "time" => bus.join_room("room", None).await.map(drop),
            _ => bus.request("streams.info", json!({ "name": STREAM })).await.map(drop),
        };
        let error = error.unwrap_err();
        assert_eq!(error.kind, ErrorKind::PermissionDenied, "{command}: {}", error.message);
        for part in ["user_script", "nil"] {
            assert!(!error.message.contains(part), "{command}: {}", error.message);
        }
        let strange = |n: &Notice| matches!(n, Notice::Error(error) if error.message.contains("user_script"));
        assert!(!bus.notices.all().iter().any(strange));
        bus.disconnect().await;
    }
}
