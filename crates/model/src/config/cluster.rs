//! How the nodes of a Redis Cluster are reached.

use std::collections::BTreeMap;
use std::fmt;

use crate::config::address::Address;
use crate::config::node_address::node;
use crate::config::url::DEFAULT_PORT;
use crate::error::BusError;
use crate::options::reader::{NOT_AVAILABLE, Reader};
use crate::topology::redirect::AddressMap;

/// The most nodes that a configuration names; the others are found.
const MOST_NODES: usize = 32;
/// The most entries of an address map.
const MOST_ADDRESSES: usize = 2_000;

/// How the nodes of a Redis Cluster are reached. The user, the password and the TLS of the servers are used for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Nodes of the Cluster, of which one that answers is enough to find all: 1–32, all different.
    pub nodes: Vec<Address>,
    /// Where nodes are reached that announce other addresses. Default: nothing.
    pub addresses: AddressMap,
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
        match r.string("pubsub")?.as_deref() {
            None | Some("broadcast") => {}
            Some("sharded") => {
                return Err(r.error("pubsub", format_args!("'sharded' is {NOT_AVAILABLE}; use 'broadcast'")));
            }
            Some(_) => return Err(r.error("pubsub", "expected 'broadcast' or 'sharded'")),
        }
        r.unavailable(&["lanes"])?;
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
        Ok(Some(ClusterConfig { nodes, addresses: AddressMap(addresses) }))
    }
}
