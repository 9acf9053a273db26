//! A broker in memory: it does for its clients what Redis does with channels and patterns.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxbus_model::pattern;
use oxbus_model::routing::{Wire, WireRef};

use crate::arrivals::Arrivals;
use crate::shared::Shared;

/// A broker shared by clients in memory mode; it lives as long as the last of them.
#[derive(Default)]
pub struct Broker {
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    next: u64,
    by_number: HashMap<u64, Member>,
}

struct Member {
    shared: Arc<Shared>,
    channels: HashSet<Arc<[u8]>>,
    patterns: HashSet<Arc<[u8]>>,
}

impl Broker {
    /// Adds a client. Returns its number.
    pub(super) fn join(&self, shared: Arc<Shared>) -> u64 {
        let mut members = self.lock();
        members.next += 1;
        let number = members.next;
        members
            .by_number
            .insert(number, Member { shared, channels: HashSet::new(), patterns: HashSet::new() });
        number
    }

    /// Removes a client.
    pub(super) fn leave(&self, number: u64) {
        self.lock().by_number.remove(&number);
    }

    /// Subscribes a client. False when it is not a member.
    pub(super) fn subscribe(&self, number: u64, wire: &Wire) -> bool {
        let mut members = self.lock();
        let Some(member) = members.by_number.get_mut(&number) else { return false };
        match wire {
            Wire::Channel(name) => member.channels.insert(name.clone()),
            Wire::Pattern(name) => member.patterns.insert(name.clone()),
        };
        true
    }

    /// Unsubscribes a client.
    pub(super) fn unsubscribe(&self, number: u64, wire: &Wire) {
        let mut members = self.lock();
        let Some(member) = members.by_number.get_mut(&number) else { return };
        match wire {
            Wire::Channel(name) => member.channels.remove(name),
            Wire::Pattern(name) => member.patterns.remove(name),
        };
    }

    /// Delivers a message to every client, once for each of its wire subscriptions that match, and
    /// returns how often, as `PUBLISH` does.
    pub(super) fn publish(&self, channel: &[u8], payload: &[u8]) -> i64 {
        let mut receivers = 0;
        // The lock is held throughout, so that all clients see the messages in the same order.
        for member in self.lock().by_number.values() {
            let exact = member.channels.contains(channel).then_some(WireRef::Channel(channel));
            let patterns = member.patterns.iter().filter(|p| pattern::matches(p, channel));
            let mut matching = exact.into_iter().chain(patterns.map(|p| WireRef::Pattern(p))).peekable();
            if matching.peek().is_none() {
                continue;
            }
            member.shared.receive(&mut Arrivals::default(), |message| {
                for wire in matching {
                    message(wire, channel, payload);
                    receivers += 1;
                }
            });
        }
        receivers
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
