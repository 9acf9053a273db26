//! What was put off until it is due.

use crate::stream_store::memory::group::{Group, Pending, row, signed};
use crate::stream_store::{DELAYED, EntryId, PendingEntry, Response};

impl Pending {
    /// Notes a delay. Where none is asked for, one that was asked for before goes on.
    pub(super) fn delay(&mut self, due_in: Option<u64>, now_ms: u64) {
        if let Some(wait) = due_in {
            self.due = Some(now_ms.saturating_add(wait));
        }
    }

    /// Whether another consumer may claim it.
    pub(super) fn may_be_claimed(&self, min_idle: u64, early: bool, now_ms: u64) -> bool {
        if self.is_delayed() {
            early || self.due_in(now_ms).is_none()
        } else {
            self.idle(signed(now_ms)) >= min_idle
        }
    }
}

impl Group {
    /// Nobody is to work on an entry until it is due, in `wait` milliseconds.
    pub(super) fn put_off(&mut self, id: EntryId, wait: u64, lease: u64, now_ms: u64) {
        self.move_to(id, DELAYED, now_ms);
        if let Some(pending) = self.pending.get_mut(&id) {
            pending.since = signed(now_ms).saturating_sub(signed(lease.saturating_sub(wait)));
        }
    }

    /// The entries that were put off and are due, or all of them with `early`, and those that are idle for `min_idle`.
    pub(super) fn list_expired(&self, min_idle: u64, limit: usize, early: bool, now_ms: u64) -> Response {
        let delayed = self.consumers.get(DELAYED).into_iter().flat_map(|consumer| &consumer.pending);
        let delayed = delayed.filter_map(|id| Some((*id, self.pending.get(id)?)));
        let mut ready = Vec::new();
        let mut next_due_in = None;
        for (id, pending) in delayed {
            match pending.due_in(now_ms) {
                Some(wait) if !early => next_due_in = Some(next_due_in.map_or(wait, |next: u64| next.min(wait))),
                _ => ready.push((pending.due.filter(|_| !early), id, pending)),
            }
        }
        ready.sort_by_key(|(due, id, _)| (*due, *id));
        let ready = ready.into_iter().map(|(_, id, pending)| row(id, pending, now_ms));
        let others = self.pending.iter().filter(|(_, pending)| !pending.is_delayed());
        let others = others.map(|(id, pending)| row(*id, pending, now_ms)).filter(|e| e.idle >= min_idle);
        let entries: Vec<PendingEntry> = ready.chain(others).take(limit).collect();
        Response::Expired { entries, next_due_in }
    }
}
