//! When entries are acknowledged.

// The keys are ids that the store has given.
use rustc_hash::FxHashSet as HashSet;

use crate::consumer::request_gate::RequestGate;
use crate::stream_store::{ConsumerId, EntryId, Request};

/// The most entries of one request.
const MAX_IDS: usize = 1000;
/// Requests on their way at once; further entries are gathered meanwhile.
const MAX_IN_FLIGHT: usize = 2;

/// Entries that are settled, for the store to acknowledge. An acknowledgement is not fenced: the work is done, whoever
/// owns the entry.
#[derive(Debug, Default)]
pub(crate) struct Acknowledgements {
    ids: Vec<EntryId>,
    gate: RequestGate,
    /// Those of entries that other consumers own, because a handler here has succeeded all the same.
    without_ownership: HashSet<EntryId>,
}

impl Acknowledgements {
    pub(crate) fn push(&mut self, id: EntryId) {
        self.ids.push(id);
    }

    /// The next acknowledgement of this entry is for one that another consumer owns.
    pub(crate) fn expect_without_ownership(&mut self, id: EntryId) {
        self.without_ownership.insert(id);
    }

    /// The next request, if there is something to acknowledge.
    pub(crate) fn next_request(&mut self, member: &ConsumerId, now: u64) -> Option<Request> {
        if self.ids.is_empty() || !self.gate.is_open(now, MAX_IN_FLIGHT) {
            return None;
        }
        let rest = self.ids.split_off(self.ids.len().min(MAX_IDS));
        let ids = std::mem::replace(&mut self.ids, rest);
        self.gate.sent();
        Some(Request::Acknowledge { member: member.clone(), ids })
    }

    pub(crate) fn succeeded(&mut self) {
        self.gate.succeeded();
    }

    /// Whether an entry that was acknowledged was this consumer's. One that was not may have been claimed again
    /// meanwhile, and then is held.
    pub(crate) fn was_owned(&mut self, id: EntryId) -> bool {
        self.without_ownership.is_empty() || !self.without_ownership.remove(&id)
    }

    /// A request failed. Its entries are acknowledged again: without the group nothing is pending, and whatever comes
    /// back comes back as a new delivery.
    pub(crate) fn failed(&mut self, ids: Vec<EntryId>, now: u64, random: f64) {
        self.gate.failed(now, random);
        self.ids.extend(ids);
    }

    /// Whether nothing is to be acknowledged, and nothing is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.ids.is_empty() && !self.gate.has_in_flight()
    }

    /// From when on the next request may go, if there is one to send.
    pub(crate) fn due(&self) -> Option<u64> {
        (!self.ids.is_empty()).then_some(self.gate.opens_at())
    }

    /// Whether no acknowledgement without ownership is expected.
    #[cfg(test)]
    pub(crate) fn are_all_owned(&self) -> bool {
        self.without_ownership.is_empty()
    }
}
