//! The deliveries of one subscription: its queue, its retries, its breaker.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::breaker::Breaker;
use crate::delivery::event::LiveEvent;
use crate::delivery::queue::{Queue, Queued};
use crate::filter::Filter;
use crate::options::subscribe::SubscribeOptions;

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) event: Arc<LiveEvent>,
    pub(super) pattern: u32,
    pub(super) attempt: u32,
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
pub(super) struct Subscription {
    /// Shared by subscriptions with the same options, as most of many are.
    pub(super) options: Arc<SubscribeOptions>,
    pub(super) filter: Option<Box<Filter>>,
    /// Boxed, as few subscriptions have one and its window is large.
    pub(super) breaker: Option<Box<Breaker>>,
    pub(super) queue: Queue<Waiting>,
    /// Retries by (due time, number): the number keeps those of one millisecond apart.
    pub(super) retries: BTreeMap<(u64, u64), Waiting>,
    pub(super) retry_bytes: usize,
    pub(super) running: usize,
    pub(super) paused: bool,
    /// Whether it stands in the list of ready subscriptions.
    pub(super) listed: bool,
}

impl Subscription {
    pub(super) fn new(options: Arc<SubscribeOptions>, filter: Option<Filter>) -> Self {
        Subscription {
            filter: filter.map(Box::new),
            breaker: options.circuit_breaker.clone().map(|options| Box::new(Breaker::new(options))),
            queue: Queue::new(options.queue),
            options,
            retries: BTreeMap::new(),
            retry_bytes: 0,
            running: 0,
            paused: false,
            listed: false,
        }
    }

    /// Whether another handler call may start.
    pub(super) fn has_room(&self) -> bool {
        self.running < self.options.concurrency
    }

    /// Whether a failed attempt of that number is followed by another.
    pub(super) fn retries_after(&self, attempt: u32) -> bool {
        self.options.retry_on_error && attempt <= self.options.max_retries
    }

    pub(super) fn has_work(&self, now_ms: u64) -> bool {
        !self.paused
            && self.has_room()
            && self.breaker.as_ref().is_none_or(|b| b.would_admit(now_ms))
            && (!self.queue.is_empty() || self.retries.keys().next().is_some_and(|(due, _)| *due <= now_ms))
    }

    pub(super) fn circuit_is_open(&self, now_ms: u64) -> bool {
        self.breaker.as_ref().is_some_and(|b| b.next_change_at().is_some_and(|at| now_ms < at))
    }

    /// The next event to run: a retry that is due, else the oldest in the queue.
    pub(super) fn next(&mut self, now_ms: u64) -> Option<Waiting> {
        if let Some(entry) = self.retries.first_entry()
            && entry.key().0 <= now_ms
        {
            let waiting = entry.remove();
            self.retry_bytes -= waiting.event.json.len();
            return Some(waiting);
        }
        self.queue.pop()
    }

    pub(super) fn held(&self) -> (usize, usize) {
        (self.retries.len(), self.retry_bytes)
    }

    /// Keeps an event for another attempt, and drops what then exceeds the bounds of the queue: new events
    /// first, then the retries that are due last. Returns how many were dropped.
    pub(super) fn retry_at(&mut self, due: (u64, u64), waiting: Waiting) -> u64 {
        self.retry_bytes += waiting.event.json.len();
        self.retries.insert(due, waiting);
        let (max_events, max_bytes) = (self.queue.options().max_events, self.queue.options().max_bytes);
        let room =
            (max_events.saturating_sub(self.retries.len()), max_bytes.saturating_sub(self.retry_bytes));
        let mut dropped = self.queue.shrink(room.0, room.1) as u64;
        while self.retries.len() > max_events || self.retry_bytes > max_bytes {
            let Some((_, waiting)) = self.retries.pop_last() else { break };
            self.retry_bytes -= waiting.event.json.len();
            dropped += 1;
        }
        dropped
    }
}
