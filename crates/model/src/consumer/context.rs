//! What all groups of a client share.

use std::sync::Arc;

use crate::config::DeadLetterConfig;
use crate::consumer::announcement::Announcement;
use crate::consumer::received::ReceivedEntry;
use crate::delivery::deferred_drop::DeferredDrop;
use crate::delivery::settlement::DeliveryCounts;
use crate::observe::metrics::{Consumers, MetricKey, Types};
use crate::routing::channel::Channels;
use crate::stream_store::StoredEntry;

/// Makes an event of a stored entry of a stream; it is given the client start too.
pub(super) type Decode = fn(&Arc<str>, StoredEntry, &str) -> ReceivedEntry;

/// How the client is set up, and what its groups have to say.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) dead_letter: DeadLetterConfig,
    pub(super) channels: Channels,
    /// The client start.
    pub(super) instance: Arc<str>,
    pub(super) decode: Decode,
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
    /// Events that nobody needs any more.
    pub(super) done: DeferredDrop,
}

impl Context {
    pub(super) fn new(
        dead_letter: DeadLetterConfig,
        prefix: String,
        instance: Arc<str>,
        decode: Decode,
    ) -> Self {
        Context {
            dead_letter,
            channels: Channels::new(prefix),
            instance,
            decode,
            reads_ahead: false,
            consumers: Consumers::default(),
            types: Arc::default(),
            announcements: Vec::new(),
            counts: DeliveryCounts::default(),
            ended: Vec::new(),
            done: DeferredDrop::default(),
        }
    }

    pub(super) fn announce(&mut self, announcement: Announcement) {
        self.announcements.push(announcement);
    }
}
