//! Entries that may have killed processes run one by one, with nothing beside them.

use super::{Claims, GroupKey, Work};
use crate::BusError;
use crate::consumer::dispatch::DispatchBatch;
use crate::consumer::entry::{CallState, Stage};
use crate::consumer::group::Group;
use crate::stream_store::{EntryId, Request, Response};

/// While a suspect waits for running handlers to end, no other starts for this time, in milliseconds; then
/// others go on for as long, and so forth. When handlers run for longer than that, the time in which none
/// starts is doubled until it suffices.
const DRAIN: u64 = 5000;

/// The wait of a suspect for running handlers to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    /// Since when no handler starts.
    since: u64,
    /// For how long none does; others go on for [`DRAIN`] behind it.
    closed: u64,
    /// Whether all handlers have ended in this time.
    sufficed: bool,
}

impl Drain {
    fn new(now: u64) -> Drain {
        Drain { since: now, closed: DRAIN, sufficed: false }
    }

    fn opens_at(&self) -> u64 {
        self.since.saturating_add(self.closed)
    }

    fn closes_at(&self) -> u64 {
        self.opens_at().saturating_add(DRAIN)
    }

    fn is_closed(&self, now: u64) -> bool {
        !(self.opens_at()..self.closes_at()).contains(&now)
    }

    /// The wait as it goes on at `now`, where no handler runs for longer than `longest`.
    fn after(self, now: u64, longest: u64) -> Drain {
        if now < self.closes_at() {
            return self;
        }
        let more = self.closed.saturating_mul(2).min(longest.max(DRAIN));
        let closed = if self.sufficed { self.closed } else { self.closed.max(more) };
        Drain { since: now, closed, sufficed: false }
    }
}

/// The entry that runs alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alone {
    pub(super) key: GroupKey,
    slot: u32,
    /// Whether its start is recorded.
    ready: bool,
}

impl Claims {
    /// Whether handlers may get other entries now.
    pub(super) fn is_open(&self, now: u64) -> bool {
        let closed = self.drain.is_some_and(|drain| drain.is_closed(now));
        self.alone.is_none() && !(closed && self.suspect_waits(now))
    }

    /// Whether the entry that runs alone waits for a handler.
    pub(super) fn alone_waits(&self) -> bool {
        let Some(alone) = self.alone.filter(|alone| alone.ready) else { return false };
        let entry = self.groups.get(&alone.key).and_then(|group| group.entries.get(alone.slot));
        entry.is_some_and(|e| e.calls.as_slice().iter().any(|call| call.state == CallState::Waiting))
    }

    /// When others may go on, or may not any more, after `now`.
    pub(super) fn next_drain(&self, now: u64) -> Option<u64> {
        let drain = self.drain.filter(|_| self.alone.is_none() && self.tokens.running() > 0)?;
        [drain.opens_at(), drain.closes_at()].into_iter().find(|at| *at > now)
    }

    /// The first suspect that could run.
    fn suspect(&self, now: u64) -> Option<(GroupKey, u32)> {
        self.groups.values().find_map(|group| {
            let slot = group.suspects.iter().find(|slot| group.can_run(**slot, now))?;
            Some((group.key, *slot))
        })
    }

    /// Whether a suspect could run if no handler ran: those that have timed out may never end.
    fn suspect_waits(&self, now: u64) -> bool {
        let stuck = |id: u32| self.tokens.calls.values().filter(|r| r.zombie && r.subscription == id).count();
        let mut suspects = self.groups.values().flat_map(|g| g.suspects.iter().map(move |slot| (g, *slot)));
        suspects.any(|(group, slot)| group.could_run(slot, now, stuck))
    }

    /// How long a handler may run.
    fn longest_call(&self) -> u64 {
        let subscribers = self.groups.values().flat_map(|group| group.subscribers.values());
        subscribers.map(|s| s.longest_call()).max().unwrap_or(0)
    }

    /// Notes whether a suspect waits, and since when.
    pub(super) fn watch_suspects(&mut self, now: u64) {
        if self.alone.is_some_and(|alone| alone.ready)
            || (self.alone.is_none() && self.groups.values().all(|group| group.suspects.is_empty()))
        {
            self.drain = None;
        } else if self.alone.is_some() || self.suspect_waits(now) {
            let longest = self.longest_call();
            self.drain = Some(self.drain.map_or_else(|| Drain::new(now), |drain| drain.after(now, longest)));
        }
    }

    /// Prepares a suspect once nothing runs.
    pub(super) fn prepare_suspect(&mut self, now: u64, out: &mut Vec<Work>) {
        self.watch_suspects(now);
        if let Some(drain) = self.drain.as_mut().filter(|_| self.tokens.running() == 0) {
            drain.sufficed = true;
        }
        if self.alone.is_some() || self.tokens.running() > 0 {
            return;
        }
        let Some((key, slot)) = self.suspect(now) else { return };
        let Some(group) = self.groups.get_mut(&key) else { return };
        let Some(begin) = group.begin_alone(slot, now) else { return };
        let ready = begin.is_none();
        self.alone = Some(Alone { key, slot, ready });
        out.extend(begin.map(|request| Work::Store(key, request)));
    }

    /// The start of a suspect was recorded, or not.
    pub(super) fn begun(
        &mut self,
        key: GroupKey,
        request: &Request,
        result: Result<Response, BusError>,
        now: u64,
    ) {
        let Request::MarkStarted { member, id } = request else { return };
        let Some(group) = self.groups.get_mut(&key) else { return };
        let Some(at) = group.stream_index(&member.stream) else { return };
        let Some(stream) = group.streams.get_mut(at) else { return };
        stream.fenced = false;
        if result.is_ok() {
            stream.begin_gate.succeeded();
        }
        let slot = group.slot_of(at, *id);
        match result {
            Ok(Response::Fenced { not_owned: taken, deleted: gone })
                if !(taken.is_empty() && gone.is_empty()) =>
            {
                group.lose(at, &taken, now, &mut self.context);
                group.vanish(at, &gone, now, &mut self.context);
            }
            Ok(_) => {
                if let Some(entry) = slot.and_then(|slot| group.entries.get_mut(slot)) {
                    entry.begun = true;
                }
                if let Some(alone) = self.alone.as_mut().filter(|a| a.key == key && Some(a.slot) == slot) {
                    alone.ready = true;
                }
            }
            Err(_) => {
                if let Some(stream) = group.streams.get_mut(at) {
                    stream.begin_gate.failed(now);
                }
                if let Some(slot) = slot {
                    group.put_back(slot);
                }
            }
        }
        self.check_alone();
    }

    /// Hands out the entry that runs alone.
    pub(super) fn take_alone(&mut self, now: u64, to: &mut DispatchBatch<'_>) {
        let Some(alone) = self.alone.filter(|alone| alone.ready) else { return };
        let Some(group) = self.groups.get_mut(&alone.key) else { return };
        let live = group.entries.get(alone.slot).is_some_and(crate::consumer::entry::Entry::is_live);
        if !group.hand_out_alone(alone.slot, now, to) && !live {
            // A subscription of it has been paused: others go on meanwhile.
            group.put_back(alone.slot);
            self.alone = None;
        }
    }

    /// Lets others go on when the entry that ran alone is decided.
    pub(super) fn check_alone(&mut self) {
        let Some(alone) = self.alone else { return };
        let group = self.groups.get_mut(&alone.key);
        let entry = group.and_then(|group| group.entries.get_mut(alone.slot));
        let entry = entry.filter(|entry| entry.stage == Stage::Alone);
        if entry.as_ref().is_some_and(|entry| entry.runs()) {
            return;
        }
        self.alone = None;
        // If it is tried again after all, it is as any other.
        if let Some(entry) = entry {
            entry.stage = Stage::Active;
        }
    }
}

impl Group {
    /// Prepares an entry to run alone. The request records its start, unless that was done; `None` when it
    /// cannot be made now.
    fn begin_alone(&mut self, slot: u32, now: u64) -> Option<Option<Request>> {
        let entry = self.entries.get_mut(slot)?;
        let stream = self.streams.get_mut(entry.stream)?;
        let mut begin = None;
        if !entry.begun {
            if stream.fenced || stream.taken || !stream.is_open() || !stream.begin_gate.open(now, 1) {
                return None;
            }
            let id: EntryId = entry.id;
            begin = Some(Request::MarkStarted { member: stream.member.clone(), id });
            stream.fenced = true;
            stream.begin_gate.sent();
        }
        entry.stage = Stage::Alone;
        self.suspects.retain(|waiting| *waiting != slot);
        Some(begin)
    }

    /// An entry that was to run alone waits again.
    fn put_back(&mut self, slot: u32) {
        if let Some(entry) = self.entries.get_mut(slot)
            && entry.stage == Stage::Alone
        {
            entry.stage = Stage::Suspect;
            self.suspects.push_back(slot);
        }
    }
}
