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
use crate::routing::pattern;
use crate::routing::server_subscription::{ServerSubscription, ServerSubscriptionRef};

/// The subscriptions by type of a bus with rules; none where it has no rules.
#[derive(Debug, Default)]
pub(super) struct ByRule {
    rules: Option<Arc<ChannelRules>>,
    subscriptions: HashMap<u32, Ruled>,
    by_channel: HashMap<Arc<[u8]>, BTreeSet<u32>>,
    by_pattern: HashMap<Arc<[u8]>, BTreeSet<u32>>,
}

#[derive(Debug)]
struct Ruled {
    /// Its patterns of types, with their indexes.
    patterns: Vec<(u32, Box<str>)>,
    wanted: Vec<ServerSubscription>,
}

impl ByRule {
    pub(super) fn new(rules: Option<Arc<ChannelRules>>) -> ByRule {
        ByRule { rules, ..ByRule::default() }
    }

    /// Whether there are rules.
    pub(super) fn is_used(&self) -> bool {
        self.rules.is_some()
    }

    /// Adds the patterns of types of a subscription, with their indexes. Returns the server subscriptions that they need.
    pub(super) fn add<'a>(
        &mut self,
        subscription: u32,
        prefix: &str,
        patterns: impl Iterator<Item = (u32, &'a str)>,
    ) -> Vec<ServerSubscription> {
        let Some(rules) = self.rules.clone() else { return Vec::new() };
        let patterns: Vec<(u32, Box<str>)> = patterns.map(|(index, text)| (index, text.into())).collect();
        let mut wanted: Vec<ServerSubscription> = Vec::new();
        for needed in patterns.iter().flat_map(|(_, types)| rules.server_subscriptions(prefix, types)) {
            if !wanted.contains(&needed) {
                wanted.push(needed);
            }
        }
        for needed in &wanted {
            self.table_mut(needed).entry(name_of(needed)).or_default().insert(subscription);
        }
        self.subscriptions.insert(subscription, Ruled { patterns, wanted: wanted.clone() });
        wanted
    }

    /// Removes a subscription. Returns the server subscriptions that it needed.
    pub(super) fn remove(&mut self, subscription: u32) -> Vec<ServerSubscription> {
        let Some(Ruled { wanted, .. }) = self.subscriptions.remove(&subscription) else { return Vec::new() };
        for needed in &wanted {
            let table = self.table_mut(needed);
            if let Some(users) = table.get_mut(needed.name()) {
                users.remove(&subscription);
                if users.is_empty() {
                    table.remove(needed.name());
                }
            }
        }
        wanted
    }

    /// Removes all subscriptions.
    pub(super) fn clear(&mut self) {
        *self = ByRule::new(self.rules.take());
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
        channel: &[u8],
        event_type: &str,
        taken: impl Fn(u32) -> bool,
        routes: &mut Vec<Route>,
    ) {
        for subscription in self.users(server_subscription).into_iter().flatten() {
            let Some(ruled) = self.subscriptions.get(subscription) else { continue };
            let first = ruled.wanted.iter().find(|needed| needed.matches(channel));
            if first.map(ServerSubscriptionRef::from) == Some(server_subscription) && !taken(*subscription) {
                routes.extend(ruled.route(*subscription, event_type));
            }
        }
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
