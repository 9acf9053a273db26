//! Servers that are replicas, or become one.

use oxbus_engine::State;
use oxbus_engine::host::Notice;
use oxbus_model::{ErrorKind, Outcome};
use oxbus_testkit::RedisServer;
use serde_json::json;
use tokio::time::Instant;

use crate::setup::{
    FAR, SLACK, assert_between, attempts_since, failed, hasty, millis, ready, seconds, timed,
};
use crate::support::{Bus, Inbox, PATIENCE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_refused_at_once_and_nothing_is_sent_to_it() {
    let master = RedisServer::start().await;
    let replica = RedisServer::builder().replica_of(master.port()).start().await;
    let mut config = hasty(&replica.url());
    config["redis"]["connectTimeout"] = json!(FAR);
    let bus = Bus::with_config(config);
    let (connected, took) = timed(bus.connect()).await;
    assert_eq!(connected.unwrap_err().kind, ErrorKind::NotMaster);
    assert_between(took, 0, 0);
    failed(&bus.publish("a", 1).await, Outcome::NotSent);
    assert_eq!(replica.calls("publish").await, 0);
    assert!(attempts_since(&bus, 0).len() <= 20);
    replica.command(&["REPLICAOF", "NO", "ONE"]).await;
    bus.publish_with("a", 2, json!({ "timeout": 20_000 })).await.unwrap();
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demoted_server_is_left_within_two_seconds_and_used_again_as_master() {
    let (server, other) = (RedisServer::start().await, RedisServer::start().await);
    let bus = ready(json!({ "redis": { "url": server.url(), "commandTimeout": 1_000 } })).await;
    let inbox = Inbox::of(&bus, &["a"]).await;
    bus.publish("a", 0).await.unwrap();
    server.command(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]).await;
    let demoted = Instant::now();
    let mut accepted = 0;
    while bus.state() == State::Ready {
        assert!(demoted.elapsed() < PATIENCE, "a demoted server is still used");
        let timeout = json!({ "timeout": 300 });
        accepted += usize::from(bus.publish_with("a", 1, timeout).await.is_ok());
        tokio::time::sleep(millis(20)).await;
    }
    assert!(demoted.elapsed() <= seconds(2) + SLACK, "left after {:?}", demoted.elapsed());
    assert!(accepted > 0, "the server took nothing after its demotion, so this shows nothing");
    let warning =
        bus.notices.wait_for(|n| matches!(n, Notice::Warning { code: "POSSIBLY_UNDELIVERED", .. })).await;
    let Notice::Warning { message, .. } = warning else { unreachable!() };
    let counted: usize = message.split(' ').find_map(|word| word.parse().ok()).expect("a count");
    assert!((accepted..accepted + 2_000).contains(&counted), "{accepted} were accepted: {message}");
    let refused = |n: &Notice| {
        matches!(n, Notice::Reconnecting { link, error, .. }
            if &**link == "publisher" && error.kind == ErrorKind::NotMaster)
    };
    bus.notices.wait_for(refused).await;
    let published = server.calls("publish").await;
    failed(&bus.publish("a", 2).await, Outcome::NotSent);
    assert_eq!(server.calls("publish").await, published);

    server.command(&["REPLICAOF", "NO", "ONE"]).await;
    let (result, took) = timed(bus.publish_with("a", 3, json!({ "timeout": 30_000, "id": "again" }))).await;
    result.unwrap();
    assert_between(took, 0, 5_000);
    inbox.wait_for_id("again").await;
    bus.disconnect().await;
}
