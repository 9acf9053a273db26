//! A queue bounded in events and bytes, with a policy for what goes when it is full.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// What is dropped when a queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Overflow {
    /// The event that waits longest.
    #[default]
    DropOldest,
    /// The event that arrives.
    DropNewest,
    /// The waiting event with the key of the one that arrives, which takes its place; without one, the oldest.
    LatestPerKey,
}

/// The bounds of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueOptions {
    /// Events at the most, at least 1.
    pub max_events: usize,
    /// Bytes of their JSON at the most.
    pub max_bytes: usize,
    /// What goes when there is no room.
    pub overflow: Overflow,
}

impl Default for QueueOptions {
    fn default() -> Self {
        QueueOptions { max_events: 10_000, max_bytes: 64 * 1024 * 1024, overflow: Overflow::DropOldest }
    }
}

/// What a queue must know of its items.
pub trait Queued {
    /// The size that counts against the bound.
    fn bytes(&self) -> usize;
    /// The key for [`Overflow::LatestPerKey`].
    fn key(&self) -> Option<&Arc<str>>;
}

/// A bounded first-in first-out queue.
#[derive(Debug)]
pub struct Queue<T> {
    options: QueueOptions,
    items: VecDeque<T>,
    /// The number of the item at the front, counted from the first ever pushed.
    front: u64,
    bytes: usize,
    /// The last waiting item of each key, for `LatestPerKey`.
    latest: Option<HashMap<Arc<str>, u64>>,
    /// Items that gave way to a later one of their key, since that was last asked.
    replaced: usize,
}

impl<T: Queued> Queue<T> {
    /// An empty queue.
    pub fn new(options: QueueOptions) -> Self {
        let latest = (options.overflow == Overflow::LatestPerKey).then(HashMap::new);
        Queue { options, items: VecDeque::new(), front: 0, bytes: 0, latest, replaced: 0 }
    }

    /// Adds an item. `held` is what the owner keeps elsewhere on this queue's account: (events, bytes).
    /// Returns how many items were dropped to keep the bounds, the new one included.
    pub fn push(&mut self, item: T, held: (usize, usize)) -> usize {
        let (max_events, max_bytes) =
            (self.options.max_events.saturating_sub(held.0), self.options.max_bytes.saturating_sub(held.1));
        let size = item.bytes();
        if max_events == 0 || size > max_bytes {
            return 1;
        }
        let full = |queue: &Self| queue.items.len() >= max_events || queue.bytes + size > max_bytes;
        let mut dropped = 0;
        if full(self) {
            match self.options.overflow {
                Overflow::DropNewest => return 1,
                Overflow::LatestPerKey => {
                    if let Some(position) = self.position_of(&item) {
                        self.bytes = self.bytes - self.items[position].bytes() + size;
                        self.items[position] = item;
                        self.replaced += 1;
                        return 1 + self.shrink(max_events, max_bytes);
                    }
                }
                Overflow::DropOldest => {}
            }
            while full(self) {
                self.pop();
                dropped += 1;
            }
        }
        if let Some(latest) = &mut self.latest
            && let Some(key) = item.key()
        {
            latest.insert(key.clone(), self.front + self.items.len() as u64);
        }
        self.bytes += size;
        self.items.push_back(item);
        dropped
    }

    /// How many of the dropped items gave way to a later one of their key, since this was last asked.
    pub fn take_replaced(&mut self) -> usize {
        std::mem::take(&mut self.replaced)
    }

    /// Takes the item that waits longest.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.items.pop_front()?;
        if let Some(latest) = &mut self.latest
            && let Some(key) = item.key()
            && latest.get(key) == Some(&self.front)
        {
            latest.remove(key);
        }
        self.front += 1;
        self.bytes -= item.bytes();
        Some(item)
    }

    /// Drops what is beyond the bounds, oldest first. Returns how many.
    pub fn shrink(&mut self, max_events: usize, max_bytes: usize) -> usize {
        let before = self.items.len();
        while self.items.len() > max_events || self.bytes > max_bytes {
            self.pop();
        }
        before - self.items.len()
    }

    /// Drops everything. Returns how many items there were.
    pub fn clear(&mut self) -> usize {
        self.shrink(0, 0)
    }

    /// Items waiting.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes waiting.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bounds.
    pub fn options(&self) -> &QueueOptions {
        &self.options
    }

    fn position_of(&self, item: &T) -> Option<usize> {
        let number = self.latest.as_ref()?.get(item.key()?)?;
        usize::try_from(number.checked_sub(self.front)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Item(u32, usize, Option<Arc<str>>);

    impl Queued for Item {
        fn bytes(&self) -> usize {
            self.1
        }
        fn key(&self) -> Option<&Arc<str>> {
            self.2.as_ref()
        }
    }

    fn item(n: u32, key: &str) -> Item {
        Item(n, 10, (!key.is_empty()).then(|| key.into()))
    }

    fn queue(max_events: usize, overflow: Overflow) -> Queue<Item> {
        Queue::new(QueueOptions { max_events, max_bytes: 1000, overflow })
    }

    fn drain(queue: &mut Queue<Item>) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop()).map(|i| i.0).collect()
    }

    #[test]
    fn the_policies_differ_in_what_goes() {
        for (policy, left) in [
            (Overflow::DropOldest, vec![2, 3, 4]),
            (Overflow::DropNewest, vec![1, 2, 3]),
            (Overflow::LatestPerKey, vec![1, 4, 3]),
        ] {
            let mut q = queue(3, policy);
            for (n, key) in [(1, "a"), (2, "b"), (3, ""), (4, "b")] {
                let dropped = q.push(item(n, key), (0, 0));
                assert_eq!(dropped, usize::from(n == 4));
            }
            assert_eq!(drain(&mut q), left, "{policy:?}");
        }
    }

    #[test]
    fn bytes_are_bounded_too_and_a_giant_is_not_taken() {
        let mut q = queue(100, Overflow::DropOldest);
        (0..60).for_each(|n| assert_eq!(q.push(item(n, ""), (0, 0)), 0));
        assert_eq!(q.push(Item(99, 900, None), (0, 0)), 50);
        assert_eq!(q.bytes(), 1000);
        assert_eq!(q.push(Item(100, 1001, None), (0, 0)), 1);
        assert_eq!(q.len(), 11);
    }

    #[test]
    fn what_the_owner_holds_counts() {
        let mut q = queue(3, Overflow::DropOldest);
        assert_eq!(q.push(item(1, ""), (2, 0)), 0);
        assert_eq!(q.push(item(2, ""), (2, 0)), 1);
        assert_eq!(q.push(item(3, ""), (3, 0)), 1);
        assert_eq!(drain(&mut q), [2]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_uncounted_and_the_bounds_hold(
            pushes in prop::collection::vec((0usize..60, "[a-c]?", any::<bool>()), 0..200),
            policy in prop::sample::select(vec![Overflow::DropOldest, Overflow::DropNewest, Overflow::LatestPerKey]),
        ) {
            let mut q = Queue::new(QueueOptions { max_events: 5, max_bytes: 100, overflow: policy });
            let (mut dropped, mut taken) = (0, 0);
            for (n, (size, key, pop)) in (0u32..).zip(&pushes) {
                dropped += q.push(Item(n, *size, (!key.is_empty()).then(|| key.as_str().into())), (0, 0));
                prop_assert!(q.len() <= 5 && q.bytes() <= 100);
                if *pop {
                    taken += usize::from(q.pop().is_some());
                }
            }
            prop_assert_eq!(dropped + taken + q.len(), pushes.len());
            q.clear();
            prop_assert_eq!((q.bytes(), q.latest.map_or(0, |latest| latest.len())), (0, 0));
        }
    }
}
