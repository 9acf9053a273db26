//! Entries of a type that no pattern of the group takes: they are skipped, and recorded, so that a pattern that comes soon
//! takes them up.
//!
//! What is known of the patterns may be outdated, as another client may have subscribed since. So the request that skips
//! entries is told by which version of the facts they were judged, and does nothing when they have changed.

use crate::consumer::announcement::Announcement;
use crate::consumer::answer::StoreAnswer;
use crate::consumer::context::Context;
use crate::consumer::entry::{HeldEntry, Stage};
use crate::consumer::group::Group;
use crate::consumer::loss::lose;
use crate::consumer::stream::unmatched_entries::UnmatchedEntry;
use crate::stream_store::{EntryId, Response};

/// Keeps an entry until it is skipped, or somebody turns out to want it.
pub(super) fn keep_unmatched(group: &mut Group, mut entry: HeldEntry, event_type: &str) {
    let (at, id) = (entry.stream, entry.id);
    entry.stage = Stage::Unmatched;
    group.entries.insert(entry);
    let Some(stream) = group.streams.get_mut(at) else { return };
    stream.unmatched.push(id, event_type.into());
}

/// Entries were to be skipped, which were judged by the facts of version `judged_by`.
pub(super) fn skipped(
    group: &mut Group,
    at: usize,
    judged_by: u64,
    entries: Vec<UnmatchedEntry>,
    answer: StoreAnswer,
    cx: &mut Context,
) {
    let Some(stream) = group.streams.get_mut(at) else { return };
    let StoreAnswer { result, now, random, .. } = answer;
    let (done, version, new_types, not_owned) = match result {
        Ok(Response::Skipped { done, version, new_types, not_owned }) => {
            (done, version, new_types, not_owned)
        }
        _ => {
            stream.unmatched.failed(entries, now, random);
            if stream.facts.version() != judged_by {
                // A pattern that takes them may have come while they were asked for.
                judge_again(group, at, now, cx);
            }
            return;
        }
    };
    if !done {
        stream.unmatched.outdated(entries);
        if group.stopping {
            // At once: the end of a group waits for nothing but answers.
            stream.heartbeat.hurry();
        } else {
            stream.heartbeat.hurry_for_entry(now);
        }
        return;
    }
    stream.unmatched.succeeded();
    stream.facts.skipped(judged_by, version, &new_types);
    let name = stream.name.clone();
    let warned = new_types.iter().filter(|event_type| stream.unmatched.warns_of(event_type));
    for event_type in warned.cloned().collect::<Vec<_>>() {
        let message = format!(
            "group {:?} of stream {name:?} reads past events of type {event_type:?}: no subscription of the group \
             takes them; one that does within ten minutes gets them",
            group.joining.group
        );
        cx.announce(Announcement::Warning { code: "EVENTS_SKIPPED", message });
    }
    lose(group, at, &not_owned, now, cx);
    for (id, _) in entries {
        let Some(slot) = unmatched_slot(group, at, id) else { continue };
        cx.counts.skipped += 1;
        if let Some(stream) = group.streams.get_mut(at) {
            stream.forget(id);
        }
        group.reading.settled(now);
        group.finish(&[slot], now, cx);
    }
}

/// New facts are known: what waits is judged by them.
pub(super) fn judge_again(group: &mut Group, at: usize, now: u64, cx: &mut Context) {
    let Some(stream) = group.streams.get_mut(at) else { return };
    for (id, event_type) in stream.unmatched.take() {
        let Some(slot) = unmatched_slot(group, at, id) else { continue };
        let Some(event) = group.entries.get(slot).and_then(|entry| entry.event.clone()) else { continue };
        let route = group.route(at, &event_type, &event, cx);
        let Some(stream) = group.streams.get_mut(at) else { return };
        if !route.takers.is_empty() {
            // A subscription that is younger than the entry's delivery: it is found again.
            group.requeue(slot, false);
        } else if route.wanted {
            stream.recovery.leave_to_peers(id, now.saturating_add(group.lease.patience()));
            group.requeue(slot, true);
        } else {
            stream.unmatched.push(id, event_type);
        }
    }
}

/// The slot of an entry that waits to be skipped.
fn unmatched_slot(group: &Group, at: usize, id: EntryId) -> Option<u32> {
    let slot = group.slot_of(at, id)?;
    group.entries.get(slot).filter(|entry| entry.stage == Stage::Unmatched).map(|_| slot)
}
