//! A master is replaced: on command, and because it died.

use oxbus_model::Outcome;
use oxbus_testkit::{ClusterSet, eventually};
use serde_json::json;
use tokio::time::Instant;

use super::{Load, STREAMS, TYPES, assert_in_order, handled, judge, kept, of_set, worker};
use crate::setup::{assert_between, is_gap, ready, seconds};
use crate::support::{Inbox, PATIENCE};

/// Each master gives way to its replica under load.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_failover_loses_nothing_that_a_replica_has_confirmed() {
    let set = ClusterSet::start().await;
    let (bus, inbox) = worker(&set).await;
    let load = Load::start(of_set(&set), 5);
    let replicated = Load::with(of_set(&set), 20, "r", json!({ "replicas": 1 }));
    inbox.wait_for(100).await;
    for (stream, _) in STREAMS {
        let master = set.master_of_key(stream).await;
        let replica = set.replicas_of(master).await[0];
        set.fail_over(replica).await;
        let (promoted, before) = (Instant::now(), inbox.len());
        inbox.wait_for(before + 100).await;
        assert_between(promoted.elapsed(), 0, 2_000);
        set.settled().await;
    }
    let (sent, replicated) = (load.end().await, replicated.end().await);
    let kept = kept(&set).await;
    judge(&sent, &kept);
    assert_eq!(judge(&replicated, &kept).0, 0, "a replica has confirmed all that was resolved");
    handled(&inbox, &kept).await;
    assert_in_order(&inbox);
    bus.disconnect().await;
}

/// All streams of a group are on one master. It gives way to its replica under load, and takes its place again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_failover_of_the_only_master_in_use_is_followed_at_once() {
    let set = ClusterSet::start().await;
    let first = set.master_of_key(STREAMS[0].0).await;
    for (stream, _) in STREAMS {
        set.move_slot(set.slot_of(stream).await, first).await;
    }
    let second = set.replicas_of(first).await[0];
    let (bus, inbox) = worker(&set).await;
    let load = Load::start(of_set(&set), 5);
    inbox.wait_for(100).await;
    // A third one would be undone by the server: see `ClusterSet::fail_over`.
    for promoted in [second, first] {
        set.fail_over(promoted).await;
        let (at, before) = (Instant::now(), inbox.len());
        inbox.wait_for(before + 100).await;
        assert_between(at.elapsed(), 0, 2_000);
        set.settled().await;
    }
    let sent = load.end().await;
    let kept = kept(&set).await;
    judge(&sent, &kept);
    handled(&inbox, &kept).await;
    assert_in_order(&inbox);
    bus.disconnect().await;
}

/// A master dies. Its replica takes its place, and what the other masters have goes on as far as they serve it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_died_is_replaced() {
    let set = ClusterSet::start().await;
    let (bus, inbox) = worker(&set).await;
    let load = Load::start(of_set(&set), 10);
    inbox.wait_for(100).await;
    let master = set.master_of_key("orders").await;
    set.kill(master);
    let slot = set.slot_of("orders").await;
    eventually(PATIENCE, "a replica that takes over", || async {
        set.served_by(slot).await.is_some_and(|node| node.port() != master.port())
    })
    .await;
    let taken_over = Instant::now();
    let before = inbox.types().iter().filter(|event_type| *event_type == "o.a").count();
    let went_on = || async { inbox.types().iter().filter(|t| *t == "o.a").count() > before + 20 };
    eventually(PATIENCE, "events of its streams", went_on).await;
    // The nodes notice it after two seconds, and agree on the successor some time after, which is not counted here.
    assert_between(taken_over.elapsed(), 0, 1_000);
    let sent = load.end().await;
    let kept = kept(&set).await;
    judge(&sent, &kept);
    handled(&inbox, &kept).await;
    bus.disconnect().await;
}

/// The node dies that a client hears live events from: it hears them from another one, and there is one gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_events_are_heard_from_another_node() {
    let set = ClusterSet::start().await;
    let bus = ready(of_set(&set)).await;
    let live = Inbox::of(&bus, &["live"]).await;
    let mut heard_from = None;
    for node in set.nodes() {
        let subscribed = node.command(&["PUBSUB", "NUMSUB", "live"]).await;
        let patterns = node.command(&["PUBSUB", "NUMPAT"]).await.int();
        if subscribed.items()[1].int() + patterns > 0 {
            heard_from = Some(node);
        }
    }
    let mark = bus.notices.mark();
    set.kill(heard_from.expect("a node that has the subscription"));
    let died = Instant::now();
    bus.notices.wait_from(mark, is_gap).await;
    assert_between(died.elapsed(), 0, 2_000);
    let publisher = ready(of_set(&set)).await;
    // The cluster is down at the moment, which does not matter to live events.
    publisher.publish("live", 1).await.unwrap();
    live.wait_for(1).await;
    bus.disconnect().await;
    publisher.disconnect().await;
}

/// A master dies and has no replica: what it had is refused or waits in vain, and the rest goes on, where the cluster lets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_replica_only_its_slots_are_missing() {
    let settings = oxbus_testkit::RedisServer::builder().arg("cluster-require-full-coverage", "no");
    let set = ClusterSet::builder().node(settings).replicas(0).start().await;
    let (bus, inbox) = worker(&set).await;
    for event_type in TYPES {
        bus.publish(event_type, 1).await.unwrap();
    }
    inbox.wait_for(TYPES.len()).await;
    let master = set.master_of_key("orders").await;
    let link = format!("publisher@{}", master.addr());
    bus.loses(&[&link], async { set.kill(master) }).await;
    let others: Vec<&str> = {
        let mut others = Vec::new();
        for ((stream, _), event_type) in STREAMS.iter().zip(TYPES) {
            if set.served_by(set.slot_of(stream).await).await.is_some() {
                others.push(event_type);
            }
        }
        others
    };
    assert!(!others.is_empty());
    for event_type in others {
        let died = Instant::now();
        bus.publish(event_type, 2).await.unwrap();
        // The group goes on without the stream that is away.
        let handled = || async { inbox.types().iter().filter(|t| **t == event_type).count() == 2 };
        eventually(PATIENCE, "the events of the other streams", handled).await;
        assert_between(died.elapsed(), 0, 3_000);
    }
    let late = bus.publish_with("o.a", 2, json!({ "timeout": 500 })).await.unwrap_err();
    assert_eq!(late.outcome, Some(Outcome::NotSent), "{late}");
    let warned = || async {
        let report = bus.health().await;
        report["warnings"].to_string().contains("CLUSTER_NODE_FAILING")
    };
    eventually(seconds(10), "a warning", warned).await;
    let report = bus.health().await;
    assert_eq!(report["redis"]["cluster"]["nodes"].as_array().map(Vec::len), Some(3), "{report}");
    assert_ne!(report["status"], "healthy");
    bus.disconnect().await;
}
