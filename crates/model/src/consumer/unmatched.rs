//! Entries of a type that no client of the group is known to want.
//!
//! What is known is as old as the last heartbeat, and another client may have subscribed since. Such an entry is settled
//! only when a heartbeat that was sent after it came has told the same.

use crate::consumer::context::Context;
use crate::consumer::entry::{HeldEntry, Stage};
use crate::consumer::group::Group;
use crate::consumer::stream::unmatched_entries::UnmatchedEntry;

/// Keeps an entry until it is known whether anybody wants it.
pub(super) fn keep_unmatched(group: &mut Group, mut entry: HeldEntry, event_type: Box<str>, now: u64) {
    let (at, id) = (entry.stream, entry.id);
    entry.stage = Stage::Unmatched;
    let slot = group.entries.insert(entry);
    let Some(stream) = group.streams.get_mut(at) else { return };
    stream.unmatched.push(slot, id, event_type, stream.heartbeat.count());
    stream.heartbeat.hurry_for_entry(now);
}

/// The latest heartbeat has been answered: what came before it was sent is decided.
pub(super) fn decide_unmatched(group: &mut Group, at: usize, now: u64, cx: &mut Context) {
    let Some(stream) = group.streams.get_mut(at) else { return };
    for UnmatchedEntry { slot, id, event_type, .. } in stream.unmatched.take_before(stream.heartbeat.count())
    {
        let waits = |e: &&HeldEntry| e.id == id && e.stream == at && e.stage == Stage::Unmatched;
        let entry = group.entries.get(slot).filter(waits);
        let Some(event) = entry.and_then(|entry| entry.event.clone()) else { continue };
        let route = group.route(at, &event_type, &event, cx);
        if !route.takers.is_empty() {
            // A subscription that is younger than the entry's delivery: it is found again.
            group.requeue(slot, false);
        } else if route.wanted {
            let until = now.saturating_add(group.lease.patience());
            if let Some(stream) = group.streams.get_mut(at) {
                stream.recovery.leave_to_peers(id, until);
            }
            group.requeue(slot, true);
        } else {
            cx.counts.skipped += 1;
            group.acknowledge(at, id, now);
            group.finish(&[slot], now, cx);
        }
    }
}
