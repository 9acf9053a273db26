//! The wire format: the one place that knows how events look on Redis.
//!
//! [`Codec`] is the format of a client. It turns events into messages and stream entries, and back. Whatever the
//! format, an event that was read is the same JSON, `{"id","type","data","metadata"}`, which is what handlers get.
//! Another format is one more variant of [`Codec`] and a folder beside `oxbus`.
//!
//! # Layout
//!
//! - this file: [`Codec`]; `oxbus`: our own format; [`field_names`]: the names that the scripts of a store are given
//! - [`new_event`]: an event that is written; [`decoded`]: an event that was read; [`parts`]: where its parts stand;
//!   [`dead_letter`]: a dead letter that was read
//! - [`event_json`]: questions about an event that was read, whatever its format was
//! - [`json`]: a scanner that checks JSON and finds members in it, without building values; [`outline`]: the values in the data of
//!   an event, for a host that builds objects from them

pub mod dead_letter;
pub mod decoded;
pub mod event_json;
pub mod field_names;
pub mod json;
pub mod new_event;
pub mod outline;
mod oxbus;
pub mod parts;

use crate::stream_store::{ConsumerId, DeadLetterEntry, EntryId, Fields, StoredEntry};
use dead_letter::DeadLetter;
use decoded::{Decoded, DecodedEntry, Foreign, Missing};
use field_names::FieldNames;
use new_event::{NewEvent, Origin};
use outline::Shapes;

/// The wire format of a client. It is chosen once, by the configuration.
///
/// An enum and no trait object: with one variant the choice costs nothing, with several one comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// The format of Oxbus, the default.
    #[default]
    Oxbus,
}

impl Codec {
    /// The format in which the JSON that handlers get is a message.
    pub const OF_EVENT_JSON: Codec = Codec::Oxbus;

    /// Appends a live message to `out`.
    #[inline]
    pub fn write_message(self, out: &mut Vec<u8>, origin: &Origin, event: &NewEvent<'_>) {
        match self {
            Codec::Oxbus => oxbus::message::write(out, origin, event),
        }
    }

    /// Reads a live message. `missing` is called only where a foreign publisher left something out. With `shapes`, what stands in
    /// the data is noted as well, for a host that builds objects from it.
    ///
    /// # Errors
    /// [`Foreign`], with the reason, when the message is not an event.
    #[inline]
    pub fn read_message<'a>(
        self,
        message: &'a [u8],
        missing: impl FnOnce() -> Missing,
        shapes: Option<&mut Shapes>,
    ) -> Result<Decoded<'a>, Foreign> {
        match self {
            Codec::Oxbus => oxbus::message::read(message, missing, shapes),
        }
    }

    /// Gives the fields of a stream entry to `out`, name and value, in their order.
    #[inline]
    pub fn write_entry(self, out: &mut impl FnMut(&[u8], &[u8]), origin: &Origin, event: &NewEvent<'_>) {
        match self {
            Codec::Oxbus => oxbus::entry::write(out, origin, event),
        }
    }

    /// Reads the fields of the stream entry `id`. What its publisher left out is completed from the id of the entry.
    /// `shapes` as for a message.
    ///
    /// # Errors
    /// The reason why the entry is not an event.
    #[inline]
    pub fn read_entry<'a>(
        self,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        id: EntryId,
        shapes: Option<&mut Shapes>,
    ) -> Result<DecodedEntry<'a>, String> {
        match self {
            Codec::Oxbus => oxbus::entry::read(fields, id, shapes),
        }
    }

    /// The type of the event in a stream entry, before anything else of it is read or checked.
    pub fn entry_type<'a>(self, fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Option<&'a [u8]> {
        match self {
            Codec::Oxbus => oxbus::entry::type_of(fields),
        }
    }

    /// The fields that a dead letter has besides those of its entry, in their order. `time_ms` is the time of the
    /// store, in milliseconds since the Unix epoch.
    pub fn dead_letter_fields(self, member: &ConsumerId, letter: &DeadLetterEntry, time_ms: u64) -> Fields {
        match self {
            Codec::Oxbus => oxbus::dead_letter::fields(member, letter, time_ms),
        }
    }

    /// Reads a dead letter. What it does not tell is left empty, and its time is that of its id. `shapes` as for a message.
    pub fn read_dead_letter(self, entry: StoredEntry, shapes: Option<&mut Shapes>) -> DeadLetter {
        match self {
            Codec::Oxbus => oxbus::dead_letter::read(entry, shapes),
        }
    }

    /// The names of the fields that a store writes, reads and removes by itself.
    pub fn field_names(self) -> &'static FieldNames {
        match self {
            Codec::Oxbus => &oxbus::FIELD_NAMES,
        }
    }
}
