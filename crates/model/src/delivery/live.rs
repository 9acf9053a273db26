//! Live delivery: what waits for handlers, what runs, and what is tried again.

use std::sync::Arc;

use crate::breaker::BreakerState;
use crate::delivery::deferred_drop::DeferredDrop;
use crate::delivery::dispatch_batch::DispatchBatch;
use crate::delivery::drops::{DroppedEvents, Drops};
use crate::delivery::event::{Delivery, InboundEvent, LiveEvent};
use crate::delivery::ready_list::ReadyList;
use crate::delivery::settlement::{CircuitChange, DeliveryCounts, Settlement};
use crate::delivery::subscription::{QueuedEvent, Subscription};
use crate::delivery::token::RunningCalls;
use crate::filter::Filter;
use crate::observe::metrics::{LIVE, MetricKey};
use crate::options::subscribe::SubscribeOptions;

/// A handler call that runs.
#[derive(Debug)]
struct LiveCall {
    subscription: u32,
    pattern: u32,
    attempt: u32,
    /// The breaker's epoch when the call started: results of an older one say nothing of now.
    epoch: u32,
    event: Arc<LiveEvent>,
}

/// The live deliveries of one client.
#[derive(Debug)]
pub struct Deliveries {
    subscriptions: ReadyList<Subscription>,
    /// The options of the subscription added last.
    last_options: Arc<SubscribeOptions>,
    running: RunningCalls<LiveCall>,
    /// Events that nobody needs any more.
    done: DeferredDrop,
    /// What the call was for that ended last.
    ended: Option<MetricKey>,
    /// The subscriptions whose queue is full, or was lately.
    dropping: Vec<u32>,
    /// Whether there are new ones.
    drops_began: bool,
}

impl Default for Deliveries {
    fn default() -> Self {
        Deliveries {
            subscriptions: ReadyList::default(),
            last_options: Arc::default(),
            running: RunningCalls::live(),
            done: DeferredDrop::default(),
            ended: None,
            dropping: Vec::new(),
            drops_began: false,
        }
    }
}

impl Deliveries {
    /// No subscriptions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a subscription.
    pub fn add(&mut self, subscription: u32, options: &SubscribeOptions, filter: Option<Filter>) {
        if *self.last_options != *options {
            self.last_options = Arc::new(options.clone());
        }
        self.subscriptions.insert(subscription, Subscription::new(self.last_options.clone(), filter));
    }

    /// Removes a subscription with what waits for it. Running calls end by themselves.
    pub fn remove(&mut self, subscription: u32) -> DeliveryCounts {
        let removed = self.subscriptions.remove(subscription);
        if removed.as_ref().is_some_and(|s| s.drops.is_some()) {
            self.dropping.retain(|dropping| *dropping != subscription);
        }
        let dropped = removed.map_or(0, |s| s.waiting() as u64);
        DeliveryCounts { dropped, ..DeliveryCounts::default() }
    }

    /// Removes all subscriptions, as [`Deliveries::remove`] does, in time proportional to their number.
    pub fn clear(&mut self) -> DeliveryCounts {
        let dropped = self.waiting() as u64;
        self.subscriptions.clear();
        self.dropping.clear();
        DeliveryCounts { dropped, ..DeliveryCounts::default() }
    }

    /// Stops or resumes handing out events of a subscription. What arrives meanwhile waits in its queue.
    pub fn pause(&mut self, subscription: u32, paused: bool) {
        self.subscriptions.change(subscription, |s| s.handlers.pause(paused));
    }

    /// Offers an event to a subscription: it waits there unless the subscription does not want it. One that
    /// has ended since the event was routed to it has dropped it.
    pub fn offer(
        &mut self,
        subscription: u32,
        pattern: u32,
        inbound: &InboundEvent,
        now_ms: u64,
    ) -> DeliveryCounts {
        let mut counts = DeliveryCounts::default();
        let mut first = false;
        let offered = self.subscriptions.change(subscription, |s| {
            if (s.handlers.options().no_echo && inbound.event.own)
                || s.filter.as_ref().is_some_and(|f| !inbound.passes(f))
            {
                counts.skipped = 1;
            } else if s.circuit_is_open(now_ms) {
                counts.dropped = 1;
            } else {
                let queued = QueuedEvent { event: inbound.event.clone(), pattern, attempt: 1 };
                let lost;
                (counts.dropped, lost) = s.push(queued);
                if lost > 0 {
                    first = s.record_drops(lost, now_ms);
                }
            }
        });
        if offered.is_none() {
            counts.dropped = 1;
        }
        if first {
            self.begin_drops(subscription);
        }
        counts
    }

    fn begin_drops(&mut self, subscription: u32) {
        self.dropping.push(subscription);
        self.drops_began = true;
    }

    /// Whether a subscription has begun to drop events since this was last asked: a report is due.
    pub fn take_drops_began(&mut self) -> bool {
        std::mem::take(&mut self.drops_began)
    }

    /// The reports that are due on events that full queues have dropped. The first of a subscription is due at once, others
    /// [`DROPS_INTERVAL`](crate::delivery::DROPS_INTERVAL) after the one before.
    pub fn report_drops(&mut self, now_ms: u64) -> Vec<DroppedEvents> {
        let mut reports = Vec::new();
        let subscriptions = &mut self.subscriptions;
        self.dropping.retain(|&subscription| {
            let Some(s) = subscriptions.get_mut(subscription) else { return false };
            let Some(drops) = &mut s.drops else { return false };
            let events = drops.report(now_ms);
            if events > 0 {
                reports.push(DroppedEvents { subscription, events });
            }
            let over = drops.is_over(now_ms);
            if over {
                s.drops = None;
            }
            !over
        });
        reports
    }

    /// When the next report on dropped events is due.
    pub fn next_drops_report(&self) -> Option<u64> {
        self.drops().filter_map(|(_, drops)| drops.next_report()).min()
    }

    /// The subscriptions that drop events, or did lately, each with how many since it began to.
    pub fn dropping(&self, now_ms: u64) -> Vec<DroppedEvents> {
        let going_on = self.drops().filter(|(_, drops)| drops.goes_on(now_ms));
        going_on.map(|(subscription, drops)| DroppedEvents { subscription, events: drops.events() }).collect()
    }

    fn drops(&self) -> impl Iterator<Item = (u32, &Drops)> {
        self.dropping.iter().filter_map(|id| Some((*id, self.subscriptions.get(*id)?.drops.as_deref()?)))
    }

    /// Whether [`Deliveries::take`] would hand something out.
    pub fn has_ready(&self, now_ms: u64) -> bool {
        self.subscriptions.has_ready(now_ms)
    }

    /// Hands out at most `max_events` events, and no more once they have `max_bytes`, in turns over the
    /// subscriptions that have room. Returns the circuits that half-opened for it.
    pub fn take(
        &mut self,
        now_ms: u64,
        (max_events, max_bytes): (usize, usize),
        out: &mut Vec<Delivery>,
    ) -> Vec<CircuitChange> {
        let Deliveries { subscriptions, running, .. } = self;
        let mut batch = DispatchBatch::new(out, (max_events, max_bytes));
        subscriptions.take_turns(now_ms, &mut batch, |subscription, s, batch| {
            let Some(QueuedEvent { event, pattern, attempt }) = s.next(now_ms) else { return false };
            let started = s.handlers.start(now_ms);
            if let Some(state) = started.circuit {
                batch.circuit_changed(subscription, state);
            }
            let epoch = started.epoch;
            let call = LiveCall { subscription, pattern, attempt, epoch, event: event.clone() };
            let token = running.start(call);
            let raw = s.handlers.options().raw_data;
            batch.push(Delivery { subscription, token, attempt, pattern, event, raw, stored: None });
            true
        });
        batch.into_circuits()
    }

    /// What the handler call was for that [`Deliveries::settle`] has ended, if there was one.
    pub fn take_ended(&mut self) -> Option<MetricKey> {
        self.ended.take()
    }

    /// Ends a handler call. `random` gives a number in `[0, 1)`; it is asked for the jitter of a retry.
    pub fn settle(
        &mut self,
        token: u32,
        settlement: Settlement,
        now_ms: u64,
        random: impl FnOnce() -> f64,
    ) -> (DeliveryCounts, Option<CircuitChange>) {
        let mut counts = DeliveryCounts::default();
        let Some(LiveCall { subscription, pattern, attempt, epoch, event }) = self.running.remove(token)
        else {
            return (counts, None);
        };
        self.ended = Some(MetricKey { consumer: LIVE, event_type: event.type_number });
        let failed = settlement.is_failure();
        match settlement {
            Settlement::Succeeded => counts.delivered = 1,
            Settlement::NotHandled => counts.dropped = 1,
            _ => counts.handler_errors = 1,
        }
        let Some(s) = self.subscriptions.get_mut(subscription) else {
            counts.failed = u64::from(failed);
            return (counts, None);
        };
        s.handlers.release();
        let mut done = None;
        let mut retries = false;
        let mut first = false;
        match s.handlers.retry_delay(settlement, || attempt, random) {
            Some(delay) if attempt <= s.handlers.max_retries() => {
                counts.retried = 1;
                let again = QueuedEvent { event, pattern, attempt: attempt + 1 };
                let lost = s.retry_at(now_ms.saturating_add(delay), again);
                counts.dropped += lost;
                first = lost > 0 && s.record_drops(lost, now_ms);
                retries = true;
            }
            _ => {
                counts.failed = u64::from(failed);
                done = Some(event);
            }
        }
        let state = s.handlers.record(epoch, settlement, now_ms);
        if state == Some(BreakerState::Open) {
            counts.dropped += s.drop_queue() as u64;
        }
        if retries {
            self.subscriptions.watch_retries(subscription);
        }
        self.subscriptions.list(subscription);
        if first {
            self.begin_drops(subscription);
        }
        if let Some(event) = done {
            self.done.push(event);
        }
        (counts, state.map(|state| CircuitChange { subscription, state }))
    }

    /// Events that are done with, for the caller to drop where that costs least: freeing what another thread
    /// has allocated is slow, and the thread that settles is the one that is short of time.
    pub fn take_deferred_drops(&mut self) -> Vec<Arc<LiveEvent>> {
        self.done.take()
    }

    /// When, after `now_ms`, something becomes ready by itself: a retry is due, or a circuit that one waits
    /// for half-opens.
    pub fn next_due(&self, now_ms: u64) -> Option<u64> {
        self.subscriptions.retrying().filter_map(|s| s.next_due(now_ms)).min()
    }

    /// Handler calls that run now.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Events that wait, retries included.
    pub fn waiting(&self) -> usize {
        self.subscriptions.iter().map(|(_, s)| s.waiting()).sum()
    }

    /// Bytes of the events that wait, retries included.
    pub fn waiting_bytes(&self) -> usize {
        self.subscriptions.iter().map(|(_, s)| s.waiting_bytes()).sum()
    }

    /// Whether the queue of a subscription is more than half full.
    pub fn is_crowded(&self, subscription: u32) -> bool {
        self.subscriptions.get(subscription).is_some_and(Subscription::is_crowded)
    }

    /// Whether a retry is due for which there is room.
    pub fn has_due(&self, now_ms: u64) -> bool {
        self.subscriptions.has_due(now_ms)
    }

    /// The subscriptions that may have work, in turn.
    #[cfg(test)]
    pub(super) fn listed(&self) -> Vec<u32> {
        self.subscriptions.ready().collect()
    }

    /// Lets the next call get this token, if it is free.
    #[cfg(test)]
    pub(super) fn continue_at(&mut self, token: u32) {
        self.running.continue_at(token);
    }
}
