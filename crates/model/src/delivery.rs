//! Live delivery: what waits for handlers, what runs, and what is tried again.
//!
//! One table per client, without I/O or clock. Messages are offered to it, the host takes as many as
//! its handlers have room for, and settles each. Everything that waits is bounded by the
//! subscription's queue, retries included; everything dropped is counted.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

// The keys are numbers of our own.
use rustc_hash::FxHashMap as HashMap;
use serde_json::Value;

use crate::breaker::{Breaker, BreakerState};
use crate::envelope::Parts;
use crate::filter::Filter;
use crate::queue::{Queue, Queued};
use crate::retry::RetryPolicy;
use crate::subscribe_options::SubscribeOptions;

/// A received event, shared by all subscriptions that it goes to.
#[derive(Debug)]
pub struct LiveEvent {
    /// The event as JSON text.
    pub json: Box<str>,
    /// Where its parts stand in `json`, when it has no others.
    pub parts: Option<Parts>,
    /// The channel that it came on, where it is not the prefix and the event type.
    pub channel: Option<Box<str>>,
    /// When it was published, by the publisher's clock.
    pub published_ms: Option<i64>,
    /// Its key.
    pub key: Option<Arc<str>>,
    /// Whether this client published it.
    pub own: bool,
}

/// An event on its way to the subscriptions, and its JSON tree once a filter has asked for it.
#[derive(Debug)]
pub struct Candidate {
    event: Arc<LiveEvent>,
    tree: OnceCell<Option<Value>>,
}

impl Candidate {
    /// A candidate.
    pub fn new(event: LiveEvent) -> Self {
        Candidate { event: Arc::new(event), tree: OnceCell::new() }
    }

    fn passes(&self, filter: &Filter) -> bool {
        let tree = self.tree.get_or_init(|| serde_json::from_str(&self.event.json).ok());
        tree.as_ref().is_some_and(|tree| filter.matches(tree))
    }
}

/// How a handler call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It returned, or its promise resolved.
    Succeeded,
    /// It threw or rejected. `retryable` is what the handler's side says of the error.
    Failed {
        /// Whether the error may be tried again.
        retryable: bool,
    },
    /// It asked to be called again after so many milliseconds.
    RetryLater(u64),
    /// It did not end in time. It counts as failed; it may still run.
    TimedOut {
        /// Whether the call may be tried again.
        retryable: bool,
    },
    /// The event did not reach a handler.
    NotHandled,
}

/// One event handed to the host.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The subscription.
    pub subscription: u32,
    /// Names this handler call in [`Deliveries::settle`].
    pub token: u32,
    /// From 1.
    pub attempt: u32,
    /// Which pattern of the subscription matched.
    pub pattern: u32,
    /// The event.
    pub event: Arc<LiveEvent>,
}

/// What a call changed, for the counters and the events of the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Handler calls that succeeded.
    pub delivered: u64,
    /// Handler calls that failed.
    pub handler_errors: u64,
    /// Events given up.
    pub failed: u64,
    /// Retries scheduled.
    pub retried: u64,
    /// Events that a subscription did not want: its filter, or its own echo.
    pub skipped: u64,
    /// Events dropped: queue full, circuit open, subscription gone.
    pub dropped: u64,
}

impl Tally {
    /// Adds another tally.
    pub fn add(&mut self, other: Tally) {
        self.delivered += other.delivered;
        self.handler_errors += other.handler_errors;
        self.failed += other.failed;
        self.retried += other.retried;
        self.skipped += other.skipped;
        self.dropped += other.dropped;
    }
}

/// A change of a subscription's circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitChange {
    /// The subscription.
    pub subscription: u32,
    /// Its new state.
    pub state: BreakerState,
}

#[derive(Debug)]
struct Waiting {
    event: Arc<LiveEvent>,
    pattern: u32,
    attempt: u32,
}

impl Queued for Waiting {
    fn bytes(&self) -> usize {
        self.event.json.len()
    }

    fn key(&self) -> Option<&Arc<str>> {
        self.event.key.as_ref()
    }
}

#[derive(Debug)]
struct Subscription {
    concurrency: usize,
    max_retries: u32,
    retry: RetryPolicy,
    filter: Option<Filter>,
    no_echo: bool,
    breaker: Option<Breaker>,
    queue: Queue<Waiting>,
    /// Retries by (due time, number): the number keeps those of one millisecond apart.
    retries: BTreeMap<(u64, u64), Waiting>,
    retry_bytes: usize,
    running: usize,
    paused: bool,
    /// Whether it stands in the list of ready subscriptions.
    listed: bool,
}

impl Subscription {
    fn has_work(&self, now_ms: u64) -> bool {
        !self.paused
            && self.running < self.concurrency
            && self.breaker.as_ref().is_none_or(|b| b.would_admit(now_ms))
            && (!self.queue.is_empty() || self.retries.keys().next().is_some_and(|(due, _)| *due <= now_ms))
    }

    fn circuit_is_open(&self, now_ms: u64) -> bool {
        self.breaker.as_ref().is_some_and(|b| b.next_change_at().is_some_and(|at| now_ms < at))
    }

    /// The next event to run: a retry that is due, else the oldest in the queue.
    fn next(&mut self, now_ms: u64) -> Option<Waiting> {
        if let Some(entry) = self.retries.first_entry()
            && entry.key().0 <= now_ms
        {
            let waiting = entry.remove();
            self.retry_bytes -= waiting.event.json.len();
            return Some(waiting);
        }
        self.queue.pop()
    }

    fn held(&self) -> (usize, usize) {
        (self.retries.len(), self.retry_bytes)
    }
}

#[derive(Debug)]
struct Running {
    subscription: u32,
    pattern: u32,
    attempt: u32,
    /// The breaker's epoch when the call started: results of an older one say nothing of now.
    epoch: u32,
    event: Arc<LiveEvent>,
}

/// The deliveries of one client.
#[derive(Debug, Default)]
pub struct Deliveries {
    subscriptions: HashMap<u32, Subscription>,
    /// Subscriptions that may have work, in turn.
    ready: VecDeque<u32>,
    /// Subscriptions that may have retries: few, so that time is kept without looking at all.
    retrying: HashSet<u32>,
    running: HashMap<u32, Running>,
    next_token: u32,
    next_retry: u64,
}

impl Deliveries {
    /// No subscriptions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a subscription.
    pub fn add(&mut self, subscription: u32, options: &SubscribeOptions, filter: Option<Filter>) {
        let subscription_state = Subscription {
            concurrency: options.concurrency,
            max_retries: if options.retry_on_error { options.max_retries } else { 0 },
            retry: options.retry.clone(),
            filter,
            no_echo: options.no_echo,
            breaker: options.circuit_breaker.clone().map(Breaker::new),
            queue: Queue::new(options.queue),
            retries: BTreeMap::new(),
            retry_bytes: 0,
            running: 0,
            paused: false,
            listed: false,
        };
        self.subscriptions.insert(subscription, subscription_state);
    }

    /// Removes a subscription with what waits for it. Running calls end by themselves.
    pub fn remove(&mut self, subscription: u32) -> Tally {
        let Some(mut gone) = self.subscriptions.remove(&subscription) else { return Tally::default() };
        self.ready.retain(|id| *id != subscription);
        self.retrying.remove(&subscription);
        Tally { dropped: (gone.queue.clear() + gone.retries.len()) as u64, ..Tally::default() }
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
    pub fn offer(&mut self, subscription: u32, pattern: u32, candidate: &Candidate, now_ms: u64) -> Tally {
        let mut tally = Tally::default();
        let Some(s) = self.subscriptions.get_mut(&subscription) else {
            tally.dropped = 1;
            return tally;
        };
        if (s.no_echo && candidate.event.own) || s.filter.as_ref().is_some_and(|f| !candidate.passes(f)) {
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
                let token = self.next_token;
                self.next_token = token.wrapping_add(1);
                let running = Running { subscription: id, pattern, attempt, epoch, event: event.clone() };
                self.running.insert(token, running);
                out.push(Delivery { subscription: id, token, attempt, pattern, event });
            }
            self.list(id);
        }
        changes
    }

    /// Ends a handler call. `random` gives a number in `[0, 1)`; it is asked for the jitter of a retry.
    pub fn settle(
        &mut self,
        token: u32,
        settlement: Settlement,
        now_ms: u64,
        random: impl FnOnce() -> f64,
    ) -> (Tally, Option<CircuitChange>) {
        let mut tally = Tally::default();
        let Some(Running { subscription, pattern, attempt, epoch, event }) = self.running.remove(&token)
        else {
            return (tally, None);
        };
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
                Some(s.retry.delay(attempt, random()))
            }
            _ => None,
        };
        match delay {
            Some(delay) if attempt <= s.max_retries => {
                tally.retried = 1;
                s.retry_bytes += event.json.len();
                let due = (now_ms.saturating_add(delay), self.next_retry);
                self.next_retry += 1;
                s.retries.insert(due, Waiting { event, pattern, attempt: attempt + 1 });
                self.retrying.insert(subscription);
                let options = s.queue.options();
                let room = (
                    options.max_events.saturating_sub(s.retries.len()),
                    options.max_bytes.saturating_sub(s.retry_bytes),
                );
                tally.dropped += s.queue.shrink(room.0, room.1) as u64;
                tally.dropped += drop_retries(s);
            }
            _ => tally.failed = u64::from(failed),
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
        (tally, change)
    }

    /// When, after `now_ms`, something becomes ready by itself: a retry is due, or a circuit that one waits
    /// for half-opens. What is due already waits for a slot, the end of a pause or the host, not for time.
    pub fn next_due(&self, now_ms: u64) -> Option<u64> {
        let due = |s: &Subscription| {
            let first = s.retries.keys().next().map(|(due, _)| *due)?;
            let circuit = s.breaker.as_ref().and_then(Breaker::next_change_at).unwrap_or(0);
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
        self.retrying.iter().filter_map(|id| self.subscriptions.get(id))
    }

    fn list(&mut self, subscription: u32) {
        if let Some(s) = self.subscriptions.get_mut(&subscription)
            && !s.listed
            && !s.paused
            && s.running < s.concurrency
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

/// Drops the retries that are due last while they alone exceed the bounds of the queue.
fn drop_retries(s: &mut Subscription) -> u64 {
    let mut dropped = 0;
    while s.retries.len() > s.queue.options().max_events || s.retry_bytes > s.queue.options().max_bytes {
        let Some((_, waiting)) = s.retries.pop_last() else { break };
        s.retry_bytes -= waiting.event.json.len();
        dropped += 1;
    }
    dropped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::breaker::BreakerOptions;
    use crate::queue::{Overflow, QueueOptions};
    use crate::retry::Jitter;

    fn options() -> SubscribeOptions {
        let retry = RetryPolicy { jitter: Jitter::None, ..RetryPolicy::default() };
        SubscribeOptions { retry, ..SubscribeOptions::default() }
    }

    fn event(n: u32) -> Candidate {
        Candidate::new(LiveEvent {
            json: format!("{{\"data\":{n}}}").into(),
            parts: None,
            channel: None,
            published_ms: None,
            key: None,
            own: false,
        })
    }

    fn table(options: &SubscribeOptions, filter: Option<Filter>) -> Deliveries {
        let mut d = Deliveries::new();
        d.add(1, options, filter);
        d
    }

    fn take(d: &mut Deliveries, now: u64) -> Vec<Delivery> {
        let mut out = Vec::new();
        d.take(now, (256, usize::MAX), &mut out);
        out
    }

    #[test]
    fn no_more_than_the_concurrency_runs() {
        let mut d = table(&SubscribeOptions { concurrency: 2, ..options() }, None);
        (0..5).for_each(|n| assert_eq!(d.offer(1, 0, &event(n), 0), Tally::default()));
        let first = take(&mut d, 0);
        assert_eq!(first.len(), 2);
        assert!(!d.has_ready(0));
        let (tally, _) = d.settle(first[0].token, Settlement::Succeeded, 0, || 0.0);
        assert_eq!(tally.delivered, 1);
        assert!(d.has_ready(0));
        let next = take(&mut d, 0);
        assert_eq!(next.iter().map(|d| &*d.event.json).collect::<Vec<_>>(), ["{\"data\":2}"]);
    }

    #[test]
    fn a_failure_is_tried_again_on_schedule_and_then_given_up() {
        let mut d = table(&options(), None);
        d.offer(1, 0, &event(1), 0);
        let (mut now, mut waits) = (0, Vec::new());
        let retryable = Settlement::Failed { retryable: true };
        for attempt in 1..=4 {
            let run = take(&mut d, now);
            assert_eq!((run.len(), run[0].attempt), (1, attempt));
            let (tally, _) = d.settle(run[0].token, retryable, now, || 0.5);
            assert_eq!((tally.retried, tally.failed), if attempt < 4 { (1, 0) } else { (0, 1) });
            if let Some(due) = d.next_due(now) {
                waits.push(due - now);
                assert!(take(&mut d, due - 1).is_empty());
                now = due;
            }
        }
        assert_eq!(waits, [1000, 2000, 4000]);
        assert_eq!((d.running(), d.waiting()), (0, 0));
    }

    #[test]
    fn a_retry_does_not_hold_up_others_and_what_is_final_is_not_retried() {
        let mut d = table(&SubscribeOptions { concurrency: 1, ..options() }, None);
        (1..=2).for_each(|n| {
            d.offer(1, 0, &event(n), 0);
        });
        let first = take(&mut d, 0);
        d.settle(first[0].token, Settlement::RetryLater(500), 0, || 0.0);
        let second = take(&mut d, 0);
        assert_eq!(&*second[0].event.json, "{\"data\":2}");
        let (tally, _) = d.settle(second[0].token, Settlement::Failed { retryable: false }, 0, || 0.0);
        assert_eq!((tally.failed, tally.retried, tally.handler_errors), (1, 0, 1));
        assert_eq!(d.next_due(0), Some(500));
        assert_eq!(take(&mut d, 500)[0].attempt, 2);
    }

    #[test]
    fn what_is_due_and_not_taken_hides_no_later_time() {
        let mut d = table(&SubscribeOptions { concurrency: 2, ..options() }, None);
        (0..2).for_each(|n| {
            d.offer(1, 0, &event(n), 0);
        });
        let run = take(&mut d, 0);
        d.settle(run[0].token, Settlement::RetryLater(100), 0, || 0.0);
        d.settle(run[1].token, Settlement::RetryLater(200), 0, || 0.0);
        assert_eq!((d.next_due(0), d.next_due(100), d.next_due(200)), (Some(100), Some(200), None));
        assert!(!d.has_ready(99) && d.has_ready(100));
        d.pause(1, true);
        assert!(!d.has_ready(200));
        d.pause(1, false);
        assert!(d.has_ready(200));
        assert_eq!(take(&mut d, 200).len(), 2);
        assert!(!d.has_ready(200));
    }

    #[test]
    fn an_open_circuit_drops_and_counts_and_half_open_runs_one() {
        let breaker = BreakerOptions { minimum_calls: 2, ..BreakerOptions::default() };
        let options = SubscribeOptions { circuit_breaker: Some(breaker), max_retries: 0, ..options() };
        let mut d = table(&options, None);
        (0..3).for_each(|n| {
            d.offer(1, 0, &event(n), 0);
        });
        let failed = Settlement::Failed { retryable: false };
        let runs = take(&mut d, 0);
        assert_eq!(d.settle(runs[0].token, failed, 0, || 0.0).1, None);
        let (_, change) = d.settle(runs[1].token, failed, 0, || 0.0);
        assert_eq!(change.unwrap().state, BreakerState::Open);
        assert_eq!(d.offer(1, 0, &event(9), 1).dropped, 1);
        // The third call started before the circuit opened: its success says nothing.
        assert_eq!(d.settle(runs[2].token, Settlement::Succeeded, 2, || 0.0).1, None);
        (0..3).for_each(|n| {
            d.offer(1, 0, &event(n), 60_001);
        });
        let trial = take(&mut d, 60_001);
        assert_eq!(trial.len(), 1);
        assert!(!d.has_ready(60_001));
        let (_, change) = d.settle(trial[0].token, Settlement::Succeeded, 60_002, || 0.0);
        assert_eq!(change.unwrap().state, BreakerState::Closed);
        assert_eq!(take(&mut d, 60_002).len(), 2);
    }

    #[test]
    fn filters_echo_and_pause() {
        let conditions = serde_json::json!({"data": [1, 2]});
        let filter = Filter::parse(conditions.as_object().unwrap()).unwrap();
        let mut d = table(&SubscribeOptions { no_echo: true, ..options() }, Some(filter));
        (0..4).for_each(|n| {
            d.offer(1, 0, &event(n), 0);
        });
        let mut own = event(1);
        Arc::get_mut(&mut own.event).unwrap().own = true;
        d.offer(1, 0, &own, 0);
        d.pause(1, true);
        assert!(!d.has_ready(0) && take(&mut d, 0).is_empty());
        d.pause(1, false);
        assert_eq!(take(&mut d, 0).len(), 2);
    }

    #[test]
    fn a_removed_subscription_counts_what_it_leaves() {
        let mut d = table(&SubscribeOptions { concurrency: 1, ..options() }, None);
        (0..3).for_each(|n| {
            d.offer(1, 0, &event(n), 0);
        });
        let run = take(&mut d, 0);
        assert_eq!(d.remove(1).dropped, 2);
        assert_eq!(d.offer(1, 0, &event(3), 0).dropped, 1);
        assert_eq!(d.settle(run[0].token, Settlement::Succeeded, 0, || 0.0).0.delivered, 1);
        assert_eq!((d.running(), d.waiting()), (0, 0));
    }

    proptest! {
        /// Offered = delivered + given up + dropped + still here, whatever happens in whatever order.
        #[test]
        fn every_event_is_accounted_for(
            steps in prop::collection::vec((0u8..6, 0u64..3000), 1..300),
            breaker: bool,
        ) {
            let queue = QueueOptions { max_events: 8, max_bytes: 1 << 20, overflow: Overflow::DropOldest };
            let circuit_breaker = breaker.then(|| BreakerOptions { minimum_calls: 3, reset_timeout: 2000, ..Default::default() });
            let mut d = table(&SubscribeOptions { concurrency: 3, queue, circuit_breaker, ..options() }, None);
            let (mut now, mut total, mut offered) = (0, Tally::default(), 0);
            let mut running = Vec::new();
            for (step, advance) in steps {
                match step {
                    0 | 1 => { total.add(d.offer(1, 0, &event(offered), now)); offered += 1; }
                    2 => running.extend(take(&mut d, now)),
                    3 => now += advance,
                    _ => if let Some(run) = running.pop() {
                        let how = if step == 4 { Settlement::Succeeded } else { Settlement::Failed { retryable: advance > 500 } };
                        total.add(d.settle(run.token, how, now, || 0.3).0);
                    },
                }
                prop_assert!(d.running() <= 3 && d.waiting() <= 8);
                prop_assert_eq!(
                    u64::from(offered),
                    total.delivered + total.failed + total.dropped + d.waiting() as u64 + d.running() as u64
                );
            }
        }
    }
}
