//! What can be asked of a consumer without changing it.

use std::sync::Arc;

use super::Consumer;
use crate::BusError;
use crate::consumer::membership::GroupKey;
use crate::consumer::requests;
use crate::consumer::stream::Stream;
use crate::stream_store::ConsumerId;

impl Consumer {
    /// The group of a name, if this client has joined it.
    pub fn find(&self, group: &str) -> Option<GroupKey> {
        self.groups.values().find(|g| *g.joining.group == *group).map(|g| g.key)
    }

    /// The name of a group.
    pub fn name_of(&self, key: GroupKey) -> Option<Arc<str>> {
        self.groups.get(&key).map(|group| group.joining.group.clone())
    }

    /// All groups.
    pub fn keys(&self) -> Vec<GroupKey> {
        self.groups.keys().copied().collect()
    }

    /// This client's consumers in a group, one for each stream; without those whose name another client has.
    pub fn members(&self, key: GroupKey) -> Vec<ConsumerId> {
        let group = self.groups.get(&key);
        let own = group.into_iter().flat_map(|g| &g.streams).filter(|s| s.is_ready());
        own.map(|s| s.member.clone()).collect()
    }

    /// The lease of a group, in milliseconds; 0 when it was not joined.
    pub fn lease(&self, key: GroupKey) -> u64 {
        self.groups.get(&key).map_or(0, |group| group.lease.ms())
    }

    /// The streams and groups that were counted by, by their number:
    /// [`MetricKey::consumer`](crate::observe::metrics::MetricKey::consumer).
    pub fn consumers(&self) -> Vec<(Arc<str>, Arc<str>)> {
        self.context.consumers.all()
    }

    /// How many events were handled with success, each once for a group, by the number of the stream and group.
    pub fn consumed(&self) -> &[u64] {
        &self.context.consumed
    }

    /// Whether a group was told to stop reading, and is not left yet.
    pub fn is_leaving(&self, group: &str) -> bool {
        self.groups.values().any(|g| *g.joining.group == *group && g.stopping)
    }

    /// Whether a group has no subscription. Then it is time to leave it.
    pub fn is_empty(&self, key: GroupKey) -> bool {
        self.groups.get(&key).is_none_or(|group| group.subscriptions.is_empty())
    }

    /// Whether a subscription is one of these.
    pub fn contains(&self, subscription: u32) -> bool {
        self.groups_of.contains_key(&subscription)
    }

    /// How many subscriptions there are.
    pub fn subscriptions(&self) -> usize {
        self.groups_of.len()
    }

    /// The group of a subscription.
    pub fn group_of(&self, subscription: u32) -> Option<GroupKey> {
        self.groups_of.get(&subscription).copied()
    }

    /// Why a subscription is not established, or not served now.
    pub fn trouble(&self, subscription: u32) -> Option<BusError> {
        let group = self.groups.get(self.groups_of.get(&subscription)?)?;
        let s = group.subscriptions.get(subscription)?;
        s.streams.iter().find_map(|(at, _)| group.streams.get(*at)?.trouble.clone())
    }

    /// Why a group cannot work on a stream at the moment, if one cannot.
    pub fn stream_trouble(&self, name: &str) -> Option<&BusError> {
        self.groups.values().find_map(|group| {
            let stream = group.streams.iter().find(|s| &*s.name == name)?;
            stream.trouble.as_ref().or(stream.refusals.first()).or(group.reading.trouble())
        })
    }

    /// The groups that have been there in this stream, as far as this client has joined them.
    pub fn groups_of_stream(&self, name: &str) -> Vec<Arc<str>> {
        let reads = |stream: &&Stream| &*stream.name == name && stream.opening.opened_before();
        let joined = self.groups.values().filter(|group| group.streams.iter().any(|stream| reads(&stream)));
        joined.map(|group| group.joining.group.clone()).collect()
    }

    /// The groups whose read is on its way and lacks a stream that should be read by now: it is worth ending it.
    pub fn outdated(&self) -> Vec<GroupKey> {
        self.groups.keys().copied().filter(|key| self.is_outdated(*key)).collect()
    }

    /// Whether the read of a group that is on its way lacks a stream that should be read by now.
    pub fn is_outdated(&self, key: GroupKey) -> bool {
        let Some(group) = self.groups.get(&key) else { return false };
        let Some(reading) = group.reading.streams_in_flight() else { return false };
        let lacks = |streams: Arc<[Arc<str>]>| streams.iter().any(|stream| !reading.contains(stream));
        requests::readable(&group.streams).is_some_and(lacks)
    }

    /// Whether [`Consumer::take`] would hand something out.
    pub fn has_ready(&self, now: u64) -> bool {
        if self.poison.is_isolating() {
            return self.poison.isolated_waits(&self.groups);
        }
        self.poison.admits_others(&self.groups, &self.calls, now)
            && self.groups.values().any(|group| group.may_begin(now) && group.subscriptions.has_ready(now))
    }

    /// When, after `now`, there is something to do by time alone: work, or a handler call.
    pub fn next_due(&self, now: u64) -> Option<u64> {
        let groups = self.groups.values().filter_map(|group| requests::next_due(group, &self.context, now));
        let lives = self.groups.values().any(|group| group.is_open());
        let life = self.liveness.due().filter(|at| lives && *at > now);
        groups.chain(life).chain(self.poison.next_due(&self.calls, now)).min()
    }

    /// Whether no handler runs and the store knows everything, of one group or all.
    pub fn is_settled(&self, key: Option<GroupKey>) -> bool {
        let mut groups = self.groups.values().filter(|group| key.is_none_or(|key| group.key == key));
        !self.calls.any_running(key) && groups.all(|group| group.streams.iter().all(|s| s.is_settled()))
    }

    /// Handler calls that run.
    pub fn running(&self) -> usize {
        self.calls.running()
    }

    /// Entries that wait, retries included, and the bytes of all events held.
    pub fn waiting(&self) -> (usize, usize) {
        let groups = self.groups.values().map(|group| group.waiting());
        groups.fold((0, 0), |sum, held| (sum.0 + held.0, sum.1 + held.1))
    }
}
