//! A durable subscription: its queue, its retries, its breaker.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::breaker::Breaker;
use crate::delivery::LiveEvent;
use crate::filter::Filter;
use crate::options::subscribe::{BatchOptions, MatchBy, SubscribeOptions};
use crate::routing::channel::Channels;
use crate::routing::pattern;
use crate::stream_store::BY_CHANNEL;

/// An entry that waits for a handler, and since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) slot: u32,
    pub(super) since: u64,
}

#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) patterns: Vec<String>,
    by: MatchBy,
    pub(super) options: Arc<SubscribeOptions>,
    pub(super) filter: Option<Box<Filter>>,
    pub(super) breaker: Option<Box<Breaker>>,
    pub(super) queue: VecDeque<Waiting>,
    /// Retries by (due time, number).
    pub(super) retries: BTreeMap<(u64, u64), u32>,
    /// Handlers that run, those that have timed out and keep their slot included.
    pub(super) running: usize,
    pub(super) paused: bool,
    /// Whether it has ended; it stays for its running calls.
    pub(super) removed: bool,
    /// Whether it stands in the list of those that may have work.
    pub(super) listed: bool,
    /// The indices of its streams, and which heartbeat of each must be answered before it is established.
    pub(super) streams: Vec<(usize, u32)>,
    pub(super) confirmed: bool,
}

impl Subscriber {
    pub(super) fn new(patterns: &[String], options: &SubscribeOptions, filter: Option<Filter>) -> Self {
        Subscriber {
            patterns: patterns.to_vec(),
            by: options.by,
            filter: filter.map(Box::new),
            breaker: options.circuit_breaker.clone().map(|options| Box::new(Breaker::new(options))),
            options: Arc::new(options.clone()),
            queue: VecDeque::new(),
            retries: BTreeMap::new(),
            running: 0,
            paused: false,
            removed: false,
            listed: false,
            streams: Vec::new(),
            confirmed: false,
        }
    }

    pub(super) fn batch(&self) -> Option<BatchOptions> {
        self.options.durable.as_ref()?.batch
    }

    /// How many events one call gets at the most.
    pub(super) fn batch_size(&self) -> usize {
        self.batch().map_or(1, |batch| batch.size.max(1))
    }

    /// For how long the claim of a running call is renewed.
    pub(super) fn max_processing(&self) -> u64 {
        self.options.durable.as_ref().map_or(600_000, |durable| durable.max_processing)
    }

    /// How long a handler runs at the most, as far as that is bounded.
    pub(super) fn longest_call(&self) -> u64 {
        if self.options.timeout > 0 { self.options.timeout } else { self.max_processing() }
    }

    /// How often a failed call is made again.
    pub(super) fn retries_at_most(&self) -> u32 {
        if self.options.retry_on_error { self.options.max_retries } else { 0 }
    }

    /// The first pattern that takes an event of this type; `channel` is where it came on, if not on that of
    /// its type.
    pub(super) fn matches(&self, event_type: &str, channel: Option<&str>) -> Option<u32> {
        let takes = |pattern: &str| takes(self.by, pattern, event_type, channel);
        (0u32..).zip(&self.patterns).find(|(_, pattern)| takes(pattern)).map(|(index, _)| index)
    }

    /// Its patterns, as the other clients of the group are told.
    pub(super) fn wishes(&self) -> impl Iterator<Item = String> {
        let by_channel =
            |pattern: &str| self.by == MatchBy::Channel && !Channels::addresses_channels(pattern);
        self.patterns.iter().map(move |pattern| {
            if by_channel(pattern) { format!("{BY_CHANNEL}{pattern}") } else { pattern.clone() }
        })
    }

    /// Whether it takes events at all now: so that it is worth to read some.
    pub(super) fn is_willing(&self, now: u64) -> bool {
        !self.removed && !self.paused && self.breaker.as_ref().is_none_or(|b| b.would_admit(now))
    }

    /// Whether another handler call may start.
    pub(super) fn has_room(&self, now: u64) -> bool {
        self.running < self.options.concurrency && self.is_willing(now)
    }

    /// Whether a handler call can be made now.
    pub(super) fn has_work(&self, now: u64) -> bool {
        self.has_room(now) && self.is_gathered(now)
    }

    /// Whether there is an event for a handler, or a batch that need not wait any longer.
    fn is_gathered(&self, now: u64) -> bool {
        let due = || self.retries.range(..=(now, u64::MAX));
        let Some(batch) = self.batch() else { return !self.queue.is_empty() || due().next().is_some() };
        let events = self.queue.len() + due().take(batch.size).count();
        events >= batch.size || self.oldest(now).is_some_and(|since| since.saturating_add(batch.wait) <= now)
    }

    /// Since when the oldest event waits that a handler could get.
    fn oldest(&self, now: u64) -> Option<u64> {
        let queued = self.queue.front().map(|waiting| waiting.since);
        let due = self.retries.keys().next().map(|(due, _)| *due).filter(|due| *due <= now);
        queued.into_iter().chain(due).min()
    }

    /// The entry of the next call: a retry that is due, else the one that waits longest.
    pub(super) fn next(&mut self, now: u64) -> Option<u32> {
        if let Some(first) = self.retries.first_entry()
            && first.key().0 <= now
        {
            return Some(first.remove());
        }
        self.queue.pop_front().map(|waiting| waiting.slot)
    }

    /// When, after `now`, something becomes ready by itself.
    pub(super) fn next_due(&self, now: u64) -> Option<u64> {
        if self.removed || self.paused {
            return None;
        }
        // An open circuit also keeps the group from reading.
        let circuit = self.breaker.as_ref().and_then(|b| b.next_change_at()).filter(|at| *at > now);
        let retry = self.retries.range((now.saturating_add(1), 0)..).next().map(|((due, _), _)| *due);
        let wait = self.batch().map_or(0, |batch| batch.wait);
        let gathered = self.oldest(now).map(|since| since.saturating_add(wait)).filter(|at| *at > now);
        [circuit, retry, gathered].into_iter().flatten().min()
    }

    /// Whether it belongs in the list of those that may have work, and is not there.
    pub(super) fn wants_listing(&self) -> bool {
        !self.listed && !self.paused && !self.queue.is_empty() && self.running < self.options.concurrency
    }
}

/// Whether a pattern that some client of the group has told takes an event.
pub(super) fn is_wished(wish: &str, event_type: &str, channel: Option<&str>) -> bool {
    match wish.strip_prefix(BY_CHANNEL) {
        Some(pattern) => takes(MatchBy::Channel, pattern, event_type, channel),
        None => takes(MatchBy::Type, wish, event_type, channel),
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
