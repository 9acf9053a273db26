//! The master of each slot of a Redis Cluster, and the nodes.

use std::ops::RangeInclusive;

use crate::config::Address;
use crate::stream_store::SLOTS;

/// A node as a node of the Cluster describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its id, which stays when its address changes.
    pub id: String,
    /// Where this client reaches it.
    pub address: Address,
    /// Whether it is a master.
    pub is_master: bool,
    /// Whether it is well: `online`, and no failure was noticed.
    pub is_online: bool,
}

/// A part of the slots, and the nodes that keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// The slots; none for nodes that keep nothing.
    pub slots: Vec<RangeInclusive<u16>>,
    /// The master, and its replicas.
    pub nodes: Vec<Node>,
}

/// What is known of a Cluster. A new one is made whenever a node is asked, and single slots change by what nodes say of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotMap {
    shards: Vec<Shard>,
    masters: Vec<Address>,
    /// How many slots each of them has.
    counts: Vec<u16>,
    /// Of each slot the master, as an index; `NOBODY` where there is none.
    owners: Box<[u16]>,
}

const NOBODY: u16 = u16::MAX;

impl SlotMap {
    /// From the shards. Where two claim a slot, the later one has it; a shard whose master is not known has none.
    pub fn new(shards: Vec<Shard>) -> SlotMap {
        let mut map = SlotMap {
            shards: Vec::new(),
            masters: Vec::new(),
            counts: Vec::new(),
            owners: vec![NOBODY; usize::from(SLOTS)].into(),
        };
        for shard in &shards {
            // A failed master is in the answer beside the one that has come in its place.
            let masters = || shard.nodes.iter().filter(|node| node.is_master);
            let Some(master) = masters().find(|node| node.is_online).or_else(|| masters().next()) else {
                continue;
            };
            let ranges = shard.slots.iter().cloned();
            let slots: Vec<u16> = ranges.flatten().filter(|slot| *slot < SLOTS).collect();
            if !slots.is_empty() {
                let index = map.index_of(&master.address);
                slots.into_iter().for_each(|slot| map.give(slot, index));
            }
        }
        map.shards = shards;
        map
    }

    /// The master of a slot.
    pub fn owner(&self, slot: u16) -> Option<&Address> {
        let index = *self.owners.get(usize::from(slot))?;
        self.masters.get(usize::from(index))
    }

    /// A node says that another one has a slot. Returns whether that is new.
    pub fn moved(&mut self, slot: u16, to: &Address) -> bool {
        if slot >= SLOTS || self.owner(slot) == Some(to) {
            return false;
        }
        let index = self.index_of(to);
        self.give(slot, index);
        true
    }

    /// The masters that have slots, without order.
    pub fn masters(&self) -> impl Iterator<Item = &Address> {
        self.masters.iter().zip(&self.counts).filter(|(_, slots)| **slots > 0).map(|(address, _)| address)
    }

    /// Whether this is a master that has slots.
    pub fn is_master(&self, address: &Address) -> bool {
        self.masters().any(|master| master == address)
    }

    /// Whether this is a master that has slots, or one that is well and has none: some may be on their way to it. Nothing is known
    /// of the latter where `CLUSTER SLOTS` was asked.
    pub fn can_take_slots(&self, address: &Address) -> bool {
        let is_ready = |node: &Node| node.is_master && node.is_online && node.address == *address;
        self.is_master(address) || self.nodes().any(|(_, node)| is_ready(node))
    }

    /// Whether this is a node that is well, or a master.
    pub fn is_usable(&self, address: &Address) -> bool {
        self.is_master(address) || self.nodes().any(|(_, node)| node.address == *address && node.is_online)
    }

    /// All nodes, each with whether its shard has slots.
    pub fn nodes(&self) -> impl Iterator<Item = (bool, &Node)> {
        self.shards.iter().flat_map(|shard| shard.nodes.iter().map(|node| (!shard.slots.is_empty(), node)))
    }

    /// The shards.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// How many slots a node serves.
    pub fn slots_of(&self, address: &Address) -> u16 {
        let of = self.masters.iter().zip(&self.counts).find(|(master, _)| *master == address);
        of.map_or(0, |(_, slots)| *slots)
    }

    /// How many slots nobody serves.
    pub fn uncovered(&self) -> u16 {
        SLOTS.saturating_sub(self.counts.iter().sum())
    }

    fn index_of(&mut self, address: &Address) -> u16 {
        let known = self.masters.iter().position(|known| known == address);
        let index = known.unwrap_or_else(|| {
            self.masters.push(address.clone());
            self.counts.push(0);
            self.masters.len() - 1
        });
        u16::try_from(index).unwrap_or(NOBODY)
    }

    fn give(&mut self, slot: u16, index: u16) {
        let Some(owner) = self.owners.get_mut(usize::from(slot)) else { return };
        let before = std::mem::replace(owner, index);
        if let Some(count) = self.counts.get_mut(usize::from(before)) {
            *count -= 1;
        }
        if let Some(count) = self.counts.get_mut(usize::from(index)) {
            *count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(port: u16) -> Address {
        Address::Tcp { host: "h".to_owned(), port }
    }

    fn node(port: u16, is_master: bool, is_online: bool) -> Node {
        Node { id: port.to_string(), address: address(port), is_master, is_online }
    }

    fn shard(slots: &[RangeInclusive<u16>], nodes: Vec<Node>) -> Shard {
        Shard { slots: slots.to_vec(), nodes }
    }

    #[test]
    fn each_slot_has_the_master_of_its_shard() {
        let map = SlotMap::new(vec![
            shard(&[0..=99, 200..=16_383], vec![node(2, false, true), node(1, true, true)]),
            shard(&[100..=150], vec![node(3, true, false)]),
            shard(&[], vec![node(4, true, true)]),
        ]);
        assert_eq!(map.owner(0), Some(&address(1)));
        assert_eq!(map.owner(16_383), Some(&address(1)));
        assert_eq!(map.owner(150), Some(&address(3)));
        assert_eq!((map.owner(151), map.owner(16_384)), (None, None));
        assert_eq!((map.uncovered(), map.slots_of(&address(3)), map.slots_of(&address(4))), (49, 51, 0));
        assert!(map.is_master(&address(3)) && !map.is_master(&address(2)) && !map.is_master(&address(4)));
        assert!(map.is_usable(&address(2)) && map.is_usable(&address(4)) && !map.is_usable(&address(5)));
    }

    #[test]
    fn a_master_that_was_replaced_has_no_slots() {
        let nodes = vec![node(1, true, false), node(2, true, true)];
        let map = SlotMap::new(vec![shard(&[0..=16_383], nodes)]);
        assert_eq!(map.owner(7), Some(&address(2)));
        assert!(!map.is_master(&address(1)) && !map.is_usable(&address(1)));
    }

    #[test]
    fn a_slot_moves_alone_and_a_node_without_slots_is_no_master_any_more() {
        let mut map = SlotMap::new(vec![shard(&[5..=6], vec![node(1, true, true)])]);
        assert!(map.moved(5, &address(9)) && !map.moved(5, &address(9)) && !map.moved(16_384, &address(9)));
        assert_eq!((map.owner(5), map.owner(6)), (Some(&address(9)), Some(&address(1))));
        assert!(map.moved(6, &address(9)));
        assert_eq!(map.masters().collect::<Vec<_>>(), [&address(9)]);
    }

    proptest! {
        #[test]
        fn any_moves_leave_each_slot_with_the_last_owner(
            moves in proptest::collection::vec((0u16..20, 1u16..6), 0..60),
        ) {
            let mut map = SlotMap::new(vec![shard(&[0..=9], vec![node(1, true, true)])]);
            let mut expected: Vec<Option<u16>> = (0..20).map(|slot| (slot < 10).then_some(1)).collect();
            for (slot, to) in moves {
                let changes = expected[usize::from(slot)] != Some(to);
                prop_assert_eq!(map.moved(slot, &address(to)), changes);
                expected[usize::from(slot)] = Some(to);
            }
            for slot in 0..20u16 {
                let expected = expected[usize::from(slot)].map(address);
                prop_assert_eq!(map.owner(slot), expected.as_ref());
            }
            let owners: std::collections::BTreeSet<_> = expected.iter().flatten().collect();
            prop_assert_eq!(map.masters().count(), owners.len());
        }
    }
}
