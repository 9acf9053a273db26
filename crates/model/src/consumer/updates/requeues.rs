//! Entries that are handed back to their group.

use crate::consumer::entry::Stage;
use crate::consumer::entry_table::EntryTable;
use crate::consumer::request_gate::RequestGate;
use crate::consumer::stream::slot_index::SlotIndex;
use crate::consumer::updates::retry_state::retry_state;
use crate::stream_store::{ConsumerId, EntryId, Request, RetryState};

/// The most entries of one request.
const MAX_ENTRIES: usize = 500;

/// Entries that this client hands back unhandled: any consumer of the group may claim them when they are due.
#[derive(Debug, Default)]
pub(crate) struct Requeues {
    /// Entries that have a handler here.
    with_handler: Vec<EntryId>,
    /// Entries that have none: the store keeps the time of the first such hand-back.
    without_handler: Vec<EntryId>,
    gate: RequestGate,
}

impl Requeues {
    /// Adds an entry; `unhandled` if it has no handler here.
    pub(crate) fn push(&mut self, id: EntryId, unhandled: bool) {
        self.list(unhandled).push(id);
    }

    pub(crate) fn clear(&mut self) {
        self.with_handler.clear();
        self.without_handler.clear();
    }

    /// The next request, if there is an entry to hand back.
    pub(crate) fn next_request(
        &mut self,
        member: &ConsumerId,
        (slots, entries): (&SlotIndex, &EntryTable),
        lease: u64,
        now: u64,
    ) -> Option<Request> {
        if !self.gate.is_open(now, 1) {
            return None;
        }
        let item = |id: EntryId| {
            let entry = slots.held(id, entries).filter(|entry| entry.stage == Stage::Requeueing)?;
            Some((id, retry_state(entry.made, entry.due, now)))
        };
        for unhandled in [false, true] {
            let list = self.list(unhandled);
            if list.len() > MAX_ENTRIES {
                // Of several requests the first has the oldest entries, so that an order is kept.
                list.sort_unstable();
            }
            while !list.is_empty() {
                let rest = list.split_off(list.len().min(MAX_ENTRIES));
                let listed = std::mem::replace(list, rest);
                let items: Vec<(EntryId, RetryState)> = listed.into_iter().filter_map(item).collect();
                if !items.is_empty() {
                    self.gate.sent();
                    let member = member.clone();
                    return Some(Request::Requeue { member, items, lease, unhandled });
                }
            }
        }
        None
    }

    pub(crate) fn succeeded(&mut self) {
        self.gate.succeeded();
    }

    /// A request failed; its entries are handed back again.
    pub(crate) fn failed(&mut self, ids: &[EntryId], unhandled: bool, now: u64, random: f64) {
        self.gate.failed(now, random);
        self.list(unhandled).extend(ids);
    }

    /// Whether nothing is to be handed back, and nothing is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.with_handler.is_empty() && self.without_handler.is_empty() && !self.gate.has_in_flight()
    }

    /// From when on the next request may go, if there is one to send.
    pub(crate) fn due(&self) -> Option<u64> {
        let any = !self.with_handler.is_empty() || !self.without_handler.is_empty();
        any.then_some(self.gate.opens_at())
    }

    fn list(&mut self, unhandled: bool) -> &mut Vec<EntryId> {
        if unhandled { &mut self.without_handler } else { &mut self.with_handler }
    }

    /// Entries with a handler here, and then those without.
    #[cfg(test)]
    pub(crate) fn lists(&mut self) -> [&mut Vec<EntryId>; 2] {
        [&mut self.with_handler, &mut self.without_handler]
    }
}
