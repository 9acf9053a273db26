//! Entries that may have killed processes run one by one, with nothing beside them.

use std::collections::BTreeMap;

use crate::consumer::answer::{Lost, StoreAnswer};
use crate::consumer::context::Context;
use crate::consumer::dispatch::{can_run, could_run, take_isolated};
use crate::consumer::entry::{HeldEntry, Stage};
use crate::consumer::group::Group;
use crate::consumer::handler_calls::HandlerCalls;
use crate::consumer::loss::{lose, vanish};
use crate::consumer::membership::GroupKey;
use crate::consumer::quiesce::Quiesce;
use crate::consumer::work::Work;
use crate::delivery::dispatch_batch::DispatchBatch;
use crate::stream_store::{ConsumerId, EntryId, Request};

/// The groups of a client.
pub(super) type Groups = BTreeMap<GroupKey, Box<Group>>;

/// The entry that runs with nothing beside it.
#[derive(Clone, Copy, Debug)]
struct Isolated {
    key: GroupKey,
    slot: u32,
    /// Whether its start is recorded.
    start_recorded: bool,
}

/// Sees to it that suspected poison runs with nothing beside it, in any group of the client, and that its start is
/// recorded first.
#[derive(Debug, Default)]
pub(super) struct PoisonWatch {
    isolated: Option<Isolated>,
    /// While suspected poison waits for running handlers to end.
    quiesce: Option<Quiesce>,
}

impl PoisonWatch {
    /// Whether an entry runs with nothing beside it, or is prepared for that.
    pub(super) fn is_isolating(&self) -> bool {
        self.isolated.is_some()
    }

    /// Whether handlers may get other entries now.
    pub(super) fn admits_others(&self, groups: &Groups, calls: &HandlerCalls, now: u64) -> bool {
        let closed = self.quiesce.is_some_and(|quiesce| quiesce.is_closed(now));
        self.isolated.is_none() && !(closed && any_waits(groups, calls, now))
    }

    /// Whether the isolated entry waits for a handler.
    pub(super) fn isolated_waits(&self, groups: &Groups) -> bool {
        let Some(isolated) = self.isolated.filter(|isolated| isolated.start_recorded) else { return false };
        let entry = groups.get(&isolated.key).and_then(|group| group.entries.get(isolated.slot));
        entry.is_some_and(|entry| entry.awaited().next().is_some())
    }

    /// When others may go on, or may not any more, after `now`.
    pub(super) fn next_due(&self, calls: &HandlerCalls, now: u64) -> Option<u64> {
        let quiesce = self.quiesce.filter(|_| self.isolated.is_none() && calls.running() > 0)?;
        [quiesce.opens_at(), quiesce.closes_at()].into_iter().find(|at| *at > now)
    }

    /// Notes whether suspected poison waits, and since when.
    pub(super) fn watch(&mut self, groups: &Groups, calls: &HandlerCalls, now: u64) {
        if self.isolated.is_some_and(|isolated| isolated.start_recorded)
            || (self.isolated.is_none() && groups.values().all(|group| group.suspected_poison.is_empty()))
        {
            self.quiesce = None;
        } else if self.isolated.is_some() || any_waits(groups, calls, now) {
            let longest = groups.values().map(|group| group.subscriptions.longest_call()).max().unwrap_or(0);
            let quiesce = self.quiesce.map(|quiesce| quiesce.after(now, longest));
            self.quiesce = Some(quiesce.unwrap_or_else(|| Quiesce::new(now)));
        }
    }

    /// Isolates suspected poison once nothing runs.
    pub(super) fn prepare(
        &mut self,
        groups: &mut Groups,
        calls: &HandlerCalls,
        now: u64,
        out: &mut Vec<Work>,
    ) {
        self.watch(groups, calls, now);
        if let Some(quiesce) = self.quiesce.as_mut().filter(|_| calls.running() == 0) {
            quiesce.suffices();
        }
        if self.isolated.is_some() || calls.running() > 0 {
            return;
        }
        let Some((key, slot)) = first_runnable(groups, now) else { return };
        let Some(group) = groups.get_mut(&key) else { return };
        let Some(start) = isolate(group, slot, now) else { return };
        self.isolated = Some(Isolated { key, slot, start_recorded: start.is_none() });
        out.extend(start.map(|request| Work::Store(key, request)));
    }

    /// The start of an entry was recorded, or not.
    pub(super) fn start_answered(
        &mut self,
        group: &mut Group,
        member: &ConsumerId,
        id: EntryId,
        answer: StoreAnswer,
        cx: &mut Context,
    ) {
        let Some(at) = group.stream_index(&member.stream) else { return };
        let slot = group.slot_of(at, id);
        let Some(stream) = group.streams.get_mut(at) else { return };
        let (now, random) = (answer.now, answer.random);
        stream.updates.fenced_answered();
        match answer.into_lost() {
            Ok(Lost { taken, gone, .. }) => {
                stream.updates.start_succeeded();
                if !(taken.is_empty() && gone.is_empty()) {
                    lose(group, at, &taken, now, cx);
                    vanish(group, at, &gone, now, cx);
                    return;
                }
                if let Some(entry) = slot.and_then(|slot| group.entries.get_mut(slot)) {
                    entry.started = true;
                }
                let isolated = self.isolated.as_mut();
                if let Some(isolated) = isolated.filter(|i| i.key == group.key && Some(i.slot) == slot) {
                    isolated.start_recorded = true;
                }
            }
            Err(_) => {
                stream.updates.start_failed(now, random);
                if let Some(slot) = slot {
                    suspect_again(group, slot);
                }
            }
        }
    }

    /// Hands out the isolated entry.
    pub(super) fn take(
        &mut self,
        groups: &mut Groups,
        calls: &mut HandlerCalls,
        now: u64,
        batch: &mut DispatchBatch<'_>,
    ) {
        let Some(isolated) = self.isolated.filter(|isolated| isolated.start_recorded) else { return };
        let Some(group) = groups.get_mut(&isolated.key) else { return };
        let live = group.entries.get(isolated.slot).is_some_and(HeldEntry::is_live);
        if !take_isolated(group, isolated.slot, now, calls, batch) && !live {
            // A subscription of it has been paused: others go on meanwhile.
            suspect_again(group, isolated.slot);
            self.isolated = None;
        }
    }

    /// Lets others go on when the isolated entry is decided.
    pub(super) fn check(&mut self, groups: &mut Groups) {
        let Some(isolated) = self.isolated else { return };
        let group = groups.get_mut(&isolated.key);
        let entry = group.and_then(|group| group.entries.get_mut(isolated.slot));
        let entry = entry.filter(|entry| entry.stage == Stage::Isolated);
        if entry.as_ref().is_some_and(|entry| entry.runs()) {
            return;
        }
        self.isolated = None;
        // If it is tried again after all, it is as any other.
        if let Some(entry) = entry {
            entry.stage = Stage::Active;
        }
    }
}

/// The first entry of suspected poison that could run now.
fn first_runnable(groups: &Groups, now: u64) -> Option<(GroupKey, u32)> {
    groups.values().find_map(|group| {
        let slot = group.suspected_poison.iter().find(|slot| can_run(group, **slot, now))?;
        Some((group.key, *slot))
    })
}

/// Whether suspected poison could run if no handler ran: those that have timed out may never end.
fn any_waits(groups: &Groups, calls: &HandlerCalls, now: u64) -> bool {
    let stuck = |subscription: u32| calls.timed_out_of(subscription);
    let mut suspected = groups.values().flat_map(|g| g.suspected_poison.iter().map(move |slot| (g, *slot)));
    suspected.any(|(group, slot)| could_run(group, slot, now, stuck))
}

/// Prepares an entry to run with nothing beside it. The request records its start, unless that was done; `None` when it
/// cannot be made now.
fn isolate(group: &mut Group, slot: u32, now: u64) -> Option<Option<Request>> {
    let entry = group.entries.get_mut(slot)?;
    let stream = group.streams.get_mut(entry.stream)?;
    let mut start = None;
    if !entry.started {
        if !stream.may_fence() {
            return None;
        }
        start = Some(stream.updates.start_request(&stream.member, entry.id, now)?);
    }
    entry.stage = Stage::Isolated;
    group.suspected_poison.retain(|waiting| *waiting != slot);
    Some(start)
}

/// An entry that was to be isolated waits again.
fn suspect_again(group: &mut Group, slot: u32) {
    if let Some(entry) = group.entries.get_mut(slot)
        && entry.stage == Stage::Isolated
    {
        entry.stage = Stage::SuspectedPoison;
        group.suspected_poison.push_back(slot);
    }
}
