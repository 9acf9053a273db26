//! Lanes whose masters are replaced.

use oxbus_engine::host::Notice;
use oxbus_testkit::{ClusterSet, eventually};
use serde_json::json;
use tokio::time::Instant;

use super::{able, lanes, master_of, sharded, type_on};
use crate::setup::{assert_between, gaps_since, is_gap, ready};
use crate::support::{Inbox, PATIENCE};

/// A master dies that has lanes: they are heard again when its replica has taken its place, with one gap, and the lanes of the
/// others go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_of_a_master_that_died_are_heard_from_its_replica() {
    let Some(set) = able(ClusterSet::start().await).await else { return };
    let (publisher, bus) = (ready(sharded(&set)).await, ready(sharded(&set)).await);
    let all = Inbox::of(&bus, &["live.*"]).await;
    let master = master_of(&set, 0).await;
    let other = (1..16).find(|lane| !lanes_of_master(lanes().slot(*lane).unwrap(), 0)).unwrap();
    let mark = bus.notices.mark();
    set.kill(master);
    // The other masters may say for a while that the cluster is down.
    let patient = || json!({ "timeout": 30_000 });
    publisher.publish_with(type_on(other), 1, patient()).await.unwrap();
    all.wait_for(1).await;
    let slot = lanes().slot(0).unwrap();
    eventually(PATIENCE, "a replica that takes over", || async {
        set.served_by(slot).await.is_some_and(|node| node.port() != master.port())
    })
    .await;
    let promoted = Instant::now();
    bus.notices.wait_from(mark, is_gap).await;
    assert_between(promoted.elapsed(), 0, 2_000);
    for lane in 0..16 {
        publisher.publish_with(type_on(lane), 2, patient()).await.unwrap();
    }
    all.wait_for(17).await;
    assert_eq!(gaps_since(&bus, mark), 1);
    let report = bus.health().await;
    assert_eq!(report["redis"]["cluster"]["lanes"]["missing"].as_array().map(Vec::len), Some(0), "{report}");
    bus.disconnect().await;
    publisher.disconnect().await;
}

/// Whether a slot is in the part of the first of three masters.
fn lanes_of_master(slot: u16, master: u16) -> bool {
    slot / 5_462 == master
}

/// A master gives way to its replica on command, twice: each time one gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_follow_a_failover_on_command() {
    let Some(set) = able(ClusterSet::start().await).await else { return };
    let (publisher, bus) = (ready(sharded(&set)).await, ready(sharded(&set)).await);
    let all = Inbox::of(&bus, &["live.*"]).await;
    let first = master_of(&set, 0).await;
    let second = set.replicas_of(first).await[0];
    for (round, promoted) in [second, first].into_iter().enumerate() {
        let mark = bus.notices.mark();
        set.fail_over(promoted).await;
        let at = Instant::now();
        bus.notices.wait_from(mark, is_gap).await;
        assert_between(at.elapsed(), 0, 2_000);
        set.settled().await;
        for lane in 0..16 {
            publisher.publish(type_on(lane), round as u64).await.unwrap();
        }
        all.wait_for(16 * (round + 1)).await;
        assert_eq!(gaps_since(&bus, mark), 1, "round {round}");
        let gap = bus.notices.all().into_iter().skip(mark).find(is_gap);
        assert!(matches!(gap, Some(Notice::Gap { patterns, .. }) if patterns == ["live.*"]));
    }
    bus.disconnect().await;
    publisher.disconnect().await;
}

/// A master dies and has no replica: what is on its lanes is not heard, and the report says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_that_nobody_serves_are_told() {
    let settings = oxbus_testkit::RedisServer::builder().arg("cluster-require-full-coverage", "no");
    let Some(set) = able(ClusterSet::builder().node(settings).replicas(0).start().await).await else {
        return;
    };
    let bus = ready(sharded(&set)).await;
    let all = Inbox::of(&bus, &["live.*"]).await;
    let master = master_of(&set, 0).await;
    let missing = (0..16).filter(|lane| lanes_of_master(lanes().slot(*lane).unwrap(), 0)).count();
    set.kill(master);
    eventually(PATIENCE, "a warning", || async {
        bus.health().await["warnings"].to_string().contains("CLUSTER_LANES_NOT_SUBSCRIBED")
    })
    .await;
    let report = bus.health().await;
    let told = report["redis"]["cluster"]["lanes"]["missing"].as_array().map(Vec::len);
    assert_eq!(told, Some(missing), "{report}");
    assert_ne!(report["status"], "healthy", "{report}");
    let other = (1..16).find(|lane| !lanes_of_master(lanes().slot(*lane).unwrap(), 0)).unwrap();
    bus.publish(type_on(other), 1).await.unwrap();
    all.wait_for(1).await;
    bus.disconnect().await;
}
