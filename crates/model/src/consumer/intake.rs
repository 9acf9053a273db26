//! Entries come in.

use std::sync::Arc;

use crate::ErrorKind;
use crate::consumer::context::Context;
use crate::consumer::entry::{Call, CallState, Calls, Failure, HeldEntry, Load, Stage};
use crate::consumer::error_json::error_json;
use crate::consumer::group::Group;
use crate::consumer::received::{Content, ReceivedEntry};
use crate::consumer::stream::route_cache::Route;
use crate::consumer::stream::slot_index::Known;
use crate::consumer::unmatched::keep_unmatched;
use crate::delivery::event::LiveEvent;

/// How an entry came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// It was read, for the first time.
    Read,
    /// It was claimed from another consumer.
    Claimed,
    /// The group had read past it.
    ReadPast,
    /// It was pending for this one.
    Own,
}

/// What the store tells of earlier deliveries.
struct Past {
    deliveries: u32,
    started: bool,
    unhandled_since: Option<u64>,
}

/// What becomes of an entry that comes in.
enum Verdict {
    /// Its calls are made.
    Handle(Calls, Route),
    /// Nobody wants it.
    Skip,
    /// Nobody is known to want this type.
    Unmatched(Box<str>),
    /// Another client wants it: it is left to them until then.
    LeaveToPeers { until: u64 },
    /// It is given up.
    DeadLetter { reason: &'static str, error: Arc<str> },
}

/// Takes an entry in, unless it is here already.
pub(super) fn accept(group: &mut Group, received: ReceivedEntry, origin: Origin, now: u64, cx: &mut Context) {
    let Some(at) = group.stream_index(&received.stream) else { return };
    let slot = group.entries.next_slot();
    let Some(stream) = group.streams.get_mut(at) else { return };
    if origin == Origin::Read {
        stream.facts.delivered(received.id);
        stream.heartbeat.entries_changed();
    }
    if stream.name_lost {
        // It came under a name that is another's: whoever finds it expired takes it over.
        return;
    }
    if origin == Origin::Own && stream.own_scan.was_settled_meanwhile(received.id) {
        return;
    }
    if let Some(known) = stream.slots.claim(received.id, slot, &group.entries) {
        // A group that was made again delivers once more what was acknowledged in the one before.
        if origin == Origin::Read && known == Known::Settled {
            stream.updates.acknowledgements.push(received.id);
        }
        return;
    }
    let ReceivedEntry { id, deliveries, started, unhandled_since, due_in, content, .. } = received;
    // What was put off was no other consumer's.
    cx.counts.recovered += u64::from(origin == Origin::Claimed && due_in.is_none());
    let past = Past { deliveries: deliveries.max(1), started, unhandled_since };
    let known = cx.standstill.known_at(group.lease.ms(), now);
    let deliveries = past.deliveries;
    let (verdict, event) = judge(group, at, content, &past, now, cx);
    let mut entry = HeldEntry {
        id,
        stream: at,
        event,
        count: deliveries,
        stored: deliveries,
        made: deliveries - 1,
        due: due_in.filter(|wait| *wait > 0).map_or(0, |wait| now.saturating_add(wait)),
        renewed: known,
        known,
        stage: Stage::Active,
        load: Load::Settling,
        calls: Calls::NONE,
        suspected_poison: false,
        started,
        type_number: 0,
        in_lane: false,
        undone: false,
        gone: false,
        unsure: false,
        failure: None,
    };
    match verdict {
        Verdict::Skip => {
            cx.counts.skipped += 1;
            group.acknowledge(at, id, now);
            if let Some(event) = entry.event {
                cx.done.push(event);
            }
        }
        Verdict::Unmatched(event_type) => keep_unmatched(group, entry, &event_type),
        Verdict::LeaveToPeers { until } => {
            let slot = group.entries.insert(entry);
            group.requeue(slot, true);
            if let Some(stream) = group.streams.get_mut(at) {
                stream.recovery.leave_to_peers(id, until);
            }
        }
        Verdict::DeadLetter { reason, error } => {
            // The claim that has found it started, and raised its count, was no attempt of a handler.
            let attempts = deliveries.saturating_sub(u32::from(started)).max(1);
            let slot = group.entries.insert(entry);
            group.dead_letter(slot, Box::new(Failure { attempts, reason, error }));
        }
        Verdict::Handle(calls, route) => {
            let most = group.subscriptions.max_retries(&calls).max(1);
            entry.type_number = route.type_number;
            // An entry that was put off was handed back after its attempts had ended.
            entry.suspected_poison = origin != Origin::Read && deliveries > most && due_in.is_none();
            entry.calls = calls;
            begin(group, entry, now);
            if unhandled_since.is_some()
                && let Some(stream) = group.streams.get_mut(at)
            {
                // It has a handler now, which the others are to know even if this process dies.
                stream.updates.lease_extensions.push(id, None);
            }
        }
    }
}

/// Starts the life of an entry that has calls.
#[inline]
fn begin(group: &mut Group, mut entry: HeldEntry, now: u64) {
    // An entry that was left until later by a process that has died is put off at once.
    let put_off = group.puts_off().zip(entry.due_in(now)).is_some_and(|(least, wait)| wait >= least);
    if group.stopping || put_off {
        entry.calls = Calls::NONE;
        let slot = group.entries.insert(entry);
        group.requeue(slot, false);
        return;
    }
    group.lease.note_claim(entry.known, now);
    let mut free = true;
    if group.ordering.has(entry.key()) {
        let slot = group.entries.next_slot();
        free = group.ordering.enter(entry.key(), slot, entry.suspected_poison);
        entry.in_lane = free;
    }
    entry.stage = if free { Stage::Active } else { Stage::Blocked };
    let slot = group.entries.insert(entry);
    if free {
        group.activate(slot, now);
    }
}

/// What becomes of an entry, and its event.
fn judge(
    group: &mut Group,
    at: usize,
    content: Content,
    past: &Past,
    now: u64,
    cx: &mut Context,
) -> (Verdict, Option<Arc<LiveEvent>>) {
    let (candidate, event_type, only_group) = match content {
        Content::Event { candidate, event_type, only_group } => (candidate, event_type, only_group),
        Content::Undecodable(reason) => {
            let error = error_json("ValidationError", &reason, Some(ErrorKind::InvalidEvent));
            return (Verdict::DeadLetter { reason: "undecodable", error }, None);
        }
    };
    let event = candidate.event.clone();
    if only_group.is_some_and(|only| *only != *group.joining.group) {
        return (Verdict::Skip, Some(event));
    }
    if past.started {
        let message = "the process ended while a handler had the event, several times";
        let error = error_json("HandlerError", message, Some(ErrorKind::HandlerFailed));
        return (Verdict::DeadLetter { reason: "crashed", error }, Some(event));
    }
    let route = group.route(at, &event_type, &event, cx);
    let mut calls = Calls::NONE;
    for &(subscription, pattern) in route.takers.iter() {
        let filter = group.subscriptions.get(subscription).and_then(|s| s.filter.as_ref());
        if filter.is_some_and(|filter| !candidate.passes(filter)) {
            continue;
        }
        calls.push(Call { subscription, pattern, attempt: past.deliveries, state: CallState::Waiting });
    }
    if !calls.is_empty() {
        return (Verdict::Handle(calls, route), Some(event));
    }
    if !route.takers.is_empty() {
        return (Verdict::Skip, Some(event));
    }
    if !route.wanted {
        return (Verdict::Unmatched(event_type), Some(event));
    }
    let patience = group.lease.patience();
    let store_time = group.streams.get(at).map_or(0, |stream| stream.facts.store_time(now));
    // A time in the future is of before the store's clock went back.
    let left = past
        .unhandled_since
        .map_or(patience, |since| since.saturating_add(patience).saturating_sub(store_time).min(patience));
    // A client that has just come may be about to subscribe to what it cannot handle yet.
    let left = left.max(group.watch.left(group.lease.ms(), patience, now));
    // The store's clock may have jumped ahead, and these times with it.
    let left = left.max(cx.store_clock.believed_from(patience).saturating_sub(now));
    if left > 0 {
        return (Verdict::LeaveToPeers { until: now.saturating_add(left) }, Some(event));
    }
    let message = format!("no client of group {:?} has a handler for {event_type:?}", group.joining.group);
    let error = error_json("EventBusError", &message, None);
    (Verdict::DeadLetter { reason: "unhandled", error }, Some(event))
}
