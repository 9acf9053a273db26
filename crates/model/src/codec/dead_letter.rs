//! Dead letters: entries that were given up, with why.

use serde_json::Value;

use crate::codec::decoded::Decoded;
use crate::stream_store::{EntryId, Fields};

/// A dead letter as it was read from its stream.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// The id of the dead letter.
    pub id: EntryId,
    /// The stream of the original entry. It is empty where the dead letter does not tell it, as are the other texts.
    pub stream: String,
    /// The group that has given the entry up.
    pub group: String,
    /// The consumer that has given the entry up.
    pub consumer: String,
    /// The id of the original entry.
    pub message_id: String,
    /// How often the entry was tried.
    pub attempts: u32,
    /// Why the entry was given up.
    pub reason: String,
    /// The error: an object with `name`, `message`, and whatever else is known of it.
    pub error: Value,
    /// When the entry was given up, in Unix milliseconds of the store's clock.
    pub time_ms: u64,
    /// The event; `None` where the entry cannot be decoded.
    pub event: Option<Decoded<'static>>,
    /// The fields of the original entry.
    pub fields: Fields,
}
