//! Events as entries of streams. Every question of the fields of an entry is answered here.
//!
//! An entry has the fields `eventId`, `eventType`, `timestamp`, `source`, `correlationId`, `causationId`
//! (where there is one), `data` (JSON) and `meta` (a JSON object: all other metadata). With a field
//! `group` it is for that group only. A dead letter has fields `dlq-…` besides.
//!
//! Writing makes no JSON of the event; reading makes the same JSON that [`envelope::write`](crate::codec::message::write) makes.

mod read;
#[cfg(test)]
mod tests;
mod write;

use std::sync::Arc;

use crate::consumer::{Content, ReceivedEntry};
use crate::delivery::{InboundEvent, LiveEvent};
use crate::stream_store::{EntryId, StoredEntry};

pub use crate::codec::dead_letter::DeadLetter;
pub use read::read;
pub use write::write;

/// The name of the field that names the only group of an entry.
pub const ONLY_GROUP: &str = "group";

/// An event that was read from an entry.
#[derive(Debug)]
pub struct StoredEvent {
    /// The event.
    pub event: LiveEvent,
    /// Its type.
    pub event_type: Box<str>,
    /// The only group that it is for.
    pub only_group: Option<Box<str>>,
}

impl From<Result<StoredEvent, String>> for Content {
    fn from(read: Result<StoredEvent, String>) -> Self {
        match read {
            Ok(StoredEvent { event, event_type, only_group }) => {
                Content::Event { candidate: InboundEvent::new(event), event_type, only_group }
            }
            Err(reason) => Content::Undecodable(reason),
        }
    }
}

/// What a group of the client start `own_instance` makes of a new entry.
pub fn new_arrival<'a>(
    stream: &Arc<str>,
    id: EntryId,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    own_instance: &str,
) -> ReceivedEntry {
    let content = read(fields, id, own_instance).into();
    ReceivedEntry {
        stream: stream.clone(),
        id,
        deliveries: 1,
        started: false,
        unhandled_since: None,
        content,
    }
}

/// What a group of the client start `own_instance` makes of an entry.
pub fn arrival(stream: &Arc<str>, entry: StoredEntry, own_instance: &str) -> ReceivedEntry {
    let StoredEntry { id, deliveries, begun, unhandled_since, fields } = entry;
    let fields = fields.iter().map(|(name, value)| (&**name, &**value));
    let content = read(fields, id, own_instance).into();
    ReceivedEntry { stream: stream.clone(), id, deliveries, started: begun, unhandled_since, content }
}
