//! What the host does with events: it takes them for handlers, and says how their calls have ended.

use oxbus_model::delivery::{DURABLE_TOKEN, Delivery, Settlement};

use super::{Client, DRAIN_BYTES, DRAIN_LIMIT};
use crate::host::{Drained, Notice};
use crate::receive::live_queue::LiveQueue;
use crate::runtime::clock;
use crate::state::lifecycle::State;

/// How many subscriptions of a drain are asked for the length of their queue.
const TURNS_LOOKED_AT: usize = 16;

impl Client {
    /// Stops or resumes the deliveries of a subscription.
    pub fn pause(&self, subscription: u32, paused: bool) {
        let state = &self.core.state;
        state.live_queue().deliveries.pause(subscription, paused);
        if state.groups.in_use() {
            state.groups.claims().pause(subscription, paused);
            self.core.groups.schedule();
        }
        self.core.wake_if_ready();
    }

    /// Ends handler calls: (token, settlement, microseconds that the handler ran).
    pub fn settle(&self, settlements: impl IntoIterator<Item = (u32, Settlement, u32)>) {
        let state = &self.core.state;
        let mut failed = false;
        let now = state.clock.now_ms();
        let mut queue = state.live_queue();
        // Locked only when needed, and always after the live queue.
        let mut claims = None;
        for (token, settlement, microseconds) in settlements {
            let change = if token & DURABLE_TOKEN == 0 {
                failed |= settlement != Settlement::Succeeded;
                queue.settle(token, settlement, microseconds.into(), now)
            } else {
                let claims = claims.get_or_insert_with(|| state.groups.claims());
                let (counts, change) = claims.settle(token, settlement, now, clock::random);
                queue.metrics.ended(claims.take_ended(), settlement, microseconds.into());
                queue.metrics.count(counts);
                change.map(|c| Notice::Circuit { subscription: c.subscription, state: c.state })
            };
            if let Some(notice) = change {
                state.notice(notice);
            }
        }
        let (idle, mut ready) = (queue.deliveries.running() == 0, queue.has_ready());
        let durable = claims.is_some();
        if let Some(claims) = claims {
            ready |= claims.has_ready(now);
        }
        drop(queue);
        if durable {
            self.core.groups.schedule();
        }
        if ready {
            state.completions.wake();
        }
        if failed || (idle && self.state() == State::Draining) {
            state.deadlines.notify_waiters();
        }
    }

    /// What the handler of a durable event threw, as JSON; before the call is settled as failed.
    pub fn set_error(&self, token: u32, error: String) {
        self.core.state.groups.claims().explain(token, error.into());
    }

    /// A handler call that had timed out has ended after all.
    pub fn finish_timed_out(&self, token: u32) {
        let state = &self.core.state;
        state.stats.zombie_handlers.subtract(1);
        if token & DURABLE_TOKEN != 0 {
            state.groups.claims().finish_timed_out(token, state.clock.now_ms());
            self.core.groups.schedule();
            self.core.wake_if_ready();
        }
    }

    /// Takes everything that is ready, at most [`DRAIN_LIMIT`] deliveries; the rest is announced by another wake.
    pub fn drain(&self) -> Drained {
        let state = &self.core.state;
        let mut drained = state.completions.take();
        let mut queue = state.live_queue();
        let handling = queue.deliveries.running() > 0;
        queue.take((DRAIN_LIMIT, DRAIN_BYTES), &mut drained.deliveries, &mut drained.notices);
        let mut more = queue.has_ready();
        let crowded = !handling && !drained.published.is_empty() && is_crowded(&queue, &drained.deliveries);
        drop(queue);
        if crowded && !(state.groups.in_use() && state.groups.claims().running() > 0) {
            // The handlers of this drain come before those who wait for results and then publish more. Where a handler
            // runs, it may be one of them: then nobody waits.
            state.completions.keep_back(&mut drained.published);
            more = true;
        }
        if state.groups.in_use() {
            more |= self.drain_claims(&mut drained);
        }
        if more {
            state.completions.wake();
        }
        drained
    }

    /// Takes entries of groups. Returns whether there are more.
    fn drain_claims(&self, drained: &mut Drained) -> bool {
        let state = &self.core.state;
        let now = state.clock.now_ms();
        let first = drained.deliveries.len();
        let taken: usize = drained.deliveries.iter().map(Delivery::weight).sum();
        let limit = (DRAIN_LIMIT.saturating_sub(first), DRAIN_BYTES.saturating_sub(taken));
        let mut claims = state.groups.claims();
        for change in claims.take(now, limit, &mut drained.deliveries) {
            drained.notices.push(Notice::Circuit { subscription: change.subscription, state: change.state });
        }
        let more = claims.has_ready(now);
        drop(claims);
        let durable = drained.deliveries.get(first..).unwrap_or_default();
        if !durable.is_empty() {
            state.live_queue().metrics.handed_out(durable);
        }
        more
    }
}

/// Whether one of the subscriptions that get `deliveries` has a queue that is half full all the same.
fn is_crowded(queue: &LiveQueue, deliveries: &[Delivery]) -> bool {
    let turns = deliveries.chunk_by(|a, b| a.subscription == b.subscription).filter_map(|turn| turn.first());
    turns.take(TURNS_LOOKED_AT).any(|delivery| queue.deliveries.is_crowded(delivery.subscription))
}
