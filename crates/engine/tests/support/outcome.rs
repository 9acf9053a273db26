//! What is published, and what came of it.

use oxbus_model::{BusError, Outcome, submission};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::patience::PATIENCE;

/// One event to publish, as three texts without newlines.
#[derive(Clone, Debug)]
pub struct Record {
    /// The event type.
    pub event_type: String,
    /// Options as a JSON object, or empty.
    pub options: String,
    /// Data as JSON text.
    pub data: String,
}

impl Record {
    /// A record without options.
    pub fn new(event_type: impl Into<String>, data: impl Into<Value>) -> Self {
        Record { event_type: event_type.into(), options: String::new(), data: data.into().to_string() }
    }

    /// The same record with options.
    pub fn with(mut self, options: impl Into<Value>) -> Self {
        self.options = options.into().to_string();
        self
    }

    /// The same record with an id.
    pub fn with_id(self, id: &str) -> Self {
        self.with(json!({ "id": id }))
    }

    fn given_id(&self) -> Option<String> {
        let options: Value = serde_json::from_str(&self.options).ok()?;
        Some(options.get("id")?.as_str()?.to_owned())
    }
}

/// An event for a room.
pub fn to_room(room: &str, event_type: &str, data: impl Into<Value>) -> Record {
    Record::new(event_type, data.into()).with(json!({ "audience": { "room": room } }))
}

/// An event for a user.
pub fn to_user(user: &str, event_type: &str, data: impl Into<Value>) -> Record {
    Record::new(event_type, data.into()).with(json!({ "audience": { "user": user } }))
}

/// A publish that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The id, given or generated.
    pub id: String,
    /// How many received it, as the transport counts.
    pub receivers: i64,
    /// The timestamp of its batch.
    pub timestamp: String,
    /// Where it is stored, if it is.
    pub stored: Option<Stored>,
    /// How many subscriptions of the client itself have taken it, in hybrid mode.
    pub local: u32,
    /// What became of it on the server; in hybrid mode a publish may succeed without the server.
    pub remote: Remote,
}

/// What became of a publish on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remote {
    /// The server has confirmed it.
    Resolved,
    /// The server has not confirmed it, and this is the outcome there.
    Failed(Outcome),
    /// It was not meant for the server.
    Skipped,
}

/// Where a published event is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The stream.
    pub stream: String,
    /// The id of its entry; a duplicate has the id of the first entry.
    pub message_id: String,
    /// Whether it had been stored before.
    pub duplicate: bool,
}

impl Receipt {
    /// The id of its entry.
    ///
    /// # Panics
    /// When it is not stored.
    pub fn message_id(&self) -> &str {
        &self.stored.as_ref().unwrap_or_else(|| panic!("not stored: {self:?}")).message_id
    }
}

/// The outcome of one publish.
pub type Published = Result<Receipt, BusError>;

/// Publishes under way.
pub struct Batch {
    /// Its number, for [`Bus::cancel`](super::Bus::cancel).
    pub number: u32,
    pub(super) results: Vec<oneshot::Receiver<Published>>,
}

impl Batch {
    /// The outcomes in order. Panics when one is not settled within [`PATIENCE`].
    pub async fn results(self) -> Vec<Published> {
        let mut results = Vec::with_capacity(self.results.len());
        for (index, receiver) in self.results.into_iter().enumerate() {
            let settled = timeout(PATIENCE, receiver)
                .await
                .unwrap_or_else(|_| panic!("publish {index} was not settled in {PATIENCE:?}"));
            results.push(settled.expect("the host ended before a publish was settled"));
        }
        results
    }
}

/// What the host is told of a publish that has succeeded.
#[derive(Debug)]
pub(super) struct Success<'a> {
    /// The id, if it was generated.
    pub(super) generated: Option<&'a str>,
    pub(super) receivers: i64,
    pub(super) timestamp: &'a str,
    pub(super) stored: Option<Stored>,
    pub(super) remote: Remote,
}

/// What the host is told of a publish.
pub(super) type Settled<'a> = Result<Success<'a>, BusError>;

/// The publishes of a batch that are not settled.
pub(super) struct Open {
    pub(super) slots: Vec<Option<Slot>>,
    pub(super) left: usize,
}

pub(super) struct Slot {
    given_id: Option<String>,
    local: u32,
    sender: oneshot::Sender<Published>,
}

impl Open {
    /// Opens the results of `records`, and gives their text in the form of a submission.
    pub(super) fn new(records: &[Record]) -> (Open, Vec<oneshot::Receiver<Published>>, String) {
        let mut text = String::new();
        let (slots, receivers): (Vec<_>, Vec<_>) = records
            .iter()
            .map(|record| {
                submission::append(&mut text, [&record.event_type, &record.options, &record.data]);
                let (sender, receiver) = oneshot::channel();
                (Some(Slot { given_id: record.given_id(), local: 0, sender }), receiver)
            })
            .unzip();
        let left = slots.len();
        (Open { slots, left }, receivers, text)
    }

    /// Subscriptions of the client itself have taken an event.
    pub(super) fn taken(&mut self, index: u32, by: u32) {
        let slot = self.slots.get_mut(index as usize).and_then(Option::as_mut);
        slot.unwrap_or_else(|| panic!("publish {index} was taken after it was settled")).local = by;
    }

    /// Settles a publish. Panics when it was settled before.
    pub(super) fn settle(&mut self, index: u32, outcome: Settled<'_>) {
        let slot = self.slots.get_mut(index as usize).and_then(Option::take);
        let Slot { given_id, local, sender } =
            slot.unwrap_or_else(|| panic!("publish {index} was settled twice, now with {outcome:?}"));
        self.left -= 1;
        let outcome = outcome.map(|Success { generated, receivers, timestamp, stored, remote }| {
            assert_eq!(given_id.is_some(), generated.is_none(), "an id is generated when none is given");
            let id = given_id.or(generated.map(str::to_owned)).unwrap_or_default();
            Receipt { id, receivers, timestamp: timestamp.to_owned(), stored, local, remote }
        });
        // The test may not wait for the outcome.
        let _ = sender.send(outcome);
    }
}
