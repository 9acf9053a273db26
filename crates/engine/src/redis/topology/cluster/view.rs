//! What is known of a Cluster, for all who route by it.

use std::collections::BTreeSet;
use std::sync::Arc;

use oxbus_model::config::{Address, ClusterConfig};
use oxbus_model::stream_store::slot;
use oxbus_model::topology::redirect::{AddressMap, Endpoint};
use oxbus_model::topology::slot_map::SlotMap;
use oxbus_model::{BusError, ErrorKind};
use tokio::sync::watch::{Receiver, Sender};

/// What is known of a Cluster at the moment.
#[derive(Clone, Debug, Default)]
pub(in crate::redis) struct Known {
    /// `None` before a node has told.
    pub(in crate::redis) map: Option<Arc<SlotMap>>,
    /// Nodes that could not be reached, or were lost, and were not connected to since.
    pub(in crate::redis) suspects: BTreeSet<Address>,
    /// Why none of the nodes that are known could be asked, the last time.
    pub(in crate::redis) unreachable: Option<BusError>,
    /// Whether live events of this bus travel as this client has them travel, and the error if not; `None` while that is not
    /// known.
    pub(super) pubsub: Option<Result<(), BusError>>,
}

impl Known {
    /// The master of a slot.
    pub(in crate::redis) fn owner(&self, slot: u16) -> Option<&Address> {
        self.map.as_ref()?.owner(slot)
    }

    /// The master of the slot of a key.
    pub(in crate::redis) fn owner_of(&self, key: &str) -> Option<&Address> {
        self.owner(slot(key))
    }

    /// The masters, in the order of their addresses.
    pub(in crate::redis) fn masters(&self) -> Vec<Address> {
        let mut masters: Vec<Address> = self.map.iter().flat_map(|map| map.masters()).cloned().collect();
        masters.sort();
        masters
    }

    /// A master for what any of them does: one that is reached as far as is known. `start` spreads clients over them.
    pub(in crate::redis) fn any_master(&self, start: usize) -> Option<Address> {
        let masters = self.masters();
        let at = |n: usize| masters.get((start + n) % masters.len().max(1));
        let all = || (0..masters.len()).filter_map(at);
        all().find(|master| !self.suspects.contains(master)).or_else(|| all().next()).cloned()
    }
}

/// Shared by the tasks that ask and all who route.
pub(in crate::redis) struct ClusterView {
    known: Sender<Known>,
    /// How often somebody wanted a node to be asked at once.
    asked: Sender<u64>,
    addresses: AddressMap,
}

impl ClusterView {
    pub(in crate::redis) fn new(config: &ClusterConfig) -> ClusterView {
        ClusterView {
            known: Sender::new(Known::default()),
            asked: Sender::new(0),
            addresses: config.addresses.clone(),
        }
    }

    /// Whether live events travel as this client has them travel is known now.
    pub(super) fn pubsub_is(&self, pubsub: Result<(), BusError>) {
        self.known.send_if_modified(|known| {
            let is_new = known.pubsub.as_ref() != Some(&pubsub);
            known.pubsub = Some(pubsub);
            is_new
        });
    }

    /// What is known, now and whenever it changes.
    pub(in crate::redis) fn known(&self) -> Receiver<Known> {
        self.known.subscribe()
    }

    /// What is known now.
    pub(in crate::redis) fn now(&self) -> Known {
        self.known.borrow().clone()
    }

    /// The master of the slot of a key, as far as it is known.
    pub(in crate::redis) fn owner_of(&self, key: &str) -> Option<Address> {
        self.known.borrow().owner_of(key).cloned()
    }

    pub(super) fn addresses(&self) -> &AddressMap {
        &self.addresses
    }

    /// Tells the task that asks when it has to.
    pub(super) fn asked(&self) -> Receiver<u64> {
        self.asked.subscribe()
    }

    /// Has a node asked soon.
    pub(in crate::redis) fn ask(&self) {
        self.asked.send_modify(|asked| *asked += 1);
    }

    /// The address of an endpoint that a node has named.
    pub(in crate::redis) fn address(&self, endpoint: &Endpoint, told_by: &Address) -> Address {
        self.addresses.address(endpoint, told_by)
    }

    /// A node says that another one has a slot. Returns the address of that.
    pub(in crate::redis) fn moved(&self, slot: u16, to: &Endpoint, told_by: &Address) -> Address {
        let to = self.address(to, told_by);
        let is_new = self.known.send_if_modified(|known| match &mut known.map {
            Some(map) if map.owner(slot) != Some(&to) => Arc::make_mut(map).moved(slot, &to),
            _ => false,
        });
        if is_new {
            self.ask();
        }
        to
    }

    /// A node has told of the Cluster. Returns whether anything is new.
    pub(super) fn learned(&self, map: SlotMap) -> bool {
        self.known.send_if_modified(|known| {
            let is_new = known.map.as_deref() != Some(&map) || known.unreachable.is_some();
            if is_new {
                known.suspects.retain(|suspect| map.nodes().any(|(_, node)| node.address == *suspect));
                (known.map, known.unreachable) = (Some(Arc::new(map)), None);
            }
            is_new
        })
    }

    /// None of the nodes could be asked.
    pub(super) fn nobody_answers(&self, errors: &[(Address, BusError)]) {
        let kind = errors.first().map_or(ErrorKind::ConnectionLost, |(_, error)| error.kind);
        let said: Vec<String> = errors.iter().map(|(at, error)| format!("{at}: {}", error.message)).collect();
        let error = BusError::new(
            kind,
            format!("no node of the cluster can say who has which slots: {}", said.join("; ")),
        );
        self.known.send_modify(|known| known.unreachable = Some(error));
    }

    /// A node cannot be reached, or was lost.
    pub(super) fn suspect(&self, node: &Address) {
        self.known.send_if_modified(|known| known.suspects.insert(node.clone()));
        self.ask();
    }

    /// A node was connected to.
    pub(super) fn is_well(&self, node: &Address) {
        if self.known.borrow().suspects.contains(node) {
            self.known.send_if_modified(|known| known.suspects.remove(node));
        }
    }
}

#[cfg(test)]
mod tests {
    use oxbus_model::topology::slot_map::{Node, Shard};

    use super::*;

    fn address(port: u16) -> Address {
        Address::Tcp { host: "h".to_owned(), port }
    }

    fn map(masters: &[u16]) -> SlotMap {
        let of = |(at, port): (usize, &u16)| {
            let first = u16::try_from(at).unwrap() * 10;
            let node =
                Node { id: port.to_string(), address: address(*port), is_master: true, is_online: true };
            Shard { slots: vec![first..=first + 9], nodes: vec![node] }
        };
        SlotMap::new(masters.iter().enumerate().map(of).collect())
    }

    #[test]
    fn a_node_that_was_lost_is_avoided_while_there_is_another() {
        let view = ClusterView::new(&ClusterConfig::default());
        assert_eq!(view.now().any_master(7), None);
        assert!(view.learned(map(&[1, 2])) && !view.learned(map(&[1, 2])));
        assert_eq!(view.now().any_master(0), Some(address(1)));
        assert_eq!(view.now().any_master(3), Some(address(2)));
        view.suspect(&address(1));
        assert_eq!(view.now().any_master(0), Some(address(2)));
        view.suspect(&address(2));
        assert_eq!(view.now().any_master(0), Some(address(1)));
        view.is_well(&address(2));
        assert_eq!(view.now().any_master(0), Some(address(2)));
        // A node that has gone is no suspect either.
        assert!(view.learned(map(&[2, 3])) && view.now().suspects.is_empty());
    }

    #[test]
    fn a_slot_follows_what_a_node_says_and_a_node_is_asked() {
        let view = ClusterView::new(&ClusterConfig::default());
        view.learned(map(&[1, 2]));
        let asked = *view.asked().borrow();
        let to = Endpoint { host: String::new(), port: 2 };
        assert_eq!(view.moved(3, &to, &address(1)), address(2));
        assert_eq!(view.now().owner(3), Some(&address(2)));
        assert!(*view.asked().borrow() > asked);
    }
}
