//! Nodes come and go, and are called otherwise than they are reached.

use oxbus_model::ErrorKind;
use oxbus_testkit::{ClusterSet, RedisServer};
use serde_json::json;

use super::{Load, STREAMS, handled, judge, kept, of_set, worker};
use crate::setup::ready;
use crate::support::{Bus, Inbox};

/// A node is added and gets the slots of a group; then its slots go back and it is removed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_added_and_taken_away() {
    let mut set = ClusterSet::builder().replicas(0).start().await;
    let (bus, inbox) = worker(&set).await;
    let load = Load::start(of_set(&set), 5);
    inbox.wait_for(100).await;
    let port = set.add_node(None).await;
    let mut slots = Vec::new();
    for (stream, _) in STREAMS {
        slots.push(set.slot_of(stream).await);
    }
    set.move_slots(&slots, set.on(port)).await;
    set.settled().await;
    let before = inbox.len();
    inbox.wait_for(before + 100).await;
    let heir = set.nodes()[0].port();
    set.remove_node(port, heir).await;
    let before = inbox.len();
    inbox.wait_for(before + 100).await;
    let sent = load.end().await;
    let kept = kept(&set).await;
    assert_eq!(judge(&sent, &kept).0, 0);
    handled(&inbox, &kept).await;
    bus.disconnect().await;
}

/// Nodes that do not know their address are reached where they answered; announced ones by the map.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_reached_that_announce_what_cannot_be_reached() {
    let announced = |_, settings: oxbus_testkit::RedisServerBuilder| {
        settings.arg("cluster-announce-hostname", "no-such-host.invalid")
    };
    let set = ClusterSet::builder()
        .node(RedisServer::builder().arg("cluster-preferred-endpoint-type", "hostname"))
        .each(announced)
        .replicas(0)
        .start()
        .await;
    let mut config = of_set(&set);
    config["redis"]["cluster"]["addressMap"] = json!({ "no-such-host.invalid": "127.0.0.1" });
    use_all(config, &set).await;
    let set = ClusterSet::builder()
        .node(RedisServer::builder().arg("cluster-preferred-endpoint-type", "unknown-endpoint"))
        .replicas(0)
        .start()
        .await;
    use_all(of_set(&set), &set).await;
}

/// Publishes to all streams, before and after a slot has moved.
async fn use_all(config: serde_json::Value, set: &ClusterSet) {
    let bus = ready(config).await;
    let inbox = Inbox::with(&bus, &["o.*", "m.*", "p.*"], json!({ "group": "g" })).await;
    for event_type in super::TYPES {
        bus.publish(event_type, 1).await.unwrap();
    }
    let slot = set.slot_of("orders").await;
    let from = set.master_of(slot).await;
    let to = set.nodes().iter().find(|node| node.port() != from.port()).unwrap();
    set.move_slot(slot, to).await;
    bus.publish("o.a", 2).await.unwrap();
    inbox.wait_for(4).await;
    // The warning is for a client of one server, which cannot follow its slots.
    let report = bus.health().await;
    assert!(!report["warnings"].to_string().contains("CLUSTER_MODE"), "{report}");
    bus.disconnect().await;
}

/// The error of a client that finds no node says what each of them answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_node_it_is_said_what_became_of_each() {
    let (alone, unused) = (RedisServer::start().await, oxbus_testkit::server::unused_port());
    let nodes = [alone.addr().to_string(), format!("127.0.0.1:{unused}")];
    let bus = Bus::with_config(json!({ "redis": { "cluster": { "nodes": nodes }, "connectTimeout": 2000 } }));
    let error = bus.connect_within(Some(4_000)).await.unwrap_err();
    for said in [
        "no node of the cluster can say who has which slots",
        &nodes[0],
        &nodes[1],
        "does not run in cluster mode",
    ] {
        assert!(error.message.contains(said), "{error}");
    }
    assert_ne!(error.kind, ErrorKind::Internal);
    bus.disconnect().await;
}
