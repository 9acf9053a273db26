//! How the nodes of a Redis Cluster are reached.

use std::collections::BTreeMap;
use std::fmt;

use crate::config::address::Address;
use crate::config::node_address::node;
use crate::config::url::DEFAULT_PORT;
use crate::error::BusError;
use crate::options::reader::Reader;
use crate::topology::lanes::{DEFAULT_LANES, LANES};
use crate::topology::redirect::AddressMap;

/// The most nodes that a configuration names; the others are found.
const MOST_NODES: usize = 32;
/// The most entries of an address map.
const MOST_ADDRESSES: usize = 2_000;

/// How live events travel in a Cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PubSub {
    /// By `PUBLISH`: each node hands each event on to all others.
    #[default]
    Broadcast,
    /// By `SPUBLISH` on so many lanes: see [`crate::topology::lanes`].
    Sharded {
        /// How many, in [`LANES`].
        lanes: u16,
    },
}

impl fmt::Display for PubSub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PubSub::Broadcast => f.write_str("broadcast"),
            PubSub::Sharded { lanes } => write!(f, "sharded:{lanes}"),
        }
    }
}

/// How the nodes of a Redis Cluster are reached. The user, the password and the TLS of the servers are used for all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Nodes of the Cluster, of which one that answers is enough to find all: 1–32, all different.
    pub nodes: Vec<Address>,
    /// Where nodes are reached that announce other addresses. Default: nothing.
    pub addresses: AddressMap,
    /// How live events travel, which is the same for all clients of a bus.
    pub pubsub: PubSub,
}

impl fmt::Display for ClusterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<String> = self.nodes.iter().map(ToString::to_string).collect();
        write!(f, "the cluster of {}", nodes.join(", "))
    }
}

impl ClusterConfig {
    /// Reads `cluster`.
    pub(super) fn read(r: &mut Reader) -> Result<Option<Self>, BusError> {
        let Some(mut r) = r.object("cluster")? else { return Ok(None) };
        let kind = r.kind();
        let nodes =
            r.list("nodes", |path, value| node(&path, value, DEFAULT_PORT, kind))?.unwrap_or_default();
        if nodes.is_empty() || nodes.len() > MOST_NODES {
            return Err(r.error("nodes", format!("expected 1 to {MOST_NODES} nodes, got {}", nodes.len())));
        }
        let twice = |(at, node): &(usize, &Address)| nodes[..*at].contains(node);
        if let Some((at, node)) = nodes.iter().enumerate().find(twice) {
            return Err(r.error(&format!("nodes[{at}]"), format_args!("names {node} a second time")));
        }
        let pubsub = read_pubsub(&mut r)?;
        let path = r.path_of("addressMap");
        let mut addresses = BTreeMap::new();
        for (announced, reached) in r.map("addressMap")?.unwrap_or_default() {
            let at = format!("{path}[{announced:?}]");
            addresses.insert(announced, node(&at, reached, DEFAULT_PORT, kind)?);
        }
        if addresses.len() > MOST_ADDRESSES {
            let message = format!("has at most {MOST_ADDRESSES} entries, got {}", addresses.len());
            return Err(r.error("addressMap", message));
        }
        r.finish()?;
        Ok(Some(ClusterConfig { nodes, addresses: AddressMap(addresses), pubsub }))
    }
}

/// Reads `pubsub` and `lanes`.
fn read_pubsub(r: &mut Reader) -> Result<PubSub, BusError> {
    let is_sharded = r.choice("pubsub", &[("broadcast", false), ("sharded", true)])?.unwrap_or(false);
    if !is_sharded && r.has("lanes") {
        return Err(r.error("lanes", "only sharded pub/sub has lanes: set pubsub: 'sharded'"));
    }
    let lanes = r.integer("lanes", u64::from(*LANES.start())..=u64::from(*LANES.end()))?;
    let lanes = lanes.and_then(|lanes| u16::try_from(lanes).ok()).unwrap_or(DEFAULT_LANES);
    Ok(if is_sharded { PubSub::Sharded { lanes } } else { PubSub::Broadcast })
}
