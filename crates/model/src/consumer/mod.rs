//! Durable delivery: the client as a consumer of its groups, and what becomes of the entries that it holds.
//!
//! There is one [`Consumer`] for each client, without I/O or clock. It says what work is to be done
//! ([`Consumer::work`]), is told what came of it, hands events out to handlers and takes their settlements.
//!
//! # Layout
//!
//! | question | file |
//! |---|---|
//! | what goes in and out | `membership`, `received`, `work`, `announcement` |
//! | what a group consists of | `group`: its parts; `subscriptions` and `subscriber`, `entry_table` and `entry`, `stream/` |
//! | what becomes of an entry that comes in, and when it is a dead letter at once | `intake`; `unmatched`, `watch`: one that nobody seems to want |
//! | which entry waits for which | `ordering` |
//! | when an entry goes to a handler | `dispatch`; `handler_calls`: the calls that run |
//! | which delays the store keeps | `delays` |
//! | how a call ends, when its retry is, when an entry is a dead letter for that | `settle` |
//! | when a lease is extended | `lease` |
//! | what the store is told of entries, and in which requests | `updates/` |
//! | how much is read, and when | `reading`, `throughput` |
//! | how a client start shows that it lives, and notices that it stood still | `liveness`, `standstill` |
//! | how entries of dead consumers are found | `scan`; `stream/own_scan`, `stream/recovery`: when |
//! | how an entry is lost | `loss` |
//! | what happens to entries that may kill the process | `poison`, `quiesce` |
//! | what is asked of the store, and what comes of it | `requests`; `responses`, `facts`; `request_gate`: how often |
//! | what the server refuses, and who is told | `refusals` |
//! | how subscriptions and groups end | `leaving` |

mod announcement;
mod answer;
mod context;
mod delays;
mod dispatch;
mod entry;
mod entry_table;
mod error_json;
mod facts;
mod group;
mod handler_calls;
mod inspect;
mod intake;
mod lease;
mod leaving;
mod liveness;
mod loss;
mod membership;
mod ordering;
mod poison;
mod quiesce;
mod reading;
mod received;
mod refusals;
mod request_gate;
mod requests;
mod responses;
mod scan;
mod settle;
mod standstill;
mod store_clock;
mod stream;
mod subscriber;
mod subscriptions;
#[cfg(test)]
mod tests;
mod throughput;
mod unmatched;
mod updates;
mod watch;
mod work;

use std::sync::Arc;

// The keys are numbers of our own.
use rustc_hash::FxHashMap as HashMap;

use crate::codec::Codec;
use crate::codec::outline::Shapes;
use crate::config::DeadLetterConfig;
use crate::consumer::answer::StoreAnswer;
use crate::consumer::context::Context;
use crate::consumer::group::{Group, new_subscriber};
use crate::consumer::handler_calls::HandlerCalls;
use crate::consumer::intake::Origin;
use crate::consumer::liveness::Liveness;
use crate::consumer::poison::{Groups, PoisonWatch};
use crate::consumer::stream::Stream;
use crate::delivery::dispatch_batch::DispatchBatch;
use crate::delivery::event::{Delivery, LiveEvent};
use crate::delivery::settlement::{CircuitChange, DeliveryCounts, Settlement};
use crate::filter::Filter;
use crate::observe::metrics::{MetricKey, Types};
use crate::options::subscribe::SubscribeOptions;
use crate::stream_store::{Request, Response};
use crate::{BusError, ErrorKind};

pub use announcement::Announcement;
pub use membership::{GroupKey, Joining, Source};
pub use received::{Content, ReceivedEntry};
pub use work::{Positions, Read, Work};

/// The client as a consumer: in each group that it has joined it is one.
///
/// An entry is claimed, goes to each subscription of the group that its event matches, and is settled when
/// all of them are: acknowledged, moved to the dead letters, or handed back. Until then its claim is renewed.
#[derive(Debug)]
pub struct Consumer {
    context: Context,
    groups: Groups,
    /// The groups of the subscriptions.
    groups_of: HashMap<u32, GroupKey>,
    calls: HandlerCalls,
    liveness: Liveness,
    poison: PoisonWatch,
    next_key: u32,
    /// The group that hands out first, in turn.
    turn: usize,
}

impl Consumer {
    /// No groups. `codec` is the format of the entries, and `instance` the client start.
    pub fn new(dead_letter: DeadLetterConfig, prefix: String, instance: Arc<str>, codec: Codec) -> Consumer {
        Consumer {
            context: Context::new(dead_letter, prefix, instance, codec),
            groups: Groups::new(),
            groups_of: HashMap::default(),
            calls: HandlerCalls::default(),
            liveness: Liveness::default(),
            poison: PoisonWatch::default(),
            next_key: 0,
            turn: 0,
        }
    }

    /// Counts by the numbers of these types, which others count by as well.
    pub fn count_by(&mut self, types: Arc<Types>) {
        self.context.types = types;
    }

    /// Lets two reads of a group be on their way at once, for stores whose reads take a while. They end in order.
    pub fn read_ahead(&mut self) {
        self.context.reads_ahead = true;
    }

    /// Joins a group; one that was joined before stays as it is.
    pub fn join(&mut self, joining: Joining) -> GroupKey {
        if let Some(key) = self.find(&joining.group) {
            return key;
        }
        let key = GroupKey(self.next_key);
        self.next_key = self.next_key.wrapping_add(1);
        self.groups.insert(key, Box::new(Group::new(key, joining)));
        key
    }

    /// Adds a subscription. An announcement tells when it is established, or that it cannot be.
    ///
    /// # Errors
    /// `INVALID_OPTIONS` when its consumer or its order is not that of the group; `NO_GROUP` when the group
    /// was not joined.
    pub fn add(
        &mut self,
        key: GroupKey,
        subscription: u32,
        patterns: &[String],
        sources: &[Source],
        options: &SubscribeOptions,
        filter: Option<Filter>,
    ) -> Result<(), BusError> {
        let Some(group) = self.groups.get_mut(&key) else {
            return Err(BusError::new(ErrorKind::NoGroup, "the group was not joined"));
        };
        let subscriber = new_subscriber(&group.joining, patterns, options, filter)?;
        group.add(subscription, subscriber, sources, &mut self.context);
        self.groups_of.insert(subscription, key);
        Ok(())
    }

    /// Ends a subscription. Running calls go on; entries that nobody here wants any more are handed back.
    pub fn remove(&mut self, subscription: u32, now: u64) {
        let Some(key) = self.groups_of.remove(&subscription) else { return };
        if let Some(group) = self.groups.get_mut(&key) {
            leaving::remove(group, subscription, now, &mut self.context);
        }
        self.poison.check(&mut self.groups);
    }

    /// Stops or resumes handing out events of a subscription.
    pub fn pause(&mut self, subscription: u32, paused: bool) {
        let Some(key) = self.groups_of.get(&subscription) else { return };
        if let Some(group) = self.groups.get_mut(key) {
            group.subscriptions.pause(subscription, paused);
        }
    }

    /// The reader of a group is up: its own pending entries are found first, then new ones are read.
    pub fn connected(&mut self, key: GroupKey) {
        let Some(group) = self.groups.get_mut(&key) else { return };
        group.reading.connect();
        group.streams.iter_mut().for_each(Stream::connected);
    }

    /// The reader of a group is down. A read that was on its way is over.
    pub fn disconnected(&mut self, key: GroupKey) {
        if let Some(group) = self.groups.get_mut(&key) {
            group.reading.disconnect();
        }
    }

    /// A read has brought entries.
    pub fn arrived(&mut self, key: GroupKey, entries: Vec<ReceivedEntry>, now: u64) {
        let Some(group) = self.groups.get_mut(&key) else { return };
        group.reading.succeeded();
        for entry in entries {
            intake::accept(group, entry, Origin::Read, now, &mut self.context);
        }
    }

    /// A read has ended with an error. `random` gives a number from `[0, 1)`; it is asked for the wait before the next.
    pub fn interrupted(&mut self, key: GroupKey, error: &BusError, now: u64, random: impl FnOnce() -> f64) {
        let Some(group) = self.groups.get_mut(&key) else { return };
        if error.kind == ErrorKind::NoGroup {
            group.reading.group_gone();
            group.streams.iter_mut().for_each(|stream| stream.opening.group_gone());
        } else {
            group.reading.failed(now, random());
            refusals::read_refused(group, error, &mut self.context);
        }
    }

    /// What is to be done now. Each [`Work::Store`] is answered exactly once by [`Consumer::answered`]; each
    /// [`Work::Read`] ends with [`Consumer::arrived`], [`Consumer::interrupted`] or [`Consumer::disconnected`].
    pub fn work(&mut self, now: u64) -> Vec<Work> {
        let mut out = Vec::new();
        self.poison.prepare(&mut self.groups, &self.calls, now, &mut out);
        liveness::show(&mut self.liveness, &mut self.groups, &mut self.context, now, &mut out);
        for group in self.groups.values_mut() {
            requests::work(group, now, &mut self.context, &mut out);
        }
        out
    }

    /// What came of a request. `random` gives a number from `[0, 1)`; it is asked for the wait after a failure. With `shapes`, what stands
    /// in the data of entries that it brings is noted as well, as when they are read for the first time.
    /// Returns what is to be done at once.
    pub fn answered(
        &mut self,
        key: GroupKey,
        request: Request,
        result: Result<Response, BusError>,
        now: u64,
        random: impl FnOnce() -> f64,
        shapes: Option<&mut Shapes>,
    ) -> Option<Work> {
        if let Request::KeepAlive { .. } = request {
            liveness::shown(&mut self.liveness, &mut self.groups, &mut self.context, &result, now);
            return None;
        }
        // The group may have been left meanwhile.
        let group = self.groups.get_mut(&key)?;
        let random = if result.is_err() { random() } else { 0.0 };
        let answer = StoreAnswer { result, now, random, shapes };
        let next = if let Request::MarkStarted { member, id } = request {
            if answer.result.as_ref().is_err_and(|error| error.kind == ErrorKind::NoGroup) {
                group.streams.iter_mut().for_each(|stream| stream.opening.group_gone());
            }
            self.poison.start_answered(group, &member, id, answer, &mut self.context);
            None
        } else {
            responses::answered(group, request, answer, &mut self.context)
        };
        self.poison.check(&mut self.groups);
        next
    }

    fn streams_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.groups.values_mut().flat_map(|group| &mut group.streams)
    }

    /// Says whether this client is told of entries that others hand back. Where it is not, it looks for them often.
    pub fn hear_hand_backs(&mut self, heard: bool) {
        let before = std::mem::replace(&mut self.context.hears_hand_backs, heard);
        if before != heard {
            self.streams_mut().for_each(|stream| stream.recovery.look_now());
        }
    }

    /// Entries of a group were handed back.
    pub fn handed_back(&mut self, stream: &str, group: &str) {
        let of_group = self.groups.values_mut().filter(|g| *g.joining.group == *group);
        let streams = of_group.flat_map(|g| &mut g.streams).filter(|s| *s.name == *stream);
        streams.for_each(|stream| stream.recovery.look_now());
    }

    /// Hands out at most `max_events` events, and no more once they have `max_bytes`, but batches whole, in
    /// turns over groups and subscriptions. Returns the circuits that half-opened for it.
    pub fn take(
        &mut self,
        now: u64,
        (max_events, max_bytes): (usize, usize),
        out: &mut Vec<Delivery>,
    ) -> Vec<CircuitChange> {
        let Consumer { poison, groups, calls, .. } = self;
        let mut batch = DispatchBatch::new(out, (max_events, max_bytes));
        poison.watch(groups, calls, now);
        if poison.is_isolating() {
            poison.take(groups, calls, now, &mut batch);
        } else if poison.admits_others(groups, calls, now) {
            self.turn = (self.turn + 1) % groups.len().max(1);
            for group in groups.values_mut().skip(self.turn) {
                dispatch::take(group, now, calls, &mut batch);
            }
            for group in groups.values_mut().take(self.turn) {
                dispatch::take(group, now, calls, &mut batch);
            }
        }
        batch.into_circuits()
    }

    /// Gives the error of a call, as JSON, before it is settled as failed.
    pub fn explain(&mut self, token: u32, error: Arc<str>) {
        self.calls.set_error(token, error);
    }

    /// Ends a handler call. `random` gives a number in `[0, 1)`; it is asked for the jitter of a retry.
    pub fn settle(
        &mut self,
        token: u32,
        settlement: Settlement,
        now: u64,
        random: impl FnOnce() -> f64,
    ) -> (DeliveryCounts, Option<CircuitChange>) {
        let Some(call) = self.calls.end(token) else { return Default::default() };
        let Some(group) = self.groups.get_mut(&call.key) else { return Default::default() };
        if call.timed_out {
            settle::finish_timed_out(group, &call, now, &mut self.context);
            return Default::default();
        }
        let ended = settle::settle(group, &call, settlement, now, random, &mut self.context);
        if matches!(settlement, Settlement::TimedOut { .. }) && group.keeps_timed_out() {
            self.calls.keep_timed_out(token, call);
        }
        self.poison.check(&mut self.groups);
        ended
    }

    /// A call that had timed out has ended. It frees what the order of a group had kept for it.
    pub fn finish_timed_out(&mut self, token: u32, now: u64) {
        if self.calls.get(token).is_some_and(|call| call.timed_out) {
            self.settle(token, Settlement::NotHandled, now, || 0.0);
        }
    }

    /// Reads and claims nothing more, of one group or all, and hands back everything that no handler has.
    pub fn stop_reading(&mut self, key: Option<GroupKey>, now: u64) {
        for group in self.groups.values_mut().filter(|group| key.is_none_or(|key| group.key == key)) {
            leaving::stop(group, now, &mut self.context);
        }
        self.poison.check(&mut self.groups);
    }

    /// Forgets a group. Returns the requests by which this consumer leaves it.
    pub fn leave(&mut self, key: GroupKey) -> Vec<Request> {
        let Some(group) = self.groups.remove(&key) else { return Vec::new() };
        self.groups_of.retain(|_, of| *of != key);
        self.calls.forget_group(key);
        self.poison.check(&mut self.groups);
        let instance = &self.context.instance;
        let leave = |member| Request::RemoveConsumer { member, instance: instance.clone() };
        group.streams.iter().map(|s| leave(s.member.clone())).collect()
    }

    /// What is to be announced.
    pub fn take_announcements(&mut self) -> Vec<Announcement> {
        std::mem::take(&mut self.context.announcements)
    }

    /// What was counted besides the settlements: entries skipped, taken over, dead-lettered, claims renewed.
    pub fn take_counts(&mut self) -> DeliveryCounts {
        std::mem::take(&mut self.context.counts)
    }

    /// What the handler calls were for that have ended, each of their events.
    pub fn take_ended(&mut self) -> impl Iterator<Item = MetricKey> + use<'_> {
        self.context.ended.drain(..)
    }

    /// Events that are done with, for the thread that made them to drop.
    pub fn take_deferred_drops(&mut self) -> Vec<Arc<LiveEvent>> {
        self.context.done.take()
    }
}
