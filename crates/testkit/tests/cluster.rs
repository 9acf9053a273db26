//! The kit's clusters fail over, move slots, grow and shrink.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use oxbus_testkit::{ClusterSet, RedisServer, RespClient, Value, eventually};

const SOON: Duration = Duration::from_secs(20);

/// Writes a key on the node that has its slot.
async fn set(node: &RedisServer, key: &str, value: &str) {
    node.command(&["SET", key, value]).await;
}

async fn get(node: &RedisServer, key: &str) -> Value {
    node.command(&["GET", key]).await
}

/// Writes a key, and waits until the replica has it.
async fn set_on_both(node: &RedisServer, key: &str, value: &str) {
    let mut client = node.control().await.unwrap().with_timeout(SOON);
    assert_eq!(client.call(&["SET", key, value]).await.unwrap(), Value::Simple("OK".into()));
    // It waits for what this connection has written.
    assert_eq!(client.call(&["WAIT", "1", "10000"]).await.unwrap().int(), 1);
}

#[tokio::test]
async fn all_slots_are_served_and_replicas_follow_their_masters() {
    let cluster = ClusterSet::start().await;
    assert_eq!(cluster.nodes().len(), 6);
    assert_eq!(cluster.masters().await.len(), 3);
    for (at, master) in cluster.nodes()[..3].iter().enumerate() {
        let replicas = cluster.replicas_of(master).await;
        assert_eq!(
            replicas.iter().map(|replica| replica.port()).collect::<Vec<_>>(),
            [cluster.nodes()[at + 3].port()]
        );
    }
    let mut slots = Vec::new();
    for master in cluster.masters().await {
        slots.extend(cluster.slots_of(master).await);
    }
    slots.sort_unstable();
    assert_eq!(slots, (0..16_384).collect::<Vec<_>>());

    for key in ["orders", "photos", "mails", "users"] {
        set(cluster.master_of_key(key).await, key, "1").await;
        let other = cluster.master_of(16_383 - cluster.slot_of(key).await).await;
        if other.port() != cluster.master_of_key(key).await.port() {
            let mut client = RespClient::connect(other.addr()).await.unwrap();
            let Value::Error(moved) = client.call(&["GET", key]).await.unwrap() else {
                panic!("not refused")
            };
            assert!(moved.starts_with(&format!("MOVED {}", cluster.slot_of(key).await)), "{moved}");
        }
    }
    cluster.stop().await;
    assert!(cluster.nodes().iter().all(|node| node.process_id().is_none()));
}

#[tokio::test]
async fn a_replica_takes_over_by_command_and_when_its_master_is_killed_or_frozen() {
    let cluster = ClusterSet::start().await;
    let slot = cluster.slot_of("orders").await;
    let first = cluster.master_of(slot).await;
    set_on_both(first, "orders", "1").await;

    let replica = cluster.replicas_of(first).await[0];
    cluster.fail_over(replica).await;
    cluster.settled().await;
    assert_eq!(cluster.master_of(slot).await.port(), replica.port());
    assert_eq!(get(replica, "orders").await, Value::bulk("1"));

    cluster.kill(replica);
    assert_eq!(cluster.master_of(slot).await.port(), first.port());
    cluster.settled().await;
    assert_eq!(get(first, "orders").await, Value::bulk("1"));
    replica.restart().await;
    cluster.settled().await;
    eventually(SOON, "a replica again", || async { cluster.replicas_of(first).await.len() == 1 }).await;
    set_on_both(first, "orders", "2").await;

    cluster.freeze(first);
    assert_eq!(cluster.master_of(slot).await.port(), replica.port());
    cluster.thaw(first);
    eventually(SOON, "a replica again", || async { cluster.replicas_of(replica).await.len() == 1 }).await;
    cluster.settled().await;
    assert_eq!(get(replica, "orders").await, Value::bulk("2"));
}

#[tokio::test]
async fn slots_move_with_their_keys() {
    let cluster = ClusterSet::builder().replicas(0).start().await;
    let slot = cluster.slot_of("orders").await;
    for number in 0..250 {
        set(cluster.master_of(slot).await, &format!("{{orders}}:{number}"), "1").await;
    }
    let from = cluster.master_of(slot).await;
    let to = cluster.nodes().iter().find(|node| node.port() != from.port()).unwrap();
    cluster.move_slot(slot, to).await;
    assert_eq!(cluster.master_of(slot).await.port(), to.port());
    for (node, keys) in [(from, 0), (to, 250)] {
        let count = node.command(&["CLUSTER", "COUNTKEYSINSLOT", &slot.to_string()]).await;
        assert_eq!(count.int(), keys);
    }

    if cluster.moves_at_once().await {
        cluster.move_slots_at_once(slot..=slot, from).await;
        assert_eq!(cluster.master_of(slot).await.port(), from.port());
        assert_eq!(get(from, "{orders}:249").await, Value::bulk("1"));
    }
}

#[tokio::test]
async fn nodes_come_and_go() {
    let mut cluster = ClusterSet::builder().replicas(0).start().await;
    let slot = cluster.slot_of("orders").await;
    let old = cluster.master_of(slot).await.port();
    set(cluster.on(old), "orders", "1").await;

    let new = cluster.add_node(None).await;
    let replica = cluster.add_node(Some(new)).await;
    assert_eq!(cluster.masters().await.len(), 3, "it has no slots yet");
    cluster.remove_node(old, new).await;
    assert_eq!(cluster.nodes().len(), 4);
    assert_eq!(cluster.master_of(slot).await.port(), new);
    assert_eq!(get(cluster.on(new), "orders").await, Value::bulk("1"));
    assert_eq!(cluster.replicas_of(cluster.on(new)).await[0].port(), replica);
}
