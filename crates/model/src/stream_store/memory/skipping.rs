//! Entries are skipped, and taken up when a pattern comes that takes them.

use std::sync::Arc;

use crate::codec::Codec;
use crate::stream_store::memory::group::Group;
use crate::stream_store::memory::log::Log;
use crate::stream_store::memory::read_past::ReadPast;
use crate::stream_store::skipped::MAX_TYPES;
use crate::stream_store::{ConsumerId, EntryId, Fields, Response, StoredEntry};

/// The entries that one request looks at, at the most.
const MAX_SCANNED: usize = 1_000;
/// After how many bytes of fields no more entries are taken up at once.
const MAX_BYTES: usize = 1024 * 1024;

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
        let ReadPast { skipped, backlog, given_up, version, .. } = &mut group.read_past;
        if !skipped.contains_key(&**event_type) {
            if skipped.len() >= MAX_TYPES {
                *given_up = (*given_up).max(*id);
                continue;
            }
            *version += 1;
            new_types.push(event_type.to_string());
        }
        skipped.entry(event_type.to_string()).or_default().note(*id, *id <= *backlog, *given_up, now_ms);
    }
    Response::Skipped { done, version: group.read_past.version, new_types, not_owned }
}

/// Makes a consumer the owner of entries that the group had read past.
pub(super) fn take_up(
    group: &mut Group,
    log: &Log,
    codec: &Codec,
    member: &ConsumerId,
    (told, tasks): (&[u64], &[u64]),
    limit: usize,
    now_ms: u64,
) -> Response {
    let (mut entries, mut done): (Vec<StoredEntry>, Vec<u64>) = (Vec::new(), Vec::new());
    let (mut gone, mut scanned, mut bytes) = (Vec::new(), 0, 0);
    if group.is_mine(member) {
        group.read_past.told(told, &member.instance);
    }
    for number in tasks.iter().filter(|_| group.is_mine(member)).copied().collect::<Vec<_>>() {
        loop {
            let task = group.read_past.tasks.get_mut(&number).filter(|task| task.told.is_none());
            let found = task.and_then(|task| Some((log.range(task.next, task.last, 1, false).pop()?, task)));
            let Some((entry, task)) = found else {
                let missed = group.read_past.finish(number, log.first(), &member.instance, now_ms);
                gone.extend(missed.map(|missed| (number, missed)));
                done.push(number);
                break;
            };
            if entries.len() >= limit || scanned >= MAX_SCANNED || bytes >= MAX_BYTES {
                return Response::TakenUp { entries, done, gone };
            }
            scanned += 1;
            task.next = entry.id.next();
            if task.left_out.contains(&entry.id)
                || !is_for(&entry.fields, codec, &task.event_type, &member.group)
            {
                continue;
            }
            task.missing = task.missing.saturating_sub(1);
            if !group.pending.contains_key(&entry.id) {
                let consumer = group.see(&member.consumer, now_ms);
                group.give(entry.id, &consumer, now_ms);
                bytes += entry.fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
                entries.push(StoredEntry { deliveries: 1, ..entry });
            }
        }
    }
    Response::TakenUp { entries, done, gone }
}

/// Whether an entry is of a type, and for this group.
fn is_for(fields: &Fields, codec: &Codec, event_type: &str, group: &str) -> bool {
    let field =
        |wanted: &str| fields.iter().find(|(name, _)| **name == *wanted.as_bytes()).map(|(_, v)| &**v);
    let types = codec.entry_type(fields.iter().map(|(name, value)| (&**name, &**value)));
    types == Some(event_type.as_bytes())
        && field(codec.field_names().only_group).is_none_or(|only| *only == *group.as_bytes())
}
