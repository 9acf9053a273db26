//! Events that are published on several channels, and come once for each.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// For how long an event is known at the least, in milliseconds.
const KNOWN: u64 = 60_000;
/// How many events each generation knows at the most. Beyond, the older ones are forgotten early.
const MAX_IDS: usize = 65_536;

/// The events that came lately, for each subscription: two generations, as hashes with a key of this client's own.
#[derive(Debug, Default)]
pub(crate) struct Twins {
    hasher: RandomState,
    older: HashSet<u64>,
    newer: HashSet<u64>,
    /// Since when there is the newer generation.
    since: u64,
}

impl Twins {
    /// Records an event for a subscription. False when it has come before.
    pub(super) fn is_first(&mut self, id: &str, subscription: u32, now_ms: u64) -> bool {
        if now_ms.saturating_sub(self.since) >= KNOWN || self.newer.len() >= MAX_IDS {
            self.older = std::mem::take(&mut self.newer);
            self.since = now_ms;
        }
        let id = self.hasher.hash_one((id, subscription));
        !self.older.contains(&id) && self.newer.insert(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_known_for_a_minute_and_within_bounds() {
        let mut twins = Twins::default();
        assert!(twins.is_first("a", 1, 0) && !twins.is_first("a", 1, 0) && twins.is_first("a", 2, 0));
        assert!(!twins.is_first("a", 1, KNOWN - 1));
        assert!(twins.is_first("b", 1, KNOWN) && !twins.is_first("a", 1, KNOWN));
        assert!(!twins.is_first("b", 1, 2 * KNOWN) && twins.is_first("a", 1, 2 * KNOWN));
        for n in 0..3 * MAX_IDS {
            assert!(twins.is_first(&n.to_string(), 1, 2 * KNOWN));
        }
        assert!(twins.older.len() <= MAX_IDS && twins.newer.len() <= MAX_IDS);
    }
}
