//! A consumer group of one client: its subscriptions, its streams, and how much it reads.

use std::collections::VecDeque;
use std::sync::Arc;

// The keys are numbers of our own.
use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use super::{Announcement, GroupKey, Joining, Source};
use crate::codec::Codec;
use crate::config::DeadLetterConfig;
use crate::consumer::entry::{Entries, Load};
use crate::consumer::ordering::Lanes;
use crate::consumer::retry_gate::Gate;
use crate::consumer::stream::{Opening, Stream};
use crate::consumer::subscriber::Subscriber;
use crate::consumer::throughput::Pace;
use crate::delivery::{DeliveryCounts, LiveEvent};
use crate::filter::Filter;
use crate::observe::metrics::{Consumers, MetricKey, Types};
use crate::options::subscribe::{OrderBy, SubscribeOptions};
use crate::routing::channel::Channels;
use crate::{BusError, ErrorKind};

/// The most entries that a group of a client holds, and the most bytes of events.
pub(super) const MAX_HELD: usize = 10_000;
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// The bounds of the entries that are read ahead of the handlers.
const PREFETCH: (usize, usize) = (16, 4096);
/// Entries that may wait for others of their key before they keep the group from reading.
const FREE_BLOCKED: usize = 1000;
/// Spent events that are kept for the thread that made them, and their bytes.
const MAX_SPENT: (usize, usize) = (1024, 1024 * 1024);

/// What all groups of a client share: how it is set up, and what it has to say.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) dead_letter: DeadLetterConfig,
    pub(super) channels: Channels,
    pub(super) instance: Arc<str>,
    pub(super) codec: Codec,
    /// The channel that stored events have, for tests: no format tells one yet.
    #[cfg(test)]
    pub(super) channel: Option<&'static str>,
    pub(super) announcements: Vec<Announcement>,
    pub(super) tally: DeliveryCounts,
    /// The numbers of streams and groups, and those of event types, for what is counted by them.
    pub(super) consumers: Consumers,
    pub(super) types: Arc<Types>,
    /// What the handler calls were for that have ended; of a call that nobody asks for, until the next one ends.
    pub(super) ended: Vec<MetricKey>,
    spent: Vec<Arc<LiveEvent>>,
    spent_bytes: usize,
    /// Whether two reads of a group may be on their way at once.
    pub(super) reads_ahead: bool,
}

impl Context {
    pub(super) fn new(
        dead_letter: DeadLetterConfig,
        prefix: String,
        instance: Arc<str>,
        codec: Codec,
    ) -> Self {
        Context {
            dead_letter,
            channels: Channels::new(prefix),
            instance,
            codec,
            #[cfg(test)]
            channel: None,
            announcements: Vec::new(),
            tally: DeliveryCounts::default(),
            reads_ahead: false,
            consumers: Consumers::default(),
            ended: Vec::new(),
            types: Arc::default(),
            spent: Vec::new(),
            spent_bytes: 0,
        }
    }

    /// Keeps an event that nobody needs any more for the thread that made it.
    pub(super) fn spend(&mut self, event: Arc<LiveEvent>) {
        let bytes = self.spent_bytes + event.json.len();
        if bytes <= MAX_SPENT.1 && self.spent.len() < MAX_SPENT.0 {
            self.spent_bytes = bytes;
            self.spent.push(event);
        }
    }

    pub(super) fn take_spent(&mut self) -> Vec<Arc<LiveEvent>> {
        self.spent_bytes = 0;
        std::mem::take(&mut self.spent)
    }
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) key: GroupKey,
    pub(super) joining: Joining,
    /// The lease of the group: that of the client that set it first.
    pub(super) lease: u64,
    pub(super) lease_warned: bool,
    pub(super) streams: Vec<Stream>,
    pub(super) subscribers: HashMap<u32, Box<Subscriber>>,
    /// Subscribers that may have work, in turn.
    pub(super) ready: VecDeque<u32>,
    /// Subscribers that may have retries.
    pub(super) retrying: HashSet<u32>,
    pub(super) entries: Entries,
    pub(super) lanes: Lanes,
    /// Slots of entries that wait until they can run alone.
    pub(super) suspects: VecDeque<u32>,
    pub(super) loads: [usize; 4],
    pub(super) bytes: usize,
    /// The size of an event, about.
    pub(super) average: usize,
    pub(super) pace: Pace,
    pub(super) connected: bool,
    pub(super) stopping: bool,
    /// The reads that are on their way: of which streams, and how many entries they may bring.
    pub(super) reads: VecDeque<(Arc<[Arc<str>]>, usize)>,
    pub(super) read_gate: Gate,
    pub(super) next_retry: u64,
    pub(super) renew_at: u64,
}

impl Group {
    pub(super) fn new(key: GroupKey, joining: Joining) -> Self {
        Group {
            key,
            lease: joining.lease.max(1),
            lanes: Lanes::new(joining.order_by),
            joining,
            lease_warned: false,
            streams: Vec::new(),
            subscribers: HashMap::default(),
            ready: VecDeque::new(),
            retrying: HashSet::default(),
            entries: Entries::default(),
            suspects: VecDeque::new(),
            loads: [0; 4],
            bytes: 0,
            average: 0,
            pace: Pace::default(),
            connected: false,
            stopping: false,
            reads: VecDeque::new(),
            read_gate: Gate::default(),
            next_retry: 0,
            renew_at: 0,
        }
    }

    /// Adds a subscription.
    pub(super) fn add(
        &mut self,
        id: u32,
        patterns: &[String],
        sources: &[Source],
        options: &SubscribeOptions,
        filter: Option<Filter>,
        cx: &mut Context,
    ) -> Result<(), BusError> {
        if let Some(durable) = &options.durable {
            let differs = |option: &str, what: &str| {
                let message = format!("group {:?} has {what} in this client", self.joining.group);
                Err(BusError::at(ErrorKind::InvalidOptions, option, message))
            };
            if durable.order_by != self.joining.order_by {
                return differs("orderBy", "another order");
            }
            if durable.consumer.as_ref().is_some_and(|consumer| **consumer != *self.joining.consumer) {
                return differs("consumer", "another consumer");
            }
        }
        let mut subscriber = Subscriber::new(patterns, options, filter);
        for source in sources {
            let at = self.source(source, cx);
            let Some(stream) = self.streams.get_mut(at) else { continue };
            stream.users += 1;
            stream.beat.0 = stream.beat.0.wrapping_add(1);
            stream.beat_at = 0;
            subscriber.streams.push((at, stream.beat.0));
        }
        self.subscribers.insert(id, Box::new(subscriber));
        self.stopping = false;
        self.subscriptions_changed();
        Ok(())
    }

    /// The index of a stream, which is added if it is new.
    fn source(&mut self, source: &Source, cx: &mut Context) -> usize {
        let found = self.streams.iter().position(|stream| stream.name == source.stream);
        let at = found.unwrap_or(self.streams.len());
        match self.streams.get_mut(at) {
            None => {
                let number = cx.consumers.number(&source.stream, &self.joining.group);
                self.streams.push(Stream::new(source, &self.joining, &cx.dead_letter, number));
            }
            Some(stream) if source.given && source.from != stream.start => {
                if stream.opening == Opening::Closed && !stream.opened && !stream.given {
                    (stream.start, stream.given) = (source.from, true);
                } else {
                    cx.announcements.push(start_ignored(&stream.name, &self.joining.group));
                }
            }
            Some(_) => {}
        }
        at
    }

    pub(super) fn subscriptions_changed(&mut self) {
        self.streams.iter_mut().for_each(Stream::forget_routes);
        let live = || self.subscribers.values().filter(|s| !s.removed);
        self.lanes.widen(live().map(|s| s.batch_size()).min().unwrap_or(1));
    }

    /// Whether no subscription is left.
    pub(super) fn is_empty(&self) -> bool {
        self.subscribers.values().all(|s| s.removed)
    }

    pub(super) fn pause(&mut self, id: u32, paused: bool) {
        if let Some(s) = self.subscribers.get_mut(&id) {
            s.paused = paused;
            self.list(id);
        }
    }

    /// The index of a stream.
    pub(super) fn stream_index(&self, name: &Arc<str>) -> Option<usize> {
        self.streams.iter().position(|s| Arc::ptr_eq(&s.name, name) || s.name == *name)
    }

    /// Lists a subscriber that may have work.
    pub(super) fn list(&mut self, id: u32) {
        let Some(s) = self.subscribers.get_mut(&id) else { return };
        if s.wants_listing() {
            s.listed = true;
            self.ready.push_back(id);
        }
    }

    /// Lists the subscribers that have retries that are due.
    pub(super) fn list_due(&mut self, now: u64) {
        let Group { subscribers, ready, retrying, .. } = self;
        retrying.retain(|id| {
            let Some(s) = subscribers.get_mut(id) else { return false };
            if !s.listed && s.has_work(now) {
                s.listed = true;
                ready.push_back(*id);
            }
            !s.retries.is_empty()
        });
    }

    /// Whether a handler call can be made now.
    pub(super) fn has_ready(&self, now: u64) -> bool {
        let mut listed = self.ready.iter().chain(&self.retrying);
        listed.any(|id| self.subscribers.get(id).is_some_and(|s| s.has_work(now)))
    }

    fn loads(&self, load: Load) -> usize {
        self.loads.get(load as usize).copied().unwrap_or(0)
    }

    /// Counts an entry for what it takes room for now.
    pub(super) fn reload(&mut self, slot: u32) {
        let Some(entry) = self.entries.get_mut(slot) else { return };
        let (before, now) = (entry.load, entry.current_load());
        entry.load = now;
        if before != now {
            self.count_load(before, false);
            self.count_load(now, true);
        }
    }

    pub(super) fn count_load(&mut self, load: Load, more: bool) {
        if let Some(count) = self.loads.get_mut(load as usize) {
            *count = if more { *count + 1 } else { count.saturating_sub(1) };
        }
    }

    /// How many entries may be taken in now, and how many this client wants at the most.
    pub(super) fn room(&self, now: u64) -> (usize, usize) {
        let willing = self.subscribers.values().filter(|s| s.is_willing(now));
        let calls = willing.map(|s| match self.joining.order_by {
            OrderBy::Stream => s.batch_size(),
            _ => s.options.concurrency.saturating_mul(s.batch_size()),
        });
        let calls = calls.fold(0usize, usize::saturating_add);
        if calls == 0 || self.stopping {
            return (0, 0);
        }
        let prefetch = self.pace.entries(now).clamp(calls.min(PREFETCH.0), PREFETCH.1);
        let window = calls.saturating_add(prefetch).min(MAX_HELD);
        let blocked = match self.joining.order_by {
            OrderBy::Key => self.loads(Load::Blocked).saturating_sub(FREE_BLOCKED),
            _ => self.loads(Load::Blocked),
        };
        let held: usize = self.streams.iter().map(|s| s.known.len()).sum();
        let room = window.saturating_sub(self.loads(Load::Busy) + blocked);
        let bytes = MAX_BYTES.saturating_sub(self.bytes) / self.average.max(1);
        // Nothing is too large to be read alone.
        let bytes = bytes.max(usize::from(self.bytes == 0));
        (room.min(MAX_HELD.saturating_sub(held)).min(bytes), window)
    }

    /// Entries that wait, those that will be tried again included, and the bytes of the events held.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.entries.iter().filter(|(_, e)| e.is_held() && !e.is_live()).count(), self.bytes)
    }
}

/// The warning of a start that does not apply.
pub(super) fn start_ignored(stream: &str, group: &str) -> Announcement {
    let message = format!("group {group:?} of stream {stream:?} exists; `from` is for new groups");
    Announcement::Warning { code: "START_IGNORED", message }
}
