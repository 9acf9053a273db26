//! Values that are kept for a while.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Values by their keys, each until its time; a bounded number of them.
#[derive(Debug)]
pub(super) struct Expiring<V> {
    values: HashMap<Arc<str>, (V, u64)>,
    /// The keys by the time when they expire.
    ends: BTreeSet<(u64, Arc<str>)>,
    limit: usize,
}

impl<V> Expiring<V> {
    /// Nothing yet; beyond `limit` values those go first that would expire first.
    pub(super) fn new(limit: usize) -> Self {
        Expiring { values: HashMap::new(), ends: BTreeSet::new(), limit }
    }

    pub(super) fn get(&self, key: &str, now_ms: u64) -> Option<&V> {
        self.values.get(key).filter(|(_, end)| *end > now_ms).map(|(value, _)| value)
    }

    /// Sets a value for the next `ttl_ms` milliseconds.
    pub(super) fn set(&mut self, key: &str, value: V, ttl_ms: u64, now_ms: u64) {
        let (key, end) = (Arc::<str>::from(key), now_ms.saturating_add(ttl_ms));
        if let Some((_, before)) = self.values.insert(key.clone(), (value, end)) {
            self.ends.remove(&(before, key.clone()));
        }
        self.ends.insert((end, key));
        while self.ends.first().is_some_and(|(end, _)| *end <= now_ms || self.ends.len() > self.limit) {
            if let Some((_, key)) = self.ends.pop_first() {
                self.values.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_there_until_its_time() {
        let mut kept = Expiring::new(10);
        kept.set("a", 1, 100, 0);
        assert_eq!((kept.get("a", 99), kept.get("a", 100), kept.get("b", 0)), (Some(&1), None, None));
        kept.set("a", 2, 100, 50);
        assert_eq!(kept.get("a", 149), Some(&2));
        kept.set("b", 3, 1, 150);
        assert_eq!((kept.values.len(), kept.ends.len()), (1, 1));
    }

    #[test]
    fn there_are_never_more_than_the_limit() {
        let mut kept = Expiring::new(3);
        for n in 0..10 {
            kept.set(&n.to_string(), n, 1000 - n, 0);
            kept.set(&n.to_string(), n, 1000 - n, 0);
        }
        let left: Vec<_> = (0..10).filter(|n| kept.get(&n.to_string(), 0).is_some()).collect();
        assert_eq!(left, [0, 1, 2]);
        assert_eq!((kept.values.len(), kept.ends.len()), (3, 3));
    }
}
