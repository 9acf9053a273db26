//! What a group has read past, and what is taken up of it. `docs/design/group-facts.md` says why.

use std::collections::{BTreeMap, BTreeSet};

use crate::stream_store::skipped::{MAX_LEFT_OUT, SkippedType};
use crate::stream_store::{EntryId, TakeUpTask};

/// What a group has read past by type, and the tasks to take it up.
#[derive(Debug, Default)]
pub(super) struct ReadPast {
    /// Changes with the patterns of the group, and with the types below.
    pub(super) version: u64,
    /// The last entry that was added while the group had no living member.
    pub(super) backlog: EntryId,
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
    /// How many entries that were read past it has not come to yet.
    pub(super) missing: u64,
    /// What was pending when the pattern came: it is handled without the task.
    pub(super) left_out: BTreeSet<EntryId>,
}

impl ReadPast {
    /// Whether a client that knows of `version` may not have known which types it takes up.
    pub(super) fn refuses(&self, version: u64) -> bool {
        !self.skipped.is_empty() && version != self.version
    }

    /// Makes tasks of some types. From now on a pattern takes them. `pending` has the pending entries of the group.
    pub(super) fn take_up<P>(&mut self, types: &[String], pending: &BTreeMap<EntryId, P>) {
        for event_type in types {
            let Some(skipped) = self.skipped.remove(event_type) else { continue };
            let Some((first, last)) = skipped.range() else { continue };
            let left_out = pending.range(first..=last).map(|(id, _)| *id).take(MAX_LEFT_OUT).collect();
            self.last_task += 1;
            let (event_type, missing) = (event_type.clone(), skipped.count());
            self.tasks
                .insert(self.last_task, Task { event_type, next: first, last, first, missing, left_out });
        }
    }

    /// The group begins somewhere else: what it has skipped before does not count.
    pub(super) fn forget(&mut self) {
        self.skipped.clear();
        self.tasks.clear();
    }

    /// Forgets what may not be taken up any more.
    pub(super) fn prune(&mut self, now_ms: u64) {
        self.skipped.retain(|_, skipped| skipped.prune(now_ms));
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
        let skipped = self.skipped.values().filter_map(|skipped| Some(skipped.range()?.0));
        skipped.chain(self.tasks.values().map(|task| task.next)).min()
    }
}
