//! What came of what a group asked of the store.

use crate::consumer::announcement::Announcement;
use crate::consumer::answer::{Lost, StoreAnswer};
use crate::consumer::context::Context;
use crate::consumer::facts::heartbeat_answered;
use crate::consumer::group::Group;
use crate::consumer::loss::{left_behind, not_owned, vanish};
use crate::consumer::refusals;
use crate::consumer::scan::{any_expired, claimed, expired_listed, own_claimed, taken_up};
use crate::consumer::unmatched::skipped;
use crate::consumer::work::Work;
use crate::error::Outcome;
use crate::stream_store::{DeadLetterEntry, EntryId, Request, Response, RetryState};
use crate::{BusError, ErrorKind};

/// The stream that a request is about.
fn stream_of(group: &Group, request: &Request) -> Option<usize> {
    match request {
        Request::EnsureGroup { stream, .. } => group.stream_index(stream),
        Request::Acknowledge { member, .. }
        | Request::ExtendLease { member, .. }
        | Request::Requeue { member, .. }
        | Request::Skip { member, .. }
        | Request::TakeUp { member, .. }
        | Request::DeadLetter { member, .. }
        | Request::MarkStarted { member, .. }
        | Request::AnyExpired { member, .. }
        | Request::ListExpired { member, .. }
        | Request::Claim { member, .. }
        | Request::ClaimOwnPending { member, .. }
        | Request::Heartbeat { member, .. }
        | Request::RemoveDeadConsumers { member, .. } => group.stream_index(&member.stream),
        _ => None,
    }
}

/// Takes an answer. Returns what is to be done at once.
pub(super) fn answered(
    group: &mut Group,
    request: Request,
    answer: StoreAnswer,
    cx: &mut Context,
) -> Option<Work> {
    let at = stream_of(group, &request)?;
    if let Err(error) = &answer.result
        && error.kind == ErrorKind::NoGroup
        && let Some(stream) = group.streams.get_mut(at)
    {
        stream.opening.group_gone();
    }
    refusals::answered(group, at, &request, answer.result.as_ref().err(), cx);
    match request {
        Request::EnsureGroup { .. } => opened(group, at, answer, cx),
        Request::Heartbeat { .. } => heartbeat_answered(group, at, answer, cx),
        Request::Acknowledge { ids, .. } => acknowledged(group, at, ids, answer),
        Request::ExtendLease { items, .. } => leases_extended(group, at, &items, answer, cx),
        Request::Requeue { items, unhandled, .. } => {
            let ids: Vec<EntryId> = items.into_iter().map(|(id, _)| id).collect();
            requeued(group, at, &ids, unhandled, answer, cx);
        }
        Request::DeadLetter { letters, to, .. } => {
            dead_lettered(group, at, &letters, to.is_some(), answer, cx);
        }
        Request::Skip { version, entries, .. } => skipped(group, at, version, entries, answer, cx),
        Request::TakeUp { told, .. } => taken_up(group, at, &told, answer, cx),
        Request::AnyExpired { .. } => any_expired(group, at, answer),
        Request::ListExpired { .. } => return expired_listed(group, at, answer, cx),
        Request::Claim { ids, .. } => claimed(group, at, ids.len(), answer, cx),
        Request::ClaimOwnPending { after, .. } => own_claimed(group, at, after, answer, cx),
        Request::RemoveDeadConsumers { .. } => {
            if let Some(stream) = group.streams.get_mut(at) {
                let removed = !matches!(answer.result, Ok(Response::Count(0)));
                stream.dead_consumers.ended(removed, answer.now);
            }
        }
        _ => {}
    }
    None
}

/// The group of a stream was to be made.
fn opened(group: &mut Group, at: usize, answer: StoreAnswer, cx: &mut Context) {
    let Group { streams, subscriptions, entries, joining, .. } = group;
    let Some(stream) = streams.get_mut(at) else { return };
    let StoreAnswer { result, now, random, .. } = answer;
    let name = &joining.group;
    match result {
        Ok(Response::Ensured { created, position, recreated, entries: there }) => {
            let before = stream.opening.succeeded();
            stream.trouble = None;
            stream.heartbeat.hurry();
            if created && (before || recreated) {
                // What is held is read once more, which makes it this consumer's again.
                let held = entries.iter_mut().filter(|(_, e)| e.stream == at);
                held.for_each(|(_, e)| (e.renewed, e.known) = (now, now));
                let (stream, group) = (stream.name.clone(), name.clone());
                cx.announce(Announcement::GroupRecreated { stream, group, from: position });
            } else if created {
                let ignored = stream.starts.made(stream.opening.start());
                let warning = ignored.map(|why| Announcement::start_ignored(&stream.name, name, why));
                warning.into_iter().for_each(|warning| cx.announce(warning));
            }
            if created {
                stream.take_up.forget();
            }
            if created || !before {
                stream.facts.opened_at(position);
            }
            stream.own_scan.want();
            if let Some(there) = there.filter(|_| before) {
                left_behind(group, at, &there, now, cx);
            }
        }
        result => {
            stream.opening.failed(now, random);
            let Err(error) = result else { return };
            if matches!(error.kind, ErrorKind::WrongType | ErrorKind::PermissionDenied) {
                for subscription in subscriptions.unconfirmed(at) {
                    cx.announce(Announcement::Refused { subscription, error: error.clone() });
                }
            }
            // A link that is down says so itself.
            let told = matches!(error.outcome, Some(Outcome::NotSent | Outcome::Unknown))
                || stream.refusals.first().is_some();
            if stream.opening.opened_before() && stream.trouble.is_none() && !told {
                let message =
                    format!("group {name:?} of stream {:?} cannot be made: {}", stream.name, error.message);
                cx.announce(Announcement::Error(BusError { message, ..error.clone() }));
            }
            stream.trouble = Some(error);
        }
    }
}

fn acknowledged(group: &mut Group, at: usize, ids: Vec<EntryId>, answer: StoreAnswer) {
    let Some(stream) = group.streams.get_mut(at) else { return };
    if answer.result.is_err() {
        stream.updates.acknowledgements.failed(ids, answer.now, answer.random);
        return;
    }
    stream.updates.acknowledgements.succeeded();
    for id in ids {
        if stream.updates.acknowledgements.was_owned(id) {
            stream.forget(id);
        }
    }
}

fn leases_extended(
    group: &mut Group,
    at: usize,
    items: &[(EntryId, Option<RetryState>)],
    answer: StoreAnswer,
    cx: &mut Context,
) {
    let Group { streams, entries, .. } = group;
    let Some(stream) = streams.get_mut(at) else { return };
    stream.updates.fenced_answered();
    let (now, random) = (answer.now, answer.random);
    let lost = answer.into_lost();
    let mut known = 0;
    match &lost {
        Ok(_) => known = stream.updates.lease_extensions.succeeded(),
        Err(_) => stream.updates.lease_extensions.failed(now, random),
    }
    for (id, state) in items {
        let slot = stream.slots.slot_of(*id, entries);
        let Some(entry) = slot.and_then(|slot| entries.get_mut(slot)) else { continue };
        entry.known = entry.known.max(known);
        match (&lost, state) {
            // The next round is for it again.
            (Err(_), _) => entry.renewed = 0,
            (Ok(_), Some(state)) => entry.stored = state.deliveries,
            (Ok(_), None) => cx.counts.renewed += 1,
        }
    }
    if let Ok(Lost { taken, gone, .. }) = lost {
        let is_lost = |id: &EntryId| taken.contains(id) || gone.contains(id);
        let of_renewals = items.iter().filter(|(id, state)| state.is_none() && is_lost(id)).count();
        cx.counts.renewed = cx.counts.renewed.saturating_sub(of_renewals as u64);
        not_owned(group, at, taken, now, cx);
        vanish(group, at, &gone, now, cx);
        if group.lease.is_doubtful(now) {
            group.lease.look(&group.entries);
        }
    }
}

fn requeued(
    group: &mut Group,
    at: usize,
    ids: &[EntryId],
    unhandled: bool,
    answer: StoreAnswer,
    cx: &mut Context,
) {
    let slots: Vec<u32> = ids.iter().filter_map(|id| group.slot_of(at, *id)).collect();
    let Some(stream) = group.streams.get_mut(at) else { return };
    stream.updates.fenced_answered();
    let (now, random) = (answer.now, answer.random);
    let Ok(Lost { gone, .. }) = answer.into_lost() else {
        stream.updates.requeues.failed(ids, unhandled, now, random);
        return;
    };
    stream.updates.requeues.succeeded();
    vanish(group, at, &gone, now, cx);
    let Some(stream) = group.streams.get_mut(at) else { return };
    ids.iter().for_each(|id| stream.forget(*id));
    let over = |slot: &u32| group.entries.get(*slot).is_some_and(|e| ids.contains(&e.id));
    let slots: Vec<u32> = slots.into_iter().filter(over).collect();
    group.finish(&slots, now, cx);
}

/// Entries were to be moved to the dead letters, or only to be given up where those are not `kept`.
fn dead_lettered(
    group: &mut Group,
    at: usize,
    letters: &[DeadLetterEntry],
    kept: bool,
    answer: StoreAnswer,
    cx: &mut Context,
) {
    let slots: Vec<Option<u32>> = letters.iter().map(|letter| group.slot_of(at, letter.id)).collect();
    let Group { streams, entries, joining, .. } = group;
    let Some(stream) = streams.get_mut(at) else { return };
    stream.updates.fenced_answered();
    let (now, random) = (answer.now, answer.random);
    let lost = match answer.into_lost() {
        Ok(lost) => lost,
        Err(error) => {
            let unsure = error.outcome == Some(Outcome::Unknown);
            for slot in slots.into_iter().flatten() {
                if let Some(entry) = entries.get_mut(slot) {
                    entry.unsure |= unsure;
                }
            }
            if stream.updates.dead_letters.failed(letters, now, random) {
                cx.announce(Announcement::Error(error));
            }
            return;
        }
    };
    stream.updates.dead_letters.succeeded();
    cx.counts.letters_dropped += lost.dropped;
    if let Some(message) = stream.updates.dead_letters.dropped(lost.dropped) {
        cx.announce(Announcement::Warning { code: "DEAD_LETTERS_DROPPED", message });
    }
    let mut moved = Vec::new();
    for (letter, slot) in letters.iter().zip(&slots) {
        let Some(entry) = slot.and_then(|slot| entries.get(slot)) else { continue };
        // A request that seemed to fail may have moved it.
        if lost.gone.contains(&letter.id) || (lost.taken.contains(&letter.id) && !entry.unsure) {
            continue;
        }
        cx.counts.dead_lettered += u64::from(kept);
        stream.forget(letter.id);
        moved.extend(*slot);
        cx.announce(Announcement::DeadLettered {
            stream: stream.name.clone(),
            group: joining.group.clone(),
            id: letter.id,
            event: entry.event.clone(),
            attempts: letter.attempts,
            reason: letter.reason,
            error: letter.error.clone(),
            kept,
        });
    }
    group.finish(&moved, now, cx);
    not_owned(group, at, lost.taken, now, cx);
    vanish(group, at, &lost.gone, now, cx);
}
