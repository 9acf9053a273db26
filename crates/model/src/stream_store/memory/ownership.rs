//! Who owns the pending entries of a group: renewing, handing back, putting off, claiming.

use std::ops::Bound::{Excluded, Unbounded};

use crate::stream_store::memory::group::{Group, Holder, Pending, row, signed};
use crate::stream_store::memory::log::Log;
use crate::stream_store::{
    ConsumerId, DELAYED, EntryId, MinIdle, PendingEntry, Response, RetryState, StoredEntry,
};

/// For how long an entry that was handed back counts as idle already, in milliseconds.
const RELEASED_IDLE: i64 = 3_600_000;
/// How long a consumer that never had a heartbeat must have been idle before it is removed, in milliseconds.
const STRANGER_IDLE: u64 = 60_000;
/// For how long, in milliseconds, the name of a dead consumer is known as ours: a read that it had begun may still be answered.
const KNOWN_FOR: u64 = 3_600_000;
/// After how many bytes of fields no more of a consumer's own entries are told at once.
const MAX_OWN_BYTES: usize = 1024 * 1024;

/// What a fenced request was not done for.
#[derive(Default)]
pub(super) struct Lost {
    pub(super) taken: Vec<EntryId>,
    pub(super) gone: Vec<EntryId>,
    pub(super) dropped: u64,
}

impl From<Lost> for Response {
    fn from(Lost { taken, gone, dropped }: Lost) -> Response {
        Response::Fenced { not_owned: taken, deleted: gone, dropped }
    }
}

impl Group {
    /// Removes consumers that do not live and own nothing. Returns how many.
    pub(super) fn remove_dead_consumers(&mut self, pause: u64, now_ms: u64) -> u64 {
        if self.swept_at.is_some_and(|at| at <= now_ms && now_ms < at.saturating_add(pause)) {
            return 0;
        }
        self.swept_at = Some(now_ms);
        let Group { consumers, alive, .. } = self;
        let before = consumers.len();
        consumers.retain(|name, consumer| {
            let holder = alive.get_mut(name);
            let is_dead = match &holder {
                Some(holder) => holder.until <= now_ms,
                None => consumer.idle(now_ms) > STRANGER_IDLE,
            };
            let is_kept = !is_dead || !consumer.pending.is_empty();
            if let Some(holder) = holder.filter(|_| !is_kept) {
                holder.until = now_ms;
            }
            is_kept
        });
        alive.retain(|name, holder| holder.until + KNOWN_FOR > now_ms || consumers.contains_key(name));
        (before - consumers.len()) as u64
    }

    /// The pending entry, if the consumer owns it and it was not deleted; what was deleted is pending no more.
    fn held(&mut self, log: &Log, member: &ConsumerId, id: EntryId, lost: &mut Lost) -> Option<&mut Pending> {
        if !self.is_owned(id, member) {
            lost.taken.push(id);
            return None;
        }
        if log.get(id).is_none() {
            lost.gone.push(id);
            self.settle(id);
        }
        self.pending.get_mut(&id)
    }

    /// Renews entries. With a new delivery count the call that had begun has ended.
    pub(super) fn extend_lease(
        &mut self,
        log: &Log,
        member: &ConsumerId,
        items: &[(EntryId, Option<RetryState>)],
        now_ms: u64,
    ) -> Response {
        let mut lost = Lost::default();
        for (id, state) in items {
            let Some(pending) = self.held(log, member, *id, &mut lost) else { continue };
            pending.since = signed(now_ms);
            // Whoever renews a claim has a handler.
            pending.unhandled_since = None;
            if let Some(state) = state {
                pending.deliveries = state.deliveries;
                pending.started = false;
                pending.delay(state.due_in, now_ms);
            }
        }
        if lost.taken.len() + lost.gone.len() < items.len() {
            self.see(&member.consumer, now_ms);
        }
        lost.into()
    }

    /// Hands entries back.
    pub(super) fn requeue(
        &mut self,
        log: &Log,
        member: &ConsumerId,
        items: &[(EntryId, RetryState)],
        lease: u64,
        unhandled: bool,
        now_ms: u64,
    ) -> Response {
        let mut lost = Lost::default();
        for (id, state) in items {
            let Some(pending) = self.held(log, member, *id, &mut lost) else { continue };
            pending.since = signed(now_ms).saturating_sub(RELEASED_IDLE);
            pending.deliveries = state.deliveries;
            pending.started = false;
            if unhandled {
                pending.unhandled_since.get_or_insert(now_ms);
            } else {
                pending.unhandled_since = None;
            }
            pending.delay(state.due_in, now_ms);
            if let Some(wait) = pending.due_in(now_ms) {
                self.put_off(*id, wait, lease, now_ms);
            }
        }
        if lost.taken.len() + lost.gone.len() < items.len() {
            self.see(&member.consumer, now_ms);
        }
        lost.into()
    }

    /// Notes that a suspect entry begins to run.
    pub(super) fn mark_started(&mut self, log: &Log, member: &ConsumerId, id: EntryId) -> Response {
        let mut lost = Lost::default();
        if let Some(pending) = self.held(log, member, id, &mut lost) {
            pending.started = true;
        }
        lost.into()
    }

    /// Makes a consumer the owner of entries that are idle for `min_idle`.
    pub(super) fn claim(
        &mut self,
        log: &Log,
        member: &ConsumerId,
        (min_idle, early): (MinIdle, bool),
        ids: &[EntryId],
        now_ms: u64,
    ) -> Response {
        let (mut entries, mut deleted) = (Vec::new(), Vec::new());
        if !self.is_mine(member) {
            return Response::Claimed { entries, deleted };
        }
        for id in ids {
            let Some(pending) = self.pending.get_mut(id) else { continue };
            let is_foreign = *pending.consumer != *DELAYED && !self.alive.contains_key(&pending.consumer);
            let least = if is_foreign { min_idle.foreign } else { min_idle.ours };
            if !pending.may_be_claimed(least, early, now_ms) {
                continue;
            }
            if is_foreign {
                // What other programs have delivered is no attempt of ours.
                pending.deliveries = u32::from(pending.due_in(now_ms).is_some());
            }
            match self.take_up(log, *id, true, now_ms) {
                Some(entry) => {
                    self.move_to(*id, &member.consumer, now_ms);
                    entries.push(entry);
                }
                None => deleted.push(*id),
            }
        }
        if !entries.is_empty() {
            // Who claims is ours.
            self.alive.entry(member.consumer.clone()).or_insert_with(|| Holder::left(&member.instance));
        }
        Response::Claimed { entries, deleted }
    }

    /// Makes a consumer the owner of a pending entry.
    pub(super) fn move_to(&mut self, id: EntryId, consumer: &str, now_ms: u64) {
        let name = self.see(consumer, now_ms);
        let Some(pending) = self.pending.get_mut(&id) else { return };
        let before = std::mem::replace(&mut pending.consumer, name.clone());
        if let Some(before) = self.consumers.get_mut(&before) {
            before.pending.remove(&id);
        }
        if let Some(consumer) = self.consumers.get_mut(&name) {
            consumer.pending.insert(id);
        }
    }

    /// The pending entries of a consumer behind `after`.
    pub(super) fn claim_own_pending(
        &mut self,
        log: &Log,
        member: &ConsumerId,
        (after, limit): (EntryId, usize),
        raise: bool,
        now_ms: u64,
    ) -> Response {
        if !self.is_mine(member) {
            return Response::Claimed { entries: Vec::new(), deleted: Vec::new() };
        }
        let ids: Vec<_> = self.consumers.get_mut(&member.consumer).map_or_else(Vec::new, |consumer| {
            consumer.seen = now_ms;
            consumer.pending.range((Excluded(after), Unbounded)).take(limit).copied().collect()
        });
        let (mut entries, mut deleted, mut bytes) = (Vec::new(), Vec::new(), 0);
        for id in ids {
            if bytes >= MAX_OWN_BYTES {
                break;
            }
            match self.take_up(log, id, raise, now_ms) {
                Some(entry) => {
                    bytes += entry.fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
                    entries.push(entry);
                }
                None => deleted.push(id),
            }
        }
        Response::Claimed { entries, deleted }
    }

    /// Renews a pending entry for a handler. `None`, and pending no more, when it was deleted.
    fn take_up(&mut self, log: &Log, id: EntryId, raise: bool, now_ms: u64) -> Option<StoredEntry> {
        let Some(fields) = log.get(id) else {
            self.settle(id);
            return None;
        };
        let pending = self.pending.get_mut(&id)?;
        pending.since = signed(now_ms);
        let (due_in, delayed) = (pending.due_in(now_ms), pending.is_delayed());
        // Of an entry that is held until it is due, the count is that of the next attempt already.
        let raise = raise && (due_in.is_none() || delayed);
        pending.deliveries = pending.deliveries.saturating_add(raise.into());
        pending.due = pending.due.filter(|_| due_in.is_some());
        Some(StoredEntry {
            id,
            deliveries: pending.deliveries,
            started: pending.started,
            unhandled_since: pending.unhandled_since,
            due_in: due_in.or(delayed.then_some(0)),
            fields: (**fields).clone(),
        })
    }

    /// Nobody is to work on an entry until it is due, in `wait` milliseconds.
    pub(super) fn put_off(&mut self, id: EntryId, wait: u64, lease: u64, now_ms: u64) {
        self.move_to(id, DELAYED, now_ms);
        if let Some(pending) = self.pending.get_mut(&id) {
            pending.since = signed(now_ms).saturating_sub(signed(lease.saturating_sub(wait)));
        }
    }

    /// The clock has gone back: what was renewed in the future counts as renewed now.
    pub(super) fn set_right(&mut self, now_ms: u64) {
        for pending in self.pending.values_mut() {
            pending.since = pending.since.min(signed(now_ms));
        }
    }

    /// The entries that were put off and are due, or all of them with `early`, and those that are idle for `min_idle`.
    pub(super) fn list_expired(&self, min_idle: MinIdle, limit: usize, early: bool, now_ms: u64) -> Response {
        let delayed = self.consumers.get(DELAYED).into_iter().flat_map(|consumer| &consumer.pending);
        let delayed = delayed.filter_map(|id| Some((*id, self.pending.get(id)?)));
        let mut ready = Vec::new();
        let mut next_due_in = None;
        for (id, pending) in delayed {
            match pending.due_in(now_ms) {
                Some(wait) if !early => {
                    next_due_in = Some(next_due_in.map_or(wait, |next: u64| next.min(wait)))
                }
                _ => ready.push((pending.due.filter(|_| !early), id, pending)),
            }
        }
        ready.sort_by_key(|(due, id, _)| (*due, *id));
        let ready = ready.into_iter().map(|(_, id, pending)| row(id, pending, now_ms));
        let others = self.pending.iter().filter(|(_, pending)| !pending.is_delayed());
        let others = others.map(|(id, pending)| {
            let foreign = self.is_foreign(&pending.consumer);
            PendingEntry { foreign, ..row(*id, pending, now_ms) }
        });
        let mut foreign_waits = false;
        let others = others.filter(|entry| {
            foreign_waits |= entry.foreign && entry.idle >= min_idle.ours;
            entry.idle >= if entry.foreign { min_idle.foreign } else { min_idle.ours }
        });
        let others: Vec<PendingEntry> = others.collect();
        let entries: Vec<PendingEntry> = ready.chain(others).take(limit).collect();
        Response::Expired { entries, next_due_in, foreign_waits, time: now_ms }
    }
}

impl Pending {
    /// Whether another consumer may claim it once it is idle for `min_idle`.
    fn may_be_claimed(&self, min_idle: u64, early: bool, now_ms: u64) -> bool {
        if self.is_delayed() {
            early || self.due_in(now_ms).is_none()
        } else {
            self.idle(signed(now_ms)) >= min_idle
        }
    }
}
