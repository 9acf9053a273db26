//! A live subscription: its queue, its retries, its handler slots.

use std::sync::Arc;

use crate::delivery::drops::Drops;
use crate::delivery::event::LiveEvent;
use crate::delivery::handler_slots::HandlerSlots;
use crate::delivery::queue::{Queue, QueueOptions, Queued};
use crate::delivery::ready_list::Schedulable;
use crate::delivery::retry_queue::RetryQueue;
use crate::filter::Filter;
use crate::options::subscribe::SubscribeOptions;

/// An event that waits for a handler.
#[derive(Debug)]
pub(super) struct QueuedEvent {
    pub(super) event: Arc<LiveEvent>,
    pub(super) pattern: u32,
    pub(super) attempt: u32,
}

impl Queued for QueuedEvent {
    fn bytes(&self) -> usize {
        self.event.size()
    }

    fn key(&self) -> Option<&Arc<str>> {
        self.event.key.as_ref()
    }
}

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) handlers: HandlerSlots,
    pub(super) filter: Option<Box<Filter>>,
    queue: Queue<QueuedEvent>,
    retries: RetryQueue<QueuedEvent>,
    retry_bytes: usize,
    /// While its queue is full, or was lately. Boxed, as few subscriptions have any.
    pub(super) drops: Option<Box<Drops>>,
    /// Whether it stands in the list of ready subscriptions.
    listed: bool,
}

impl Schedulable for Subscription {
    fn listed(&mut self) -> &mut bool {
        &mut self.listed
    }

    fn wants_turn(&self) -> bool {
        !self.handlers.is_paused() && self.handlers.has_free() && !self.queue.is_empty()
    }

    fn has_work(&self, now: u64) -> bool {
        self.handlers.may_start(now) && (!self.queue.is_empty() || self.retries.has_due(now))
    }

    fn has_retries(&self) -> bool {
        !self.retries.is_empty()
    }
}

impl Subscription {
    pub(super) fn new(options: Arc<SubscribeOptions>, filter: Option<Filter>) -> Self {
        Subscription {
            filter: filter.map(Box::new),
            queue: Queue::new(options.queue),
            handlers: HandlerSlots::new(options),
            retries: RetryQueue::default(),
            retry_bytes: 0,
            drops: None,
            listed: false,
        }
    }

    pub(super) fn circuit_is_open(&self, now: u64) -> bool {
        self.handlers.circuit_admits_at().is_some_and(|at| now < at)
    }

    /// Adds an event. Returns how many were dropped for it, itself included; and how many of them for want of room, and
    /// not because a later one of the same key came.
    pub(super) fn push(&mut self, queued: QueuedEvent) -> (u64, u64) {
        let dropped = self.queue.push(queued, (self.retries.len(), self.retry_bytes));
        if dropped == 0 {
            return (0, 0);
        }
        (dropped as u64, (dropped - self.queue.take_replaced()) as u64)
    }

    /// Records events that were dropped for want of room. Returns whether they are the first.
    pub(super) fn record_drops(&mut self, events: u64, now: u64) -> bool {
        let first = self.drops.is_none();
        self.drops.get_or_insert_with(|| Box::new(Drops::begin(now))).add(events, now);
        first
    }

    /// The next event to run: a retry that is due, else the oldest in the queue.
    pub(super) fn next(&mut self, now: u64) -> Option<QueuedEvent> {
        if let Some(queued) = self.retries.pop_due(now) {
            self.retry_bytes -= queued.event.size();
            return Some(queued);
        }
        self.queue.pop()
    }

    /// Keeps an event for another attempt, and drops what then exceeds the bounds of the queue: new events
    /// first, then the retries that are due last. Returns how many were dropped.
    pub(super) fn retry_at(&mut self, at: u64, queued: QueuedEvent) -> u64 {
        self.retry_bytes += queued.event.size();
        self.retries.push(at, queued);
        let (max_events, max_bytes) = (self.queue.options().max_events, self.queue.options().max_bytes);
        let events = max_events.saturating_sub(self.retries.len());
        let bytes = max_bytes.saturating_sub(self.retry_bytes);
        let mut dropped = self.queue.shrink(events, bytes) as u64;
        while self.retries.len() > max_events || self.retry_bytes > max_bytes {
            let Some(queued) = self.retries.pop_last() else { break };
            self.retry_bytes -= queued.event.size();
            dropped += 1;
        }
        dropped
    }

    /// Whether the queue is more than half full.
    pub(super) fn is_crowded(&self) -> bool {
        let QueueOptions { max_events, max_bytes, .. } = *self.queue.options();
        self.queue.len() > max_events / 2 || self.queue.bytes() > max_bytes / 2
    }

    /// Drops the events that wait, retries apart. Returns how many.
    pub(super) fn drop_queue(&mut self) -> usize {
        self.queue.clear()
    }

    /// The events that wait, retries included.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len() + self.retries.len()
    }

    /// The bytes of the events that wait, retries included.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.queue.bytes() + self.retry_bytes
    }

    /// When, after `now`, a retry becomes ready by itself: it is due, and the circuit half-opens. What is due already
    /// waits for a slot, the end of a pause or the host, not for time.
    pub(super) fn next_due(&self, now: u64) -> Option<u64> {
        let at = self.retries.first_due()?.max(self.handlers.circuit_admits_at().unwrap_or(0));
        if at > now { Some(at) } else { self.retries.next_after(now) }
    }
}
