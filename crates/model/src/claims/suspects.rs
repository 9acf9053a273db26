//! Entries that may have killed processes run one by one, with nothing beside them.

use super::entry::{CallState, Stage};
use super::group::Group;
use super::hand_out::Handout;
use super::{Claims, GroupKey, Work};
use crate::BusError;
use crate::store::{EntryId, Request, Response};

/// While a suspect waits for running handlers to end, no other starts for this time, in milliseconds; then
/// others go on for as long, and so forth.
const DRAIN: u64 = 5000;

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
        let draining = |since: u64| (now.saturating_sub(since) / DRAIN).is_multiple_of(2);
        self.alone.is_none() && !self.suspects_since.is_some_and(draining)
    }

    /// Whether the entry that runs alone waits for a handler.
    pub(super) fn alone_waits(&self) -> bool {
        let Some(alone) = self.alone.filter(|alone| alone.ready) else { return false };
        let entry = self.groups.get(&alone.key).and_then(|group| group.entries.get(alone.slot));
        entry.is_some_and(|e| e.calls.as_slice().iter().any(|call| call.state == CallState::Waiting))
    }

    /// When others may go on, or may not any more, after `now`.
    pub(super) fn next_drain(&self, now: u64) -> Option<u64> {
        let since = self.suspects_since.filter(|_| self.alone.is_none() && self.tokens.running() > 0)?;
        Some(since + (now.saturating_sub(since) / DRAIN + 1) * DRAIN)
    }

    /// The first suspect that could run.
    fn suspect(&self, now: u64) -> Option<(GroupKey, u32)> {
        self.groups.values().find_map(|group| {
            let slot = group.suspects.iter().find(|slot| group.can_run(**slot, now))?;
            Some((group.key, *slot))
        })
    }

    /// Notes whether a suspect waits, and since when.
    pub(super) fn watch_suspects(&mut self, now: u64) {
        let waits = self.alone.map_or_else(|| self.suspect(now).is_some(), |alone| !alone.ready);
        self.suspects_since = waits.then(|| self.suspects_since.unwrap_or(now));
    }

    /// Prepares a suspect once nothing runs.
    pub(super) fn prepare_suspect(&mut self, now: u64, out: &mut Vec<Work>) {
        self.watch_suspects(now);
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
        let Request::Begin { member, id } = request else { return };
        let Some(group) = self.groups.get_mut(&key) else { return };
        let Some(at) = group.stream_index(&member.stream) else { return };
        let Some(stream) = group.streams.get_mut(at) else { return };
        stream.fenced = false;
        if result.is_ok() {
            stream.begin_gate.succeeded();
        }
        let slot = group.slot_of(at, *id);
        match result {
            Ok(Response::Lost { taken, gone }) if !(taken.is_empty() && gone.is_empty()) => {
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
    pub(super) fn take_alone(&mut self, now: u64, to: &mut Handout<'_>) {
        let Some(alone) = self.alone.filter(|alone| alone.ready) else { return };
        let Some(group) = self.groups.get_mut(&alone.key) else { return };
        let live = group.entries.get(alone.slot).is_some_and(super::entry::Entry::is_live);
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
            begin = Some(Request::Begin { member: stream.member.clone(), id });
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
