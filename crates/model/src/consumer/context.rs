//! What all groups of a client share.

use std::sync::Arc;

use crate::codec::Codec;
use crate::config::DeadLetterConfig;
use crate::consumer::announcement::Announcement;
use crate::consumer::standstill::Standstill;
use crate::consumer::store_clock::{Jump, StoreClock};
use crate::delivery::deferred_drop::DeferredDrop;
use crate::delivery::settlement::DeliveryCounts;
use crate::observe::metrics::{Consumers, MetricKey, Types};
use crate::routing::channel::Channels;
use crate::stream_store::keys;

/// How the client is set up, and what its groups have to say.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) dead_letter: DeadLetterConfig,
    pub(super) channels: Channels,
    /// The client start.
    pub(super) instance: Arc<str>,
    /// The key by which this client start shows that it lives, and whether the others are known to see it.
    pub(super) alive_key: Arc<str>,
    pub(super) is_shown: bool,
    pub(super) standstill: Standstill,
    pub(super) store_clock: StoreClock,
    /// Whether this client is told of entries that others hand back.
    pub(super) hears_hand_backs: bool,
    pub(super) codec: Codec,
    /// The channel that stored events have, for tests: no format tells one yet.
    #[cfg(test)]
    pub(super) channel: Option<&'static str>,
    /// Whether two reads of a group may be on their way at once.
    pub(super) reads_ahead: bool,
    /// The numbers of streams and groups, and those of event types, for what is counted by them.
    pub(super) consumers: Consumers,
    pub(super) types: Arc<Types>,
    pub(super) announcements: Vec<Announcement>,
    /// What is counted besides the settlements.
    pub(super) counts: DeliveryCounts,
    /// What the handler calls were for that have ended; of a call that nobody asks for, until the next one ends.
    pub(super) ended: Vec<MetricKey>,
    /// Events that were handled with success, each once, by the number of the stream and group.
    pub(super) consumed: Vec<u64>,
    /// Events that nobody needs any more.
    pub(super) done: DeferredDrop,
}

impl Context {
    pub(super) fn new(
        dead_letter: DeadLetterConfig,
        prefix: String,
        instance: Arc<str>,
        codec: Codec,
    ) -> Self {
        Context {
            dead_letter,
            alive_key: keys::alive(&prefix, &instance).into(),
            is_shown: false,
            standstill: Standstill::default(),
            store_clock: StoreClock::default(),
            hears_hand_backs: false,
            channels: Channels::with_naming(prefix, codec.traits().naming),
            instance,
            codec,
            #[cfg(test)]
            channel: None,
            reads_ahead: false,
            consumers: Consumers::default(),
            types: Arc::default(),
            announcements: Vec::new(),
            counts: DeliveryCounts::default(),
            ended: Vec::new(),
            consumed: Vec::new(),
            done: DeferredDrop::default(),
        }
    }

    /// An event was handled with success, by all subscriptions of a group that it is for.
    #[inline]
    pub(super) fn consumed(&mut self, consumer: u16) {
        let at = usize::from(consumer);
        if self.consumed.len() <= at {
            self.consumed.resize(at + 1, 0);
        }
        self.consumed[at] += 1;
    }

    /// The store's clock showed `time` between two times of ours. Returns whether it has jumped, which is announced.
    pub(super) fn read_store_clock(&mut self, time: u64, sent: u64, now: u64) -> bool {
        let (by, way) = match self.store_clock.read(time, sent, now) {
            Some(Jump::Ahead(by)) => (by, "ahead"),
            Some(Jump::Back(by)) => (by, "back"),
            None => return false,
        };
        let message = format!(
            "the clock of the server went {way} by {by} ms, or this machine slept: idle times and memberships of rooms go by it"
        );
        self.announce(Announcement::ClockJumped { message });
        true
    }

    pub(super) fn announce(&mut self, announcement: Announcement) {
        self.announcements.push(announcement);
    }
}
