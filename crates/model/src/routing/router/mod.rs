//! Which subscriptions a message goes to.
//!
//! A *server subscription* is one `SUBSCRIBE` or `PSUBSCRIBE` on the server; several local subscriptions
//! may share it. The server sends a message once per server subscription that matches, so overlapping
//! patterns arrive several times: each local subscription accepts a message from exactly one of them.

//!
//! # Layout
//!
//! - this file: [`Router`]; `feeds`: which subscriptions a server subscription feeds
//! - `routes`: which subscriptions a message goes to
//! - `by_rule`: subscriptions where rules say on which channels events come; `entry`: one pattern of a subscription
//! - `memberships`: the rooms and users that were joined

mod by_rule;
mod entry;
mod feeds;
mod memberships;
mod route;
mod routes;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

// Looked up for every message. What is inserted are this client's own patterns, so that no publisher can
// flood the table with collisions.
use rustc_hash::FxHashMap as HashMap;

use crate::codec::wires::Wires;
use crate::routing::channel::{BROADCAST, Channels};
use by_rule::ByRule;
use entry::Entry;
use feeds::Feeds;
use memberships::Memberships;

pub use route::Route;

pub use crate::routing::server_subscription::{ServerSubscription, ServerSubscriptionRef};

/// The table of subscriptions of one client.
#[derive(Debug)]
pub struct Router {
    channels: Channels,
    /// The channels of broadcasts, one under each prefix.
    broadcast: Box<[ServerSubscription]>,
    by_channel: HashMap<Arc<[u8]>, Feeds>,
    by_pattern: HashMap<Arc<[u8]>, Feeds>,
    /// Channels of rooms and users that this client has joined.
    memberships: Memberships,
    /// Subscriptions by type, which hear broadcasts and what comes on joined channels. They are a set, as nearly
    /// every subscription is in it and each has to get out again.
    listeners: BTreeSet<u32>,
    /// Subscriptions that no server subscription feeds: they get what this client publishes itself, and no more.
    local_only: BTreeSet<u32>,
    subscriptions: HashMap<u32, Vec<Entry>>,
    by_rule: ByRule,
}

impl Router {
    /// An empty table for a bus with these wires.
    pub fn with_wires(channels: Channels, wires: &Wires) -> Self {
        Router { by_rule: ByRule::new(wires, &channels), ..Router::new(channels) }
    }

    /// An empty table for a bus with these channels.
    pub fn new(channels: Channels) -> Self {
        let broadcast = channels_of(&channels, BROADCAST).collect();
        Router {
            channels,
            broadcast,
            by_channel: HashMap::default(),
            by_pattern: HashMap::default(),
            memberships: Memberships::default(),
            listeners: BTreeSet::new(),
            local_only: BTreeSet::new(),
            subscriptions: HashMap::default(),
            by_rule: ByRule::default(),
        }
    }

    /// Adds a subscription. Returns the server subscriptions that it needs, each once; some may be there already.
    pub fn add(
        &mut self,
        subscription: u32,
        patterns: &[String],
        by_channel: bool,
    ) -> Vec<ServerSubscription> {
        let entries: Vec<Entry> = patterns.iter().map(|p| self.entry(p, by_channel)).collect();
        for (index, entry) in (0u32..).zip(&entries).filter(|(_, entry)| !entry.by_rule) {
            for needed in entry.server_subscriptions() {
                self.feeds_mut(needed).add(subscription, index);
            }
        }
        let by_rule = (0u32..).zip(&entries).filter(|(_, entry)| entry.by_rule);
        let by_rule = by_rule.map(|(index, entry)| (index, &*entry.pattern));
        let ruled = self.by_rule.add(subscription, by_rule);
        for server_subscription in &ruled {
            self.feeds_mut(server_subscription);
        }
        if entries.iter().any(|e| !e.by_channel) {
            self.listeners.insert(subscription);
            for broadcast in self.broadcast.clone() {
                self.feeds_mut(&broadcast);
            }
        }
        let server_subscriptions = self.server_subscriptions_of(&entries, ruled);
        self.subscriptions.insert(subscription, entries);
        server_subscriptions
    }

    /// Adds a subscription to what this client publishes itself: it needs no server subscription.
    pub fn add_local(&mut self, subscription: u32, patterns: &[String], by_channel: bool) {
        let entries = patterns.iter().map(|p| self.entry(p, by_channel)).collect();
        self.local_only.insert(subscription);
        self.subscriptions.insert(subscription, entries);
    }

    /// Removes a subscription. Returns the server subscriptions that nobody needs any more.
    pub fn remove(&mut self, subscription: u32) -> Vec<ServerSubscription> {
        let Some(entries) = self.subscriptions.remove(&subscription) else { return Vec::new() };
        if self.local_only.remove(&subscription) {
            return Vec::new();
        }
        let ruled = self.by_rule.remove(subscription);
        let mut unused = self.server_subscriptions_of(&entries, ruled);
        self.listeners.remove(&subscription);
        unused.retain(|server_subscription| {
            let heard = (self.is_broadcast(server_subscription) && !self.listeners.is_empty())
                || self.is_joined(server_subscription.into())
                || self.by_rule.needs(server_subscription.into());
            let feeds = self.feeds_mut(server_subscription);
            feeds.remove(subscription);
            let empty = feeds.is_empty() && !heard;
            if empty {
                self.table_mut(server_subscription).remove(server_subscription.name());
            }
            empty
        });
        unused
    }

    /// Removes all subscriptions, in time proportional to their number. Returns all server subscriptions, each
    /// once.
    pub fn clear(&mut self) -> Vec<ServerSubscription> {
        self.subscriptions = HashMap::default();
        self.listeners = BTreeSet::new();
        self.local_only = BTreeSet::new();
        self.memberships = Memberships::default();
        self.by_rule.clear();
        let channels = std::mem::take(&mut self.by_channel).into_keys().map(ServerSubscription::Channel);
        let patterns = std::mem::take(&mut self.by_pattern).into_keys().map(ServerSubscription::Pattern);
        channels.chain(patterns).collect()
    }

    /// Joins a room or a user, by the name of its channel without the prefix. Returns the server subscriptions that it
    /// needs, which may be there already, and whether the member is new.
    pub fn join(&mut self, name: &str, member: &Arc<str>) -> (Vec<ServerSubscription>, bool) {
        let needed: Vec<_> = channels_of(&self.channels, name).collect();
        for server_subscription in &needed {
            self.feeds_mut(server_subscription);
        }
        (needed, self.memberships.join(name, member))
    }

    /// Leaves a room or a user: one member, or all of this client's. Returns how many have left, and the server
    /// subscriptions that nobody needs any more.
    pub fn leave(&mut self, name: &str, member: Option<&str>) -> (usize, Vec<ServerSubscription>) {
        let (left, is_empty) = self.memberships.leave(name, member).unwrap_or_default();
        if !is_empty {
            return (left, Vec::new());
        }
        let mut unused: Vec<_> = channels_of(&self.channels, name).collect();
        unused.retain(|it| self.feeds(it.into()).is_none_or(Feeds::is_empty));
        for server_subscription in &unused {
            self.by_channel.remove(server_subscription.name());
        }
        (left, unused)
    }

    /// Who has joined a room or a user here, by the name of its channel without the prefix.
    pub fn members(&self, name: &str) -> BTreeSet<Arc<str>> {
        self.memberships.members(name)
    }

    /// How many have joined something, all rooms and users together.
    pub fn memberships(&self) -> usize {
        self.memberships.count()
    }

    /// Whether all who have joined `channel` here are among `except`.
    pub fn leaves_out(&self, channel: &[u8], except: &[String]) -> bool {
        self.channels.addressed_by(channel).is_some_and(|name| self.memberships.leaves_out(&name, except))
    }

    /// The room or user that a server subscription was joined for.
    fn joined_by(&self, server_subscription: ServerSubscriptionRef<'_>) -> Option<&str> {
        match server_subscription {
            ServerSubscriptionRef::Channel(channel) => {
                self.memberships.name_of(&self.channels.addressed_by(channel)?)
            }
            ServerSubscriptionRef::Pattern(_) => None,
        }
    }

    fn is_broadcast(&self, server_subscription: &ServerSubscription) -> bool {
        self.broadcast.contains(server_subscription)
    }

    fn is_joined(&self, server_subscription: ServerSubscriptionRef<'_>) -> bool {
        self.joined_by(server_subscription).is_some()
    }

    /// Whether there is a subscription of that number.
    pub fn contains(&self, subscription: u32) -> bool {
        self.subscriptions.contains_key(&subscription)
    }

    /// The patterns of a subscription.
    pub fn patterns_of(&self, subscription: u32) -> impl Iterator<Item = &str> {
        self.subscriptions.get(&subscription).into_iter().flatten().map(|entry| &*entry.pattern)
    }

    /// The patterns of all subscriptions that hear others than this client, and how many those are.
    pub fn heard_patterns(&self) -> impl Iterator<Item = &str> {
        let heard =
            self.subscriptions.iter().filter(|(subscription, _)| !self.local_only.contains(subscription));
        heard.flat_map(|(_, entries)| entries.iter().map(|entry| &*entry.pattern))
    }

    /// The patterns of all subscriptions that `server_subscription` feeds, and the room or user that it was joined
    /// for. They are for reports.
    pub fn patterns(&self, server_subscription: &ServerSubscription) -> impl Iterator<Item = &str> {
        let fed =
            self.feeds(server_subscription.into()).into_iter().flat_map(Feeds::iter).filter_map(|(s, i)| {
                let entry = self.subscriptions.get(&s)?.get(usize::try_from(i).ok()?)?;
                Some(&*entry.pattern)
            });
        fed.chain(self.joined_by(server_subscription.into()))
            .chain(self.by_rule.patterns(server_subscription.into()))
    }

    /// Whether some pattern that `server_subscription` feeds addresses channels, not event types, or it was joined
    /// for a room or a user.
    pub fn addresses_channels(&self, server_subscription: &ServerSubscription) -> bool {
        self.is_joined(server_subscription.into())
            || self.feeds(server_subscription.into()).into_iter().flat_map(Feeds::iter).any(|(s, i)| {
                let entries = self.subscriptions.get(&s);
                let entry = entries.zip(usize::try_from(i).ok()).and_then(|(entries, i)| entries.get(i));
                entry.is_some_and(|entry| entry.by_channel)
            })
    }

    /// Whether a subscription needs `server_subscription` only to hear broadcasts, and works without it.
    pub fn is_optional(&self, subscription: u32, server_subscription: &ServerSubscription) -> bool {
        self.is_broadcast(server_subscription)
            && !self.by_rule.needs(server_subscription.into())
            && self.subscriptions.get(&subscription).is_some_and(|es| {
                es.iter().all(|e| !e.server_subscriptions().any(|own| own == server_subscription))
            })
    }

    /// Whether every subscription that `server_subscription` feeds works without it, as with [`Router::is_optional`].
    pub fn is_dispensable(&self, server_subscription: &ServerSubscription) -> bool {
        self.is_broadcast(server_subscription)
            && !self.by_rule.needs(server_subscription.into())
            && self.feeds(server_subscription.into()).is_none_or(Feeds::is_empty)
    }

    /// Local subscriptions, and how many of their patterns are globs.
    pub fn counts(&self) -> (usize, usize) {
        let globs = self
            .subscriptions
            .values()
            .flatten()
            .filter(|e| matches!(e.server_subscription, ServerSubscription::Pattern(_)));
        (self.subscriptions.len(), globs.count())
    }

    fn entry(&self, pattern_text: &str, by_channel: bool) -> Entry {
        let mut needed = self.channels.server_subscriptions(pattern_text);
        let first = needed.next().unwrap_or_else(|| ServerSubscription::under("", pattern_text));
        let by_channel = by_channel || Channels::addresses_channels(pattern_text);
        let by_rule = !by_channel && self.by_rule.is_used();
        let (pattern, others) = (pattern_text.into(), needed.collect());
        Entry { pattern, server_subscription: first, others, by_channel, by_rule }
    }

    fn feeds(&self, server_subscription: ServerSubscriptionRef<'_>) -> Option<&Feeds> {
        match server_subscription {
            ServerSubscriptionRef::Channel(name) => self.by_channel.get(name),
            ServerSubscriptionRef::Pattern(name) => self.by_pattern.get(name),
        }
    }

    fn table_mut(&mut self, server_subscription: &ServerSubscription) -> &mut HashMap<Arc<[u8]>, Feeds> {
        match server_subscription {
            ServerSubscription::Channel(_) => &mut self.by_channel,
            ServerSubscription::Pattern(_) => &mut self.by_pattern,
        }
    }

    fn feeds_mut(&mut self, server_subscription: &ServerSubscription) -> &mut Feeds {
        let (ServerSubscription::Channel(name) | ServerSubscription::Pattern(name)) = server_subscription;
        self.table_mut(server_subscription).entry(name.clone()).or_insert_with(Feeds::new)
    }

    fn server_subscriptions_of(
        &self,
        entries: &[Entry],
        ruled: Vec<ServerSubscription>,
    ) -> Vec<ServerSubscription> {
        let mut server_subscriptions: Vec<ServerSubscription> = Vec::with_capacity(entries.len() + 1);
        let listens = entries.iter().any(|e| !e.by_channel).then(|| self.broadcast.iter().cloned());
        let of_entries =
            entries.iter().filter(|e| !e.by_rule).flat_map(|e| e.server_subscriptions().cloned());
        for server_subscription in of_entries.chain(ruled).chain(listens.into_iter().flatten()) {
            if !server_subscriptions.contains(&server_subscription) {
                server_subscriptions.push(server_subscription);
            }
        }
        server_subscriptions
    }
}

/// The channels of a name, one under each prefix.
fn channels_of(channels: &Channels, name: &str) -> impl Iterator<Item = ServerSubscription> {
    channels.all_named(name).map(|channel| ServerSubscription::Channel(channel.into_bytes().into()))
}
