//! A server that cannot save its data: it refuses writes, and `PING` too.

use oxbus_model::{ErrorKind, Outcome};
use oxbus_testkit::{RedisServer, eventually};
use serde_json::json;

use crate::setup::{failed, hasty, ready};
use crate::support::{Bus, Inbox, PATIENCE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_save_carries_live_events_and_refuses_stored_ones() {
    let server = RedisServer::builder().arg("dbfilename", "no.rdb").start().await;
    let mut config = hasty(&server.url());
    config["streams"] = json!([{ "name": "orders", "events": "order.*" }]);
    let bus = ready(config.clone()).await;
    let inbox = Inbox::of(&bus, &["user.*", "order.*"]).await;
    // A snapshot cannot take the place of a folder.
    std::fs::create_dir(server.folder().join("no.rdb")).unwrap();
    server.command(&["CONFIG", "SET", "save", "3600 100000"]).await;
    server.command(&["BGSAVE"]).await;
    let refuses =
        async || server.try_command(&["PING"]).await.is_err_and(|error| error.starts_with("MISCONF"));
    eventually(PATIENCE, "the server refuses PING", refuses).await;

    // Connections that were cut come back, and a new client connects.
    bus.loses(&["publisher", "subscriber"], async {
        server.command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
        server.client_kill_pubsub().await;
    })
    .await;
    bus.wait_until_ready(Some(10_000)).await.unwrap();
    let other = Bus::with_config(config);
    other.connect().await.unwrap();
    other.publish_with("user.made", 1, json!({ "id": "live" })).await.unwrap();
    inbox.wait_for_id("live").await;
    let result = other.publish("order.made", 1).await;
    let error = failed(&result, Outcome::Rejected);
    assert_eq!(error.kind, ErrorKind::ServerBusy);
    assert!(error.message.starts_with("MISCONF"), "{}", error.message);
    // The connections live on although each heartbeat is refused.
    let refused = async || {
        let stats = server.info("errorstats").await;
        stats.get("errorstat_MISCONF").map_or(0, |s| s.trim_start_matches("count=").parse::<u64>().unwrap())
    };
    let (links, before) = (server.calls("hello").await, refused().await);
    eventually(PATIENCE, "heartbeats are refused", async || refused().await >= before + 6).await;
    assert_eq!(server.calls("hello").await, links);
    let report = other.health().await;
    assert_eq!(report["connections"]["publisher"]["status"], "up", "{report}");
    assert_eq!(report["status"], "degraded", "{report}");
    let codes: Vec<_> = report["warnings"].as_array().unwrap().iter().map(|w| &w["code"]).collect();
    assert!(
        codes.contains(&&json!("PERSISTENCE_FAILING")) && codes.contains(&&json!("WRITES_REFUSED")),
        "{report}"
    );
    let report = bus.health().await;
    assert_eq!(report["connections"]["subscriber"]["status"], "up", "{report}");
    other.disconnect().await;
    bus.disconnect().await;
}
