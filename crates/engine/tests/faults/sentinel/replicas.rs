//! The health report names replicas that do not keep up, and tells when publishes wait for more than there are.

use oxbus_model::ErrorKind;
use oxbus_testkit::{SentinelSet, eventually};
use serde_json::{Value, json};

use super::of_set;
use crate::setup::{ready, seconds};
use crate::support::Bus;

/// A replica is told after five silent seconds.
const SOON: std::time::Duration = std::time::Duration::from_secs(20);

/// The warnings about replicas, in order, with their messages.
async fn told(bus: &Bus) -> Vec<(String, String)> {
    let report = bus.health().await;
    let text = |warning: &Value, name: &str| warning[name].as_str().expect("a text").to_owned();
    let warnings = report["warnings"].as_array().expect("warnings").iter();
    let all = warnings.map(|warning| (text(warning, "code"), text(warning, "message")));
    all.filter(|(code, _)| code.contains("REPLICA")).collect()
}

async fn codes(bus: &Bus) -> Vec<String> {
    told(bus).await.into_iter().map(|(code, _)| code).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_stands_still_is_named() {
    let set = SentinelSet::start().await;
    let bus = ready(of_set(&set)).await;
    bus.publish("job", 1).await.unwrap();
    assert_eq!(codes(&bus).await, [""; 0]);
    let frozen = &set.servers[1];
    frozen.freeze();
    let named = || async { codes(&bus).await == ["REPLICA_BEHIND"] };
    eventually(SOON, "the replica is named", named).await;
    let (_, message) = told(&bus).await.remove(0);
    assert!(
        message.starts_with(&format!("the replica {} has not confirmed anything for ", frozen.addr())),
        "{message}"
    );
    frozen.thaw();
    eventually(SOON, "all is well", || async { codes(&bus).await.is_empty() }).await;
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishes_that_wait_for_more_replicas_than_there_are_are_told() {
    let set = SentinelSet::start().await;
    let bus = ready(of_set(&set)).await;
    let wait = |n: u32| json!({ "replicas": n, "timeout": 2_000 });
    bus.publish_with("job", 1, wait(1)).await.unwrap();
    set.servers[1].kill();
    eventually(seconds(10), "the master knows", || async {
        set.servers[0].info("replication").await["connected_slaves"] == "1"
    })
    .await;
    assert_eq!(codes(&bus).await, [""; 0], "one replica is all that was asked for");
    let error = bus.publish_with("job", 2, wait(2)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotReplicated);
    let expected =
        "publishes of this client wait for 2 replicas, and 1 follow the master: they are NOT_REPLICATED";
    assert_eq!(told(&bus).await, [("TOO_FEW_REPLICAS".to_owned(), expected.to_owned())]);
    set.servers[1].restart().await;
    eventually(SOON, "all is well", || async { codes(&bus).await.is_empty() }).await;
    bus.publish_with("job", 3, wait(2)).await.unwrap();

    // Without any replica.
    for replica in &set.servers[1..] {
        replica.kill();
    }
    eventually(SOON, "it is told", || async { codes(&bus).await == ["TOO_FEW_REPLICAS"] }).await;
    bus.disconnect().await;
}
