//! Live delivery: what waits for handlers, what runs, and what is tried again.
//!
//! One table per client, without I/O or clock. Messages are offered to it, the host takes as many as
//! its handlers have room for, and settles each. Everything that waits is bounded by the
//! subscription's queue, retries included; everything dropped is counted.

mod event;
mod outcome;
pub mod queue;
mod subscription;
#[cfg(test)]
mod tests;

use std::collections::hash_map::Entry;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

// The keys are numbers of our own.
use rustc_hash::FxHashMap as HashMap;

use crate::breaker::BreakerState;
use crate::consumer::DURABLE_TOKEN;
use crate::filter::Filter;
use crate::observe::metrics::{LIVE, MetricKey};
use crate::options::subscribe::SubscribeOptions;

pub use event::{Delivery, InboundEvent, LiveEvent, StoredContext};
pub use outcome::{CircuitChange, DeliveryCounts, Settlement};
use subscription::{Subscription, Waiting};

#[derive(Debug)]
struct Running {
    subscription: u32,
    pattern: u32,
    attempt: u32,
    /// The breaker's epoch when the call started: results of an older one say nothing of now.
    epoch: u32,
    event: Arc<LiveEvent>,
}

/// Events done with that are kept for [`Deliveries::take_spent`], at the most.
const MAX_SPENT: usize = 1024;
/// And their bytes.
const MAX_SPENT_BYTES: usize = 1024 * 1024;

/// The deliveries of one client.
#[derive(Debug, Default)]
pub struct Deliveries {
    subscriptions: HashMap<u32, Box<Subscription>>,
    /// The options of the subscription added last.
    last_options: Arc<SubscribeOptions>,
    /// Subscriptions that may have work, in turn.
    ready: VecDeque<u32>,
    /// Subscriptions that may have retries: few, so that time is kept without looking at all.
    retrying: HashSet<u32>,
    running: HashMap<u32, Running>,
    next_token: u32,
    next_retry: u64,
    /// Events that nobody needs any more, and their bytes.
    spent: Vec<Arc<LiveEvent>>,
    spent_bytes: usize,
    /// What the call was for that ended last.
    ended: Option<MetricKey>,
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
        let added = Subscription::new(self.last_options.clone(), filter);
        self.subscriptions.insert(subscription, Box::new(added));
    }

    /// Removes a subscription with what waits for it. Running calls end by themselves.
    pub fn remove(&mut self, subscription: u32) -> DeliveryCounts {
        let Some(mut gone) = self.subscriptions.remove(&subscription) else {
            return DeliveryCounts::default();
        };
        if gone.listed {
            self.ready.retain(|id| *id != subscription);
        }
        self.retrying.remove(&subscription);
        DeliveryCounts {
            dropped: (gone.queue.clear() + gone.retries.len()) as u64,
            ..DeliveryCounts::default()
        }
    }

    /// Removes all subscriptions, as [`Deliveries::remove`] does, in time proportional to their number.
    pub fn clear(&mut self) -> DeliveryCounts {
        let dropped = self.waiting() as u64;
        self.subscriptions = HashMap::default();
        self.ready = VecDeque::new();
        self.retrying = HashSet::new();
        DeliveryCounts { dropped, ..DeliveryCounts::default() }
    }

    /// Stops or resumes handing out events of a subscription. What arrives meanwhile waits in its queue.
    pub fn pause(&mut self, subscription: u32, paused: bool) {
        if let Some(s) = self.subscriptions.get_mut(&subscription) {
            s.paused = paused;
            self.list(subscription);
        }
    }

    /// Offers an event to a subscription: it waits there unless the subscription does not want it. One that
    /// has ended since the event was routed to it has dropped it.
    pub fn offer(
        &mut self,
        subscription: u32,
        pattern: u32,
        candidate: &InboundEvent,
        now_ms: u64,
    ) -> DeliveryCounts {
        let mut tally = DeliveryCounts::default();
        let Some(s) = self.subscriptions.get_mut(&subscription) else {
            tally.dropped = 1;
            return tally;
        };
        if (s.options.no_echo && candidate.event.own)
            || s.filter.as_ref().is_some_and(|f| !candidate.passes(f))
        {
            tally.skipped = 1;
            return tally;
        }
        if s.circuit_is_open(now_ms) {
            tally.dropped = 1;
            return tally;
        }
        let held = s.held();
        let waiting = Waiting { event: candidate.event.clone(), pattern, attempt: 1 };
        tally.dropped = s.queue.push(waiting, held) as u64;
        self.list(subscription);
        tally
    }

    /// Whether [`Deliveries::take`] would hand something out.
    pub fn has_ready(&self, now_ms: u64) -> bool {
        self.ready.iter().any(|id| self.subscriptions.get(id).is_some_and(|s| s.has_work(now_ms)))
            || self.has_due(now_ms)
    }

    /// Hands out at most `max_events` events, and no more once they have `max_bytes`, in turns over the
    /// subscriptions that have room. Returns the circuits that half-opened for it.
    pub fn take(
        &mut self,
        now_ms: u64,
        (max_events, max_bytes): (usize, usize),
        out: &mut Vec<Delivery>,
    ) -> Vec<CircuitChange> {
        let mut changes = Vec::new();
        self.list_due(now_ms);
        let end = out.len() + max_events;
        let mut bytes = 0;
        for _ in 0..self.ready.len() {
            if out.len() >= end || bytes >= max_bytes {
                break;
            }
            let Some(id) = self.ready.pop_front() else { break };
            let Some(s) = self.subscriptions.get_mut(&id) else { continue };
            s.listed = false;
            while out.len() < end && bytes < max_bytes && s.has_work(now_ms) {
                let Some(Waiting { event, pattern, attempt }) = s.next(now_ms) else { break };
                let mut epoch = 0;
                if let Some(breaker) = &mut s.breaker {
                    let before = breaker.state();
                    breaker.admits(now_ms);
                    epoch = breaker.epoch();
                    if breaker.state() != before {
                        changes.push(CircuitChange { subscription: id, state: breaker.state() });
                    }
                }
                s.running += 1;
                bytes += event.json.len();
                let running = Running { subscription: id, pattern, attempt, epoch, event: event.clone() };
                // Numbers start over after 2^31 calls, and a call may run for that long.
                let token = loop {
                    let token = self.next_token;
                    self.next_token = token.wrapping_add(1) & !DURABLE_TOKEN;
                    if let Entry::Vacant(free) = self.running.entry(token) {
                        free.insert(running);
                        break token;
                    }
                };
                out.push(Delivery { subscription: id, token, attempt, pattern, event, stored: None });
            }
            self.list(id);
        }
        changes
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
        let mut tally = DeliveryCounts::default();
        let Some(Running { subscription, pattern, attempt, epoch, event }) = self.running.remove(&token)
        else {
            return (tally, None);
        };
        self.ended = Some(MetricKey { consumer: LIVE, event_type: event.type_number });
        let failed = !matches!(settlement, Settlement::Succeeded | Settlement::NotHandled);
        match settlement {
            Settlement::Succeeded => tally.delivered = 1,
            Settlement::NotHandled => tally.dropped = 1,
            _ => tally.handler_errors = 1,
        }
        let Some(s) = self.subscriptions.get_mut(&subscription) else {
            tally.failed = u64::from(failed);
            return (tally, None);
        };
        s.running -= 1;
        let delay = match settlement {
            Settlement::RetryLater(ms) => Some(ms),
            Settlement::Failed { retryable: true } | Settlement::TimedOut { retryable: true } => {
                Some(s.options.retry.delay(attempt, random()))
            }
            _ => None,
        };
        let mut spent = None;
        match delay {
            Some(delay) if s.retries_after(attempt) => {
                tally.retried = 1;
                let due = (now_ms.saturating_add(delay), self.next_retry);
                self.next_retry += 1;
                tally.dropped += s.retry_at(due, Waiting { event, pattern, attempt: attempt + 1 });
                self.retrying.insert(subscription);
            }
            _ => {
                tally.failed = u64::from(failed);
                spent = Some(event);
            }
        }
        let mut change = None;
        if let Some(breaker) = s.breaker.as_mut().filter(|b| b.epoch() == epoch) {
            if settlement == Settlement::NotHandled {
                breaker.cancel();
            } else if let Some(state) = breaker.record(!failed, now_ms) {
                change = Some(CircuitChange { subscription, state });
                if state == BreakerState::Open {
                    tally.dropped += s.queue.clear() as u64;
                }
            }
        }
        self.list(subscription);
        if let Some(event) = spent {
            self.spend(event);
        }
        (tally, change)
    }

    /// Events that are done with, for the caller to drop where that costs least: freeing what another thread
    /// has allocated is slow, and the thread that settles is the one that is short of time.
    pub fn take_spent(&mut self) -> Vec<Arc<LiveEvent>> {
        self.spent_bytes = 0;
        std::mem::take(&mut self.spent)
    }

    fn spend(&mut self, event: Arc<LiveEvent>) {
        let bytes = self.spent_bytes + event.json.len();
        if bytes <= MAX_SPENT_BYTES && self.spent.len() < MAX_SPENT {
            self.spent_bytes = bytes;
            self.spent.push(event);
        }
    }

    /// When, after `now_ms`, something becomes ready by itself: a retry is due, or a circuit that one waits
    /// for half-opens. What is due already waits for a slot, the end of a pause or the host, not for time.
    pub fn next_due(&self, now_ms: u64) -> Option<u64> {
        let due = |s: &Subscription| {
            let first = s.retries.keys().next().map(|(due, _)| *due)?;
            let circuit = s.breaker.as_ref().and_then(|b| b.next_change_at()).unwrap_or(0);
            let at = first.max(circuit);
            if at > now_ms {
                return Some(at);
            }
            s.retries.range((now_ms.saturating_add(1), 0)..).next().map(|((due, _), _)| *due)
        };
        self.retrying().filter_map(due).min()
    }

    /// Handler calls that run now.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Events that wait, retries included.
    pub fn waiting(&self) -> usize {
        self.subscriptions.values().map(|s| s.queue.len() + s.retries.len()).sum()
    }

    /// Bytes of the events that wait, retries included.
    pub fn waiting_bytes(&self) -> usize {
        self.subscriptions.values().map(|s| s.queue.bytes() + s.retry_bytes).sum()
    }

    /// Whether a retry is due for which there is room.
    pub fn has_due(&self, now_ms: u64) -> bool {
        self.retrying().any(|s| !s.retries.is_empty() && s.has_work(now_ms))
    }

    fn retrying(&self) -> impl Iterator<Item = &Subscription> {
        self.retrying.iter().filter_map(|id| self.subscriptions.get(id).map(|s| &**s))
    }

    fn list(&mut self, subscription: u32) {
        if let Some(s) = self.subscriptions.get_mut(&subscription)
            && !s.listed
            && !s.paused
            && s.has_room()
            && !s.queue.is_empty()
        {
            s.listed = true;
            self.ready.push_back(subscription);
        }
    }

    fn list_due(&mut self, now_ms: u64) {
        let Deliveries { subscriptions, ready, retrying, .. } = self;
        retrying.retain(|id| {
            let Some(s) = subscriptions.get_mut(id) else { return false };
            if !s.listed && !s.retries.is_empty() && s.has_work(now_ms) {
                s.listed = true;
                ready.push_back(*id);
            }
            !s.retries.is_empty()
        });
    }
}
