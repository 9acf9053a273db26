//! What waits until its retry is due.

use std::collections::BTreeMap;

/// When a retry is due, and its number in its queue: the number tells retries of one millisecond apart.
pub(crate) type Due = (u64, u64);

/// The retries of one subscription, in the order in which they are due.
#[derive(Debug)]
pub(crate) struct RetryQueue<T> {
    items: BTreeMap<Due, T>,
    next_number: u64,
}

impl<T> Default for RetryQueue<T> {
    fn default() -> Self {
        RetryQueue { items: BTreeMap::new(), next_number: 0 }
    }
}

impl<T> RetryQueue<T> {
    /// Keeps an item until `at`.
    pub(crate) fn push(&mut self, at: u64, item: T) -> Due {
        let due = (at, self.next_number);
        self.next_number += 1;
        self.items.insert(due, item);
        due
    }

    /// Takes the item that is due first, if that is by now.
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<T> {
        let first = self.items.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// Takes the item that is due last.
    pub(crate) fn pop_last(&mut self) -> Option<T> {
        self.items.pop_last().map(|(_, item)| item)
    }

    /// Takes an item out.
    pub(crate) fn remove(&mut self, due: Due) -> Option<T> {
        self.items.remove(&due)
    }

    /// When the first item is due.
    pub(crate) fn first_due(&self) -> Option<u64> {
        self.items.keys().next().map(|(at, _)| *at)
    }

    /// When the first item that is not due at `now` will be.
    pub(crate) fn next_after(&self, now: u64) -> Option<u64> {
        self.items.range((now.saturating_add(1), 0)..).next().map(|((at, _), _)| *at)
    }

    /// Whether an item is due.
    pub(crate) fn has_due(&self, now: u64) -> bool {
        self.first_due().is_some_and(|at| at <= now)
    }

    /// How many items are due, counted up to `limit`.
    pub(crate) fn count_due(&self, now: u64, limit: usize) -> usize {
        self.items.range(..=(now, u64::MAX)).take(limit).count()
    }

    /// Drops the items that `keep` refuses.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(Due, &T) -> bool) {
        self.items.retain(|due, item| keep(*due, item));
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_one_millisecond_keep_their_order() {
        let mut queue = RetryQueue::default();
        for (at, item) in [(20, 'c'), (10, 'a'), (10, 'b')] {
            queue.push(at, item);
        }
        assert_eq!((queue.has_due(9), queue.has_due(10), queue.count_due(10, 9)), (false, true, 2));
        assert_eq!((queue.first_due(), queue.next_after(10)), (Some(10), Some(20)));
        assert_eq!((queue.pop_due(10), queue.pop_due(10), queue.pop_due(10)), (Some('a'), Some('b'), None));
        assert_eq!((queue.pop_last(), queue.is_empty()), (Some('c'), true));
    }
}
