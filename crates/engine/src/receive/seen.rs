//! Which messages have come lately.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use oxbus_model::codec::decoded::Decoded;
use oxbus_model::codec::event_json::id_of;
use oxbus_model::routing::router::ServerSubscriptionRef;
use oxbus_model::routing::stream_routing::StreamRouting;

/// How many messages each generation knows at the most.
pub(crate) const MAX_IDS: usize = 65_536;
/// How long messages are known at the least, in milliseconds: more than a missed interval reaches back behind the last
/// heartbeat before it.
const RETENTION: u64 = 1_500;

/// How long after it was stored an event may be published that is not published in the same step, in milliseconds.
const PUBLISHED_LATE: u64 = 30_000;

/// Records the messages whose types streams store.
pub(crate) struct SeenMessages {
    streams: StreamRouting,
    hasher: RandomState,
    seen: Mutex<Seen>,
}

impl SeenMessages {
    /// For the types that `streams` store.
    /// `published_late`: whether events are published some time after they are stored, and not in the same step.
    pub(crate) fn new(streams: StreamRouting, published_late: bool) -> SeenMessages {
        let keeps_recovered = if published_late { PUBLISHED_LATE } else { 0 };
        let seen = Mutex::new(Seen { keeps_recovered, ..Seen::default() });
        SeenMessages { streams, hasher: RandomState::new(), seen }
    }

    /// A message has come for `server_subscription`, on a channel of its type. False when it was delivered already.
    pub(crate) fn came(&self, server_subscription: ServerSubscriptionRef<'_>, message: &Decoded<'_>) -> bool {
        if self.streams.destination_of(&message.event_type).is_none() {
            return true;
        }
        let id = match &message.parts {
            Some(parts) => Some(parts.id.of(&message.json).into()),
            None => id_of(&message.json),
        };
        id.is_none_or(|id| self.lock().came(self.hash(server_subscription, &id)))
    }

    /// What stands for a message of this id that comes for this server subscription.
    pub(crate) fn hash(&self, server_subscription: ServerSubscriptionRef<'_>, id: &str) -> u64 {
        let (kind, name) = match server_subscription {
            ServerSubscriptionRef::Channel(name) => (0u8, name),
            ServerSubscriptionRef::Pattern(name) => (1, name),
        };
        // With a key of this client's own, so that nobody can make up an event that passes for another.
        self.hasher.hash_one((kind, name, id))
    }

    /// What has come.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hashes of messages: of those that came since shortly before the last heartbeat, and of those that were
/// read from a stream and may still come.
#[derive(Default)]
pub(crate) struct Seen {
    older: Generation,
    newer: Generation,
    /// Messages that were delivered from a stream, and are not to be delivered again.
    recovered: HashSet<u64>,
    /// When the last of them was delivered.
    recovered_until: u64,
    /// How long they are known after that, in milliseconds: how much later than it is stored an event may be published.
    keeps_recovered: u64,
    /// While it is not 0, nothing is forgotten.
    intervals: u32,
}

#[derive(Default)]
struct Generation {
    since: u64,
    ids: HashSet<u64>,
    /// Whether there were more.
    full: bool,
}

impl Seen {
    /// Records a message that came. False when it was delivered already.
    pub(crate) fn came(&mut self, id: u64) -> bool {
        if self.recovered.contains(&id) {
            return false;
        }
        self.record(id);
        true
    }

    fn record(&mut self, id: u64) {
        if self.newer.ids.len() < MAX_IDS {
            self.newer.ids.insert(id);
        } else {
            self.newer.full = true;
        }
    }

    /// Whether a message has come, or was delivered from a stream.
    pub(crate) fn has(&self, id: u64) -> bool {
        self.older.ids.contains(&id) || self.newer.ids.contains(&id) || self.recovered.contains(&id)
    }

    /// Whether a message that a stream holds is to be delivered: it has not come. It is `late` when it may
    /// still come, or be found once more by the next missed interval, and then is not delivered a second time.
    pub(crate) fn recover(&mut self, id: u64, late: bool) -> bool {
        if self.older.ids.contains(&id) || self.newer.ids.contains(&id) {
            return false;
        }
        if late {
            if self.recovered.len() >= MAX_IDS {
                self.newer.full = true;
                return false;
            }
            self.recovered.insert(id);
            self.record(id);
        }
        true
    }

    /// Whether there were more messages than are known.
    pub(crate) fn is_full(&self) -> bool {
        self.older.full || self.newer.full
    }

    /// A heartbeat that was sent at `sent` has been answered: what was published before it has come.
    pub(crate) fn heartbeat(&mut self, sent: u64, now: u64) {
        if self.intervals > 0 {
            return;
        }
        if sent >= self.recovered_until.saturating_add(self.keeps_recovered) {
            self.recovered = HashSet::new();
        }
        if self.newer.since.saturating_add(RETENTION) <= sent {
            let newer = Generation { since: now, ..Generation::default() };
            self.older = std::mem::replace(&mut self.newer, newer);
        }
    }

    /// There is a missed interval: nothing is forgotten before it is filled.
    pub(crate) fn open(&mut self) {
        self.intervals += 1;
    }

    /// A missed interval is filled.
    pub(crate) fn close(&mut self, now: u64) {
        self.intervals = self.intervals.saturating_sub(1);
        self.recovered_until = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_not_recovered_and_what_was_recovered_does_not_come() {
        let mut seen = Seen::default();
        assert!(seen.came(1) && seen.came(1));
        assert!(!seen.recover(1, true) && seen.recover(2, true) && seen.recover(3, false));
        assert!(!seen.recover(2, true), "another missed interval found it");
        assert!(!seen.came(2), "it was late");
        assert!(seen.came(3), "as it was too early to come, this is another one");
    }

    #[test]
    fn messages_are_forgotten_long_after_their_heartbeat() {
        let mut seen = Seen::default();
        seen.heartbeat(2_000, 2_010);
        seen.came(1);
        for sent in [3_000, 3_509] {
            seen.heartbeat(sent, sent);
            seen.came(2);
        }
        seen.heartbeat(3_510, 3_510);
        seen.came(3);
        assert!(
            !seen.recover(1, false),
            "it may have been published behind the last heartbeat but one second"
        );
        seen.heartbeat(5_010, 5_010);
        assert!(seen.recover(1, false) && seen.recover(2, false) && !seen.recover(3, false));
    }

    #[test]
    fn nothing_is_forgotten_before_a_hole_is_filled() {
        let mut seen = Seen::default();
        seen.came(1);
        seen.open();
        for sent in (10_000..100_000).step_by(5_000) {
            seen.heartbeat(sent, sent);
        }
        assert!(!seen.recover(1, false) && seen.recover(2, true));
        seen.close(200_000);
        seen.heartbeat(199_999, 200_001);
        assert!(!seen.came(2), "it may still come");
        seen.heartbeat(200_000, 200_001);
        assert!(seen.came(2));
    }

    #[test]
    fn what_may_be_published_late_is_known_for_longer() {
        let mut seen = Seen { keeps_recovered: PUBLISHED_LATE, ..Seen::default() };
        seen.open();
        assert!(seen.recover(1, true));
        seen.close(1_000);
        seen.heartbeat(PUBLISHED_LATE, PUBLISHED_LATE);
        assert!(!seen.came(1));
        seen.heartbeat(1_000 + PUBLISHED_LATE, 1_000 + PUBLISHED_LATE);
        assert!(seen.came(1));
    }

    #[test]
    fn what_is_known_is_bounded() {
        let mut seen = Seen::default();
        let all = MAX_IDS as u64;
        assert!((0..all).all(|id| seen.came(id)));
        assert!(!seen.is_full());
        assert!(seen.came(all) && seen.is_full());
        seen.heartbeat(10_000, 10_000);
        assert!(seen.is_full(), "the older ones");
        seen.heartbeat(20_000, 20_000);
        assert!(!seen.is_full());
        assert!((0..all).all(|id| seen.recover(id, true)));
        assert!(!seen.recover(all, true) && seen.is_full());
    }
}
