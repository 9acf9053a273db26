//! Entries as they come from the store.

use std::sync::Arc;

use crate::delivery::event::InboundEvent;
use crate::stream_store::EntryId;

/// An entry that was read, claimed or found pending.
#[derive(Debug)]
pub struct ReceivedEntry {
    /// Its stream.
    pub stream: Arc<str>,
    /// Its id.
    pub id: EntryId,
    /// Its delivery count, this delivery included.
    pub deliveries: u32,
    /// Whether a consumer started it as suspected poison and no end of it is known.
    pub started: bool,
    /// The store's time of the first hand-back for lack of a handler.
    pub unhandled_since: Option<u64>,
    /// What it holds.
    pub content: Content,
}

/// What an entry holds.
#[derive(Debug)]
pub enum Content {
    /// An event.
    Event {
        /// The event.
        candidate: InboundEvent,
        /// Its type.
        event_type: Box<str>,
        /// The only group that it is for.
        only_group: Option<Box<str>>,
    },
    /// Not an event: why.
    Undecodable(String),
}
