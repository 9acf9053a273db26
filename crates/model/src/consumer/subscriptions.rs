//! The subscriptions of a group: which of them take an event, and what they want.

use std::collections::BTreeMap;

use crate::consumer::entry::{Call, CallState, Calls};
use crate::consumer::entry_table::EntryTable;
use crate::consumer::subscriber::Subscriber;
use crate::delivery::dispatch_batch::DispatchBatch;
use crate::delivery::ready_list::ReadyList;
use crate::options::subscribe::OrderBy;
use crate::stream_store::Position;

/// The subscriptions of one group in this client, by their numbers. One that has ended stays for its running calls.
#[derive(Debug, Default)]
pub(super) struct GroupSubscriptions {
    list: ReadyList<Subscriber>,
}

impl GroupSubscriptions {
    pub(super) fn add(&mut self, id: u32, subscriber: Subscriber) {
        self.list.insert(id, subscriber);
    }

    pub(super) fn get(&self, id: u32) -> Option<&Subscriber> {
        self.list.get(id)
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Subscriber> {
        self.list.get_mut(id)
    }

    /// The subscriptions that have not ended.
    pub(super) fn live(&self) -> impl Iterator<Item = (u32, &Subscriber)> {
        self.list.iter().filter(|(_, s)| !s.removed)
    }

    /// Whether all subscriptions have ended.
    pub(super) fn is_empty(&self) -> bool {
        self.live().next().is_none()
    }

    pub(super) fn pause(&mut self, id: u32, paused: bool) {
        self.list.change(id, |s| s.handlers.pause(paused));
    }

    /// A subscription has ended and its waiting calls are over. It is removed at once unless a handler of it runs.
    pub(super) fn end(&mut self, id: u32) {
        if self.list.get(id).is_some_and(|s| s.handlers.running() == 0) {
            self.list.remove(id);
        } else {
            self.list.unlist(id);
        }
    }

    /// A handler of a subscription is free.
    #[inline]
    pub(super) fn handler_freed(&mut self, id: u32) {
        if self.list.get(id).is_some_and(|s| s.removed && s.handlers.running() == 0) {
            self.list.remove(id);
        } else {
            self.list.list(id);
        }
    }

    /// The calls of an entry that wait go to the queues of their subscriptions.
    #[inline]
    pub(super) fn queue_calls(&mut self, slot: u32, calls: &Calls, now: u64) {
        for call in calls.iter().filter(|call| call.state == CallState::Waiting) {
            self.list.change(call.subscription, |s| s.push(slot, now));
        }
    }

    /// Puts a call off until its retry at `at`. Returns the state of the call.
    pub(super) fn queue_retry(&mut self, slot: u32, id: u32, at: u64) -> Option<CallState> {
        let due = self.list.get_mut(id)?.retry_at(at, slot);
        self.list.watch_retries(id);
        Some(CallState::Backoff { due })
    }

    /// Takes calls that are over out of the queues.
    pub(super) fn purge(&mut self, entries: &EntryTable) {
        for (id, s) in self.list.iter_mut() {
            let state = |slot: u32| entries.get(slot).and_then(|e| e.call(id)).map(|call| call.state);
            s.retain(
                |slot| state(slot) == Some(CallState::Waiting),
                |slot, due| state(slot) == Some(CallState::Backoff { due }),
            );
        }
    }

    /// Whether a handler call can be made now.
    pub(super) fn has_ready(&self, now: u64) -> bool {
        self.list.has_ready(now)
    }

    /// Starts handler calls until the batch is full: see [`ReadyList::take_turns`].
    pub(super) fn take_turns(
        &mut self,
        now: u64,
        batch: &mut DispatchBatch<'_>,
        start: impl FnMut(u32, &mut Subscriber, &mut DispatchBatch<'_>) -> bool,
    ) {
        self.list.take_turns(now, batch, start);
    }

    /// Which subscriptions of a stream take an event, each with the index of its pattern.
    pub(super) fn takers(&self, stream: usize, event_type: &str, channel: Option<&str>) -> Vec<(u32, u32)> {
        let readers = self.live().filter(|(_, s)| s.reads(stream));
        let mut takers: Vec<(u32, u32)> =
            readers.filter_map(|(id, s)| Some((id, s.matches(event_type, channel)?))).collect();
        takers.sort_unstable();
        takers
    }

    /// The patterns of the subscriptions of a stream, as the other clients of the group are told, and behind which position
    /// each takes up what the group has read past, if it is new to the group.
    pub(super) fn told_patterns(&self, stream: usize) -> BTreeMap<String, Position> {
        let mut patterns = BTreeMap::new();
        for (_, subscriber) in self.live().filter(|(_, s)| s.reads(stream)) {
            let start = subscriber.start.unwrap_or(Position::Beginning);
            for pattern in subscriber.told_patterns() {
                patterns
                    .entry(pattern)
                    .and_modify(|from: &mut Position| *from = from.earlier(start))
                    .or_insert(start);
            }
        }
        patterns
    }

    /// Confirms the subscriptions whose streams have all been told of them: `told` says whether a stream has been told
    /// of a version of the subscriptions. Returns those that are established by it.
    pub(super) fn confirm(&mut self, told: impl Fn(usize, u32) -> bool) -> Vec<u32> {
        let waiting = self.list.iter_mut().filter(|(_, s)| !s.confirmed && !s.removed);
        let confirmed = waiting.filter(|(_, s)| s.streams.iter().all(|(at, version)| told(*at, *version)));
        let confirm = |(id, s): (u32, &mut Subscriber)| {
            s.confirmed = true;
            id
        };
        confirmed.map(confirm).collect()
    }

    /// The subscriptions of a stream that are not established.
    pub(super) fn unconfirmed(&self, stream: usize) -> impl Iterator<Item = u32> {
        self.live().filter(move |(_, s)| !s.confirmed && s.reads(stream)).map(|(id, _)| id)
    }

    /// How many events handlers take at once now, as far as the order lets them.
    pub(super) fn demand(&self, order: OrderBy, now: u64) -> usize {
        let willing = self.list.iter().filter(|(_, s)| s.is_willing(now));
        let events = willing.map(|(_, s)| match order {
            OrderBy::Stream => s.batch_size(),
            _ => s.handlers.options().concurrency.saturating_mul(s.batch_size()),
        });
        events.fold(0usize, usize::saturating_add)
    }

    /// The size of the smallest batch.
    pub(super) fn smallest_batch(&self) -> usize {
        self.live().map(|(_, s)| s.batch_size()).min().unwrap_or(1)
    }

    /// The largest number of retries of the subscriptions that get an entry.
    #[inline]
    pub(super) fn max_retries(&self, calls: &Calls) -> u32 {
        let retries = |call: &Call| self.list.get(call.subscription).map(|s| s.handlers.max_retries());
        calls.iter().filter_map(retries).max().unwrap_or(0)
    }

    /// How long a handler may run.
    pub(super) fn longest_call(&self) -> u64 {
        self.list.iter().map(|(_, s)| s.longest_call()).max().unwrap_or(0)
    }

    /// Whether a call runs for longer than its claim is renewed.
    pub(super) fn is_overrun(&self, call: &Call, now: u64) -> bool {
        let (CallState::Running { since, .. } | CallState::TimedOut { since, .. }) = call.state else {
            return false;
        };
        let longest = self.list.get(call.subscription).map(|s| s.max_processing());
        longest.is_some_and(|longest| now.saturating_sub(since) > longest)
    }

    /// When, after `now`, something becomes ready by itself.
    pub(super) fn next_due(&self, now: u64) -> Option<u64> {
        self.list.iter().filter_map(|(_, s)| s.next_due(now)).min()
    }
}
