//! Entries that no pattern of the group takes, until they are skipped.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::consumer::request_gate::RequestGate;
use crate::stream_store::{ConsumerId, EntryId, Request};

/// The most entries of one request.
const MAX_ENTRIES: usize = 500;
/// The types that a client remembers to have warned of.
const MAX_WARNED: usize = 256;

/// An entry of a type that no pattern of the group takes, as far as is known.
pub(crate) type UnmatchedEntry = (EntryId, Arc<str>);

/// The unmatched entries of a stream, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct UnmatchedEntries {
    /// They are to be skipped.
    waiting: Vec<UnmatchedEntry>,
    /// How many the request has that is on its way.
    asked: usize,
    /// The patterns have changed since they were judged: they are judged again once the new ones are known.
    outdated: Vec<UnmatchedEntry>,
    gate: RequestGate,
    /// The types that were warned of.
    warned: BTreeSet<Box<str>>,
}

impl UnmatchedEntries {
    pub(crate) fn push(&mut self, id: EntryId, event_type: Arc<str>) {
        self.waiting.push((id, event_type));
    }

    /// The request that skips entries, which were judged by that version of the facts.
    pub(crate) fn next_request(&mut self, member: &ConsumerId, version: u64, now: u64) -> Option<Request> {
        if self.waiting.is_empty() || !self.outdated.is_empty() || !self.gate.is_open(now, 1) {
            return None;
        }
        let rest = self.waiting.split_off(self.waiting.len().min(MAX_ENTRIES));
        let entries = std::mem::replace(&mut self.waiting, rest);
        self.asked = entries.len();
        self.gate.sent();
        Some(Request::Skip { member: member.clone(), version, entries })
    }

    /// Entries were skipped.
    pub(crate) fn succeeded(&mut self) {
        self.asked = 0;
        self.gate.succeeded();
    }

    /// Nothing was done, as the facts have changed. They are waited for.
    pub(crate) fn outdated(&mut self, entries: Vec<UnmatchedEntry>) {
        self.asked = 0;
        self.gate.succeeded();
        self.outdated = entries;
        self.outdated.append(&mut self.waiting);
    }

    /// A request failed; its entries are skipped with the next.
    pub(crate) fn failed(&mut self, mut entries: Vec<UnmatchedEntry>, now: u64, random: f64) {
        self.asked = 0;
        self.gate.failed(now, random);
        entries.append(&mut self.waiting);
        self.waiting = entries;
    }

    /// Whether a type is to be warned of: once, as a type that comes seldom is recorded anew each time.
    pub(crate) fn warns_of(&mut self, event_type: &str) -> bool {
        self.warned.len() < MAX_WARNED && self.warned.insert(event_type.into())
    }

    /// Takes the entries that are not asked for, to judge them by new facts.
    pub(crate) fn take(&mut self) -> Vec<UnmatchedEntry> {
        let mut entries = std::mem::take(&mut self.outdated);
        entries.append(&mut self.waiting);
        entries
    }

    /// Whether entries wait for new facts.
    pub(crate) fn wait_for_facts(&self) -> bool {
        !self.outdated.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.outdated.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.outdated.is_empty() && self.asked == 0
    }

    /// From when on the next request may go, if there is one to send.
    pub(crate) fn due(&self) -> Option<u64> {
        (!self.waiting.is_empty() && self.outdated.is_empty()).then_some(self.gate.opens_at())
    }
}
