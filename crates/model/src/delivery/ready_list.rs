//! Subscriptions take turns: which of them may have work for a handler.

use std::collections::VecDeque;

// The keys are numbers of our own.
use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use crate::delivery::dispatch_batch::DispatchBatch;

/// What a [`ReadyList`] asks of a subscription.
pub(crate) trait Schedulable {
    /// Whether it stands in the list.
    fn listed(&mut self) -> &mut bool;
    /// Whether something waits for a handler, retries apart, and a handler is free.
    fn wants_turn(&self) -> bool;
    /// Whether a handler call can start now.
    fn has_work(&self, now: u64) -> bool;
    /// Whether retries wait, due or not.
    fn has_retries(&self) -> bool;
}

/// Subscriptions, and which of them may have work.
#[derive(Debug)]
pub(crate) struct ReadyList<S> {
    subscriptions: HashMap<u32, Box<S>>,
    /// Those that may have work, in turn.
    ready: VecDeque<u32>,
    /// Those that may have retries: few, so that time is kept without looking at all.
    retrying: HashSet<u32>,
}

impl<S> Default for ReadyList<S> {
    fn default() -> Self {
        ReadyList { subscriptions: HashMap::default(), ready: VecDeque::new(), retrying: HashSet::default() }
    }
}

impl<S: Schedulable> ReadyList<S> {
    pub(crate) fn insert(&mut self, id: u32, subscription: S) {
        self.subscriptions.insert(id, Box::new(subscription));
    }

    pub(crate) fn get(&self, id: u32) -> Option<&S> {
        self.subscriptions.get(&id).map(|s| &**s)
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut S> {
        self.subscriptions.get_mut(&id).map(|s| &mut **s)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &S)> {
        self.subscriptions.iter().map(|(id, s)| (*id, &**s))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut S)> {
        self.subscriptions.iter_mut().map(|(id, s)| (*id, &mut **s))
    }

    /// Removes a subscription.
    pub(crate) fn remove(&mut self, id: u32) -> Option<Box<S>> {
        let mut removed = self.subscriptions.remove(&id)?;
        if *removed.listed() {
            self.ready.retain(|listed| *listed != id);
        }
        self.retrying.remove(&id);
        Some(removed)
    }

    /// Removes all, in time proportional to their number.
    pub(crate) fn clear(&mut self) {
        *self = ReadyList::default();
    }

    /// A subscription gets no turn any more, unless something comes to wait in it.
    pub(crate) fn unlist(&mut self, id: u32) {
        self.ready.retain(|listed| *listed != id);
        self.retrying.remove(&id);
        if let Some(s) = self.subscriptions.get_mut(&id) {
            *s.listed() = false;
        }
    }

    /// Something has come to wait in a subscription, or a handler of it is free.
    pub(crate) fn list(&mut self, id: u32) {
        self.change(id, |_| ());
    }

    /// Changes a subscription in a way that something may come to wait in it, or a handler of it be free: with one
    /// look-up. `None` when there is no such subscription.
    #[inline]
    pub(crate) fn change<R>(&mut self, id: u32, change: impl FnOnce(&mut S) -> R) -> Option<R> {
        let s = self.subscriptions.get_mut(&id)?;
        let result = change(s);
        if !*s.listed() && s.wants_turn() {
            *s.listed() = true;
            self.ready.push_back(id);
        }
        Some(result)
    }

    /// A retry of a subscription waits for its time.
    pub(crate) fn watch_retries(&mut self, id: u32) {
        self.retrying.insert(id);
    }

    /// The subscriptions that may have retries.
    pub(crate) fn retrying(&self) -> impl Iterator<Item = &S> {
        self.retrying.iter().filter_map(|id| self.get(*id))
    }

    /// Whether a handler call can start now.
    pub(crate) fn has_ready(&self, now: u64) -> bool {
        self.ready.iter().any(|id| self.get(*id).is_some_and(|s| s.has_work(now))) || self.has_due(now)
    }

    /// Whether a retry is due for which a handler is free.
    pub(crate) fn has_due(&self, now: u64) -> bool {
        self.retrying().any(|s| s.has_retries() && s.has_work(now))
    }

    /// Starts handler calls until the batch is full, in turns over the subscriptions. `start` starts the next call
    /// of a subscription, and says whether there was one.
    #[inline]
    pub(crate) fn take_turns(
        &mut self,
        now: u64,
        batch: &mut DispatchBatch<'_>,
        mut start: impl FnMut(u32, &mut S, &mut DispatchBatch<'_>) -> bool,
    ) {
        self.list_due(now);
        for _ in 0..self.ready.len() {
            if batch.is_full() {
                break;
            }
            let Some(id) = self.ready.pop_front() else { break };
            let Some(s) = self.subscriptions.get_mut(&id) else { continue };
            *s.listed() = false;
            while !batch.is_full() && s.has_work(now) && start(id, s, batch) {}
            self.list(id);
        }
    }

    /// The subscriptions that stand in the list, in turn.
    #[cfg(test)]
    pub(crate) fn ready(&self) -> impl Iterator<Item = u32> {
        self.ready.iter().copied()
    }

    /// Lists the subscriptions that have retries that are due.
    fn list_due(&mut self, now: u64) {
        let ReadyList { subscriptions, ready, retrying } = self;
        retrying.retain(|id| {
            let Some(s) = subscriptions.get_mut(id) else { return false };
            if !*s.listed() && s.has_retries() && s.has_work(now) {
                *s.listed() = true;
                ready.push_back(*id);
            }
            s.has_retries()
        });
    }
}
