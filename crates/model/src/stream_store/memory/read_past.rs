//! What a group has read past, and what is taken up of it. `docs/design/group-facts.md` says why.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::codec::field_names::FieldNames;
use crate::stream_store::memory::group::{Group, Pending};
use crate::stream_store::memory::log::Log;
use crate::stream_store::skipped::{MAX_LEFT_OUT, MAX_TYPES, SkippedType};
use crate::stream_store::{ConsumerId, EntryId, Fields, Response, StoredEntry, TakeUpTask};

/// The entries that one request looks at, at the most.
const MAX_SCANNED: usize = 1_000;
/// After how many bytes of fields no more entries are taken up at once.
const MAX_BYTES: usize = 1024 * 1024;

/// What a group has read past by type, and the tasks to take it up.
#[derive(Debug, Default)]
pub(super) struct ReadPast {
    /// Changes with the patterns of the group, and with the types below.
    pub(super) version: u64,
    /// The last entry that was added while the group had no living member.
    pub(super) backlog: EntryId,
    skipped: BTreeMap<String, SkippedType>,
    tasks: BTreeMap<u64, Task>,
    last_task: u64,
}

/// Entries of a type that are taken up.
#[derive(Debug)]
struct Task {
    event_type: String,
    /// The entry that is looked at next.
    next: EntryId,
    last: EntryId,
    /// What was pending when the pattern came: it is handled without the task.
    left_out: BTreeSet<EntryId>,
}

impl ReadPast {
    /// Whether a client that knows of `version` may not have known which types it takes up.
    pub(super) fn refuses(&self, version: u64) -> bool {
        !self.skipped.is_empty() && version != self.version
    }

    /// Makes tasks of some types. From now on a pattern takes them.
    pub(super) fn take_up(&mut self, types: &[String], pending: &BTreeMap<EntryId, Pending>) {
        for event_type in types {
            let Some((first, last)) = self.skipped.remove(event_type).and_then(|skipped| skipped.range()) else {
                continue;
            };
            let left_out = pending.range(first..=last).map(|(id, _)| *id).take(MAX_LEFT_OUT).collect();
            self.last_task += 1;
            self.tasks
                .insert(self.last_task, Task { event_type: event_type.clone(), next: first, last, left_out });
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

/// Skips entries that no pattern takes.
pub(super) fn skip(
    group: &mut Group,
    member: &ConsumerId,
    version: u64,
    entries: &[(EntryId, Arc<str>)],
    now_ms: u64,
) -> Response {
    let (mut new_types, mut not_owned) = (Vec::new(), Vec::new());
    let done = version == group.read_past.version;
    for (id, event_type) in entries.iter().filter(|_| done) {
        if !group.is_owned(*id, member) {
            not_owned.push(*id);
            continue;
        }
        group.settle(*id);
        let ReadPast { skipped, backlog, version, .. } = &mut group.read_past;
        if !skipped.contains_key(&**event_type) {
            if skipped.len() >= MAX_TYPES {
                continue;
            }
            *version += 1;
            new_types.push(event_type.to_string());
        }
        skipped.entry(event_type.to_string()).or_default().note(*id, *id <= *backlog, now_ms);
    }
    Response::Skipped { done, version: group.read_past.version, new_types, not_owned }
}

/// Makes a consumer the owner of entries that the group had read past.
pub(super) fn take_up(
    group: &mut Group,
    log: &Log,
    names: &FieldNames,
    member: &ConsumerId,
    tasks: &[u64],
    limit: usize,
    now_ms: u64,
) -> Response {
    let (mut entries, mut done): (Vec<StoredEntry>, Vec<u64>) = (Vec::new(), Vec::new());
    let (mut scanned, mut bytes) = (0, 0);
    for number in tasks.iter().filter(|_| group.is_mine(member)).copied().collect::<Vec<_>>() {
        loop {
            let Some(task) = group.read_past.tasks.get_mut(&number) else {
                done.push(number);
                break;
            };
            let Some(entry) = log.range(task.next, task.last, 1, false).pop() else {
                group.read_past.tasks.remove(&number);
                continue;
            };
            if entries.len() >= limit || scanned >= MAX_SCANNED || bytes >= MAX_BYTES {
                return Response::TakenUp { entries, done };
            }
            scanned += 1;
            task.next = entry.id.next();
            let wanted = !task.left_out.contains(&entry.id)
                && !group.pending.contains_key(&entry.id)
                && is_for(&entry.fields, names, &task.event_type, &member.group);
            if wanted {
                let consumer = group.see(&member.consumer, now_ms);
                group.give(entry.id, &consumer, now_ms);
                bytes += entry.fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
                entries.push(StoredEntry { deliveries: 1, ..entry });
            }
        }
    }
    Response::TakenUp { entries, done }
}

/// Whether an entry is of a type, and for this group.
fn is_for(fields: &Fields, names: &FieldNames, event_type: &str, group: &str) -> bool {
    let field = |wanted: &str| fields.iter().find(|(name, _)| **name == *wanted.as_bytes()).map(|(_, v)| &**v);
    field(names.event_type) == Some(event_type.as_bytes())
        && field(names.only_group).is_none_or(|only| *only == *group.as_bytes())
}
