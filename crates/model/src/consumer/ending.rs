//! Entries end: acknowledged, dead-lettered, handed back, or lost.

use super::Announcement;
use crate::consumer::entry::{CallState, Entry, Failure, Stage};
use crate::consumer::group::{Context, Group};
use crate::consumer::subscriber;
use crate::delivery::DeliveryCounts;
use crate::stream_store::{EntryId, Missed};

/// How a handler call of an entry ended.
pub(super) enum End {
    Succeeded,
    Retry {
        at: u64,
    },
    /// It is to be made by another consumer, or later. `consumed`: it was an attempt.
    Undone {
        consumed: bool,
    },
    Failed(Failure),
}

impl Group {
    /// Ends the call of an entry by one subscription. A `zombie` keeps its slot.
    pub(super) fn end_call(
        &mut self,
        slot: u32,
        id: u32,
        end: End,
        zombie: bool,
        now: u64,
        cx: &mut Context,
    ) -> DeliveryCounts {
        let mut tally = DeliveryCounts::default();
        let Some(entry) = self.entries.get_mut(slot) else { return tally };
        let lost = entry.stage == Stage::Over;
        // What is not in the stream any more cannot be tried again.
        let last = lost || entry.gone;
        let at = entry.stream;
        let Some(call) = entry.call_mut(id) else { return tally };
        let CallState::Running { since, .. } = call.state else { return tally };
        let attempt = call.attempt;
        let succeeded = matches!(end, End::Succeeded);
        let retry = match &end {
            End::Retry { at } if !last => Some(*at),
            _ => None,
        };
        call.attempt += u32::from(retry.is_some());
        call.state =
            if zombie { CallState::Zombie { since, retry_at: retry } } else { CallState::Done { succeeded } };
        match end {
            End::Succeeded => tally.delivered = 1,
            End::Failed(failure) if !lost => {
                tally.failed = 1;
                entry.failure.get_or_insert_with(|| Box::new(failure));
            }
            End::Undone { consumed } => {
                entry.undone = true;
                entry.made = entry.made.max(if consumed { attempt } else { 0 });
            }
            End::Retry { .. } | End::Failed(_) => {}
        }
        if let Some(retry_at) = retry {
            tally.retried = 1;
            entry.made = entry.made.max(attempt);
            entry.count = entry.count.max(attempt.saturating_add(1));
            entry.renewed = now;
            let hold = (entry.id, Some(entry.count));
            // The attempt outlives the process.
            if let Some(stream) = self.streams.get_mut(at) {
                stream.holds.push(hold);
            }
            if !zombie {
                self.back_off(slot, id, retry_at);
            }
        }
        self.end_if_done(slot, now, cx);
        tally
    }

    /// Ends an entry unless a call of it is open.
    pub(super) fn end_if_done(&mut self, slot: u32, now: u64, cx: &mut Context) {
        let Some(entry) = self.entries.get_mut(slot) else { return };
        if entry.is_open() {
            self.reload(slot);
            return;
        }
        let (at, id) = (entry.stream, entry.id);
        let done = |call: &crate::consumer::entry::Call| call.state == CallState::Done { succeeded: true };
        let calls = entry.calls.as_slice();
        let (any, all) = (calls.iter().any(done), calls.iter().all(done));
        if entry.stage == Stage::Over {
            // A success acknowledges whoever owns the entry by now.
            if all {
                if let Some(stream) = self.streams.get_mut(at) {
                    stream.late.insert(id);
                }
                self.settled(at, id, now);
            }
        } else if entry.gone && !all {
            entry.stage = Stage::Over;
            if let Some(stream) = self.streams.get_mut(at) {
                stream.forget(id);
            }
            self.tell_lost(at, &[id], cx);
        } else if entry.undone || (!any && entry.failure.is_none()) {
            entry.stage = Stage::Releasing;
            if let Some(stream) = self.streams.get_mut(at) {
                stream.releases[0].push(id);
            }
        } else if entry.failure.is_some() {
            entry.stage = Stage::Burying;
            if let Some(stream) = self.streams.get_mut(at) {
                stream.letters.push(id);
            }
        } else {
            entry.stage = Stage::Over;
            self.settled(at, id, now);
        }
        self.leave_lane(slot, now);
        self.reload(slot);
        self.free(slot, cx);
    }

    /// An entry is to be acknowledged.
    pub(super) fn settled(&mut self, at: usize, id: EntryId, now: u64) {
        self.pace.count(now);
        if let Some(stream) = self.streams.get_mut(at) {
            stream.acks.push(id);
        }
    }

    /// Lets the next of its lane through once an entry is decided and no handler has it.
    pub(super) fn leave_lane(&mut self, slot: u32, now: u64) {
        let Some(entry) = self.entries.get_mut(slot) else { return };
        if !entry.in_lane || entry.is_open() || entry.is_live() {
            return;
        }
        entry.in_lane = false;
        let key = entry.key().cloned();
        self.lanes.leave(key.as_ref());
        while let Some(next) = self.lanes.next(key.as_ref()) {
            if let Some(entry) = self.entries.get_mut(next) {
                entry.in_lane = true;
            }
            self.activate(next, now);
        }
    }

    /// Gives the slot of an entry back once nothing refers to it.
    pub(super) fn free(&mut self, slot: u32, cx: &mut Context) {
        let Some(entry) = self.entries.get(slot) else { return };
        if entry.stage != Stage::Over || entry.is_live() || entry.is_open() {
            return;
        }
        if let Some(entry) = self.entries.remove(slot) {
            self.count_load(entry.load, false);
            self.bytes = self.bytes.saturating_sub(entry.bytes());
            if let Some(event) = entry.event {
                cx.spend(event);
            }
        }
    }

    /// The slot of an entry that is held, or on its way out.
    pub(super) fn slot_of(&self, at: usize, id: EntryId) -> Option<u32> {
        let slot = *self.streams.get(at)?.known.get(&id)?;
        // Of an entry that is only to be acknowledged the slot may be another's.
        let entry = self.entries.get(slot)?;
        (entry.id == id && entry.stream == at && entry.stage != Stage::Over).then_some(slot)
    }

    /// Entries turn out to be gone from the stream. What a handler has ends by itself; the rest is lost.
    pub(super) fn vanish(&mut self, at: usize, ids: &[EntryId], now: u64, cx: &mut Context) {
        if ids.is_empty() {
            return;
        }
        let mut idle = Vec::new();
        for &id in ids {
            let Some(slot) = self.slot_of(at, id) else { continue };
            let Some(entry) = self.entries.get_mut(slot) else { continue };
            entry.gone = true;
            let runs = |call: &crate::consumer::entry::Call| matches!(call.state, CallState::Running { .. });
            if entry.calls.as_slice().iter().any(runs) {
                self.drop_calls(slot, None);
            } else {
                idle.push(id);
            }
        }
        self.lose(at, &idle, now, cx);
    }

    /// Says that entries are gone that no handler has had to the end.
    pub(super) fn tell_lost(&self, at: usize, ids: &[EntryId], cx: &mut Context) {
        let (Some(from), Some(to)) = (ids.iter().min(), ids.iter().max()) else { return };
        let Some(stream) = self.streams.get(at) else { return };
        let missed = Missed { count: ids.len() as u64, from: *from, to: *to };
        let (stream, group) = (stream.name.clone(), self.joining.group.clone());
        cx.announcements.push(Announcement::MessagesLost { stream, group, missed });
    }

    /// Another client start has taken the consumer's name: everything that was held under it is its own.
    pub(super) fn lose_all(&mut self, at: usize, now: u64, cx: &mut Context) {
        let held = self.entries.iter().filter(|(_, e)| e.stream == at && e.stage != Stage::Over);
        let ids: Vec<EntryId> = held.map(|(_, e)| e.id).collect();
        if let Some(stream) = self.streams.get_mut(at) {
            stream.forget_tasks();
        }
        self.lose(at, &ids, now, cx);
    }

    /// Entries turn out to be other consumers' now.
    pub(super) fn lose(&mut self, at: usize, ids: &[EntryId], now: u64, cx: &mut Context) {
        let slots: Vec<u32> = ids.iter().filter_map(|id| self.slot_of(at, *id)).collect();
        let mut gone = Vec::new();
        for &slot in &slots {
            let Some(entry) = self.entries.get_mut(slot) else { continue };
            let running = |call: &crate::consumer::entry::Call| match call.state {
                CallState::Running { token, .. } => Some(token),
                _ => None,
            };
            let tokens: Vec<u32> = entry.calls.as_slice().iter().filter_map(running).collect();
            let id = entry.id;
            if entry.gone && tokens.is_empty() {
                gone.push(id);
            }
            self.drop_calls(slot, None);
            self.drop_from_lane(slot);
            if let Some(entry) = self.entries.get_mut(slot) {
                entry.stage = Stage::Over;
            }
            let Some(stream) = self.streams.get_mut(at) else { continue };
            stream.forget(id);
            if !tokens.is_empty() {
                let (stream, group) = (stream.name.clone(), self.joining.group.clone());
                cx.announcements.push(Announcement::ClaimLost { tokens, stream, group, id });
            }
        }
        self.tell_lost(at, &gone, cx);
        self.sweep();
        for slot in slots {
            self.reload(slot);
            self.leave_lane(slot, now);
            self.free(slot, cx);
        }
    }

    /// Ends the calls of an entry that no handler has: those of one subscription, or all. Returns whether
    /// there were any.
    fn drop_calls(&mut self, slot: u32, of: Option<u32>) -> bool {
        let Some(entry) = self.entries.get_mut(slot) else { return false };
        let mut any = false;
        for call in entry.calls.as_mut_slice().iter_mut().filter(|c| of.is_none_or(|id| c.subscription == id))
        {
            match &mut call.state {
                CallState::Zombie { retry_at, .. } => any |= retry_at.take().is_some(),
                CallState::Waiting | CallState::Backoff { .. } => {
                    call.state = CallState::Done { succeeded: false };
                    any = true;
                }
                CallState::Running { .. } | CallState::Done { .. } => {}
            }
        }
        any
    }

    /// An entry that waits in a lane waits no longer.
    fn drop_from_lane(&mut self, slot: u32) {
        if let Some(entry) = self.entries.get(slot)
            && entry.stage == Stage::Blocked
        {
            self.lanes.forget(entry.key(), slot);
        }
    }

    /// Takes calls that are over out of the queues.
    fn sweep(&mut self) {
        let Group { subscribers, suspects, entries, .. } = self;
        let state = |slot: u32, id: u32| entries.get(slot).and_then(|e| e.call(id)).map(|call| call.state);
        for (id, s) in subscribers.iter_mut() {
            s.queue.retain(|subscriber::Waiting { slot, .. }| state(*slot, *id) == Some(CallState::Waiting));
            s.retries.retain(|due, slot| state(*slot, *id) == Some(CallState::Backoff { due: *due }));
        }
        suspects.retain(|slot| entries.get(*slot).is_some_and(|e| e.stage == Stage::Suspect));
    }

    /// Ends a subscription. Entries that nobody here wants any more are handed back.
    pub(super) fn remove(&mut self, id: u32, now: u64, cx: &mut Context) {
        let Some(s) = self.subscribers.get_mut(&id) else { return };
        s.removed = true;
        for (at, _) in &s.streams {
            if let Some(stream) = self.streams.get_mut(*at) {
                stream.users = stream.users.saturating_sub(1);
                stream.beat_at = 0;
            }
        }
        self.end_calls_of(Some(id), now, cx);
        if self.subscribers.get(&id).is_some_and(|s| s.running == 0) {
            self.subscribers.remove(&id);
        }
        self.ready.retain(|listed| *listed != id);
        self.retrying.remove(&id);
        self.subscriptions_changed();
    }

    /// Takes in nothing more, and hands back everything that no handler has.
    pub(super) fn stop(&mut self, now: u64, cx: &mut Context) {
        self.stopping = true;
        self.end_calls_of(None, now, cx);
    }

    /// Ends the calls that no handler has: those of one subscription, or all; then other clients make them.
    fn end_calls_of(&mut self, of: Option<u32>, now: u64, cx: &mut Context) {
        let ends = |entry: &Entry| matches!(entry.stage, Stage::Burying | Stage::Releasing | Stage::Over);
        let slots: Vec<u32> = self.entries.iter().filter(|(_, e)| !ends(e)).map(|(slot, _)| slot).collect();
        let ended: Vec<u32> = slots.into_iter().filter(|slot| self.drop_calls(*slot, of)).collect();
        for &slot in &ended {
            let Some(entry) = self.entries.get_mut(slot) else { continue };
            entry.undone |= of.is_none();
            if !entry.is_open() {
                self.drop_from_lane(slot);
            }
        }
        for slot in ended {
            self.end_if_done(slot, now, cx);
        }
        self.sweep();
    }
}
