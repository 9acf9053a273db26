//! A durable subscription: what it takes, its queue, its retries, its handler slots.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::delivery::event::LiveEvent;
use crate::delivery::handler_slots::HandlerSlots;
use crate::delivery::ready_list::Schedulable;
use crate::delivery::retry_queue::{Due, RetryQueue};
use crate::filter::Filter;
use crate::options::subscribe::{BatchOptions, MatchBy, SubscribeOptions};
use crate::routing::channel::Channels;
use crate::routing::pattern;
use crate::stream_store::{BY_CHANNEL, Position};

/// An entry that waits for a handler, and since when.
#[derive(Clone, Copy, Debug)]
struct QueuedEntry {
    slot: u32,
    since: u64,
}

#[derive(Debug)]
pub(super) struct Subscriber {
    patterns: Vec<String>,
    by: MatchBy,
    pub(super) filter: Option<Box<Filter>>,
    pub(super) handlers: HandlerSlots,
    queue: VecDeque<QueuedEntry>,
    /// The slots of entries that are tried again.
    retries: RetryQueue<u32>,
    /// Whether it has ended; it stays for its running calls.
    pub(super) removed: bool,
    /// Whether it stands in the list of those that may have work.
    listed: bool,
    /// The indices of its streams, and which version of the subscriptions each must have been told before this one is
    /// established.
    pub(super) streams: Vec<(usize, u32)>,
    pub(super) confirmed: bool,
    /// Where it asks to start.
    pub(super) start: Option<Position>,
}

impl Schedulable for Subscriber {
    fn listed(&mut self) -> &mut bool {
        &mut self.listed
    }

    fn wants_turn(&self) -> bool {
        !self.handlers.is_paused() && self.handlers.has_free() && !self.queue.is_empty()
    }

    fn has_work(&self, now: u64) -> bool {
        self.has_room(now) && self.is_gathered(now)
    }

    fn has_retries(&self) -> bool {
        !self.retries.is_empty()
    }
}

impl Subscriber {
    pub(super) fn new(patterns: &[String], options: &SubscribeOptions, filter: Option<Filter>) -> Self {
        Subscriber {
            patterns: patterns.to_vec(),
            by: options.by,
            filter: filter.map(Box::new),
            handlers: HandlerSlots::new(Arc::new(options.clone())),
            queue: VecDeque::new(),
            retries: RetryQueue::default(),
            removed: false,
            listed: false,
            streams: Vec::new(),
            confirmed: false,
            start: None,
        }
    }

    pub(super) fn reads(&self, stream: usize) -> bool {
        self.streams.iter().any(|(index, _)| *index == stream)
    }

    pub(super) fn batch(&self) -> Option<BatchOptions> {
        self.handlers.options().durable.as_ref()?.batch
    }

    /// How many events one call gets at the most.
    pub(super) fn batch_size(&self) -> usize {
        self.batch().map_or(1, |batch| batch.size.max(1))
    }

    /// For how long the claim of a running call is renewed.
    pub(super) fn max_processing(&self) -> u64 {
        self.handlers.options().durable.as_ref().map_or(600_000, |durable| durable.max_processing)
    }

    /// How long a handler runs at the most, as far as that is bounded.
    pub(super) fn longest_call(&self) -> u64 {
        let timeout = self.handlers.options().timeout;
        if timeout > 0 { timeout } else { self.max_processing() }
    }

    /// The first pattern that takes an event of this type; `channel` is where it came on, if not on that of
    /// its type.
    pub(super) fn matches(&self, event_type: &str, channel: Option<&str>) -> Option<u32> {
        let takes = |pattern: &str| takes(self.by, pattern, event_type, channel);
        (0u32..).zip(&self.patterns).find(|(_, pattern)| takes(pattern)).map(|(index, _)| index)
    }

    /// Its patterns, as the other clients of the group are told.
    pub(super) fn told_patterns(&self) -> impl Iterator<Item = String> {
        let by_channel =
            |pattern: &str| self.by == MatchBy::Channel && !Channels::addresses_channels(pattern);
        self.patterns.iter().map(move |pattern| {
            if by_channel(pattern) { format!("{BY_CHANNEL}{pattern}") } else { pattern.clone() }
        })
    }

    /// Whether it takes events at all now: so that it is worth to read some.
    pub(super) fn is_willing(&self, now: u64) -> bool {
        !self.removed && self.handlers.admits(now)
    }

    /// Whether another handler call may start.
    pub(super) fn has_room(&self, now: u64) -> bool {
        !self.removed && self.handlers.may_start(now)
    }

    /// An entry waits for a handler from now on.
    pub(super) fn push(&mut self, slot: u32, now: u64) {
        self.queue.push_back(QueuedEntry { slot, since: now });
    }

    /// An entry is tried again at `at`.
    pub(super) fn retry_at(&mut self, at: u64, slot: u32) -> Due {
        self.retries.push(at, slot)
    }

    /// An entry is not tried again here.
    pub(super) fn cancel_retry(&mut self, due: Due) {
        self.retries.remove(due);
    }

    /// Takes entries out of the queue and of the retries whose calls are over.
    pub(super) fn retain(&mut self, waits: impl Fn(u32) -> bool, backs_off: impl Fn(u32, Due) -> bool) {
        self.queue.retain(|queued| waits(queued.slot));
        self.retries.retain(|due, slot| backs_off(*slot, due));
    }

    /// The entry of the next call: a retry that is due, else the one that waits longest.
    pub(super) fn next(&mut self, now: u64) -> Option<u32> {
        self.retries.pop_due(now).or_else(|| self.queue.pop_front().map(|queued| queued.slot))
    }

    /// Whether there is an event for a handler, or a batch that need not wait any longer.
    fn is_gathered(&self, now: u64) -> bool {
        let Some(batch) = self.batch() else { return !self.queue.is_empty() || self.retries.has_due(now) };
        let events = self.queue.len() + self.retries.count_due(now, batch.size);
        events >= batch.size || self.oldest(now).is_some_and(|since| since.saturating_add(batch.wait) <= now)
    }

    /// Since when the oldest event waits that a handler could get.
    fn oldest(&self, now: u64) -> Option<u64> {
        let queued = self.queue.front().map(|queued| queued.since);
        let due = self.retries.first_due().filter(|due| *due <= now);
        queued.into_iter().chain(due).min()
    }

    /// When, after `now`, something becomes ready by itself.
    pub(super) fn next_due(&self, now: u64) -> Option<u64> {
        if self.removed || self.handlers.is_paused() {
            return None;
        }
        // An open circuit also keeps the group from reading.
        let circuit = self.handlers.circuit_admits_at().filter(|at| *at > now);
        let retry = self.retries.next_after(now);
        let wait = self.batch().map_or(0, |batch| batch.wait);
        let gathered = self.oldest(now).map(|since| since.saturating_add(wait)).filter(|at| *at > now);
        [circuit, retry, gathered].into_iter().flatten().min()
    }
}

/// Whether a pattern that some client of the group has told takes an event.
pub(super) fn is_told_pattern_for(told: &str, event_type: &str, channel: Option<&str>) -> bool {
    match told.strip_prefix(BY_CHANNEL) {
        Some(pattern) => takes(MatchBy::Channel, pattern, event_type, channel),
        None => takes(MatchBy::Type, told, event_type, channel),
    }
}

fn takes(by: MatchBy, pattern: &str, event_type: &str, channel: Option<&str>) -> bool {
    let by_channel = by == MatchBy::Channel || Channels::addresses_channels(pattern);
    let text = if by_channel { channel.unwrap_or(event_type) } else { event_type };
    pattern::matches(pattern.as_bytes(), text.as_bytes())
}

/// The name of the channel that an event came on, without the prefix, where it is not its type.
pub(super) fn channel_of<'a>(event: &'a LiveEvent, channels: &Channels) -> Option<&'a str> {
    let channel = event.channel.as_deref()?;
    let name = channels.name_of(channel.as_bytes())?;
    std::str::from_utf8(name).ok()
}
