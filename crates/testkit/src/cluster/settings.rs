//! What the nodes of a cluster are started with.

use std::sync::Arc;
use std::time::Duration;

use crate::server::{RedisServer, RedisServerBuilder};

pub(super) type Each = Arc<dyn Fn(usize, RedisServerBuilder) -> RedisServerBuilder + Send + Sync>;

/// What the nodes of a cluster are started with.
#[derive(Clone)]
pub(super) struct NodeSettings {
    pub(super) settings: RedisServerBuilder,
    pub(super) each: Each,
    pub(super) timeout: Duration,
}

impl Default for NodeSettings {
    fn default() -> Self {
        let each = Arc::new(|_, settings| settings);
        Self { settings: RedisServer::builder(), each, timeout: Duration::from_secs(2) }
    }
}

impl NodeSettings {
    /// Starts the node of that number.
    pub(super) async fn start(self, at: usize) -> RedisServer {
        self.of(at).start().await
    }

    /// What a node is started with, by its number.
    fn of(&self, at: usize) -> RedisServerBuilder {
        let settings = self
            .settings
            .clone()
            .arg("cluster-enabled", "yes")
            .arg("cluster-node-timeout", self.timeout.as_millis().to_string())
            // However long a replica was without its master, it may take its place.
            .arg("cluster-replica-validity-factor", "0")
            .arg("protected-mode", "no");
        (self.each)(at, settings)
    }
}
