//! What a cluster is made of before it is started.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::joining::{id_of, meet, replicate};
use super::set::ClusterSet;
use super::settings::NodeSettings;
use super::{LAST, add_slots};
use crate::server::RedisServerBuilder;

/// How many masters a cluster has: fewer do not elect one in the place of another.
const MASTERS: usize = 3;

/// The settings of a [`ClusterSet`] before it is started.
#[derive(Clone)]
pub struct ClusterSetBuilder {
    nodes: NodeSettings,
    replicas: usize,
}

impl Default for ClusterSetBuilder {
    fn default() -> Self {
        Self { nodes: NodeSettings::default(), replicas: 1 }
    }
}

impl fmt::Debug for ClusterSetBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("ClusterSetBuilder");
        shown.field("node", &self.nodes.settings).field("node_timeout", &self.nodes.timeout);
        shown.field("replicas", &self.replicas).finish_non_exhaustive()
    }
}

impl ClusterSetBuilder {
    /// What each node is started with. TLS is not for clusters of this kit.
    pub fn node(mut self, settings: RedisServerBuilder) -> Self {
        self.nodes.settings = settings;
        self
    }

    /// Changes what a node is started with, by its number: the first three are the masters, and node `n` of the others
    /// is a replica of node `n % 3`. Such as `cluster-announce-port`, or a host name.
    pub fn each(
        mut self,
        change: impl Fn(usize, RedisServerBuilder) -> RedisServerBuilder + Send + Sync + 'static,
    ) -> Self {
        self.nodes.each = Arc::new(change);
        self
    }

    /// How many replicas each master has; 1 without.
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// How long a node may be silent until others take it for failed (`cluster-node-timeout`); 2 s without.
    pub fn node_timeout(mut self, timeout: Duration) -> Self {
        self.nodes.timeout = timeout;
        self
    }

    /// Starts all nodes at once, makes a cluster of them and waits until all of them agree on it.
    pub async fn start(self) -> ClusterSet {
        let starting: Vec<_> =
            (0..MASTERS * (1 + self.replicas)).map(|at| tokio::spawn(self.nodes.clone().start(at))).collect();
        let mut servers = Vec::new();
        for start in starting {
            servers.push(start.await.expect("a node that starts"));
        }
        let mut ids = Vec::new();
        for (at, server) in servers.iter().enumerate() {
            ids.push(id_of(server).await);
            // Nodes that begin with the same epoch would have to find out which of them changes it.
            server.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()]).await;
        }
        for (at, server) in servers[..MASTERS].iter().enumerate() {
            add_slots(server, share(at)).await;
        }
        for (at, server) in servers.iter().enumerate() {
            for other in &servers[..at] {
                meet(server, other).await;
            }
        }
        for at in MASTERS..servers.len() {
            replicate(&servers[at], &ids[at % MASTERS]).await;
        }
        let set = ClusterSet::new(self.nodes, servers, ids);
        set.settled().await;
        set
    }
}

impl ClusterSet {
    /// Three masters with a replica each.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Settings other than the defaults.
    pub fn builder() -> ClusterSetBuilder {
        ClusterSetBuilder::default()
    }
}

/// The slots of the master of that number.
fn share(at: usize) -> RangeInclusive<u16> {
    let slots = usize::from(LAST) + 1;
    let first = |at: usize| u16::try_from(at * slots / MASTERS).expect("a slot");
    first(at)..=first(at + 1) - 1
}
