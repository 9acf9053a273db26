//! An event as the fields of a stream entry.
//!
//! An entry has the fields `eventId`, `eventType`, `timestamp`, `source`, `correlationId`, `causationId`
//! (where there is one), `data` (JSON) and `meta` (a JSON object: all other metadata). With a field
//! `group` it is for that group only. A dead letter has fields `dlq-…` besides.
//!
//! Writing makes no JSON of the event; reading makes the same JSON that a message holds.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::read;
pub use write::write;

/// The name of the field that names the type.
pub const EVENT_TYPE: &str = "eventType";

/// The type of an event; unchecked. Of a field that is there twice the last counts.
pub fn type_of<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Option<&'a [u8]> {
    fields.filter(|(name, _)| *name == EVENT_TYPE.as_bytes()).last().map(|(_, value)| value)
}

/// The name of the field that names the only group of an entry.
pub const ONLY_GROUP: &str = "group";
/// The field of the metadata that has no field of its own, which every entry that Oxbus writes has.
pub const META: &str = "meta";
/// All fields of an entry.
pub const ALL: [&str; 8] =
    ["eventId", EVENT_TYPE, "timestamp", "source", "correlationId", "causationId", "data", META];
