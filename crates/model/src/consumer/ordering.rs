//! Which entries must wait for others, so that the order of a group is kept.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::options::subscribe::OrderBy;

/// Entries of which only the first may run.
#[derive(Debug, Default)]
struct Lane {
    /// Slots, and whether nothing may be let through beside them.
    waiting: VecDeque<(u32, bool)>,
    /// Entries that have been let through and are not done.
    active: usize,
    /// Whether a handler has got one of them. Then no more join them.
    started: bool,
}

impl Lane {
    /// Lets an entry through, if it may go on now.
    fn admit(&mut self, isolated: bool, width: usize) -> bool {
        if self.started || self.active >= if isolated { 1 } else { width } {
            return false;
        }
        self.active += 1;
        self.started = isolated;
        true
    }
}

/// The order that a group keeps: one lane for each key, or one for everything.
#[derive(Debug)]
pub(super) struct Ordering {
    order: OrderBy,
    /// Keys come from publishers, so the table is one that they cannot flood with collisions.
    keys: HashMap<Arc<str>, Lane>,
    all: Lane,
    /// How many entries of the one lane for everything may be let through together: those of one batch.
    width: usize,
}

impl Ordering {
    pub(super) fn new(order: OrderBy) -> Self {
        Ordering { order, keys: HashMap::new(), all: Lane::default(), width: 1 }
    }

    /// Lets so many entries through together where there is one lane for everything.
    pub(super) fn widen(&mut self, width: usize) {
        self.width = width.max(1);
    }

    /// Whether an entry with such a key has to take a lane.
    pub(super) fn has(&self, key: Option<&Arc<str>>) -> bool {
        match self.order {
            OrderBy::None => false,
            OrderBy::Key => key.is_some(),
            OrderBy::Stream => true,
        }
    }

    /// An entry takes its lane, `isolated` if no other may go with it. Returns whether it may go on at once; else it
    /// waits.
    pub(super) fn enter(&mut self, key: Option<&Arc<str>>, slot: u32, isolated: bool) -> bool {
        let (lane, width) = match (self.order, key) {
            (OrderBy::Key, Some(key)) => (self.keys.entry(key.clone()).or_default(), 1),
            _ => (&mut self.all, self.width),
        };
        if lane.waiting.is_empty() && lane.admit(isolated, width) {
            return true;
        }
        lane.waiting.push_back((slot, isolated));
        false
    }

    /// A handler gets an entry of the lane.
    pub(super) fn start(&mut self, key: Option<&Arc<str>>) {
        if let Some((lane, _)) = self.lane(key) {
            lane.started = true;
        }
    }

    /// An entry that had been let through is done.
    pub(super) fn leave(&mut self, key: Option<&Arc<str>>) {
        if let Some((lane, _)) = self.lane(key) {
            lane.active = lane.active.saturating_sub(1);
            lane.started &= lane.active > 0;
        }
        self.tidy(key);
    }

    /// An entry that waits is gone.
    pub(super) fn forget(&mut self, key: Option<&Arc<str>>, slot: u32) {
        if let Some((lane, _)) = self.lane(key) {
            lane.waiting.retain(|(waiting, _)| *waiting != slot);
        }
        self.tidy(key);
    }

    /// Lets the next entry of a lane through, if it may go on now.
    pub(super) fn next(&mut self, key: Option<&Arc<str>>) -> Option<u32> {
        let (lane, width) = self.lane(key)?;
        let (slot, isolated) = *lane.waiting.front()?;
        lane.admit(isolated, width).then(|| lane.waiting.pop_front())?;
        Some(slot)
    }

    /// Whether nothing is in a lane.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.all.active == 0 && self.all.waiting.is_empty()
    }

    fn lane(&mut self, key: Option<&Arc<str>>) -> Option<(&mut Lane, usize)> {
        match (self.order, key) {
            (OrderBy::Key, Some(key)) => self.keys.get_mut(key).map(|lane| (lane, 1)),
            _ => Some((&mut self.all, self.width)),
        }
    }

    fn tidy(&mut self, key: Option<&Arc<str>>) {
        if let Some(key) = key
            && self.keys.get(key).is_some_and(|lane| lane.active == 0 && lane.waiting.is_empty())
        {
            self.keys.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_for_each_key() {
        let mut ordering = Ordering::new(OrderBy::Key);
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        assert!(!ordering.has(None));
        assert!(ordering.enter(Some(&a), 1, false) && ordering.enter(Some(&b), 2, false));
        assert!(
            !ordering.enter(Some(&a), 3, false)
                && !ordering.enter(Some(&a), 4, false)
                && !ordering.enter(Some(&a), 5, false)
        );
        assert_eq!(ordering.next(Some(&a)), None);
        ordering.forget(Some(&a), 4);
        ordering.leave(Some(&a));
        assert_eq!((ordering.next(Some(&a)), ordering.next(Some(&a))), (Some(3), None));
        ordering.leave(Some(&a));
        assert_eq!(ordering.next(Some(&a)), Some(5));
        ordering.leave(Some(&a));
        ordering.leave(Some(&b));
        assert!(ordering.keys.is_empty());
    }

    #[test]
    fn the_entries_of_one_batch_go_together() {
        let mut ordering = Ordering::new(OrderBy::Stream);
        ordering.widen(2);
        assert!(
            ordering.enter(None, 1, false)
                && ordering.enter(None, 2, false)
                && !ordering.enter(None, 3, false)
        );
        ordering.start(None);
        ordering.leave(None);
        assert_eq!(ordering.next(None), None, "the batch is not done");
        ordering.leave(None);
        assert_eq!(ordering.next(None), Some(3));
        assert!(ordering.enter(None, 4, false), "it has not started");
        ordering.start(None);
        assert!(!ordering.enter(None, 5, false));
    }

    #[test]
    fn one_that_goes_alone_waits_for_all_and_all_wait_for_it() {
        let mut ordering = Ordering::new(OrderBy::Stream);
        ordering.widen(3);
        assert!(
            ordering.enter(None, 1, false)
                && !ordering.enter(None, 2, true)
                && !ordering.enter(None, 3, false)
        );
        ordering.leave(None);
        assert_eq!((ordering.next(None), ordering.next(None)), (Some(2), None));
        ordering.leave(None);
        assert_eq!(ordering.next(None), Some(3));
    }
}
