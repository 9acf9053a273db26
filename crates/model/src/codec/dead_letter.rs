//! Dead letters: entries that were given up, with why.

use serde_json::Value;

use crate::stream_store::{EntryId, Fields};

/// A dead letter as it was read from its stream.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// Its own id.
    pub id: EntryId,
    /// The stream of the original entry; empty where it is not told, as the other texts.
    pub stream: String,
    /// The group that has given it up.
    pub group: String,
    /// The consumer that has given it up.
    pub consumer: String,
    /// The id of the original entry.
    pub message_id: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Why.
    pub reason: String,
    /// The error: an object with `name` and `message`, and what else is known.
    pub error: Value,
    /// When it was given up, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The event as JSON; `None` where it cannot be decoded.
    pub event_json: Option<String>,
    /// The fields of the original entry.
    pub fields: Fields,
}
