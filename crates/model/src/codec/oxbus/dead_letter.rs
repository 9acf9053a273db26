//! Dead letters as the fields of entries.

use serde_json::{Value, json};

use crate::codec::dead_letter::DeadLetter;
use crate::codec::decoded::Decoded;
use crate::stream_store::{ConsumerId, DeadLetterEntry, EntryId, Fields, StoredEntry};
use crate::time;

/// The beginning of the names of all fields that a dead letter adds to those of the original entry.
pub const PREFIX: &str = "dlq-";
/// The id of the original entry.
pub const ID: &str = "dlq-id";
/// The stream of the original entry.
pub const STREAM: &str = "dlq-stream";
/// The group that has given the entry up.
pub const GROUP: &str = "dlq-group";
/// The consumer that has given the entry up.
pub const CONSUMER: &str = "dlq-consumer";
/// How often the entry was tried.
pub const ATTEMPTS: &str = "dlq-attempts";
/// The error of the last attempt, as JSON.
pub const ERROR: &str = "dlq-error";
/// The reason: see [`DeadLetterEntry::reason`].
pub const REASON: &str = "dlq-reason";
/// The time when the entry was given up, in Unix milliseconds of the store's clock.
pub const TIME: &str = "dlq-time";

/// All fields that a dead letter adds, in their order.
pub const ALL: [&str; 8] = [ID, STREAM, GROUP, CONSUMER, ATTEMPTS, ERROR, REASON, TIME];

/// The fields that a dead letter has besides those of its entry, in their order.
pub fn fields(member: &ConsumerId, letter: &DeadLetterEntry, time_ms: u64) -> Fields {
    let DeadLetterEntry { id, attempts, reason, error } = letter;
    let (id, attempts, time) = (id.to_string(), attempts.to_string(), time_ms.to_string());
    let values =
        [&*id, &*member.stream, &*member.group, &*member.consumer, &*attempts, &**error, *reason, &*time];
    let named = ALL.iter().zip(values);
    named.map(|(name, value)| (name.as_bytes().into(), value.as_bytes().into())).collect()
}

/// Reads a dead letter. What it does not tell is left empty, and its time is that of its id. `event` reads the event of the
/// fields of the original entry, which was in this stream and had this id.
pub fn read(
    stored: StoredEntry,
    event: impl FnOnce(&Fields, (&str, EntryId)) -> Option<Decoded<'static>>,
) -> DeadLetter {
    let prefixed = |name: &[u8]| name.starts_with(PREFIX.as_bytes());
    let (own, fields): (Fields, Fields) = stored.fields.into_iter().partition(|(name, _)| prefixed(name));
    let told = |wanted: &str| {
        let value = own.iter().rev().find(|(name, _)| **name == *wanted.as_bytes()).map(|(_, value)| value);
        value.map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    };
    let message_id = told(ID);
    let original = EntryId::from_bytes(message_id.as_bytes()).unwrap_or(stored.id);
    let stream = told(STREAM);
    let event = event(&fields, (&stream, original));
    DeadLetter {
        id: stored.id,
        stream,
        group: told(GROUP),
        consumer: told(CONSUMER),
        message_id,
        attempts: told(ATTEMPTS).parse().unwrap_or_default(),
        reason: told(REASON),
        error: error(told(ERROR)),
        time_ms: time(&told(TIME)).unwrap_or(stored.id.ms),
        event,
        fields,
    }
}

/// An error as an object, also where another program has written only a message.
fn error(text: String) -> Value {
    match serde_json::from_str(&text) {
        Ok(error @ Value::Object(_)) => error,
        Ok(Value::String(message)) => json!({ "name": "Error", "message": message }),
        _ => json!({ "name": "Error", "message": text }),
    }
}

fn time(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| u64::try_from(time::from_iso(text)?).ok())
}
