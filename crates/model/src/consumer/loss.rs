//! Entries are lost: another consumer owns them now, or they were deleted.

use std::ops::RangeInclusive;

use crate::consumer::announcement::Announcement;
use crate::consumer::context::Context;
use crate::consumer::entry::Stage;
use crate::consumer::group::Group;
use crate::stream_store::EntryId;

/// Entries turn out not to be this consumer's. They are others' now, but for those that are known to be deleted.
pub(super) fn not_owned(group: &mut Group, at: usize, ids: Vec<EntryId>, now: u64, cx: &mut Context) {
    let is_gone = |id: &EntryId| {
        group.slot_of(at, *id).and_then(|slot| group.entries.get(slot)).is_some_and(|entry| entry.gone)
    };
    let (gone, taken): (Vec<EntryId>, Vec<EntryId>) = ids.into_iter().partition(is_gone);
    lose(group, at, &taken, now, cx);
    vanish(group, at, &gone, now, cx);
}

/// Entries turn out to be other consumers' now.
pub(super) fn lose(group: &mut Group, at: usize, ids: &[EntryId], now: u64, cx: &mut Context) {
    let slots: Vec<u32> = ids.iter().filter_map(|id| group.slot_of(at, *id)).collect();
    let mut gone = Vec::new();
    for &slot in &slots {
        let Some(entry) = group.entries.get_mut(slot) else { continue };
        let id = entry.id;
        let tokens: Vec<u32> = entry.running_tokens().collect();
        if entry.gone && tokens.is_empty() {
            gone.push(id);
        }
        entry.end_waiting_calls(None);
        group.leave_waiting_in_lane(slot);
        if let Some(entry) = group.entries.get_mut(slot) {
            entry.stage = Stage::Over;
        }
        let Some(stream) = group.streams.get_mut(at) else { continue };
        stream.forget(id);
        if !tokens.is_empty() {
            let (stream, group) = (stream.name.clone(), group.joining.group.clone());
            cx.announce(Announcement::ClaimLost { tokens, stream, group, id });
        }
    }
    group.announce_lost(at, &gone, cx);
    group.purge_queues();
    for slot in slots {
        group.give_way(slot, now, cx);
    }
}

/// Another client start has taken the consumer's name: everything that was held under it is its own.
pub(super) fn lose_all(group: &mut Group, at: usize, now: u64, cx: &mut Context) {
    let held = group.entries.iter().filter(|(_, e)| e.stream == at && e.stage != Stage::Over);
    let ids: Vec<EntryId> = held.map(|(_, e)| e.id).collect();
    if let Some(stream) = group.streams.get_mut(at) {
        stream.forget_updates();
    }
    lose(group, at, &ids, now, cx);
}

/// Entries turn out to be deleted from the stream. What a handler has ends by itself; the rest is lost.
pub(super) fn vanish(group: &mut Group, at: usize, ids: &[EntryId], now: u64, cx: &mut Context) {
    if ids.is_empty() {
        return;
    }
    let mut idle = Vec::new();
    for &id in ids {
        let Some(slot) = group.slot_of(at, id) else { continue };
        let Some(entry) = group.entries.get_mut(slot) else { continue };
        entry.gone = true;
        if entry.running_tokens().next().is_some() {
            entry.end_waiting_calls(None);
        } else {
            idle.push(id);
        }
    }
    lose(group, at, &idle, now, cx);
}

/// The stream has no entries but those with these ids: it is not the one that the others are of, which nobody can read any more.
pub(super) fn left_behind(
    group: &mut Group,
    at: usize,
    there: &RangeInclusive<EntryId>,
    now: u64,
    cx: &mut Context,
) {
    let held = group.entries.iter().filter(|(_, e)| e.stream == at && e.is_held() && !there.contains(&e.id));
    let ids: Vec<EntryId> = held.map(|(_, e)| e.id).collect();
    deleted(group, at, &ids, now, cx);
}

/// Pending entries were found to be deleted. What is held here for a handler is handled all the same.
pub(super) fn deleted(group: &mut Group, at: usize, ids: &[EntryId], now: u64, cx: &mut Context) {
    let Some(stream) = group.streams.get(at) else { return };
    let (held, gone): (Vec<EntryId>, Vec<EntryId>) = ids.iter().partition(|id| stream.slots.contains(**id));
    group.announce_lost(at, &gone, cx);
    for id in held {
        let entry = group.slot_of(at, id).and_then(|slot| group.entries.get_mut(slot));
        match entry.filter(|entry| entry.is_open()) {
            Some(entry) if entry.stage != Stage::SuspectedPoison => entry.gone = true,
            _ => vanish(group, at, &[id], now, cx),
        }
    }
}
