//! Entries that become dead letters.

use std::sync::Arc;

use crate::consumer::entry::{HeldEntry, Stage};
use crate::consumer::entry_table::EntryTable;
use crate::consumer::request_gate::RequestGate;
use crate::consumer::stream::slot_index::SlotIndex;
use crate::stream_store::{ConsumerId, DeadLetterEntry, EntryId, Request};

/// The most entries of one request.
const MAX_ENTRIES: usize = 100;

/// Entries that are given up, for the store to move to the dead letters.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    /// The stream of dead letters; without one, entries are only acknowledged.
    to: Option<Arc<str>>,
    /// Ids, as a slot may be another's by the time when the list is worked off.
    ids: Vec<EntryId>,
    gate: RequestGate,
    /// Whether it was told that letters had to go.
    told_dropped: bool,
}

impl DeadLetters {
    pub(crate) fn new(to: Option<Arc<str>>) -> Self {
        DeadLetters { to, ids: Vec::new(), gate: RequestGate::default(), told_dropped: false }
    }

    pub(crate) fn push(&mut self, id: EntryId) {
        self.ids.push(id);
    }

    pub(crate) fn clear(&mut self) {
        self.ids.clear();
    }

    /// The next request, if there is an entry to move. About `max_len` dead letters are kept.
    pub(crate) fn next_request(
        &mut self,
        member: &ConsumerId,
        max_len: u64,
        (slots, entries): (&SlotIndex, &EntryTable),
        now: u64,
    ) -> Option<Request> {
        if !self.gate.is_open(now, 1) {
            return None;
        }
        let letter = |id: EntryId| {
            let entry = slots.held(id, entries).filter(|entry| entry.stage == Stage::DeadLettering)?;
            letter_of(entry)
        };
        while !self.ids.is_empty() {
            let rest = self.ids.split_off(self.ids.len().min(MAX_ENTRIES));
            let listed = std::mem::replace(&mut self.ids, rest);
            let letters: Vec<DeadLetterEntry> = listed.into_iter().filter_map(letter).collect();
            if !letters.is_empty() {
                self.gate.sent();
                let (member, to) = (member.clone(), self.to.clone());
                return Some(Request::DeadLetter { member, to, max_len, letters });
            }
        }
        None
    }

    pub(crate) fn succeeded(&mut self) {
        self.gate.succeeded();
    }

    /// So many dead letters had to go. Returns what is to be said of that, the first time.
    pub(crate) fn dropped(&mut self, count: u64) -> Option<String> {
        if count == 0 || std::mem::replace(&mut self.told_dropped, true) {
            return None;
        }
        let name = self.to.as_deref().unwrap_or_default();
        Some(format!(
            "there are as many dead letters in {name:?} as are kept: the oldest go, and are counted (deadLettersDropped)"
        ))
    }

    /// A request failed; its entries are moved again. Returns whether it is the first failure in a row.
    pub(crate) fn failed(&mut self, letters: &[DeadLetterEntry], now: u64, random: f64) -> bool {
        self.ids.extend(letters.iter().map(|letter| letter.id));
        self.gate.failed(now, random)
    }

    /// Whether nothing is to be moved, and nothing is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.ids.is_empty() && !self.gate.has_in_flight()
    }

    /// From when on the next request may go, if there is one to send.
    pub(crate) fn due(&self) -> Option<u64> {
        (!self.ids.is_empty()).then_some(self.gate.opens_at())
    }
}

fn letter_of(entry: &HeldEntry) -> Option<DeadLetterEntry> {
    let failure = entry.failure.as_ref()?;
    let (attempts, error) = (failure.attempts, failure.error.clone());
    Some(DeadLetterEntry { id: entry.id, attempts, reason: failure.reason, error })
}
