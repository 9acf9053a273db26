//! What a group has read past, and what is taken up of it. `docs/design/group-facts.md` says why.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::stream_store::skipped::{MAX_LEFT_OUT, Rest, SkippedType, TOLD_WITHIN};
use crate::stream_store::{EntryId, Missed, Position, TakeUpTask};

/// What a group has read past by type, and the tasks to take it up.
#[derive(Debug, Default)]
pub(super) struct ReadPast {
    /// Changes with the patterns of the group, and with the types below.
    pub(super) version: u64,
    /// The last entry that was added while the group had no living member.
    pub(super) backlog: EntryId,
    /// The last entry that was given up, of any type.
    pub(super) given_up: EntryId,
    pub(super) skipped: BTreeMap<String, SkippedType>,
    pub(super) tasks: BTreeMap<u64, Task>,
    last_task: u64,
}

/// Entries of a type that are taken up.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) event_type: String,
    /// The entry that is looked at next.
    pub(super) next: EntryId,
    pub(super) last: EntryId,
    pub(super) first: EntryId,
    /// How many entries that were read past it has not come to yet, at the most.
    pub(super) missing: u64,
    /// How many of them may be before the position behind which it takes up, and that position.
    unsure: (u64, EntryId),
    /// What was pending when the pattern came: it is handled without the task.
    pub(super) left_out: BTreeSet<EntryId>,
    /// Whom it has told that entries are missing, and until when that client start may say that it has told it.
    pub(super) told: Option<(Arc<str>, u64)>,
}

impl Task {
    /// What is missing of it, for a client start to tell; `None` where nothing is, or another one may be about to tell it.
    fn missed(&mut self, instance: &Arc<str>, now_ms: u64) -> Option<Missed> {
        let is_free = |(teller, until): &(Arc<str>, u64)| teller == instance || *until <= now_ms;
        if self.missing == 0 || !self.told.as_ref().is_none_or(is_free) {
            return None;
        }
        self.told = Some((instance.clone(), now_ms.saturating_add(TOLD_WITHIN)));
        Some(Missed { count: self.missing, from: self.first, to: self.last })
    }
}

impl ReadPast {
    /// A task has found everything that there is. Returns what is missing, for a client start to tell. `begins`: the first
    /// entry of the stream.
    pub(super) fn finish(
        &mut self,
        number: u64,
        begins: Option<EntryId>,
        instance: &Arc<str>,
        now_ms: u64,
    ) -> Option<Missed> {
        let task = self.tasks.get_mut(&number)?;
        let (unsure, from) = std::mem::take(&mut task.unsure);
        if begins.is_some_and(|first| first <= from) {
            // What is trimmed is before the position.
            task.missing = task.missing.saturating_sub(unsure);
        }
        let missed = task.missed(instance, now_ms);
        if task.missing == 0 {
            self.tasks.remove(&number);
        }
        missed
    }

    /// A client start has told what was missing of some tasks.
    pub(super) fn told(&mut self, numbers: &[u64], instance: &Arc<str>) {
        let is_told = |task: &Task| task.told.as_ref().is_some_and(|(teller, _)| teller == instance);
        self.tasks.retain(|number, task| !(numbers.contains(number) && is_told(task)));
    }

    /// Whether a client that knows of `version` may not have known which types it takes up.
    pub(super) fn refuses(&self, version: u64) -> bool {
        !self.skipped.is_empty() && version != self.version
    }

    /// Makes tasks of some types. From now on a pattern takes them. `pending` has the pending entries of the group.
    pub(super) fn take_up<P>(&mut self, types: &[(String, Position)], pending: &BTreeMap<EntryId, P>) {
        for (event_type, from) in types {
            let Some(skipped) = self.skipped.remove(event_type) else { continue };
            for Rest { first, last, count: missing, unsure } in skipped.behind(*from, self.given_up) {
                let left_out = pending.range(first..=last).map(|(id, _)| *id).take(MAX_LEFT_OUT).collect();
                self.last_task += 1;
                let event_type = event_type.clone();
                let unsure = (unsure, first.previous());
                let task =
                    Task { event_type, next: first, last, first, missing, unsure, left_out, told: None };
                self.tasks.insert(self.last_task, task);
            }
        }
    }

    /// The group begins somewhere else: what it has skipped before does not count.
    pub(super) fn forget(&mut self) {
        self.skipped.clear();
        self.tasks.clear();
        self.given_up = EntryId::MIN;
    }

    /// Forgets what may not be taken up any more.
    pub(super) fn prune(&mut self, now_ms: u64) {
        for skipped in self.skipped.values_mut() {
            self.given_up = self.given_up.max(skipped.prune(now_ms).unwrap_or(EntryId::MIN));
        }
        self.skipped.retain(|_, skipped| !skipped.is_empty());
    }

    /// The types that were read past and may be taken up.
    pub(super) fn types(&self) -> Vec<String> {
        self.skipped.keys().cloned().collect()
    }

    /// The types that were read past, and how many entries of each may be taken up.
    pub(super) fn counts(&self) -> Vec<(String, u64)> {
        self.skipped.iter().map(|(event_type, skipped)| (event_type.clone(), skipped.count())).collect()
    }

    pub(super) fn tasks(&self) -> Vec<TakeUpTask> {
        let task = |(number, task): (&u64, &Task)| TakeUpTask {
            number: *number,
            event_type: task.event_type.clone(),
        };
        self.tasks.iter().map(task).collect()
    }

    /// The oldest entry that may still be taken up.
    pub(super) fn oldest(&self) -> Option<EntryId> {
        let skipped = self.skipped.values().filter_map(SkippedType::first);
        let open = self.tasks.values().filter(|task| task.told.is_none());
        skipped.chain(open.map(|task| task.next)).min()
    }
}
