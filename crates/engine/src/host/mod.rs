//! What the engine needs from the program that it lives in, and what it hands over.

pub(crate) mod completions;
pub(crate) mod event_loop;
pub(crate) mod log_subscriber;
mod notice;

use std::sync::Arc;

use oxbus_model::codec::outline::shapes::Changes;
use oxbus_model::delivery::{Delivery, LiveEvent};
use oxbus_model::stream_store::EntryId;
use oxbus_model::{BusError, Outcome};
use serde_json::Value;

pub use notice::Notice;

/// The program that the engine lives in.
pub trait Host: Send + Sync + 'static {
    /// Something is ready: the host should call [`Client::drain`](super::Client::drain) soon, on a thread
    /// of its own choice. Not called again until it has.
    fn wake(&self);
}

/// Publishes that succeeded: consecutive ones of a batch.
#[derive(Clone, Debug)]
pub struct Published {
    /// The batch, as the host numbered it.
    pub batch: u32,
    /// The index of the first.
    pub first: u32,
    /// The timestamp of those that had none of their own.
    pub timestamp: Arc<str>,
    /// For each: its id if it was generated, and how many received it, as the server counts.
    pub items: Vec<(Option<EventId>, i64)>,
    /// Where they were stored, if they were.
    pub stored: Option<StoredEntries>,
    /// Whether nobody waits for any of these results: the host is not woken for them.
    pub is_quiet: bool,
}

/// The entries of publishes that were stored.
#[derive(Clone, Debug)]
pub struct StoredEntries {
    /// The stream.
    pub stream: Arc<str>,
    /// For each item of the run: its entry, and whether it is that of an earlier publish of the same event.
    pub entries: Vec<(EntryId, bool)>,
}

/// A generated event id in its text form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EventId(pub(crate) [u8; 36]);

impl EventId {
    /// The text.
    pub fn as_str(&self) -> &str {
        // Hyphenated UUIDs are ASCII, so this never falls back.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::fmt::Debug for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Events that this client's own subscriptions have taken without the server, in hybrid mode.
#[derive(Clone, Debug)]
pub struct DeliveredLocally {
    /// The batch.
    pub batch: u32,
    /// For each: its index, and by how many subscriptions.
    pub items: Vec<(u32, u32)>,
}

/// A publish in hybrid mode that succeeded without the server's confirmation.
#[derive(Clone, Debug)]
pub struct SettledLocally {
    /// The batch.
    pub batch: u32,
    /// The index in it.
    pub index: u32,
    /// The timestamp, where it has none of its own.
    pub timestamp: Arc<str>,
    /// Its id, if it was generated.
    pub id: Option<EventId>,
    /// What is known of the server's side; `None` where the event was not meant for it.
    pub remote: Option<Outcome>,
}

/// A publish that failed.
#[derive(Clone, Debug)]
pub struct Failed {
    /// The batch.
    pub batch: u32,
    /// The index in it.
    pub index: u32,
    /// Why, with its outcome.
    pub error: BusError,
    /// The entry of one that was stored nevertheless.
    pub message_id: Option<EntryId>,
}

/// What a request is answered with.
#[derive(Debug)]
pub struct Answer {
    /// Where an event belongs stands its JSON text, or, if events come beside, its index among them.
    pub value: Value,
    /// The events that the value refers to, in their order; `None` where it refers to none.
    pub events: Option<Vec<Arc<LiveEvent>>>,
}

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Answer { value, events: None }
    }
}

/// The answer to a request, by its ticket.
pub type Reply = (u32, Result<Answer, BusError>);

/// Everything that was ready at one moment.
#[derive(Debug, Default)]
pub struct Drained {
    /// Publishes that succeeded.
    pub published: Vec<Published>,
    /// Publishes that succeeded without the server.
    pub settled_locally: Vec<SettledLocally>,
    /// What this client's own subscriptions have taken of publishes, those in the other lists included.
    pub delivered_locally: Vec<DeliveredLocally>,
    /// Publishes that failed.
    pub failed: Vec<Failed>,
    /// Events for handlers.
    pub deliveries: Vec<Delivery>,
    /// What the host is to know of shapes and strings before it reads the data of events in `replies` and `deliveries`.
    pub shape_changes: Changes,
    /// The generation of the shapes that it knows then.
    pub shape_generation: u32,
    /// Answers to requests.
    pub replies: Vec<Reply>,
    /// Events of the client.
    pub notices: Vec<Notice>,
}

impl Drained {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.published.is_empty()
            && self.settled_locally.is_empty()
            && self.delivered_locally.is_empty()
            && self.failed.is_empty()
            && self.deliveries.is_empty()
            && self.shape_changes.is_empty()
            && self.replies.is_empty()
            && self.notices.is_empty()
    }
}
