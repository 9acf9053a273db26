//! A node becomes part of a cluster.

use super::PATIENCE;
use crate::server::RedisServer;
use crate::wait::eventually;

/// The id by which the cluster knows a node.
pub(super) async fn id_of(server: &RedisServer) -> String {
    server.command(&["CLUSTER", "MYID"]).await.text()
}

/// Makes two nodes known to each other.
pub(super) async fn meet(server: &RedisServer, other: &RedisServer) {
    server.command(&["CLUSTER", "MEET", "127.0.0.1", &other.port().to_string()]).await;
}

/// Makes a node a replica of a master, as soon as it knows of it, and waits until it has all that the master has.
pub(super) async fn replicate(server: &RedisServer, master: &str) {
    eventually(PATIENCE, "a replica that knows its master", || async {
        server.try_command(&["CLUSTER", "REPLICATE", master]).await.is_ok()
    })
    .await;
    eventually(PATIENCE, "a replica that is up to date", || async {
        let link = server.info("replication").await;
        link.get("master_link_status").is_some_and(|status| status == "up")
    })
    .await;
}
