//! Handler calls end.

use std::sync::Arc;

use crate::ErrorKind;
use crate::consumer::dispatch::Running;
use crate::consumer::ending::End;
use crate::consumer::entry::{CallState, Failure};
use crate::consumer::group::{Context, Group};
use crate::consumer::intake::error_json;
use crate::delivery::{CircuitChange, DeliveryCounts, Settlement};
use crate::observe::metrics::MetricKey;
use crate::options::subscribe::OrderBy;

impl Group {
    /// Ends a handler call. One that has timed out where an order is kept stays a zombie until
    /// [`Group::bury_zombie`]; the caller keeps it when [`Group::keeps_zombies`].
    pub(super) fn settle(
        &mut self,
        running: &Running,
        settlement: Settlement,
        now: u64,
        random: impl FnOnce() -> f64,
        cx: &mut Context,
    ) -> (DeliveryCounts, Option<CircuitChange>) {
        let mut tally = DeliveryCounts::default();
        let id = running.subscription;
        let zombie = matches!(settlement, Settlement::TimedOut { .. }) && self.keeps_zombies();
        let failed = !matches!(settlement, Settlement::Succeeded | Settlement::NotHandled);
        tally.handler_errors = u64::from(failed);
        let Some(s) = self.subscribers.get_mut(&id) else { return (tally, None) };
        s.running -= usize::from(!zombie);
        let mut change = None;
        if let Some(breaker) = s.breaker.as_mut().filter(|b| b.epoch() == running.epoch) {
            if settlement == Settlement::NotHandled {
                breaker.cancel();
            } else if let Some(state) = breaker.record(!failed, now) {
                change = Some(CircuitChange { subscription: id, state });
            }
        }
        let retries = s.retries_at_most();
        let (stays, options) = (!s.removed && !self.stopping, s.options.clone());
        // One delay: the events of a batch are tried again together.
        let delay = match settlement {
            Settlement::RetryLater(ms) => Some(ms),
            Settlement::Failed { retryable: true } | Settlement::TimedOut { retryable: true } => {
                let attempts = running.slots().map(|slot| self.attempt(slot, id));
                Some(options.retry.delay(attempts.max().unwrap_or(1), random()))
            }
            _ => None,
        };
        cx.ended.clear();
        for slot in running.slots() {
            cx.ended.extend(self.series(slot));
            let attempt = self.attempt(slot, id);
            let end = match (settlement, delay) {
                (Settlement::Succeeded, _) => End::Succeeded,
                (Settlement::NotHandled, _) => End::Undone { consumed: false },
                (_, Some(delay)) if attempt <= retries => {
                    // Where it cannot be tried again here, it is handed back with the attempt counted.
                    if stays {
                        End::Retry { at: now.saturating_add(delay) }
                    } else {
                        End::Undone { consumed: true }
                    }
                }
                _ => End::Failed(Failure {
                    attempts: attempt,
                    reason: if delay.is_some() { "failed" } else { "not-retryable" },
                    error: running.error.clone().unwrap_or_else(|| unexplained(settlement)),
                }),
            };
            tally.add(self.end_call(slot, id, end, zombie, now, cx));
        }
        self.after_call(id);
        (tally, change)
    }

    /// What a call of an entry is for.
    fn series(&self, slot: u32) -> Option<MetricKey> {
        let entry = self.entries.get(slot)?;
        let consumer = self.streams.get(entry.stream)?.consumer_number;
        Some(MetricKey { consumer, event_type: entry.type_number })
    }

    /// Which attempt a call of an entry is.
    fn attempt(&self, slot: u32, id: u32) -> u32 {
        self.entries.get(slot).and_then(|e| e.call(id)).map_or(1, |call| call.attempt)
    }

    /// Whether a call that has timed out keeps its slot, and its entry its lane, until it ends.
    pub(super) fn keeps_zombies(&self) -> bool {
        self.joining.order_by != OrderBy::None
    }

    /// A call that had timed out has ended: its slot and its lanes are free.
    pub(super) fn bury_zombie(&mut self, running: &Running, now: u64, cx: &mut Context) {
        let id = running.subscription;
        if let Some(s) = self.subscribers.get_mut(&id) {
            s.running = s.running.saturating_sub(1);
        }
        for slot in running.slots() {
            let Some(call) = self.entries.get_mut(slot).and_then(|e| e.call_mut(id)) else { continue };
            let CallState::Zombie { retry_at, .. } = call.state else { continue };
            call.state = CallState::Done { succeeded: false };
            match retry_at {
                Some(at) => self.back_off(slot, id, at.max(now)),
                None => {
                    self.leave_lane(slot, now);
                    self.free(slot, cx);
                }
            }
        }
        self.after_call(id);
    }

    /// A handler of a subscription is free.
    fn after_call(&mut self, id: u32) {
        if self.subscribers.get(&id).is_some_and(|s| s.removed && s.running == 0) {
            self.subscribers.remove(&id);
        } else {
            self.list(id);
        }
    }

    /// Puts a call off until its retry.
    pub(super) fn back_off(&mut self, slot: u32, id: u32, at: u64) {
        let Some(s) = self.subscribers.get_mut(&id) else { return };
        let due = (at, self.next_retry);
        self.next_retry += 1;
        s.retries.insert(due, slot);
        self.retrying.insert(id);
        if let Some(call) = self.entries.get_mut(slot).and_then(|e| e.call_mut(id)) {
            call.state = CallState::Backoff { due };
        }
        self.reload(slot);
    }
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
