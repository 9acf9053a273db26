//! The wire format: the one place that knows how events look on Redis.
//!
//! [`Codec`] is the format of a client. It turns events into messages and stream entries, and back. Whatever the
//! format, an event that was read is the same JSON, `{"id","type","data","metadata"}`, which is what handlers get.
//! Another format is a file beside `oxbus` that says as data which place of a message holds what; `mapped` reads and writes it.
//!
//! # Layout
//!
//! - this file: [`Codec`], and [`Several`] of them for what is kept; `letters`: its dead letters, and the names of keys; `oxbus`: our own format; `mapped`: formats that are data, and
//!   those of users; `campaign`, `photo`, `platform`, `spine`, `eventsource`, `cloudevents`, `nestjs`, `graphql`, `socket_io`,
//!   `faststream`: the formats of others; `framing`: those of them that are no JSON; [`field_names`]: the names that the scripts of
//!   a store are given
//! - [`wires`]: the formats of a client, each with its channels
//! - [`new_event`]: an event that is written; [`decoded`]: an event that was read; [`parts`]: where its parts stand;
//!   [`dead_letter`]: a dead letter that was read
//! - `rewritten`: an event that was read and is written again; [`event_json`]: questions about an event that was read, whatever its format was
//! - [`json`]: a scanner that checks JSON and finds members in it, without building values; [`outline`]: the values in the data of
//!   an event, for a host that builds objects from them

mod campaign;
mod cloudevents;
pub mod dead_letter;
pub mod decoded;
pub mod event_json;
mod eventsource;
mod faststream;
pub mod field_names;
mod framing;
mod graphql;
pub mod json;
mod letters;
mod mapped;
mod nestjs;
pub mod new_event;
pub mod outline;
mod oxbus;
pub mod parts;
mod photo;
mod platform;
mod rewritten;
mod socket_io;
mod spine;
pub mod wires;

use std::sync::Arc;

use crate::options::reader::Reader;
use crate::routing::channel::Naming;
use crate::stream_store::{ConsumerId, DeadLetterEntry, EntryId, Fields, StoredEntry};
use crate::{BusError, ErrorKind};
use dead_letter::DeadLetter;
use decoded::{Decoded, DecodedEntry, Foreign, Missing};
use field_names::FieldNames;
pub use mapped::channels::ChannelRules;
pub(crate) use mapped::key_texts::KeyTexts;
pub use mapped::letters::{LetterFacts, LetterFormat, UNREADABLE as UNREADABLE_LETTER};
pub(crate) use mapped::own_letters::MAX_LISTED;
pub use mapped::{Format, Traits};
use new_event::{NewEvent, Origin};
use outline::Shapes;

/// The wire format of a client. It is chosen once, by the configuration.
///
/// An enum and no trait object: for the format of Oxbus the choice costs one comparison.
#[derive(Clone, Debug, Default)]
pub enum Codec {
    /// The format of Oxbus, the default.
    #[default]
    Oxbus,
    /// Another format: a name of [`Codec::named`], or one that a user describes.
    Mapped(Arc<Format>),
    /// What is kept on the server in one of several formats: it is written in the first, and read in any.
    Several(Arc<Several>),
}

impl PartialEq for Codec {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

/// The names of the formats, in the order in which they are documented.
pub const NAMES: [&str; 11] = [
    "oxbus",
    "campaign",
    "photo",
    "platform",
    "spine",
    "eventsource",
    "cloudevents",
    "nestjs",
    "graphql",
    "socket.io",
    "faststream",
];

impl Codec {
    /// The format in which the JSON that handlers get is a message.
    pub const OF_EVENT_JSON: Codec = Codec::Oxbus;

    /// The format of a name; `None` for another name.
    pub fn named(name: &str) -> Option<Codec> {
        Some(Codec::Mapped(Arc::new(match name {
            "oxbus" => return Some(Codec::Oxbus),
            "campaign" => campaign::format(),
            "photo" => photo::format(),
            "platform" => platform::format(),
            "spine" => spine::format(),
            "eventsource" => eventsource::format(),
            "cloudevents" => cloudevents::format(),
            "nestjs" => nestjs::format(),
            "graphql" => graphql::format(),
            "socket.io" => socket_io::usual()?,
            "faststream" => faststream::format(),
            _ => return None,
        })))
    }

    /// The same format for a bus with this prefix before its channels, which in that of Socket.IO names the namespace.
    ///
    /// # Errors
    /// `INVALID_CONFIG` for a prefix that this format cannot have.
    pub(crate) fn under(self, channel_prefix: &str) -> Result<Codec, BusError> {
        if self.traits().naming != Naming::SocketIo {
            return Ok(self);
        }
        let format = socket_io::format(channel_prefix).ok_or_else(|| {
            let message =
                "must be the key of the Socket.IO adapter and a namespace, such as \"socket.io#/\", for this wire";
            BusError::at(ErrorKind::InvalidConfig, "channelPrefix", message)
        })?;
        Ok(Codec::Mapped(Arc::new(format)))
    }

    /// A format that a user describes as data: `{ fields: { write, read }, channels }`.
    ///
    /// # Errors
    /// `INVALID_CONFIG` with the path of the bad field.
    pub(crate) fn described(description: Reader, json: String) -> Result<Codec, BusError> {
        Ok(Codec::Mapped(Arc::new(mapped::read_own(description, json)?)))
    }

    /// The name of the format; the JSON of one that a user has described.
    pub fn name(&self) -> &str {
        match self {
            Codec::Oxbus => "oxbus",
            Codec::Mapped(format) => format.name(),
            Codec::Several(several) => several.name(),
        }
    }

    /// What holds for every event in this format.
    pub fn traits(&self) -> Traits {
        match self {
            Codec::Oxbus => Traits::default(),
            Codec::Mapped(format) => format.traits(),
            Codec::Several(several) => several.first().traits(),
        }
    }

    /// Where events go that are for subscribers of their type; `None`: to the prefix and the type.
    #[inline]
    pub fn channels(&self) -> Option<&Arc<ChannelRules>> {
        match self {
            Codec::Oxbus => None,
            Codec::Mapped(format) => format.channels(),
            Codec::Several(several) => several.first().channels(),
        }
    }

    /// Accepts an event that is to be written, and is stored or not.
    ///
    /// # Errors
    /// `INVALID_DATA` with the path of what has no place in this format, or is missing.
    #[inline]
    pub fn check(&self, origin: &Origin, event: &NewEvent<'_>, stored: bool) -> Result<(), BusError> {
        match self {
            Codec::Oxbus => Ok(()),
            Codec::Mapped(format) => format.check(origin, event, stored),
            Codec::Several(several) => several.first().check(origin, event, stored),
        }
    }

    /// Appends a live message to `out`.
    #[inline]
    pub fn write_message(&self, out: &mut Vec<u8>, origin: &Origin, event: &NewEvent<'_>) {
        match self {
            Codec::Oxbus => oxbus::message::write(out, origin, event),
            Codec::Mapped(format) => format.write_message(out, origin, event),
            Codec::Several(several) => several.first().write_message(out, origin, event),
        }
    }

    /// Reads a live message that came on the channel `on`, which is given without the prefix: in some formats it tells the
    /// type. Where nobody knows it, it is empty. `missing` is called only where a foreign publisher left something out. With
    /// `shapes`, what stands in the data is noted as well, for a host that builds objects from it.
    ///
    /// # Errors
    /// [`Foreign`], with the reason, when the message is not an event.
    #[inline]
    pub fn read_message<'a>(
        &self,
        message: &'a [u8],
        on: &[u8],
        missing: impl FnOnce() -> Missing,
        shapes: Option<&mut Shapes>,
    ) -> Result<Decoded<'a>, Foreign> {
        match self {
            Codec::Oxbus => oxbus::message::read(message, missing, shapes),
            Codec::Mapped(format) => format.read_message(message, on, missing, shapes),
            Codec::Several(several) => {
                let mut missing = Some(missing);
                // A format that refuses a message has asked for nothing.
                let mut made = || missing.take().map(|make| make()).unwrap_or_default();
                several.read_message(message, on, &mut made, shapes)
            }
        }
    }

    /// Gives the fields of a stream entry to `out`, name and value, in their order.
    #[inline]
    pub fn write_entry(&self, out: &mut impl FnMut(&[u8], &[u8]), origin: &Origin, event: &NewEvent<'_>) {
        match self {
            Codec::Mapped(format) if format.write_entry(out, origin, event) => {}
            Codec::Several(several) => several.first().write_entry(out, origin, event),
            Codec::Oxbus | Codec::Mapped(_) => oxbus::entry::write(out, origin, event),
        }
    }

    /// Reads the fields of an entry: of which stream, and its id. What its publisher left out is completed from them.
    /// `shapes` as for a message.
    ///
    /// # Errors
    /// The reason why the entry is not an event.
    #[inline]
    pub fn read_entry<'a>(
        &self,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        (stream, id): (&str, EntryId),
        shapes: Option<&mut Shapes>,
    ) -> Result<DecodedEntry<'a>, String> {
        match self {
            Codec::Oxbus => oxbus::entry::read(fields, id, shapes),
            Codec::Mapped(format) => format.read_entry(fields, (stream, id), shapes),
            Codec::Several(several) => several.read_entry(fields, (stream, id), shapes),
        }
    }

    /// The type of the event in a stream entry, before anything else of it is read or checked.
    pub fn entry_type<'a>(&self, fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Option<&'a [u8]> {
        match self {
            Codec::Oxbus => oxbus::entry::type_of(fields),
            Codec::Mapped(format) => format.entry_type(fields),
            Codec::Several(several) => several.entry_type(fields),
        }
    }

    /// The fields that a dead letter has besides those of its entry, in their order. `time_ms` is the time of the
    /// store, in milliseconds since the Unix epoch.
    pub fn dead_letter_fields(&self, member: &ConsumerId, letter: &DeadLetterEntry, time_ms: u64) -> Fields {
        oxbus::dead_letter::fields(member, letter, time_ms)
    }

    /// Reads a dead letter. What it does not tell is left empty, and its time is that of its id. `shapes` as for a message.
    pub fn read_dead_letter(&self, mut entry: StoredEntry, shapes: Option<&mut Shapes>) -> DeadLetter {
        if let Some(letters) = self.letters() {
            entry.fields = letters.with_own_names(entry.fields);
        }
        oxbus::dead_letter::read(entry, |fields, original| {
            let fields = fields.iter().map(|(name, value)| (&**name, &**value));
            self.read_entry(fields, original, shapes).ok().map(|read| read.event.into_owned())
        })
    }

    /// The names of the fields that a store writes, reads and removes by itself.
    pub fn field_names(&self) -> &'static FieldNames {
        &oxbus::FIELD_NAMES
    }

    /// The names of the fields that tell the type of an entry, in all formats that are read. An entry without any of them may have
    /// its type elsewhere.
    pub fn type_fields(&self) -> Vec<&str> {
        match self {
            Codec::Oxbus => vec![oxbus::entry::EVENT_TYPE],
            Codec::Mapped(format) => format.type_fields(),
            Codec::Several(several) => several.type_fields(),
        }
    }
}

/// Several formats, two at least, for what is kept on the server: entries, and events by their id. What is written is in the first.
#[derive(Debug)]
pub struct Several {
    name: Box<str>,
    first: Codec,
    others: Box<[Codec]>,
}

impl Several {
    /// The codec of what is written in the format `first` and read in it and in `others`.
    pub(super) fn codec(first: Codec, others: impl Iterator<Item = Codec>) -> Codec {
        let mut all: Vec<Codec> = Vec::new();
        others.for_each(|codec| {
            if codec != first && !all.contains(&codec) {
                all.push(codec);
            }
        });
        if all.is_empty() {
            return first;
        }
        let names: Vec<&str> = std::iter::once(&first).chain(&all).map(Codec::name).collect();
        Codec::Several(Arc::new(Several { name: names.join(" and ").into(), first, others: all.into() }))
    }

    /// The names of all, for errors.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The format that is written.
    pub(super) fn first(&self) -> &Codec {
        &self.first
    }

    /// The fields that tell the type, each once.
    fn type_fields(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        for field in self.all().flat_map(Codec::type_fields) {
            if !all.contains(&field) {
                all.push(field);
            }
        }
        all
    }

    fn all(&self) -> impl Iterator<Item = &Codec> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Reads a message in the first format that can.
    pub(super) fn read_message<'a>(
        &self,
        message: &'a [u8],
        on: &[u8],
        missing: &mut dyn FnMut() -> Missing,
        mut shapes: Option<&mut Shapes>,
    ) -> Result<Decoded<'a>, Foreign> {
        let mut refused = None;
        for codec in self.all() {
            match codec.read_message(message, on, &mut *missing, shapes.as_deref_mut()) {
                Ok(decoded) => return Ok(decoded),
                Err(reason) => refused = refused.or(Some(reason)),
            }
        }
        Err(refused.unwrap_or(Foreign::NoType))
    }

    /// Reads an entry in the first format that can.
    pub(super) fn read_entry<'a>(
        &self,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        of: (&str, EntryId),
        mut shapes: Option<&mut Shapes>,
    ) -> Result<DecodedEntry<'a>, String> {
        let fields: Vec<(&[u8], &[u8])> = fields.collect();
        let mut refused = None;
        for codec in self.all() {
            match codec.read_entry(fields.iter().copied(), of, shapes.as_deref_mut()) {
                Ok(entry) => return Ok(entry),
                Err(reason) => refused = refused.or(Some(reason)),
            }
        }
        Err(refused.unwrap_or_default())
    }

    /// The type in an entry, as the first format says that finds one.
    pub(super) fn entry_type<'a>(
        &self,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Option<&'a [u8]> {
        let fields: Vec<(&[u8], &[u8])> = fields.collect();
        self.all().find_map(|codec| codec.entry_type(fields.iter().copied()))
    }
}
