//! The health report names what stands still, whatever else works, and always comes within a second.

use std::time::Duration;

use oxbus_testkit::{FaultProxy, RedisServer, eventually};
use serde_json::{Value, json};

use crate::setup::{SLACK, millis, ready, seconds, timed};
use crate::support::{Bus, Inbox, PATIENCE};

/// A report is promised within a second. The rest is for a busy machine, and less than a command may take without an answer.
const LIMIT: Duration = Duration::from_millis(4_000);

async fn report(bus: &Bus) -> Value {
    let (report, took) = timed(bus.health()).await;
    assert!(took <= LIMIT, "a report after {took:?}: {report}");
    report
}

/// The names of the connections that are not well.
fn unwell(report: &Value) -> Vec<&str> {
    let connections = report["connections"].as_object().expect("connections");
    connections.iter().filter(|(_, c)| c["status"] != "up").map(|(name, _)| &**name).collect()
}

/// A client with a subscription and a group, each of whose links has been used.
async fn busy(url: &str) -> Bus {
    let streams = json!([{ "name": "jobs", "events": "job", "consumerGroups": ["g"] }]);
    let bus = ready(json!({ "redis": url, "streams": streams })).await;
    let live = Inbox::of(&bus, &["*"]).await;
    let stored = Inbox::with(&bus, &["job"], json!({ "group": "g" })).await;
    for event_type in ["job", "note"] {
        bus.publish(event_type, 1).await.unwrap();
    }
    live.wait_for(2).await;
    stored.wait_for(1).await;
    bus
}

/// Scenario 29 and pitfall 33: freezes just the connection that has sent `sent`.
async fn frozen(link: &str, sent: &str) {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let bus = busy(&proxy.url()).await;
    assert_eq!(report(&bus).await["status"], "healthy");
    let connection = proxy.wait_for_connection(sent).await;
    proxy.freeze(connection);
    let named = || async {
        let report = report(&bus).await;
        let bad = unwell(&report);
        assert!(bad.is_empty() || bad == [link], "{bad:?}");
        bad == [link] && report["status"] == "degraded"
    };
    let ((), took) = timed(eventually(PATIENCE, "it is named", named)).await;
    eprintln!("{link} is named {took:?} after its connection stands still");
    assert!(took <= seconds(7) + SLACK, "named after {took:?}");
    proxy.thaw(connection);
    let ((), took) =
        timed(eventually(PATIENCE, "it is well", async || report(&bus).await["status"] == "healthy")).await;
    eprintln!("{link} is well {took:?} after its connection goes on");
    assert!(took <= seconds(2) + SLACK, "well after {took:?}");
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_that_stands_still_is_named() {
    frozen("publisher", "PUBLISH").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_stands_still_is_named() {
    frozen("subscriber", "SUBSCRIBE").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_stands_still_is_named() {
    frozen("consumer", "XACK").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stands_still_is_named() {
    frozen("reader:g", "XREADGROUP").await;
}

/// Whatever is broken, the report is there within a second, and not green.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_comes_whatever_is_broken() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let bus = busy(&proxy.url()).await;
    proxy.freeze_all();
    for _ in 0..5 {
        assert_ne!(report(&bus).await["status"], "healthy");
    }
    proxy.refuse(true);
    proxy.cut_all();
    let down = async || report(&bus).await["status"] == "unhealthy";
    eventually(PATIENCE, "nothing is usable", down).await;
    bus.disconnect().await;
    assert_eq!(report(&bus).await["status"], "unhealthy");

    let nowhere = Bus::with_config(json!({ "redis": "redis://127.0.0.1:1" }));
    assert_eq!(report(&nowhere).await["status"], "unhealthy");
    let _ = nowhere.connect_within(Some(50)).await;
    assert_eq!(report(&nowhere).await["status"], "unhealthy");

    let frozen = RedisServer::start().await;
    let bus = busy(&frozen.url()).await;
    frozen.freeze();
    for _ in 0..3 {
        assert_eq!(report(&bus).await["status"], "unhealthy");
    }
    frozen.thaw();
    eventually(PATIENCE, "it is well", async || report(&bus).await["status"] == "healthy").await;
    bus.disconnect().await;
}

/// What the server says of itself is in the report, with what is wrong with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn warnings_of_the_server() {
    let server = RedisServer::start().await;
    let bus = busy(&server.url()).await;
    let codes = async || {
        let report = report(&bus).await;
        assert_eq!(report["status"], "healthy", "warnings alone are no fault: {report}");
        assert!(report["redis"]["clockSkew"].as_i64().is_some_and(|skew| skew.abs() < 1_000), "{report}");
        let warnings = report["warnings"].as_array().unwrap().iter();
        warnings.map(|w| w["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(codes().await, ["NO_PERSISTENCE"]);
    server.command(&["CONFIG", "SET", "appendonly", "yes"]).await;
    assert_eq!(codes().await, [""; 0]);
    let used: u64 = server.info("memory").await["used_memory"].parse().unwrap();
    server.command(&["CONFIG", "SET", "maxmemory", &(used + used / 20).to_string()]).await;
    assert_eq!(codes().await, ["MEMORY_NEARLY_FULL"]);
    server.command(&["CONFIG", "SET", "maxmemory", "0"]).await;
    server.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    assert_eq!(codes().await, ["EVICTION_POLICY"]);
    tokio::time::timeout(millis(5_000), bus.disconnect()).await.unwrap();
}
