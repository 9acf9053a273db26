//! How far a scan through the keys of a store has come.

use std::collections::BTreeMap;

use crate::config::Address;

/// How far a scan through the keys of a store has come, on each of its nodes. The default is the beginning.
///
/// Each node of a Cluster counts by itself, so that all of them can take their next step at once, and one that takes the place
/// of another begins at its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanCursor {
    /// Where the next step of a node begins; `None` when all its keys were looked at. A single server has no address here.
    nodes: BTreeMap<Option<Address>, Option<u64>>,
}

impl ScanCursor {
    /// Where the next step of a node begins: 0 for one that took none before, `None` when all its keys were looked at.
    pub fn next_of(&self, node: Option<&Address>) -> Option<u64> {
        self.nodes.get(&node.cloned()).copied().unwrap_or(Some(0))
    }

    /// A node has taken a step, and says where the next one begins; 0 when all its keys were looked at.
    pub fn advance(&mut self, node: Option<&Address>, next: u64) {
        self.nodes.insert(node.cloned(), (next > 0).then_some(next));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_counts_by_itself() {
        let node = |port| Address::Tcp { host: "h".to_owned(), port };
        let (a, b) = (node(1), node(2));
        let mut cursor = ScanCursor::default();
        assert_eq!((cursor.next_of(None), cursor.next_of(Some(&a))), (Some(0), Some(0)));
        cursor.advance(Some(&a), 17);
        // As large as a number can be: no bits of it are needed for anything else.
        cursor.advance(Some(&b), u64::MAX);
        assert_eq!((cursor.next_of(Some(&a)), cursor.next_of(Some(&b))), (Some(17), Some(u64::MAX)));
        cursor.advance(Some(&a), 0);
        assert_eq!((cursor.next_of(Some(&a)), cursor.next_of(Some(&node(3)))), (None, Some(0)));
    }
}
