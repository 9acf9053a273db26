//! Three masters that clients reach by proxies.

use oxbus_testkit::{ClusterSet, FaultProxy};
use serde_json::{Value, json};

use super::{STREAMS, TYPES, of_set};
use crate::setup::seconds;

/// Three masters, each behind a proxy by which clients reach it, and none of which is taken for failed.
pub(super) struct Proxied {
    pub(super) set: ClusterSet,
    pub(super) proxies: Vec<FaultProxy>,
}

impl Proxied {
    pub(super) async fn start() -> Proxied {
        Proxied::of(ClusterSet::builder().replicas(0).node_timeout(seconds(60)).start().await).await
    }

    pub(super) async fn of(set: ClusterSet) -> Proxied {
        let mut proxies = Vec::new();
        for node in set.nodes() {
            proxies.push(FaultProxy::start(node.addr()).await);
        }
        Proxied { set, proxies }
    }

    pub(super) fn config(&self, pubsub: &str) -> Value {
        let mut config = of_set(&self.set);
        let addresses: Vec<String> = self.proxies.iter().map(|proxy| proxy.addr().to_string()).collect();
        let map: serde_json::Map<String, Value> =
            self.set.addresses().into_iter().zip(addresses.iter().map(|address| json!(address))).collect();
        config["redis"]["cluster"] = json!({ "nodes": addresses, "addressMap": map, "pubsub": pubsub });
        config
    }

    /// The number of the node that has a stream.
    pub(super) async fn of_stream(&self, stream: &str) -> usize {
        let port = self.set.master_of_key(stream).await.port();
        self.set.nodes().iter().position(|node| node.port() == port).expect("a node of the cluster")
    }

    /// Cuts a node off, and says which of the types of events a stream on it stores, and which others do.
    pub(super) async fn cut_off(&self, node: usize) -> (&'static str, Vec<&'static str>) {
        let (mut here, mut elsewhere) = (None, Vec::new());
        for ((stream, _), event_type) in STREAMS.into_iter().zip(TYPES) {
            if self.of_stream(stream).await == node {
                here = Some(event_type);
            } else {
                elsewhere.push(event_type);
            }
        }
        self.proxies[node].blackhole_new(true);
        self.proxies[node].freeze_all();
        (here.expect("each master has a stream"), elsewhere)
    }

    pub(super) fn heal(&self, node: usize) {
        self.proxies[node].blackhole_new(false);
        self.proxies[node].thaw_all();
    }
}
