//! Which server subscriptions a message on a lane is for.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, PoisonError, RwLock};

use oxbus_model::routing::router::{ServerSubscription, ServerSubscriptionRef};

/// How many channels each link remembers.
const REMEMBERED: usize = 1_024;

/// What is wanted of the lanes, as the hub has it and all links read it.
#[derive(Default)]
pub(super) struct LaneRoutes {
    wanted: RwLock<Wanted>,
    /// How often it has changed.
    version: AtomicU64,
}

#[derive(Default)]
struct Wanted {
    channels: HashSet<ServerSubscription>,
    patterns: HashSet<ServerSubscription>,
}

impl LaneRoutes {
    /// From now on messages are for this server subscription too.
    pub(super) fn add(&self, name: &ServerSubscription) {
        self.change(name, |of_kind| of_kind.insert(name.clone()));
    }

    /// From now on no message is for it.
    pub(super) fn remove(&self, name: &ServerSubscription) {
        self.change(name, |of_kind| of_kind.remove(name));
    }

    fn change(
        &self,
        name: &ServerSubscription,
        change: impl FnOnce(&mut HashSet<ServerSubscription>) -> bool,
    ) {
        let mut wanted = self.wanted.write().unwrap_or_else(PoisonError::into_inner);
        let of_kind = match name {
            ServerSubscription::Channel(_) => &mut wanted.channels,
            ServerSubscription::Pattern(_) => &mut wanted.patterns,
        };
        if change(of_kind) {
            self.version.fetch_add(1, Release);
        }
    }

    fn matching(&self, channel: &[u8]) -> Box<[ServerSubscription]> {
        let wanted = self.wanted.read().unwrap_or_else(PoisonError::into_inner);
        let exact = wanted.channels.get(&ServerSubscription::Channel(channel.into()));
        let patterns = wanted.patterns.iter().filter(|pattern| pattern.matches(channel));
        exact.into_iter().chain(patterns).cloned().collect()
    }
}

/// What a link knows of them.
pub(super) struct KnownRoutes {
    shared: Arc<LaneRoutes>,
    version: u64,
    /// The server subscriptions of channels that have come.
    of_channels: HashMap<Box<[u8]>, Box<[ServerSubscription]>>,
}

impl KnownRoutes {
    pub(super) fn new(shared: Arc<LaneRoutes>) -> KnownRoutes {
        KnownRoutes { version: 0, shared, of_channels: HashMap::new() }
    }

    /// Follows what has changed, before messages are read.
    pub(super) fn follow(&mut self) {
        let version = self.shared.version.load(Acquire);
        if version != self.version {
            self.version = version;
            self.of_channels.clear();
        }
    }

    /// Calls `each` with every server subscription that a channel matches, as a server would send the message for it.
    pub(super) fn each(&mut self, channel: &[u8], mut each: impl FnMut(ServerSubscriptionRef<'_>)) {
        if !self.of_channels.contains_key(channel) {
            if self.of_channels.len() >= REMEMBERED {
                self.of_channels.clear();
            }
            self.of_channels.insert(channel.into(), self.shared.matching(channel));
        }
        self.of_channels.get(channel).into_iter().flatten().for_each(|name| each(name.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(routes: &mut KnownRoutes, channel: &str) -> Vec<String> {
        let mut names = Vec::new();
        routes.follow();
        routes.each(channel.as_bytes(), |name| {
            names.push(match name {
                ServerSubscriptionRef::Channel(name) => format!("={}", String::from_utf8_lossy(name)),
                ServerSubscriptionRef::Pattern(name) => String::from_utf8_lossy(name).into_owned(),
            });
        });
        names
    }

    #[test]
    fn a_message_is_for_its_channel_and_for_each_pattern_that_matches() {
        let shared = Arc::new(LaneRoutes::default());
        let mut routes = KnownRoutes::new(shared.clone());
        assert!(of(&mut routes, "a.b").is_empty());
        let wanted = [
            ServerSubscription::Channel(b"a.b"[..].into()),
            ServerSubscription::Pattern(b"a.*"[..].into()),
            ServerSubscription::Pattern(b"b.*"[..].into()),
        ];
        wanted.iter().for_each(|name| shared.add(name));
        assert_eq!(of(&mut routes, "a.b"), ["=a.b", "a.*"]);
        assert_eq!(of(&mut routes, "a.c"), ["a.*"]);
        wanted[..2].iter().for_each(|name| shared.remove(name));
        assert!(of(&mut routes, "a.b").is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let shared = Arc::new(LaneRoutes::default());
        shared.add(&ServerSubscription::Pattern(b"*"[..].into()));
        let mut routes = KnownRoutes::new(shared);
        for n in 0..3 * REMEMBERED {
            assert_eq!(of(&mut routes, &n.to_string()), ["*"]);
            assert!(routes.of_channels.len() <= REMEMBERED);
        }
    }
}
