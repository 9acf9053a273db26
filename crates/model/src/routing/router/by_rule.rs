//! Subscriptions by type where rules say on which channels the events of a type come.
//!
//! The channel of a message does not tell its type then. A subscription names for its patterns all server subscriptions that
//! may bring their events, and takes a message from the first of them that matches its channel, if one of its patterns has
//! its type.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap as HashMap;

use super::route::Route;
use crate::codec::ChannelRules;
use crate::codec::wires::{Wire, Wires};
use crate::routing::channel::Channels;
use crate::routing::pattern;
use crate::routing::server_subscription::{ServerSubscription, ServerSubscriptionRef};

/// The subscriptions by type of a bus with rules, or with several wires; none of other buses.
#[derive(Debug, Default)]
pub(super) struct ByRule {
    wires: Option<Box<[Rules]>>,
    subscriptions: HashMap<u32, Ruled>,
    by_channel: HashMap<Arc<[u8]>, BTreeSet<u32>>,
    by_pattern: HashMap<Arc<[u8]>, BTreeSet<u32>>,
}

/// The channels of one wire.
#[derive(Debug)]
struct Rules {
    prefix: Arc<str>,
    /// The index of the prefix among those of the bus.
    under: usize,
    /// `None`: the channel of an event is its type.
    rules: Option<Arc<ChannelRules>>,
}

impl Rules {
    fn server_subscriptions(&self, types: &str) -> Vec<ServerSubscription> {
        match &self.rules {
            Some(rules) => rules.server_subscriptions(&self.prefix, types),
            None => vec![ServerSubscription::under(&self.prefix, types)],
        }
    }
}

#[derive(Debug)]
struct Ruled {
    /// Its patterns of types, with their indexes.
    patterns: Vec<(u32, Box<str>)>,
    /// What it needs, each with the index of the prefix whose channels it takes from it.
    wanted: Vec<(usize, ServerSubscription)>,
}

impl ByRule {
    pub(super) fn new(wires: &Wires, channels: &Channels) -> ByRule {
        let under = |prefix: &str| channels.live().position(|live| live == prefix).unwrap_or_default();
        let rules = |wire: &Wire| Rules {
            under: under(&wire.prefix),
            prefix: wire.prefix.clone(),
            rules: wire.codec.channels().cloned(),
        };
        let wires = wires.have_rules().then(|| wires.read.iter().map(rules).collect());
        ByRule { wires, ..ByRule::default() }
    }

    /// Whether there are rules.
    pub(super) fn is_used(&self) -> bool {
        self.wires.is_some()
    }

    /// Adds the patterns of types of a subscription, with their indexes. Returns the server subscriptions that they need.
    pub(super) fn add<'a>(
        &mut self,
        subscription: u32,
        patterns: impl Iterator<Item = (u32, &'a str)>,
    ) -> Vec<ServerSubscription> {
        let Some(wires) = &self.wires else { return Vec::new() };
        let patterns: Vec<(u32, Box<str>)> = patterns.map(|(index, text)| (index, text.into())).collect();
        let mut wanted: Vec<(usize, ServerSubscription)> = Vec::new();
        for wire in wires {
            for needed in patterns.iter().flat_map(|(_, types)| wire.server_subscriptions(types)) {
                let needed = (wire.under, needed);
                if !wanted.contains(&needed) {
                    wanted.push(needed);
                }
            }
        }
        let needed_by_it: Vec<_> = wanted.iter().map(|(_, needed)| needed.clone()).collect();
        for needed in &needed_by_it {
            self.table_mut(needed).entry(name_of(needed)).or_default().insert(subscription);
        }
        self.subscriptions.insert(subscription, Ruled { patterns, wanted });
        needed_by_it
    }

    /// Removes a subscription. Returns the server subscriptions that it needed.
    pub(super) fn remove(&mut self, subscription: u32) -> Vec<ServerSubscription> {
        let Some(Ruled { wanted, .. }) = self.subscriptions.remove(&subscription) else { return Vec::new() };
        for (_, needed) in &wanted {
            let table = self.table_mut(needed);
            if let Some(users) = table.get_mut(needed.name()) {
                users.remove(&subscription);
                if users.is_empty() {
                    table.remove(needed.name());
                }
            }
        }
        wanted.into_iter().map(|(_, needed)| needed).collect()
    }

    /// Removes all subscriptions.
    pub(super) fn clear(&mut self) {
        *self = ByRule { wires: self.wires.take(), ..ByRule::default() };
    }

    /// The subscriptions that need a server subscription.
    fn users(&self, server_subscription: ServerSubscriptionRef<'_>) -> Option<&BTreeSet<u32>> {
        match server_subscription {
            ServerSubscriptionRef::Channel(name) => self.by_channel.get(name),
            ServerSubscriptionRef::Pattern(name) => self.by_pattern.get(name),
        }
    }

    /// Whether a server subscription is needed.
    pub(super) fn needs(&self, server_subscription: ServerSubscriptionRef<'_>) -> bool {
        self.users(server_subscription).is_some()
    }

    /// Whether a server subscription is needed for channels under the prefix of this index.
    pub(super) fn needs_under(&self, server_subscription: ServerSubscriptionRef<'_>, under: usize) -> bool {
        let Some(users) = self.users(server_subscription) else { return false };
        let mut ruled = users.iter().filter_map(|subscription| self.subscriptions.get(subscription));
        ruled.any(|ruled| {
            let mut wanted = ruled.wanted.iter();
            wanted.any(|(of, needed)| {
                *of == under && ServerSubscriptionRef::from(needed) == server_subscription
            })
        })
    }

    /// The patterns that a server subscription is needed for.
    pub(super) fn patterns(
        &self,
        server_subscription: ServerSubscriptionRef<'_>,
    ) -> impl Iterator<Item = &str> {
        let users = self.users(server_subscription).into_iter().flatten();
        let ruled = users.filter_map(|subscription| self.subscriptions.get(subscription));
        ruled.flat_map(|ruled| ruled.patterns.iter().map(|(_, pattern)| &**pattern))
    }

    /// Appends the subscriptions that a message goes to that came for a server subscription, but those that `taken` names.
    pub(super) fn route(
        &self,
        server_subscription: ServerSubscriptionRef<'_>,
        (channel, under): (&[u8], usize),
        event_type: &str,
        taken: impl Fn(u32) -> bool,
        routes: &mut Vec<Route>,
    ) {
        for subscription in self.users(server_subscription).into_iter().flatten() {
            let Some(ruled) = self.subscriptions.get(subscription) else { continue };
            let mut wanted = ruled.wanted.iter().filter(|(of, _)| *of == under).map(|(_, needed)| needed);
            let first = wanted.find(|needed| needed.matches(channel));
            if first.map(ServerSubscriptionRef::from) == Some(server_subscription) && !taken(*subscription) {
                routes.extend(ruled.route(*subscription, event_type));
            }
        }
    }

    /// The subscriptions of a type, each with what may bring its events.
    pub(super) fn of_type(&self, event_type: &str) -> Vec<(Route, Vec<ServerSubscription>)> {
        let of = |(subscription, ruled): (&u32, &Ruled)| {
            let wanted = ruled.wanted.iter().map(|(_, needed)| needed.clone()).collect();
            Some((ruled.route(*subscription, event_type)?, wanted))
        };
        self.subscriptions.iter().filter_map(of).collect()
    }

    /// Appends the subscriptions that an event of this client goes to without the server, but those that `taken` names.
    pub(super) fn route_local(&self, event_type: &str, taken: impl Fn(u32) -> bool, routes: &mut Vec<Route>) {
        for (subscription, ruled) in
            self.subscriptions.iter().filter(|(subscription, _)| !taken(**subscription))
        {
            routes.extend(ruled.route(*subscription, event_type));
        }
    }

    fn table_mut(
        &mut self,
        server_subscription: &ServerSubscription,
    ) -> &mut HashMap<Arc<[u8]>, BTreeSet<u32>> {
        match server_subscription {
            ServerSubscription::Channel(_) => &mut self.by_channel,
            ServerSubscription::Pattern(_) => &mut self.by_pattern,
        }
    }
}

impl Ruled {
    /// The first pattern that has a type.
    fn route(&self, subscription: u32, event_type: &str) -> Option<Route> {
        let has = |(_, types): &&(u32, Box<str>)| pattern::matches(types.as_bytes(), event_type.as_bytes());
        let (pattern, _) = self.patterns.iter().find(has)?;
        Some(Route { subscription, pattern: *pattern })
    }
}

fn name_of(server_subscription: &ServerSubscription) -> Arc<[u8]> {
    let (ServerSubscription::Channel(name) | ServerSubscription::Pattern(name)) = server_subscription;
    name.clone()
}
