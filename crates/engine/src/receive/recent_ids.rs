//! The ids of events of the last minute, within a bound.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, RandomState};

/// For how long an event is known at the least, in milliseconds.
const KNOWN: u64 = 60_000;
/// How many events each generation knows at the most. Beyond, the older ones are forgotten early.
const MAX_IDS: usize = 65_536;

/// Events that were lately: two generations, as hashes with a key of this client's own.
#[derive(Debug, Default)]
pub(crate) struct RecentIds {
    hasher: RandomState,
    older: HashSet<u64>,
    newer: HashSet<u64>,
    /// Since when there is the newer generation.
    since: u64,
}

impl RecentIds {
    /// Records an event. False when it is known.
    pub(crate) fn insert(&mut self, event: impl Hash, now_ms: u64) -> bool {
        if now_ms.saturating_sub(self.since) >= KNOWN || self.newer.len() >= MAX_IDS {
            self.older = std::mem::take(&mut self.newer);
            self.since = now_ms;
        }
        let event = self.hasher.hash_one(event);
        !self.older.contains(&event) && self.newer.insert(event)
    }

    /// Whether an event is known.
    pub(crate) fn has(&self, event: impl Hash) -> bool {
        let event = self.hasher.hash_one(event);
        self.older.contains(&event) || self.newer.contains(&event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_known_for_a_minute_and_within_bounds() {
        let mut ids = RecentIds::default();
        assert!(ids.insert(("a", 1), 0) && !ids.insert(("a", 1), 0) && ids.insert(("a", 2), 0));
        assert!(!ids.insert(("a", 1), KNOWN - 1) && ids.has(("a", 1)) && !ids.has(("b", 1)));
        assert!(ids.insert(("b", 1), KNOWN) && !ids.insert(("a", 1), KNOWN));
        assert!(!ids.insert(("b", 1), 2 * KNOWN) && ids.insert(("a", 1), 2 * KNOWN));
        for n in 0..3 * MAX_IDS {
            assert!(ids.insert((&*n.to_string(), 1), 2 * KNOWN));
        }
        assert!(ids.older.len() <= MAX_IDS && ids.newer.len() <= MAX_IDS);
    }
}
