//! The consumer groups of one client.

use std::collections::BTreeMap;
use std::sync::Arc;

// The keys are numbers of our own.
use rustc_hash::FxHashMap as HashMap;

use super::{Announcement, GroupKey, Joining, ReceivedEntry, Source, Work};
use crate::codec::Codec;
use crate::config::DeadLetterConfig;
use crate::consumer::dispatch::{DispatchBatch, Tokens};
use crate::consumer::group::{Context, Group};
use crate::consumer::intake::Origin;
use crate::consumer::poison::{Alone, Drain};
use crate::delivery::{CircuitChange, Delivery, DeliveryCounts, LiveEvent, Settlement};
use crate::filter::Filter;
use crate::observe::metrics::{MetricKey, Types};
use crate::options::subscribe::SubscribeOptions;
use crate::stream_store::{ConsumerId, Request, Response};
use crate::{BusError, ErrorKind};

/// What the consumer groups of one client have claimed.
///
/// An entry is claimed, goes to each subscription of the group that its event matches, and is settled when
/// all of them are: acknowledged, moved to the dead letters, or handed back. Until then its claim is renewed.
#[derive(Debug)]
pub struct Claims {
    pub(super) context: Context,
    pub(super) groups: BTreeMap<GroupKey, Box<Group>>,
    /// The groups of the subscriptions.
    homes: HashMap<u32, GroupKey>,
    pub(super) tokens: Tokens,
    next_key: u32,
    /// The group that hands out first, in turn.
    turn: usize,
    /// The entry that runs alone, because it may have killed processes.
    pub(super) alone: Option<Alone>,
    /// While such an entry waits for running handlers to end.
    pub(super) drain: Option<Drain>,
}

impl Claims {
    /// No groups. `codec` is the format of the entries, and `instance` the client start.
    pub fn new(dead_letter: DeadLetterConfig, prefix: String, instance: Arc<str>, codec: Codec) -> Claims {
        Claims {
            context: Context::new(dead_letter, prefix, instance, codec),
            groups: BTreeMap::new(),
            homes: HashMap::default(),
            tokens: Tokens::default(),
            next_key: 0,
            turn: 0,
            alone: None,
            drain: None,
        }
    }

    /// Counts by the numbers of these types, which others count by as well.
    pub fn count_by(&mut self, types: Arc<Types>) {
        self.context.types = types;
    }

    /// The streams and groups that were counted by, by their number: see [`MetricKey::consumer`].
    pub fn consumers(&self) -> Vec<(Arc<str>, Arc<str>)> {
        self.context.consumers.all()
    }

    /// What the handler calls were for that have ended, each of their events.
    pub fn take_ended(&mut self) -> impl Iterator<Item = MetricKey> + use<'_> {
        self.context.ended.drain(..)
    }

    /// Lets two reads of a group be on their way at once, for stores whose reads take a while. They end in order.
    pub fn read_ahead(&mut self) {
        self.context.reads_ahead = true;
    }

    /// The group of a name, if this client has joined it.
    pub fn find(&self, group: &str) -> Option<GroupKey> {
        self.groups.values().find(|g| *g.joining.group == *group).map(|g| g.key)
    }

    /// All groups.
    pub fn keys(&self) -> Vec<GroupKey> {
        self.groups.keys().copied().collect()
    }

    /// The consumers of this client in a group, one for each stream; without those whose name another
    /// client has.
    pub fn members(&self, key: GroupKey) -> Vec<ConsumerId> {
        let group = self.groups.get(&key);
        let own = group.into_iter().flat_map(|g| &g.streams).filter(|s| s.is_ready());
        own.map(|s| s.member.clone()).collect()
    }

    /// Whether a group was told to stop reading, and is not left yet.
    pub fn is_leaving(&self, group: &str) -> bool {
        self.groups.values().any(|g| *g.joining.group == *group && g.stopping)
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
        group.add(subscription, patterns, sources, options, filter, &mut self.context)?;
        self.homes.insert(subscription, key);
        Ok(())
    }

    /// Ends a subscription. Running calls go on; entries that nobody here wants any more are handed back.
    pub fn remove(&mut self, subscription: u32, now: u64) {
        let Some(key) = self.homes.remove(&subscription) else { return };
        if let Some(group) = self.groups.get_mut(&key) {
            group.remove(subscription, now, &mut self.context);
        }
        self.check_alone();
    }

    /// Whether a subscription is one of these.
    pub fn contains(&self, subscription: u32) -> bool {
        self.homes.contains_key(&subscription)
    }

    /// How many subscriptions there are.
    pub fn subscriptions(&self) -> usize {
        self.homes.len()
    }

    /// Whether a group has no subscription. Then it is time to leave it.
    pub fn is_empty(&self, key: GroupKey) -> bool {
        self.groups.get(&key).is_none_or(|group| group.is_empty())
    }

    /// The group of a subscription.
    pub fn group_of(&self, subscription: u32) -> Option<GroupKey> {
        self.homes.get(&subscription).copied()
    }

    /// Why a subscription is not established, or not served now.
    pub fn trouble(&self, subscription: u32) -> Option<BusError> {
        let group = self.groups.get(self.homes.get(&subscription)?)?;
        let s = group.subscribers.get(&subscription)?;
        s.streams.iter().find_map(|(at, _)| group.streams.get(*at)?.trouble.clone())
    }

    /// Why a group cannot work on a stream at the moment, if one cannot.
    pub fn stream_trouble(&self, name: &str) -> Option<&BusError> {
        let mut streams = self.groups.values().flat_map(|group| &group.streams);
        streams.find_map(|s| s.trouble.as_ref().filter(|_| &*s.name == name))
    }

    /// Stops or resumes handing out events of a subscription.
    pub fn pause(&mut self, subscription: u32, paused: bool) {
        let Some(key) = self.homes.get(&subscription) else { return };
        if let Some(group) = self.groups.get_mut(key) {
            group.pause(subscription, paused);
        }
    }

    /// The reader of a group is up: its own pending entries are found first, then new ones are read.
    pub fn connected(&mut self, key: GroupKey) {
        let Some(group) = self.groups.get_mut(&key) else { return };
        group.connected = true;
        group.reads.clear();
        group.read_gate.succeeded();
        group.streams.iter_mut().for_each(crate::consumer::stream::Stream::search_own);
    }

    /// The reader of a group is down. A read that was on its way is over.
    pub fn disconnected(&mut self, key: GroupKey) {
        let Some(group) = self.groups.get_mut(&key) else { return };
        group.connected = false;
        group.reads.clear();
    }

    /// A read has brought entries.
    pub fn arrived(&mut self, key: GroupKey, arrivals: Vec<ReceivedEntry>, now: u64) {
        let Some(group) = self.groups.get_mut(&key) else { return };
        group.reads.pop_front();
        group.read_gate.succeeded();
        for arrival in arrivals {
            group.accept(arrival, Origin::Read, now, &mut self.context);
        }
    }

    /// A read has ended with an error.
    pub fn interrupted(&mut self, key: GroupKey, error: &BusError, now: u64) {
        let Some(group) = self.groups.get_mut(&key) else { return };
        group.reads.pop_front();
        if error.kind == ErrorKind::NoGroup {
            group.streams.iter_mut().for_each(crate::consumer::stream::Stream::group_gone);
        } else {
            group.read_gate.failed(now);
        }
    }

    /// The groups whose read is on its way and lacks a stream that should be read by now: it is worth ending it.
    pub fn outdated(&self) -> Vec<GroupKey> {
        self.groups.keys().copied().filter(|key| self.is_outdated(*key)).collect()
    }

    /// Whether the read of a group that is on its way lacks a stream that should be read by now.
    pub fn is_outdated(&self, key: GroupKey) -> bool {
        let Some(group) = self.groups.get(&key) else { return false };
        let Some((reading, _)) = group.reads.back() else { return false };
        group.readable().is_some_and(|streams| streams.iter().any(|stream| !reading.contains(stream)))
    }

    /// What is to be done now. Each [`Work::Store`] is answered exactly once by [`Claims::answered`]; each
    /// [`Work::Read`] ends with [`Claims::arrived`], [`Claims::interrupted`] or [`Claims::disconnected`].
    pub fn work(&mut self, now: u64) -> Vec<Work> {
        let mut out = Vec::new();
        self.prepare_suspect(now, &mut out);
        for group in self.groups.values_mut() {
            group.work(now, &mut self.context, &mut out);
        }
        out
    }

    /// What came of a request. Returns what is to be done at once.
    pub fn answered(
        &mut self,
        key: GroupKey,
        request: Request,
        result: Result<Response, BusError>,
        now: u64,
    ) -> Option<Work> {
        if let (Request::MarkStarted { .. }, error) = (&request, &result) {
            if error.as_ref().is_err_and(|e| e.kind == ErrorKind::NoGroup)
                && let Some(group) = self.groups.get_mut(&key)
            {
                group.streams.iter_mut().for_each(crate::consumer::stream::Stream::group_gone);
            }
            self.begun(key, &request, result, now);
            return None;
        }
        let Some(group) = self.groups.get_mut(&key) else {
            self.too_late(request, result);
            return None;
        };
        let next = group.answered(request, result, now, &mut self.context);
        self.check_alone();
        next
    }

    /// Takes an answer for a group that was left meanwhile: what the store tells only once is passed on.
    fn too_late(&mut self, request: Request, result: Result<Response, BusError>) {
        if let (Request::Heartbeat { member, .. }, Ok(Response::Facts(facts))) = (request, result)
            && let Some(missed) = facts.missed
        {
            let (stream, group) = (member.stream, member.group);
            self.context.announcements.push(Announcement::MessagesLost { stream, group, missed });
        }
    }

    /// Whether [`Claims::take`] would hand something out.
    pub fn has_ready(&self, now: u64) -> bool {
        if self.alone.is_some() {
            return self.alone_waits();
        }
        self.is_open(now) && self.groups.values().any(|group| group.has_ready(now))
    }

    /// Hands out at most `max_events` events, and no more once they have `max_bytes`, but batches whole, in
    /// turns over groups and subscriptions. Returns the circuits that half-opened for it.
    pub fn take(
        &mut self,
        now: u64,
        (max_events, max_bytes): (usize, usize),
        out: &mut Vec<Delivery>,
    ) -> Vec<CircuitChange> {
        self.watch_suspects(now);
        let open = self.is_open(now);
        let mut tokens = std::mem::take(&mut self.tokens);
        let end = out.len() + max_events;
        let mut to = DispatchBatch { tokens: &mut tokens, out, end, bytes: max_bytes, changes: Vec::new() };
        if self.alone.is_some() {
            self.take_alone(now, &mut to);
        } else if open {
            self.turn = (self.turn + 1) % self.groups.len().max(1);
            let (after, before) = (self.turn, self.turn);
            for group in self.groups.values_mut().skip(after) {
                group.take(now, &mut to);
            }
            for group in self.groups.values_mut().take(before) {
                group.take(now, &mut to);
            }
        }
        let changes = to.changes;
        self.tokens = tokens;
        changes
    }

    /// Gives the error of a call, as JSON, before it is settled as failed.
    pub fn explain(&mut self, token: u32, error: Arc<str>) {
        if let Some(running) = self.tokens.calls.get_mut(&token) {
            running.error = Some(error);
        }
    }

    /// Ends a handler call. `random` gives a number in `[0, 1)`; it is asked for the jitter of a retry.
    pub fn settle(
        &mut self,
        token: u32,
        settlement: Settlement,
        now: u64,
        random: impl FnOnce() -> f64,
    ) -> (DeliveryCounts, Option<CircuitChange>) {
        let Some(mut running) = self.tokens.calls.remove(&token) else { return Default::default() };
        let Some(group) = self.groups.get_mut(&running.key) else { return Default::default() };
        if running.zombie {
            self.tokens.zombies = self.tokens.zombies.saturating_sub(1);
            group.bury_zombie(&running, now, &mut self.context);
            return Default::default();
        }
        let end = group.settle(&running, settlement, now, random, &mut self.context);
        if matches!(settlement, Settlement::TimedOut { .. }) && group.keeps_zombies() {
            running.zombie = true;
            self.tokens.calls.insert(token, running);
            self.tokens.zombies += 1;
        }
        self.check_alone();
        end
    }

    /// A call that had timed out has ended. It frees what the order of a group had kept for it.
    pub fn late(&mut self, token: u32, now: u64) {
        if self.tokens.calls.get(&token).is_some_and(|running| running.zombie) {
            self.settle(token, Settlement::NotHandled, now, || 0.0);
        }
    }

    /// What is to be announced.
    pub fn take_announcements(&mut self) -> Vec<Announcement> {
        std::mem::take(&mut self.context.announcements)
    }

    /// What was counted besides the settlements: entries skipped, taken over, dead-lettered, claims renewed.
    pub fn take_tally(&mut self) -> DeliveryCounts {
        std::mem::take(&mut self.context.tally)
    }

    /// Events that are done with, for the thread that made them to drop.
    pub fn take_spent(&mut self) -> Vec<Arc<LiveEvent>> {
        self.context.take_spent()
    }

    /// When, after `now`, there is something to do by time alone: work, or a handler call.
    pub fn next_due(&self, now: u64) -> Option<u64> {
        let groups = self.groups.values().filter_map(|group| group.next_due(now));
        groups.chain(self.next_drain(now)).min()
    }

    /// Reads and claims nothing more, of one group or all, and hands back everything that no handler has.
    pub fn stop_reading(&mut self, key: Option<GroupKey>, now: u64) {
        for group in self.groups.values_mut().filter(|group| key.is_none_or(|key| group.key == key)) {
            group.stop(now, &mut self.context);
        }
        self.check_alone();
    }

    /// Whether no handler runs and the store knows everything, of one group or all.
    pub fn is_settled(&self, key: Option<GroupKey>) -> bool {
        let mut groups = self.groups.values().filter(|group| key.is_none_or(|key| group.key == key));
        let mut running = self.tokens.calls.values().filter(|r| key.is_none_or(|key| r.key == key));
        running.all(|r| r.zombie) && groups.all(|group| group.streams.iter().all(|s| s.is_settled()))
    }

    /// Handler calls that run.
    pub fn running(&self) -> usize {
        self.tokens.running()
    }

    /// Entries that wait, retries included, and the bytes of all events held.
    pub fn waiting(&self) -> (usize, usize) {
        let groups = self.groups.values().map(|group| group.waiting());
        groups.fold((0, 0), |sum, held| (sum.0 + held.0, sum.1 + held.1))
    }

    /// Forgets a group. Returns the requests by which this consumer leaves it.
    pub fn leave(&mut self, key: GroupKey) -> Vec<Request> {
        let Some(group) = self.groups.remove(&key) else { return Vec::new() };
        self.homes.retain(|_, home| *home != key);
        self.tokens.calls.retain(|_, running| running.key != key);
        self.tokens.zombies = self.tokens.calls.values().filter(|running| running.zombie).count();
        self.check_alone();
        let instance = &self.context.instance;
        let leave = |member| Request::RemoveConsumer { member, instance: instance.clone() };
        group.streams.iter().map(|s| leave(s.member.clone())).collect()
    }
}
