//! A consumer group of one client: its parts, and the steps in the life of an entry that several parts take.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::consumer::announcement::Announcement;
use crate::consumer::context::Context;
use crate::consumer::entry::{CallState, Failure, HeldEntry, Stage};
use crate::consumer::entry_table::EntryTable;
use crate::consumer::lease::Lease;
use crate::consumer::membership::{GroupKey, Joining, Source};
use crate::consumer::ordering::Ordering;
use crate::consumer::reading::{Reading, Room};
use crate::consumer::stream::Stream;
use crate::consumer::stream::route_cache::Route;
use crate::consumer::subscriber::{Subscriber, channel_of, is_told_pattern_for};
use crate::consumer::subscriptions::GroupSubscriptions;
use crate::consumer::watch::Watch;
use crate::delivery::event::LiveEvent;
use crate::filter::Filter;
use crate::options::subscribe::{OrderBy, SubscribeOptions};
use crate::stream_store::{EntryId, MinIdle, Missed};
use crate::{BusError, ErrorKind};

#[derive(Debug)]
pub(super) struct Group {
    pub(super) key: GroupKey,
    pub(super) joining: Joining,
    pub(super) lease: Lease,
    pub(super) streams: Vec<Stream>,
    pub(super) subscriptions: GroupSubscriptions,
    pub(super) entries: EntryTable,
    pub(super) ordering: Ordering,
    /// Slots of entries that wait until they can run with nothing beside them.
    pub(super) suspected_poison: VecDeque<u32>,
    pub(super) reading: Reading,
    /// Whether nothing more is taken in.
    pub(super) stopping: bool,
    /// For how long it has seen that nobody takes what it has no handler for.
    pub(super) watch: Watch,
}

impl Group {
    pub(super) fn new(key: GroupKey, joining: Joining) -> Self {
        Group {
            key,
            lease: Lease::new(joining.lease),
            ordering: Ordering::new(joining.order_by),
            joining,
            streams: Vec::new(),
            subscriptions: GroupSubscriptions::default(),
            entries: EntryTable::default(),
            suspected_poison: VecDeque::new(),
            reading: Reading::default(),
            stopping: false,
            watch: Watch::default(),
        }
    }

    /// Adds a subscription.
    pub(super) fn add(&mut self, id: u32, mut subscriber: Subscriber, sources: &[Source], cx: &mut Context) {
        for source in sources {
            let at = self.add_stream(source, cx);
            let Some(stream) = self.streams.get_mut(at) else { continue };
            stream.users += 1;
            let version = stream.heartbeat.subscription_added();
            if source.given {
                stream.opening.ask_for_start(source.from);
                stream.starts.ask(id, subscriber.told_patterns().collect(), source.from, version);
                subscriber.start = Some(source.from);
            }
            subscriber.streams.push((at, version));
        }
        self.subscriptions.add(id, subscriber);
        self.stopping = false;
        self.watch.begin_anew();
        self.subscriptions_changed();
    }

    /// The index of a stream, which is added if it is new.
    fn add_stream(&mut self, source: &Source, cx: &mut Context) -> usize {
        let found = self.streams.iter().position(|stream| stream.name == source.stream);
        let at = found.unwrap_or(self.streams.len());
        if found.is_none() {
            let number = cx.consumers.number(&source.stream, &self.joining.group);
            self.streams.push(Stream::new(at, source, &self.joining, &cx.dead_letter, number));
        }
        at
    }

    /// A subscription was added or has ended.
    pub(super) fn subscriptions_changed(&mut self) {
        self.streams.iter_mut().for_each(Stream::forget_routes);
        self.ordering.widen(self.subscriptions.smallest_batch());
    }

    /// Whether it is there in one of its streams.
    pub(super) fn is_open(&self) -> bool {
        self.streams.iter().any(|stream| stream.opening.is_open())
    }

    /// The index of a stream.
    pub(super) fn stream_index(&self, name: &Arc<str>) -> Option<usize> {
        self.streams.iter().position(|s| Arc::ptr_eq(&s.name, name) || s.name == *name)
    }

    /// The room for entries.
    pub(super) fn room(&self, now: u64) -> Room {
        if self.stopping {
            return Room::default();
        }
        let order = self.joining.order_by;
        let demand = self.subscriptions.demand(order, now);
        let known = self.streams.iter().map(|stream| stream.slots.len()).sum();
        self.reading.room(demand, order, &self.entries, known, now)
    }

    /// Which subscriptions take an event, and whether another client wants it.
    pub(super) fn route(&mut self, at: usize, event_type: &str, event: &LiveEvent, cx: &Context) -> Route {
        let Group { streams, subscriptions, .. } = self;
        let Some(Stream { routes, facts, .. }) = streams.get_mut(at) else { return Route::default() };
        let channel = channel_of(event, &cx.channels);
        let find = || Route {
            takers: subscriptions.takers(at, event_type, channel).into(),
            wanted: facts.patterns().any(|told| is_told_pattern_for(told, event_type, channel)),
            type_number: cx.types.number(event_type),
        };
        // The channel is not part of what a route is remembered by.
        if channel.is_some() { find() } else { routes.get_or_find(event_type, find) }
    }

    /// Whether a call may begin, as far as that is no matter of its subscription.
    pub(super) fn may_begin(&self, now: u64) -> bool {
        self.entries.is_empty() || !self.lease.is_doubtful(now)
    }

    /// The slot of an entry that is held, or on its way out.
    pub(super) fn slot_of(&self, at: usize, id: EntryId) -> Option<u32> {
        self.streams.get(at)?.slots.slot_of(id, &self.entries)
    }

    /// For how long entries of a stream must have been left alone before they are claimed.
    pub(super) fn min_idle(&self, at: usize) -> MinIdle {
        let of_group = self.streams.get(at).and_then(|stream| stream.facts.foreign_lease());
        let ours = self.lease.ms();
        MinIdle { ours, foreign: of_group.unwrap_or(self.joining.foreign_lease).max(ours) }
    }

    /// From how long a delay on, in milliseconds, an entry is put off: the store keeps it until it is due. `None` where
    /// an order is kept, as only the client that holds an entry keeps others behind it.
    pub(super) fn puts_off(&self) -> Option<u64> {
        (self.joining.order_by == OrderBy::None).then_some(self.lease.long_delay())
    }

    /// The calls of an entry may be made, now or when it is due: they go to the queues of their subscriptions.
    pub(super) fn activate(&mut self, slot: u32, now: u64) {
        let Some(entry) = self.entries.get_mut(slot) else { return };
        if entry.due_in(now).is_some() {
            self.hold_until_due(slot);
        } else if entry.suspected_poison {
            entry.stage = Stage::SuspectedPoison;
            self.suspected_poison.push_back(slot);
        } else {
            entry.stage = Stage::Active;
            self.subscriptions.queue_calls(slot, &entry.calls, now);
        }
        self.entries.recount(slot);
    }

    /// An entry that came before it is due waits for that, in its lane.
    fn hold_until_due(&mut self, slot: u32) {
        let Group { entries, subscriptions, ordering, .. } = self;
        let Some(entry) = entries.get_mut(slot) else { return };
        entry.stage = Stage::Active;
        let due = entry.due;
        for call in entry.calls.iter_mut().filter(|call| call.state == CallState::Waiting) {
            if let Some(state) = subscriptions.queue_retry(slot, call.subscription, due) {
                call.state = state;
            }
        }
        if entry.in_lane {
            // Nothing may pass it meanwhile.
            ordering.start(entry.key());
        }
        entries.recount(slot);
    }

    /// An entry is to be acknowledged.
    pub(super) fn acknowledge(&mut self, at: usize, id: EntryId, now: u64) {
        self.reading.settled(now);
        if let Some(stream) = self.streams.get_mut(at) {
            stream.updates.acknowledgements.push(id);
        }
    }

    /// An entry becomes a dead letter.
    pub(super) fn dead_letter(&mut self, slot: u32, failure: Box<Failure>) {
        let Some(entry) = self.entries.get_mut(slot) else { return };
        entry.stage = Stage::DeadLettering;
        entry.failure = Some(failure);
        if let Some(stream) = self.streams.get_mut(entry.stream) {
            stream.updates.dead_letters.push(entry.id);
        }
        self.entries.recount(slot);
    }

    /// An entry is handed back to the group; `unhandled` if it has no handler here.
    pub(super) fn requeue(&mut self, slot: u32, unhandled: bool) {
        let Some(entry) = self.entries.get_mut(slot) else { return };
        entry.stage = Stage::Requeueing;
        if let Some(stream) = self.streams.get_mut(entry.stream) {
            stream.updates.requeues.push(entry.id, unhandled);
        }
        self.entries.recount(slot);
    }

    /// Lets the next entry of a lane through once this one is decided and no handler has it.
    pub(super) fn leave_lane(&mut self, slot: u32, now: u64) {
        let Some(entry) = self.entries.get_mut(slot) else { return };
        if !entry.in_lane || entry.is_open() || entry.is_live() {
            return;
        }
        entry.in_lane = false;
        let key = entry.key().cloned();
        self.ordering.leave(key.as_ref());
        while let Some(next) = self.ordering.next(key.as_ref()) {
            if let Some(entry) = self.entries.get_mut(next) {
                entry.in_lane = true;
            }
            self.activate(next, now);
        }
    }

    /// An entry that waits in a lane waits no longer.
    pub(super) fn leave_waiting_in_lane(&mut self, slot: u32) {
        if let Some(entry) = self.entries.get(slot)
            && entry.stage == Stage::Blocked
        {
            self.ordering.forget(entry.key(), slot);
        }
    }

    /// An entry is decided: it gives way to the next of its lane, and its slot back, as far as no handler has it.
    pub(super) fn give_way(&mut self, slot: u32, now: u64, cx: &mut Context) {
        self.entries.recount(slot);
        self.leave_lane(slot, now);
        self.free(slot, cx);
    }

    /// Entries need nothing more.
    pub(super) fn finish(&mut self, slots: &[u32], now: u64, cx: &mut Context) {
        for &slot in slots {
            if let Some(entry) = self.entries.get_mut(slot) {
                entry.stage = Stage::Over;
            }
            self.give_way(slot, now, cx);
        }
    }

    /// Gives the slot of an entry back once nothing refers to it.
    pub(super) fn free(&mut self, slot: u32, cx: &mut Context) {
        let Some(entry) = self.entries.get(slot) else { return };
        if entry.stage != Stage::Over || entry.is_live() || entry.is_open() {
            return;
        }
        if let Some(HeldEntry { event: Some(event), .. }) = self.entries.remove(slot) {
            cx.done.push(event);
        }
    }

    /// Takes calls that are over out of the queues.
    pub(super) fn purge_queues(&mut self) {
        let Group { subscriptions, suspected_poison, entries, .. } = self;
        subscriptions.purge(entries);
        let waits = |slot: u32| entries.get(slot).is_some_and(|e| e.stage == Stage::SuspectedPoison);
        suspected_poison.retain(|slot| waits(*slot));
    }

    /// Announces entries that no handler will ever have.
    pub(super) fn announce_lost(&self, at: usize, ids: &[EntryId], cx: &mut Context) {
        let (Some(from), Some(to)) = (ids.iter().min(), ids.iter().max()) else { return };
        self.announce_missed(at, Missed { count: ids.len() as u64, from: *from, to: *to }, cx);
    }

    /// Announces what the group had no chance to handle.
    pub(super) fn announce_missed(&self, at: usize, missed: Missed, cx: &mut Context) {
        let Some(stream) = self.streams.get(at) else { return };
        let (stream, group) = (stream.name.clone(), self.joining.group.clone());
        cx.announce(Announcement::MessagesLost { stream, group, missed });
    }

    /// Whether a call that has timed out keeps its slot, and its entry its lane, until it ends.
    pub(super) fn keeps_timed_out(&self) -> bool {
        self.joining.order_by != OrderBy::None
    }

    /// Entries that wait, those that will be tried again included, and the bytes of the events held.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.entries.iter().filter(|(_, e)| e.is_held() && !e.is_live()).count(), self.entries.bytes())
    }
}

/// Makes a subscription of a group.
///
/// # Errors
/// `INVALID_OPTIONS` when its consumer or its order is not that of the group.
pub(super) fn new_subscriber(
    joining: &Joining,
    patterns: &[String],
    options: &SubscribeOptions,
    filter: Option<Filter>,
) -> Result<Subscriber, BusError> {
    if let Some(durable) = &options.durable {
        let differs = |option: &str, what: &str| {
            let message = format!("group {:?} has {what} in this client", joining.group);
            Err(BusError::at(ErrorKind::InvalidOptions, option, message))
        };
        if durable.order_by != joining.order_by {
            return differs("orderBy", "another order");
        }
        if durable.consumer.as_ref().is_some_and(|consumer| **consumer != *joining.consumer) {
            return differs("consumer", "another consumer");
        }
    }
    Ok(Subscriber::new(patterns, options, filter))
}
