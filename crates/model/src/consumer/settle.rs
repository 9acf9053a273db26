//! Handler calls end, and with the last of them their entry: it is acknowledged, tried again, handed back, or becomes a
//! dead letter.

use std::sync::Arc;

use crate::ErrorKind;
use crate::consumer::context::Context;
use crate::consumer::delays::put_off;
use crate::consumer::entry::{CallState, Failure, Stage};
use crate::consumer::error_json::error_json;
use crate::consumer::group::Group;
use crate::consumer::handler_calls::HandlerCall;
use crate::delivery::settlement::{CircuitChange, DeliveryCounts, Settlement};
use crate::observe::metrics::MetricKey;

/// How a handler call of an entry ended.
enum End {
    Succeeded,
    /// It is made again at that time.
    Retry {
        at: u64,
    },
    /// It is to be made by another consumer, or later. `retry_at`: it was an attempt, and when the next is due.
    Undone {
        retry_at: Option<u64>,
    },
    /// The entry is given up.
    Failed(Failure),
}

/// Ends a handler call. One that has timed out where an order is kept goes on until [`finish_timed_out`]; the caller
/// keeps it when [`Group::keeps_timed_out`].
pub(super) fn settle(
    group: &mut Group,
    call: &HandlerCall,
    settlement: Settlement,
    now: u64,
    random: impl FnOnce() -> f64,
    cx: &mut Context,
) -> (DeliveryCounts, Option<CircuitChange>) {
    let mut counts = DeliveryCounts::default();
    let id = call.subscription;
    let goes_on = matches!(settlement, Settlement::TimedOut { .. }) && group.keeps_timed_out();
    counts.handler_errors = u64::from(settlement.is_failure());
    let Group { subscriptions, entries, .. } = group;
    let Some(s) = subscriptions.get_mut(id) else { return (counts, None) };
    if !goes_on {
        s.handlers.release();
    }
    let circuit = s.handlers.record(call.epoch, settlement, now);
    let change = circuit.map(|state| CircuitChange { subscription: id, state });
    let max_retries = s.handlers.max_retries();
    let stays = !s.removed && !group.stopping;
    let attempt = |slot: u32| entries.get(slot).and_then(|e| e.call(id)).map_or(1, |call| call.attempt);
    // One delay: the events of a batch are tried again together.
    let delay = s.handlers.retry_delay(settlement, || call.slots().map(attempt).max().unwrap_or(1), random);
    cx.ended.clear();
    for slot in call.slots() {
        cx.ended.extend(metric_key(group, slot));
        let attempt = group.entries.get(slot).and_then(|e| e.call(id)).map_or(1, |call| call.attempt);
        let end = match (settlement, delay) {
            (Settlement::Succeeded, _) => End::Succeeded,
            (Settlement::NotHandled, _) => End::Undone { retry_at: None },
            (_, Some(delay)) if attempt <= max_retries => {
                let at = now.saturating_add(delay);
                // Where it cannot be tried again here, it is handed back with the attempt counted.
                if stays { End::Retry { at } } else { End::Undone { retry_at: Some(at) } }
            }
            _ => End::Failed(Failure {
                attempts: attempt,
                reason: if delay.is_some() { "failed" } else { "not-retryable" },
                error: call.error.clone().unwrap_or_else(|| unexplained(settlement)),
            }),
        };
        counts.add(end_call(group, slot, id, end, goes_on, now, cx));
    }
    group.subscriptions.handler_freed(id);
    (counts, change)
}

/// A call that had timed out has ended: its slot and its lanes are free.
pub(super) fn finish_timed_out(group: &mut Group, call: &HandlerCall, now: u64, cx: &mut Context) {
    let id = call.subscription;
    if let Some(s) = group.subscriptions.get_mut(id) {
        s.handlers.release();
    }
    for slot in call.slots() {
        let Some(call) = group.entries.get_mut(slot).and_then(|e| e.call_mut(id)) else { continue };
        let CallState::TimedOut { retry_at, .. } = call.state else { continue };
        call.state = CallState::Done { succeeded: false };
        match retry_at {
            Some(at) => schedule_retry(group, slot, id, at.max(now)),
            None => {
                group.leave_lane(slot, now);
                group.free(slot, cx);
            }
        }
    }
    group.subscriptions.handler_freed(id);
}

/// Puts a call off until its retry.
fn schedule_retry(group: &mut Group, slot: u32, id: u32, at: u64) {
    let Some(state) = group.subscriptions.queue_retry(slot, id, at) else { return };
    if let Some(call) = group.entries.get_mut(slot).and_then(|e| e.call_mut(id)) {
        call.state = state;
    }
    group.entries.recount(slot);
}

/// Ends the call of an entry by one subscription. One that `goes_on` has timed out and keeps its slot.
fn end_call(
    group: &mut Group,
    slot: u32,
    id: u32,
    end: End,
    goes_on: bool,
    now: u64,
    cx: &mut Context,
) -> DeliveryCounts {
    let mut counts = DeliveryCounts::default();
    let Some(entry) = group.entries.get_mut(slot) else { return counts };
    let lost = entry.stage == Stage::Over;
    // What is not in the stream any more cannot be tried again.
    let last = lost || entry.gone;
    let Some(call) = entry.call_mut(id) else { return counts };
    let CallState::Running { since, .. } = call.state else { return counts };
    let attempt = call.attempt;
    let succeeded = matches!(end, End::Succeeded);
    let retry = match &end {
        End::Retry { at } if !last => Some(*at),
        _ => None,
    };
    call.attempt += u32::from(retry.is_some());
    call.state =
        if goes_on { CallState::TimedOut { since, retry_at: retry } } else { CallState::Done { succeeded } };
    match end {
        End::Succeeded => counts.delivered = 1,
        End::Failed(failure) if !lost => {
            counts.failed = 1;
            entry.failure.get_or_insert_with(|| Box::new(failure));
        }
        End::Undone { retry_at } => {
            entry.undone = true;
            entry.made = entry.made.max(retry_at.map_or(0, |_| attempt));
            entry.due = entry.due.max(retry_at.unwrap_or(0));
        }
        End::Retry { .. } | End::Failed(_) => {}
    }
    if let Some(retry_at) = retry {
        counts.retried = 1;
        entry.made = entry.made.max(attempt);
        entry.count = entry.count.max(attempt.saturating_add(1));
        entry.renewed = now;
        entry.due = entry.due.max(retry_at);
        if goes_on || !put_off(group, slot, id, retry_at, now) {
            record_attempt(group, slot, now);
            if !goes_on {
                schedule_retry(group, slot, id, retry_at);
            }
        }
    }
    end_if_done(group, slot, now, cx);
    counts
}

/// Sees to it that the attempts at an entry outlive the process, and a long delay with them: when the lease of a dead
/// process has ended, a short one is over.
fn record_attempt(group: &mut Group, slot: u32, now: u64) {
    let Group { entries, streams, lease, .. } = group;
    let Some(entry) = entries.get(slot) else { return };
    let due = if entry.due_in(now).is_some_and(|wait| wait >= lease.long_delay()) { entry.due } else { 0 };
    if let Some(stream) = streams.get_mut(entry.stream) {
        stream.updates.lease_extensions.push(entry.id, Some((entry.count, due)));
    }
}

/// Ends an entry unless a call of it is open.
pub(super) fn end_if_done(group: &mut Group, slot: u32, now: u64, cx: &mut Context) {
    let Some(entry) = group.entries.get_mut(slot) else { return };
    if entry.is_open() {
        group.entries.recount(slot);
        return;
    }
    let (at, id) = (entry.stream, entry.id);
    let all = entry.calls.iter().all(|call| call.state == CallState::Done { succeeded: true });
    let any = entry.calls.iter().any(|call| call.state == CallState::Done { succeeded: true });
    if entry.stage == Stage::Over {
        // A success acknowledges whoever owns the entry by now.
        if all {
            if let Some(stream) = group.streams.get_mut(at) {
                stream.updates.acknowledgements.expect_without_ownership(id);
                cx.consumed(stream.consumer_number);
            }
            group.acknowledge(at, id, now);
        }
    } else if entry.gone && !all {
        entry.stage = Stage::Over;
        if let Some(stream) = group.streams.get_mut(at) {
            stream.forget(id);
        }
        group.announce_lost(at, &[id], cx);
    } else if entry.undone || (!any && entry.failure.is_none()) {
        group.requeue(slot, false);
    } else if let Some(failure) = entry.failure.take() {
        group.dead_letter(slot, failure);
    } else {
        entry.stage = Stage::Over;
        if let Some(stream) = group.streams.get(at) {
            cx.consumed(stream.consumer_number);
        }
        group.acknowledge(at, id, now);
    }
    group.leave_lane(slot, now);
    group.entries.recount(slot);
    group.free(slot, cx);
}

/// What a call of an entry is counted by.
fn metric_key(group: &Group, slot: u32) -> Option<MetricKey> {
    let entry = group.entries.get(slot)?;
    let consumer = group.streams.get(entry.stream)?.consumer_number;
    Some(MetricKey { consumer, event_type: entry.type_number })
}

/// The error of a call that came without one.
fn unexplained(settlement: Settlement) -> Arc<str> {
    match settlement {
        Settlement::TimedOut { .. } => {
            let message = "the handler did not end in time";
            error_json("TimeoutError", message, Some(ErrorKind::HandlerTimeout))
        }
        _ => error_json("HandlerError", "the handler failed", Some(ErrorKind::HandlerFailed)),
    }
}
