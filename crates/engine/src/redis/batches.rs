//! The submissions that are under way: what of each is settled, and what the host knows of it.

use std::collections::HashMap;
use std::sync::Arc;

use oxbus_model::BusError;

use crate::host::{EventId, Failed, Published};
use crate::shared::Shared;

/// One submission, until all its events are settled.
pub(super) struct Batch {
    /// The timestamp of events that had none of their own.
    pub(super) stamp: Arc<str>,
    /// By index: the generated id.
    pub(super) ids: Vec<Option<EventId>>,
    /// Events that are not settled.
    pub(super) open: usize,
    /// Bytes of its text, which count against the admission until it is done.
    pub(super) bytes: usize,
    /// Answered since the last report: (index, receivers), in order.
    answered: Vec<(u32, i64)>,
}

impl Batch {
    pub(super) fn new(stamp: Arc<str>, ids: Vec<Option<EventId>>, open: usize, bytes: usize) -> Self {
        Batch { stamp, ids, open, bytes, answered: Vec::new() }
    }

    /// The answered events as runs of consecutive indexes.
    fn take_runs(&mut self, batch: u32, mut report: impl FnMut(Published)) {
        let mut answered = self.answered.drain(..).peekable();
        while let Some((first, receivers)) = answered.next() {
            let id = |index: u32| self.ids.get(index as usize).copied().flatten();
            let mut items = vec![(id(first), receivers)];
            while let Some((index, receivers)) =
                answered.next_if(|(index, _)| *index as usize == first as usize + items.len())
            {
                items.push((id(index), receivers));
            }
            report(Published { batch, first, timestamp: self.stamp.clone(), items });
        }
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Batches {
    open: HashMap<u32, Batch>,
    /// Those with answers that the host was not told of, each once.
    touched: Vec<u32>,
    failed: Vec<Failed>,
}

impl Batches {
    /// Adds a submission whose events are under way.
    pub(super) fn add(&mut self, batch: u32, state: Batch) {
        self.open.insert(batch, state);
    }

    /// An event was published.
    pub(super) fn published(&mut self, shared: &Shared, batch: u32, index: u32, receivers: i64) {
        let Some(state) = self.open.get_mut(&batch) else { return };
        if state.answered.is_empty() {
            self.touched.push(batch);
        }
        state.answered.push((index, receivers));
        self.settle(shared, batch);
    }

    /// An event failed after it was under way.
    pub(super) fn failed(&mut self, shared: &Shared, batch: u32, index: u32, error: BusError) {
        self.refused(batch, index, error);
        self.settle(shared, batch);
    }

    /// An event was refused before it was under way.
    pub(super) fn refused(&mut self, batch: u32, index: u32, error: BusError) {
        self.failed.push(Failed { batch, index, error });
    }

    /// Whether nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Tells the host what was settled since the last time.
    pub(super) fn report(&mut self, shared: &Shared) {
        for batch in self.touched.drain(..) {
            let Some(state) = self.open.get_mut(&batch) else { continue };
            shared.stats.events_published.add(state.answered.len() as u64);
            state.take_runs(batch, |run| shared.outbox.published(run));
            if state.open == 0 {
                self.open.remove(&batch);
            }
        }
        if !self.failed.is_empty() {
            shared.outbox.failed(std::mem::take(&mut self.failed));
        }
    }

    /// Gives back the room that a settled event took.
    fn settle(&mut self, shared: &Shared, batch: u32) {
        let Some(state) = self.open.get_mut(&batch) else { return };
        state.open -= 1;
        let done = state.open == 0;
        shared.admission.release(1, if done { state.bytes } else { 0 });
        if done && state.answered.is_empty() {
            self.open.remove(&batch);
        }
    }
}
