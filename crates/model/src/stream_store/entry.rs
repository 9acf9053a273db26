//! Entries of streams.

use std::sync::Arc;

use super::EntryId;

/// The fields of an entry, name and value, in order.
pub type Fields = Vec<(Box<[u8]>, Box<[u8]>)>;

/// An entry as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEntry {
    /// The id.
    pub id: EntryId,
    /// The delivery count; 0 where the entry was not asked for as a pending one.
    pub deliveries: u32,
    /// Whether [`Request::MarkStarted`](super::Request::MarkStarted) was recorded for the entry, and no end.
    pub started: bool,
    /// When the entry was first handed back for lack of a handler, in Unix milliseconds of the store's clock.
    pub unhandled_since: Option<u64>,
    /// In how many milliseconds the entry is due, where a delay was asked for. 0 where it was put off and is due now:
    /// all attempts that its delivery count tells of have ended, but for the one that begins now.
    pub due_in: Option<u64>,
    /// The fields.
    pub fields: Fields,
}

/// Where the attempts at an entry stand when one has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryState {
    /// The delivery count.
    pub deliveries: u32,
    /// In how many milliseconds the entry is due; `None` if that is at once.
    pub due_in: Option<u64>,
}

impl From<u32> for RetryState {
    /// An entry of that delivery count that is due at once.
    fn from(deliveries: u32) -> Self {
        RetryState { deliveries, due_in: None }
    }
}

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingEntry {
    /// The id.
    pub id: EntryId,
    /// The consumer that owns the entry.
    pub consumer: Arc<str>,
    /// Milliseconds since the entry was delivered, claimed or renewed.
    pub idle: u64,
    /// The delivery count.
    pub deliveries: u32,
    /// Whether the consumer is of another program, where that is told: see [`MinIdle`](super::MinIdle).
    pub foreign: bool,
}

/// An entry on its way to the dead letters.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetterEntry {
    /// The id.
    pub id: EntryId,
    /// How often the entry was tried.
    pub attempts: u32,
    /// Why it is given up: `failed`, `not-retryable`, `undecodable`, `unhandled` or `crashed`.
    pub reason: &'static str,
    /// The error as a JSON object with `name`, `message`, `stack` and `code`.
    pub error: Arc<str>,
}
