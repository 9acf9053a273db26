//! Which subscriptions a message goes to.
//!
//! A *wire subscription* is one `SUBSCRIBE` or `PSUBSCRIBE` on the server; several local subscriptions
//! may share it. The server sends a message once per wire subscription that matches, so overlapping
//! patterns arrive several times: each local subscription accepts a message from exactly one of them.

use std::collections::BTreeSet;
use std::sync::Arc;

// Looked up for every message. What is inserted are this client's own patterns, so that no publisher can
// flood the table with collisions.
use rustc_hash::FxHashMap as HashMap;

use crate::channel::{Audience, BROADCAST, Channels};
use crate::pattern;

/// What the server is asked for: a channel by name, or by pattern. Names include the channel prefix.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    /// `SUBSCRIBE name`.
    Channel(Arc<[u8]>),
    /// `PSUBSCRIBE name`.
    Pattern(Arc<[u8]>),
}

impl Wire {
    /// The name as sent.
    pub fn name(&self) -> &[u8] {
        match self {
            Wire::Channel(name) | Wire::Pattern(name) => name,
        }
    }

    /// Whether the server sends messages of `channel` for it.
    pub fn matches(&self, channel: &[u8]) -> bool {
        match self {
            Wire::Channel(name) => **name == *channel,
            Wire::Pattern(name) => pattern::matches(name, channel),
        }
    }
}

/// A [`Wire`] that borrows its name, as it comes with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireRef<'a> {
    /// The message came for `SUBSCRIBE name`.
    Channel(&'a [u8]),
    /// The message came for `PSUBSCRIBE name`.
    Pattern(&'a [u8]),
}

impl<'a> From<&'a Wire> for WireRef<'a> {
    fn from(wire: &'a Wire) -> Self {
        match wire {
            Wire::Channel(name) => WireRef::Channel(name),
            Wire::Pattern(name) => WireRef::Pattern(name),
        }
    }
}

/// One pattern of a subscription, and the wire subscription that feeds it.
#[derive(Clone, Debug)]
struct Entry {
    pattern: Box<str>,
    wire: Wire,
    by_channel: bool,
}

/// What a wire subscription feeds.
#[derive(Debug)]
struct Feeds {
    /// (subscription, index of its pattern), by subscription. One that is gone stays with the index [`GONE`]
    /// until half of them are: so that 100,000 of one pattern can go one by one.
    patterns: Vec<(u32, u32)>,
    /// How many of `patterns` are gone.
    gone: u32,
}

/// The index of no pattern.
const GONE: u32 = u32::MAX;

impl Feeds {
    fn new() -> Self {
        Feeds { patterns: Vec::with_capacity(1), gone: 0 }
    }

    fn add(&mut self, subscription: u32, pattern: u32) {
        // At the end, as subscriptions are numbered in turn.
        let at = self.patterns.partition_point(|(s, _)| *s <= subscription);
        self.patterns.insert(at, (subscription, pattern));
    }

    fn remove(&mut self, subscription: u32) {
        let first = self.patterns.partition_point(|(s, _)| *s < subscription);
        let own = self.patterns.iter_mut().skip(first).take_while(|(s, _)| *s == subscription);
        for (_, pattern) in own.filter(|(_, pattern)| *pattern != GONE) {
            *pattern = GONE;
            self.gone += 1;
        }
        if self.gone as usize > self.patterns.len() / 2 {
            self.patterns.retain(|(_, pattern)| *pattern != GONE);
            self.gone = 0;
        }
    }

    /// Whether it feeds nobody: the last one that goes takes all that are gone along.
    fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.patterns.iter().copied().filter(|(_, pattern)| *pattern != GONE)
    }
}

/// A subscription that a message goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The subscription.
    pub subscription: u32,
    /// Which of its patterns matched.
    pub pattern: u32,
}

/// The table of subscriptions of one client.
#[derive(Debug)]
pub struct Router {
    channels: Channels,
    broadcast: Wire,
    by_channel: HashMap<Arc<[u8]>, Feeds>,
    by_pattern: HashMap<Arc<[u8]>, Feeds>,
    /// Subscriptions by type, which hear broadcasts. A set, as nearly every subscription is in it and each
    /// has to get out again.
    listeners: BTreeSet<u32>,
    subscriptions: HashMap<u32, Vec<Entry>>,
}

impl Router {
    /// An empty table for a bus with these channels.
    pub fn new(channels: Channels) -> Self {
        let broadcast = Wire::Channel(channels.named(BROADCAST).into_bytes().into());
        Router {
            channels,
            broadcast,
            by_channel: HashMap::default(),
            by_pattern: HashMap::default(),
            listeners: BTreeSet::new(),
            subscriptions: HashMap::default(),
        }
    }

    /// Adds a subscription. Returns the wire subscriptions that it needs, each once; some may be there already.
    pub fn add(&mut self, subscription: u32, patterns: &[String], by_channel: bool) -> Vec<Wire> {
        let entries: Vec<Entry> = patterns.iter().map(|p| self.entry(p, by_channel)).collect();
        for (index, entry) in (0u32..).zip(&entries) {
            self.feeds_mut(&entry.wire).add(subscription, index);
        }
        if entries.iter().any(|e| !e.by_channel) {
            self.listeners.insert(subscription);
            let broadcast = self.broadcast.clone();
            self.feeds_mut(&broadcast);
        }
        let wires = self.wires_of(&entries);
        self.subscriptions.insert(subscription, entries);
        wires
    }

    /// Removes a subscription. Returns the wire subscriptions that nobody needs any more.
    pub fn remove(&mut self, subscription: u32) -> Vec<Wire> {
        let Some(entries) = self.subscriptions.remove(&subscription) else { return Vec::new() };
        let mut unused = self.wires_of(&entries);
        self.listeners.remove(&subscription);
        unused.retain(|wire| {
            let heard = *wire == self.broadcast && !self.listeners.is_empty();
            let feeds = self.feeds_mut(wire);
            feeds.remove(subscription);
            let empty = feeds.is_empty() && !heard;
            if empty {
                self.table_mut(wire).remove(wire.name());
            }
            empty
        });
        unused
    }

    /// Removes all subscriptions, in time proportional to their number. Returns all wire subscriptions, each
    /// once.
    pub fn clear(&mut self) -> Vec<Wire> {
        self.subscriptions = HashMap::default();
        self.listeners = BTreeSet::new();
        let channels = std::mem::take(&mut self.by_channel).into_keys().map(Wire::Channel);
        let patterns = std::mem::take(&mut self.by_pattern).into_keys().map(Wire::Pattern);
        channels.chain(patterns).collect()
    }

    /// Whether there is a subscription of that number.
    pub fn contains(&self, subscription: u32) -> bool {
        self.subscriptions.contains_key(&subscription)
    }

    /// The patterns of all subscriptions that `wire` feeds, for reports.
    pub fn patterns(&self, wire: &Wire) -> impl Iterator<Item = &str> {
        self.feeds(wire.into()).into_iter().flat_map(Feeds::iter).filter_map(|(s, i)| {
            let entry = self.subscriptions.get(&s)?.get(usize::try_from(i).ok()?)?;
            Some(&*entry.pattern)
        })
    }

    /// Whether some pattern that `wire` feeds addresses channels, not event types.
    pub fn addresses_channels(&self, wire: &Wire) -> bool {
        self.feeds(wire.into()).into_iter().flat_map(Feeds::iter).any(|(s, i)| {
            let entries = self.subscriptions.get(&s);
            let entry = entries.zip(usize::try_from(i).ok()).and_then(|(entries, i)| entries.get(i));
            entry.is_some_and(|entry| entry.by_channel)
        })
    }

    /// Whether a subscription needs `wire` only to hear broadcasts, and works without it.
    pub fn is_optional(&self, subscription: u32, wire: &Wire) -> bool {
        *wire == self.broadcast
            && self.subscriptions.get(&subscription).is_some_and(|es| es.iter().all(|e| e.wire != *wire))
    }

    /// Whether every subscription that `wire` feeds works without it, as with [`Router::is_optional`].
    pub fn is_dispensable(&self, wire: &Wire) -> bool {
        *wire == self.broadcast && self.feeds(wire.into()).is_none_or(Feeds::is_empty)
    }

    /// Local subscriptions, and how many of their patterns are globs.
    pub fn counts(&self) -> (usize, usize) {
        let globs = self.subscriptions.values().flatten().filter(|e| matches!(e.wire, Wire::Pattern(_)));
        (self.subscriptions.len(), globs.count())
    }

    /// Appends to `routes` the subscriptions that a message of `channel` which came for `wire` goes to, as
    /// far as its channel tells. True when others may hear it, by its type: [`Router::route_listeners`].
    ///
    /// Called for each wire subscription that the message came for, the two name every matching
    /// subscription exactly once in all.
    pub fn route(&self, wire: WireRef<'_>, channel: &[u8], routes: &mut Vec<Route>) -> bool {
        let Some(feeds) = self.feeds(wire) else { return false };
        let audience = self.channels.audience(channel);
        for (subscription, pattern) in feeds.iter() {
            let Some(entries) = self.subscriptions.get(&subscription) else { continue };
            if Self::first_match(entries, channel, audience, pattern) {
                routes.push(Route { subscription, pattern });
            }
        }
        // Only the broadcast channel has listeners.
        audience == Some(Audience::Everyone) && WireRef::from(&self.broadcast) == wire
    }

    /// Appends the subscriptions by type that hear a broadcast.
    pub fn route_listeners(&self, channel: &[u8], event_type: &str, routes: &mut Vec<Route>) {
        for subscription in &self.listeners {
            let Some(entries) = self.subscriptions.get(subscription) else { continue };
            // A pattern that addresses the broadcast channel itself has taken the message already.
            if entries.iter().any(|e| e.by_channel && e.wire.matches(channel)) {
                continue;
            }
            let hears =
                |e: &Entry| !e.by_channel && pattern::matches(e.pattern.as_bytes(), event_type.as_bytes());
            if let Some((pattern, _)) = (0u32..).zip(entries).find(|(_, e)| hears(e)) {
                routes.push(Route { subscription: *subscription, pattern });
            }
        }
    }

    /// Whether the pattern at `index` is the one through which its subscription takes messages of `channel`:
    /// the first, in its own order, that the server feeds with them.
    fn first_match(entries: &[Entry], channel: &[u8], audience: Option<Audience<'_>>, index: u32) -> bool {
        let takes = |e: &Entry| e.by_channel || matches!(audience, Some(Audience::Type(_)));
        let Ok(index) = usize::try_from(index) else { return false };
        entries.get(index).is_some_and(takes)
            && !entries[..index].iter().any(|e| takes(e) && e.wire.matches(channel))
    }

    fn entry(&self, pattern_text: &str, by_channel: bool) -> Entry {
        let wire = if pattern::is_glob(pattern_text.as_bytes()) {
            let glob = format!("{}{}", pattern::escape(self.channels.prefix()), pattern_text);
            Wire::Pattern(glob.into_bytes().into())
        } else {
            Wire::Channel(self.channels.named(pattern_text).into_bytes().into())
        };
        let by_channel = by_channel || Channels::addresses_channels(pattern_text);
        Entry { pattern: pattern_text.into(), wire, by_channel }
    }

    fn feeds(&self, wire: WireRef<'_>) -> Option<&Feeds> {
        match wire {
            WireRef::Channel(name) => self.by_channel.get(name),
            WireRef::Pattern(name) => self.by_pattern.get(name),
        }
    }

    fn table_mut(&mut self, wire: &Wire) -> &mut HashMap<Arc<[u8]>, Feeds> {
        match wire {
            Wire::Channel(_) => &mut self.by_channel,
            Wire::Pattern(_) => &mut self.by_pattern,
        }
    }

    fn feeds_mut(&mut self, wire: &Wire) -> &mut Feeds {
        let (Wire::Channel(name) | Wire::Pattern(name)) = wire;
        self.table_mut(wire).entry(name.clone()).or_insert_with(Feeds::new)
    }

    fn wires_of(&self, entries: &[Entry]) -> Vec<Wire> {
        let mut wires: Vec<Wire> = Vec::with_capacity(entries.len() + 1);
        let listens = entries.iter().any(|e| !e.by_channel).then(|| self.broadcast.clone());
        for wire in entries.iter().map(|e| e.wire.clone()).chain(listens) {
            if !wires.contains(&wire) {
                wires.push(wire);
            }
        }
        wires
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn router() -> Router {
        Router::new(Channels::new("p:"))
    }

    fn channel(name: &str) -> Wire {
        Wire::Channel(name.as_bytes().into())
    }

    fn glob(name: &str) -> Wire {
        Wire::Pattern(name.as_bytes().into())
    }

    /// What a server would do: the message comes once for each wire subscription that matches.
    fn deliver(router: &Router, to: &str, event_type: &str) -> Vec<(u32, u32)> {
        let mut routes = Vec::new();
        let channels = router.by_channel.keys().map(|n| Wire::Channel(n.clone()));
        let patterns = router.by_pattern.keys().map(|n| Wire::Pattern(n.clone()));
        for wire in channels.chain(patterns).filter(|w| w.matches(to.as_bytes())) {
            if router.route((&wire).into(), to.as_bytes(), &mut routes) {
                router.route_listeners(to.as_bytes(), event_type, &mut routes);
            }
        }
        routes.sort_by_key(|r| (r.subscription, r.pattern));
        routes.into_iter().map(|r| (r.subscription, r.pattern)).collect()
    }

    fn add(router: &mut Router, id: u32, patterns: &[&str]) -> Vec<Wire> {
        router.add(id, &patterns.iter().map(|p| p.to_string()).collect::<Vec<_>>(), false)
    }

    #[test]
    fn exact_patterns_subscribe_and_globs_psubscribe_under_the_escaped_prefix() {
        let mut r = Router::new(Channels::new("a*:"));
        let wires = r.add(1, &["photo.uploaded".into(), "photo.*".into()], false);
        assert_eq!(wires, [channel("a*:photo.uploaded"), glob("a\\*:photo.*"), channel("a*:broadcast")]);
    }

    #[test]
    fn overlapping_patterns_of_one_subscription_call_it_once() {
        let mut r = router();
        add(&mut r, 1, &["photo.*", "*", "photo.uploaded"]);
        add(&mut r, 2, &["photo.uploaded"]);
        add(&mut r, 3, &["photo.uploaded"]);
        assert_eq!(deliver(&r, "p:photo.uploaded", "photo.uploaded"), [(1, 0), (2, 0), (3, 0)]);
        assert_eq!(deliver(&r, "p:order", "order"), [(1, 1)]);
    }

    #[test]
    fn type_patterns_never_see_rooms_and_see_broadcasts_of_their_types() {
        let mut r = router();
        add(&mut r, 1, &["*"]);
        add(&mut r, 2, &["room:*"]);
        add(&mut r, 3, &["photo.*"]);
        add(&mut r, 4, &["broadcast", "*"]);
        r.add(5, &["*".into()], true);
        assert_eq!(deliver(&r, "p:room:1", "photo.a"), [(2, 0), (5, 0)]);
        assert_eq!(deliver(&r, "p:broadcast", "photo.a"), [(1, 0), (3, 0), (4, 0), (5, 0)]);
        assert_eq!(deliver(&r, "p:broadcast", "order"), [(1, 0), (4, 0), (5, 0)]);
    }

    #[test]
    fn patterns_of_channels_are_told_from_those_of_types() {
        let mut r = router();
        add(&mut r, 1, &["*", "a", "room:1"]);
        for (wire, expected) in [(glob("p:*"), false), (channel("p:a"), false), (channel("p:room:1"), true)] {
            assert_eq!(r.addresses_channels(&wire), expected);
        }
        r.add(2, &["*".into()], true);
        assert!(r.addresses_channels(&glob("p:*")) && !r.addresses_channels(&channel("p:broadcast")));
    }

    #[test]
    fn the_last_subscription_takes_its_wires_along() {
        let mut r = router();
        add(&mut r, 1, &["a.*"]);
        add(&mut r, 2, &["a.*", "b"]);
        assert_eq!(r.remove(1), []);
        assert_eq!(r.remove(2), [glob("p:a.*"), channel("p:b"), channel("p:broadcast")]);
        assert_eq!(r.remove(2), []);
        assert_eq!(r.counts(), (0, 0));
        assert!(r.by_channel.is_empty() && r.by_pattern.is_empty());
    }

    #[test]
    fn clearing_gives_every_wire_once() {
        let mut r = router();
        add(&mut r, 1, &["a.*", "b"]);
        add(&mut r, 2, &["a.*"]);
        r.add(3, &["b".into(), "room:1".into()], true);
        let mut wires = r.clear();
        wires.sort_by(|a, b| a.name().cmp(b.name()));
        assert_eq!(wires, [glob("p:a.*"), channel("p:b"), channel("p:broadcast"), channel("p:room:1")]);
        assert_eq!((r.counts(), r.clear()), ((0, 0), vec![]));
        assert_eq!((deliver(&r, "p:b", "b"), deliver(&r, "p:broadcast", "b")), (vec![], vec![]));
        assert_eq!(add(&mut r, 1, &["b"]), [channel("p:b"), channel("p:broadcast")]);
        assert_eq!(deliver(&r, "p:b", "b"), [(1, 0)]);
    }

    #[test]
    fn many_of_one_pattern_go_one_by_one() {
        const MANY: u32 = 100_000;
        let mut r = router();
        (0..MANY).for_each(|id| drop(add(&mut r, id, &["a.*"])));
        // From the end: each would move or look at all others if they were not left in place.
        for id in (1..MANY).rev() {
            assert_eq!(r.remove(id), []);
        }
        assert_eq!(deliver(&r, "p:a.x", "a.x"), [(0, 0)]);
        assert_eq!(r.patterns(&glob("p:a.*")).collect::<Vec<_>>(), ["a.*"]);
        assert_eq!(r.remove(0), [glob("p:a.*"), channel("p:broadcast")]);
    }

    proptest! {
        /// Numbers come again here, which a client's do only after 2^32 subscriptions.
        #[test]
        fn what_comes_and_goes_leaves_what_is_there(steps in prop::collection::vec((0u32..8, any::<bool>()), 1..80)) {
            let mut r = router();
            let mut there = BTreeSet::new();
            for (id, more) in steps {
                if more && there.insert(id) {
                    add(&mut r, id, &["b", "a", "*"]);
                } else if there.remove(&id) {
                    prop_assert_eq!(r.remove(id).is_empty(), !there.is_empty());
                }
                prop_assert_eq!(deliver(&r, "p:a", "a"), there.iter().map(|id| (*id, 1)).collect::<Vec<_>>());
                prop_assert_eq!(r.patterns(&channel("p:a")).count(), there.len());
                prop_assert_eq!(r.is_dispensable(&channel("p:a")), false);
                prop_assert!(r.is_dispensable(&channel("p:broadcast")));
            }
        }

        #[test]
        fn each_matching_subscription_is_called_exactly_once(
            subs in prop::collection::vec(prop::collection::vec("[ab*?.]{1,4}", 1..4), 1..5),
            event_type in "[ab.]{1,4}",
            broadcast: bool,
        ) {
            let mut r = router();
            for (id, patterns) in (0u32..).zip(&subs) {
                r.add(id, patterns, false);
            }
            let to = if broadcast { "p:broadcast".to_owned() } else { format!("p:{event_type}") };
            let called: Vec<u32> = deliver(&r, &to, &event_type).into_iter().map(|(s, _)| s).collect();
            let expected: Vec<u32> = (0u32..)
                .zip(&subs)
                .filter(|(_, ps)| ps.iter().any(|p| pattern::matches(p.as_bytes(), event_type.as_bytes())))
                .map(|(id, _)| id)
                .collect();
            prop_assert_eq!(called, expected);
        }
    }
}
