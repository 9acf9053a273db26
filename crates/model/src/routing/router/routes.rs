//! Which subscriptions a message goes to.

use super::Router;
use super::entry::Entry;
use super::route::Route;
use crate::routing::channel::Audience;
use crate::routing::pattern;
use crate::routing::server_subscription::{ServerSubscription, ServerSubscriptionRef};

impl Router {
    /// Appends to `routes` the subscriptions that a message of `channel` which came for `server_subscription` goes
    /// to, as far as its channel tells. True when others may hear it, by its type: [`Router::route_listeners`].
    ///
    /// Called for each server subscription that the message came for, the two name every matching
    /// subscription exactly once in all.
    pub fn route(
        &self,
        server_subscription: ServerSubscriptionRef<'_>,
        channel: &[u8],
        routes: &mut Vec<Route>,
    ) -> bool {
        let Some(feeds) = self.feeds(server_subscription) else { return false };
        let split = self.channels.split(channel);
        let audience = split.map(|(under, name)| self.channels.audience_of(under, name));
        let under = split.map_or(0, |(under, _)| under);
        for (subscription, pattern) in feeds.iter() {
            let Some(entries) = self.subscriptions.get(&subscription) else { continue };
            if Entry::is_first_match(entries, (channel, under), audience, pattern, server_subscription) {
                routes.push(Route { subscription, pattern });
            }
        }
        // Only the broadcast channel, and those that were joined, have listeners.
        match audience {
            Some(Audience::Everyone) => {
                self.broadcast.get(under).map(ServerSubscriptionRef::from) == Some(server_subscription)
            }
            Some(Audience::Room(_) | Audience::User(_)) => self.is_joined(server_subscription),
            _ => self.by_rule.is_used() && self.by_rule.needs_under(server_subscription, under),
        }
    }

    /// Appends the subscriptions that an event of this client goes to when it is handed to them without the
    /// server, each exactly once: those that [`Router::route`] and [`Router::route_listeners`] name for all server
    /// subscriptions for which the message would come, and those that have none. Returns how many it leaves out, as
    /// all that have joined its room here are among `except`.
    pub fn route_local(
        &self,
        channel: &[u8],
        event_type: &str,
        except: &[String],
        routes: &mut Vec<Route>,
    ) -> u64 {
        let split = self.channels.split(channel);
        let audience = split.map(|(under, name)| self.channels.audience_of(under, name));
        let under = split.map_or(0, |(under, _)| under);
        let mut heard = self.route(ServerSubscriptionRef::Channel(channel), channel, routes);
        for name in self.by_pattern.keys().filter(|name| pattern::matches(name, channel)) {
            heard |= self.route(ServerSubscriptionRef::Pattern(name), channel, routes);
        }
        let by_type = matches!(audience, None | Some(Audience::Type(_))) && self.by_rule.is_used();
        if by_type {
            // Those of rules get it by its type, whatever the channels.
            heard = false;
            let taken = |subscription| self.takes_by_channel(subscription, channel);
            self.by_rule.route_local(event_type, taken, routes);
        }
        // Those without a server subscription have asked for no broadcasts, and hear them all the same.
        heard |= audience == Some(Audience::Everyone);
        let left_out = self.leaves_out(channel, except);
        let from = routes.len();
        if heard {
            self.route_to_listeners(channel, event_type, routes);
        }
        let mut left = 0;
        if left_out {
            left = routes.len() - from;
            routes.truncate(from);
        }
        for subscription in &self.local_only {
            let Some(entries) = self.subscriptions.get(subscription) else { continue };
            let takes = |e: &Entry| e.takes(audience) && e.matches(under, channel);
            let hears = |e: &Entry| (heard || (by_type && e.by_rule)) && e.hears(event_type);
            let taking = entries.iter().position(takes);
            let first = taking.or_else(|| entries.iter().position(hears));
            let Some(pattern) = first.and_then(|index| u32::try_from(index).ok()) else { continue };
            if taking.is_none() && left_out {
                left += 1;
            } else {
                routes.push(Route { subscription: *subscription, pattern });
            }
        }
        left as u64
    }

    /// Appends the subscriptions that an event of a type goes to which was stored and came on no channel, each once: those that
    /// would hear it on the channel of its type.
    pub fn route_stored(&self, event_type: &str, routes: &mut Vec<Route>) {
        let from = routes.len();
        for channel in self.channels.all_named(event_type) {
            let channel = channel.as_bytes();
            self.route(ServerSubscriptionRef::Channel(channel), channel, routes);
            for name in self.by_pattern.keys().filter(|name| pattern::matches(name, channel)) {
                self.route(ServerSubscriptionRef::Pattern(name), channel, routes);
            }
        }
        self.by_rule.route_local(event_type, |_| false, routes);
        let mut found: Vec<Route> = routes.drain(from..).collect();
        found.sort_unstable_by_key(|route| (route.subscription, route.pattern));
        found.dedup_by_key(|route| route.subscription);
        routes.extend(found);
    }

    /// Where rules or several wires say on which channels events come: the subscriptions of a type, each with the server
    /// subscriptions that may bring its events.
    pub fn of_rules(&self, event_type: &str) -> Vec<(Route, Vec<ServerSubscription>)> {
        self.by_rule.of_type(event_type)
    }

    /// Appends the subscriptions by type that hear a broadcast, or an event of what this client has joined.
    pub fn route_listeners(
        &self,
        server_subscription: ServerSubscriptionRef<'_>,
        channel: &[u8],
        event_type: &str,
        routes: &mut Vec<Route>,
    ) {
        let under = self.channels.split(channel).map_or(0, |(under, _)| under);
        if self.by_rule.needs_under(server_subscription, under) {
            let taken = |subscription| self.takes_by_channel(subscription, channel);
            return self.by_rule.route(server_subscription, (channel, under), event_type, taken, routes);
        }
        self.route_to_listeners(channel, event_type, routes);
    }

    /// Whether a pattern of a subscription addresses a channel itself, and so takes its messages.
    fn takes_by_channel(&self, subscription: u32, channel: &[u8]) -> bool {
        let under = self.channels.split(channel).map_or(0, |(under, _)| under);
        let entries = self.subscriptions.get(&subscription).into_iter().flatten();
        entries.into_iter().any(|e| e.by_channel && e.matches(under, channel))
    }

    fn route_to_listeners(&self, channel: &[u8], event_type: &str, routes: &mut Vec<Route>) {
        for subscription in &self.listeners {
            // A pattern that addresses the channel itself has taken the message already.
            if self.takes_by_channel(*subscription, channel) {
                continue;
            }
            let Some(entries) = self.subscriptions.get(subscription) else { continue };
            if let Some((pattern, _)) = (0u32..).zip(entries).find(|(_, e)| e.hears(event_type)) {
                routes.push(Route { subscription: *subscription, pattern });
            }
        }
    }
}
