//! What a node says of its Cluster: the answers to `CLUSTER SHARDS` and, before Redis 7, to `CLUSTER SLOTS`.

use std::ops::RangeInclusive;

use oxbus_model::BusError;
use oxbus_model::config::Address;
use oxbus_model::topology::redirect::{AddressMap, Endpoint};
use oxbus_model::topology::slot_map::{Node, Shard};

use crate::redis::resp::value::RespValue;

/// How the addresses in an answer are read.
pub(super) struct Reading<'a> {
    pub(super) addresses: &'a AddressMap,
    /// The node that was asked.
    pub(super) told_by: &'a Address,
    /// Whether the ports for TLS are meant.
    pub(super) tls: bool,
}

impl Reading<'_> {
    /// Reads the answer to `CLUSTER SHARDS`.
    pub(super) fn shards(&self, reply: RespValue) -> Result<Vec<Shard>, BusError> {
        reply.all(|shard| {
            let (mut slots, mut nodes) = (Vec::new(), Vec::new());
            for (name, value) in pairs(shard)? {
                match name.as_str() {
                    "slots" => slots = ranges(value.all(RespValue::count)?),
                    "nodes" => nodes = value.all(|node| self.node(node))?,
                    _ => {}
                }
            }
            Ok(Shard { slots, nodes })
        })
    }

    fn node(&self, node: RespValue) -> Result<Node, BusError> {
        let (mut id, mut host, mut port, mut tls_port) = (String::new(), String::new(), 0, 0);
        let (mut is_master, mut is_online) = (false, true);
        for (name, value) in pairs(node)? {
            match name.as_str() {
                "id" => id = value.text()?,
                // The one that the server wants to be used: an address, a host name, or nothing.
                "endpoint" => host = value.maybe(RespValue::text)?.unwrap_or_default(),
                "port" => port = read_port(value)?,
                "tls-port" => tls_port = read_port(value)?,
                "role" => is_master = value.text()? == "master",
                "health" => is_online = value.text()? == "online",
                _ => {}
            }
        }
        let port = if (self.tls && tls_port != 0) || port == 0 { tls_port } else { port };
        let address = self.addresses.address(&Endpoint { host, port }, self.told_by);
        Ok(Node { id, address, is_master, is_online })
    }

    /// Reads the answer to `CLUSTER SLOTS`. It does not tell of nodes that have failed.
    pub(super) fn slots(&self, reply: RespValue) -> Result<Vec<Shard>, BusError> {
        let mut shards: Vec<Shard> = Vec::new();
        for row in reply.items()? {
            let mut row = row.items()?.into_iter();
            let mut next = || row.next().unwrap_or(RespValue::Nil);
            let range = ranges(vec![next().count()?, next().count()?]);
            let nodes: Vec<Node> = row
                .enumerate()
                .map(|(at, node)| self.node_of_row(at == 0, node))
                .collect::<Result<_, _>>()?;
            let same = |shard: &&mut Shard| {
                shard.nodes.first().map(|n| &n.address) == nodes.first().map(|n| &n.address)
            };
            match shards.iter_mut().find(same) {
                Some(shard) => shard.slots.extend(range),
                None => shards.push(Shard { slots: range, nodes }),
            }
        }
        Ok(shards)
    }

    fn node_of_row(&self, is_master: bool, node: RespValue) -> Result<Node, BusError> {
        let mut parts = node.items()?.into_iter();
        let mut next = || parts.next().unwrap_or(RespValue::Nil);
        let host = next().maybe(RespValue::text)?.unwrap_or_default();
        let port = read_port(next())?;
        let id = next().maybe(RespValue::text)?.unwrap_or_default();
        let address = self.addresses.address(&Endpoint { host, port }, self.told_by);
        Ok(Node { id, address, is_master, is_online: true })
    }
}

fn read_port(value: RespValue) -> Result<u16, BusError> {
    Ok(u16::try_from(value.count()?).unwrap_or(0))
}

/// First and last slots in turn.
fn ranges(bounds: Vec<u64>) -> Vec<RangeInclusive<u16>> {
    let slot = |bound: u64| u16::try_from(bound).unwrap_or(u16::MAX);
    bounds.chunks_exact(2).map(|pair| slot(pair[0])..=slot(pair[1])).collect()
}

/// The names and values of a map, which is an array in the older protocol.
fn pairs(map: RespValue) -> Result<Vec<(String, RespValue)>, BusError> {
    let mut items = map.items()?.into_iter();
    let mut pairs = Vec::new();
    while let (Some(name), Some(value)) = (items.next(), items.next()) {
        pairs.push((name.text()?, value));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> RespValue {
        RespValue::Text(text.as_bytes().into())
    }

    fn address(host: &str, port: u16) -> Address {
        Address::Tcp { host: host.to_owned(), port }
    }

    fn node(host: RespValue, port: i64, role: &str, health: &str) -> RespValue {
        RespValue::Array(vec![
            text("id"),
            text(&format!("id{port}")),
            text("port"),
            RespValue::Int(port),
            text("tls-port"),
            RespValue::Int(port + 1000),
            text("ip"),
            text("10.0.0.9"),
            text("endpoint"),
            host,
            text("role"),
            text(role),
            text("health"),
            text(health),
        ])
    }

    #[test]
    fn shards_are_read_with_their_nodes() {
        let (addresses, told_by) = (AddressMap::default(), address("asked", 1));
        let slots = RespValue::Array([0, 5, 9, 9].map(RespValue::Int).into());
        let nodes = vec![
            node(text("h"), 7000, "master", "online"),
            node(RespValue::Nil, 7001, "replica", "failed"),
            node(text("?"), 7002, "replica", "loading"),
        ];
        let shard = RespValue::Array(vec![text("slots"), slots, text("nodes"), RespValue::Array(nodes)]);
        let reading = Reading { addresses: &addresses, told_by: &told_by, tls: false };
        let shards = reading.shards(RespValue::Array(vec![shard.clone()])).unwrap();
        assert_eq!(shards[0].slots, [0..=5, 9..=9]);
        let read: Vec<_> =
            shards[0].nodes.iter().map(|n| (n.address.to_string(), n.is_master, n.is_online)).collect();
        let expected = [("h:7000", true, true), ("asked:7001", false, false), ("asked:7002", false, false)];
        assert_eq!(read, expected.map(|(at, master, online)| (at.to_owned(), master, online)));
        let reading = Reading { tls: true, ..reading };
        let shards = reading.shards(RespValue::Array(vec![shard])).unwrap();
        assert_eq!(shards[0].nodes[0].address, address("h", 8000));
    }

    #[test]
    fn rows_of_one_master_are_one_shard() {
        let (addresses, told_by) = (AddressMap::default(), address("asked", 1));
        let node = |host: RespValue, port| RespValue::Array(vec![host, RespValue::Int(port), text("id")]);
        let row = |first, last, nodes: Vec<RespValue>| {
            RespValue::Array([RespValue::Int(first), RespValue::Int(last)].into_iter().chain(nodes).collect())
        };
        let rows = vec![
            row(0, 9, vec![node(RespValue::Nil, 7000), node(text("r"), 7001)]),
            row(20, 29, vec![node(RespValue::Nil, 7000)]),
            row(10, 19, vec![node(text("h"), 7002)]),
        ];
        let reading = Reading { addresses: &addresses, told_by: &told_by, tls: false };
        let shards = reading.slots(RespValue::Array(rows)).unwrap();
        assert_eq!(shards.len(), 2);
        assert_eq!(shards[0].slots, [0..=9, 20..=29]);
        assert_eq!(shards[0].nodes.iter().map(|n| n.is_master).collect::<Vec<_>>(), [true, false]);
        assert_eq!(shards[0].nodes[0].address, address("asked", 7000));
        reading.slots(RespValue::Int(1)).unwrap_err();
    }
}
