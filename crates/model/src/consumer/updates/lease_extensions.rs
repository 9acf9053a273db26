//! Leases that are extended, and delivery counts that are written with them.

use crate::consumer::entry::HeldEntry;
use crate::consumer::entry_table::EntryTable;
use crate::consumer::request_gate::RequestGate;
use crate::consumer::stream::slot_index::SlotIndex;
use crate::consumer::updates::retry_state::retry_state;
use crate::stream_store::{ConsumerId, EntryId, Request};

/// The most entries of one request.
const MAX_ENTRIES: usize = 500;

/// The delivery count of the next attempt, and when that is due; 0 if it need not be kept.
type Attempt = (u32, u64);

/// Entries whose claims are to be renewed, each with its delivery count where the store does not have that yet.
/// [`Lease`](crate::consumer::lease::Lease) decides when.
#[derive(Debug, Default)]
pub(crate) struct LeaseExtensions {
    items: Vec<(EntryId, Option<Attempt>)>,
    gate: RequestGate,
    /// When the last request was sent.
    sent_at: u64,
}

impl LeaseExtensions {
    pub(crate) fn push(&mut self, id: EntryId, attempt: Option<Attempt>) {
        self.items.push((id, attempt));
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn clear(&mut self) {
        self.items.clear();
    }

    /// The next request, if there is something to extend.
    pub(crate) fn next_request(
        &mut self,
        member: &ConsumerId,
        (slots, entries): (&SlotIndex, &EntryTable),
        now: u64,
    ) -> Option<Request> {
        if !self.gate.is_open(now, 1) {
            return None;
        }
        while !self.items.is_empty() {
            let rest = self.items.split_off(self.items.len().min(MAX_ENTRIES));
            let mut items = std::mem::replace(&mut self.items, rest);
            // Some may have been settled since.
            items.retain(|(id, _)| slots.held(*id, entries).is_some_and(HeldEntry::is_held));
            // Of several for one entry the latest attempt counts.
            items.sort_unstable();
            items.dedup_by(|later, kept| {
                let same = later.0 == kept.0;
                if same {
                    kept.1 = later.1;
                }
                same
            });
            if !items.is_empty() {
                self.gate.sent();
                self.sent_at = now;
                let state = |(count, due)| retry_state(count, due, now);
                let items = items.into_iter().map(|(id, attempt)| (id, attempt.map(state))).collect();
                return Some(Request::ExtendLease { member: member.clone(), items });
            }
        }
        None
    }

    /// The last request was answered. Returns when it was sent.
    pub(crate) fn succeeded(&mut self) -> u64 {
        self.gate.succeeded();
        self.sent_at
    }

    pub(crate) fn failed(&mut self, now: u64, random: f64) {
        self.gate.failed(now, random);
    }

    /// From when on the next request may go, if there is one to send.
    pub(crate) fn due(&self) -> Option<u64> {
        (!self.items.is_empty()).then_some(self.gate.opens_at())
    }
}
