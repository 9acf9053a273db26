//! Servers in cluster mode.

mod builder;
mod joining;
mod moving;
mod publishes;
mod set;
mod settings;
mod view;

use std::ops::RangeInclusive;
use std::time::Duration;

pub use builder::ClusterSetBuilder;
pub use set::ClusterSet;

use crate::server::{RedisServer, RedisServerBuilder};
use crate::wait::eventually;

/// The last slot of a cluster.
const LAST: u16 = 16_383;
/// How long a cluster may take to agree: a node waits 2 s before it serves what it has.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a failover by command may take until it is asked for again; a replica gives one up after 5 s.
const FAILOVER_LIMIT: Duration = Duration::from_secs(6);
const POLL: Duration = Duration::from_millis(5);
/// How many slots are on their way together.
const SLOTS_AT_ONCE: usize = 256;
/// How many keys are moved by one `MIGRATE`.
const KEYS_AT_ONCE: &str = "100";
/// How long a `MIGRATE` may take, in milliseconds.
const MIGRATE_LIMIT: &str = "10000";

/// A node that knows no other and has no slots, with more settings.
pub async fn node(settings: RedisServerBuilder) -> RedisServer {
    // Replicas know within a second or two that their master is gone.
    settings.arg("cluster-enabled", "yes").arg("cluster-node-timeout", "1000").start().await
}

/// A cluster of one server, which serves all slots.
pub async fn one_server() -> RedisServer {
    one_server_of(RedisServer::builder()).await
}

/// As [`one_server`], with more settings.
pub async fn one_server_of(settings: RedisServerBuilder) -> RedisServer {
    let server = node(settings).await;
    add_slots(&server, 0..=LAST).await;
    wait_until_ok(&server).await;
    server
}

/// A cluster of two masters, each of which serves one half of the slots.
pub async fn two_masters() -> [RedisServer; 2] {
    let servers = [node(RedisServer::builder()).await, node(RedisServer::builder()).await];
    add_slots(&servers[0], 0..=LAST / 2).await;
    add_slots(&servers[1], LAST / 2 + 1..=LAST).await;
    meet(&servers).await;
    servers
}

/// A cluster of one master, which serves all slots, and its replica.
pub async fn master_and_replica() -> [RedisServer; 2] {
    let servers = [node(RedisServer::builder()).await, node(RedisServer::builder()).await];
    add_slots(&servers[0], 0..=LAST).await;
    meet(&servers).await;
    let master = servers[0].command(&["CLUSTER", "MYID"]).await.text();
    servers[1].command(&["CLUSTER", "REPLICATE", &master]).await;
    servers
}

/// Makes a replica the master, and the master its replica, as somebody does who looks after a server.
pub async fn fail_over(master: &RedisServer, replica: &RedisServer) {
    let id = master.command(&["CLUSTER", "MYID"]).await.text();
    eventually(PATIENCE, "a replica that its master knows and that is up to date", || async {
        let known = master.command(&["CLUSTER", "REPLICAS", &id]).await;
        let link = replica.info("replication").await;
        !known.items().is_empty() && link.get("master_link_status").is_some_and(|status| status == "up")
    })
    .await;
    replica.command(&["CLUSTER", "FAILOVER"]).await;
    for (server, role) in [(replica, "master"), (master, "slave")] {
        eventually(PATIENCE, "a failover", || async {
            server.command(&["ROLE"]).await.items().first().is_some_and(|said| said.text() == role)
        })
        .await;
    }
}

/// Gives a node slots that nobody has.
pub async fn add_slots(server: &RedisServer, slots: RangeInclusive<u16>) {
    // Servers before 7 know no ranges.
    let mut command = vec!["CLUSTER".to_owned(), "ADDSLOTS".to_owned()];
    command.extend(slots.map(|slot| slot.to_string()));
    server.command(&command).await;
}

async fn meet(servers: &[RedisServer; 2]) {
    let port = servers[1].port().to_string();
    servers[0].command(&["CLUSTER", "MEET", "127.0.0.1", &port]).await;
    for server in servers {
        eventually(PATIENCE, "two nodes that know each other", || async {
            let info = server.command(&["CLUSTER", "INFO"]).await.text();
            info.contains("cluster_known_nodes:2") && info.contains("cluster_slots_assigned:16384")
        })
        .await;
        wait_until_ok(server).await;
    }
}

async fn wait_until_ok(server: &RedisServer) {
    eventually(PATIENCE, "a cluster that serves", || async {
        server.command(&["CLUSTER", "INFO"]).await.text().contains("cluster_state:ok")
    })
    .await;
}
