//! Formats that are data: which place of a foreign message holds what of an event, on which channels it goes, and what the
//! fields of an entry are. One reader and one writer serve them all, those with a name and those that users make.
//!
//! # Layout
//!
//! - this file: [`Format`]; [`source`]: what of an event stands in a place; `tree`: the places by the objects around them
//! - `writing`, `reading`: both ways; `entries`: the fields of entries; `framed`: messages and entries in frames of bytes
//! - [`channels`]: rules for the channels of an event, and what a pattern subscribes to
//! - `own`: a format that a user describes; `own_entries`: the fields of its entries; `own_letters`: its dead letters
//!   and its keys; `own_places`: what all of them name; `key_texts`: the names of keys
//! - `letters`: dead letters, in a stream and in a list

pub(in crate::codec) mod channels;
mod entries;
mod framed;
pub(crate) mod key_texts;
pub(in crate::codec) mod letters;
mod own;
mod own_entries;
pub(crate) mod own_letters;
mod own_places;
mod reading;
pub(in crate::codec) mod source;
#[cfg(test)]
pub(in crate::codec) mod tests;
mod tree;
mod writing;

use std::sync::Arc;

use crate::BusError;
use crate::codec::decoded::{Decoded, DecodedEntry, Foreign, Missing};
use crate::codec::framing::Framing;
use crate::codec::json::{Scanner, whole};
use crate::codec::new_event::{NewEvent, Origin};
use crate::codec::outline::Shapes;
use crate::codec::oxbus;
use crate::error::ErrorKind;
use crate::routing::channel::Naming;
use crate::stream_store::EntryId;
use channels::ChannelRules;
use entries::{Entries, Field};
use key_texts::KeyTexts;
use letters::LetterFormat;
pub(in crate::codec) use own::read as read_own;
use reading::{Around, Found};
use source::Source;
use tree::Tree;
use writing::Writing;

/// A format of messages and entries.
#[derive(Debug)]
pub struct Format {
    /// The name, or the JSON of a format of a user's own. It tells formats apart.
    name: Box<str>,
    body: Body,
    /// Whether the channel names the type of a message that does not.
    type_from_channel: bool,
    /// Where events go that are for subscribers of their type; `None`: to the prefix and the type.
    channels: Option<Arc<ChannelRules>>,
    /// The fields of entries; `None`: those of Oxbus.
    entries: Option<Entries>,
    /// How dead letters look besides what Oxbus says of them.
    letters: Option<LetterFormat>,
    /// The names of keys, as far as the format says them.
    keys: Option<KeyTexts>,
    /// What is so of the format whatever an event says.
    traits: Traits,
}

/// What holds for a format.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    /// Whether events are published live at all.
    pub live: bool,
    /// Whether a message tells who has published it, so that a client knows its own.
    pub names_publisher: bool,
    /// Whether an entry of a stream tells it, too.
    pub kept_names_publisher: bool,
    /// Whether a message tells the id of its event, by which one that comes in several formats is told to be one.
    pub names_id: bool,
    /// Whether a message names its type; if not, it can go only to the channel of its type, and not be kept by its id.
    pub names_type: bool,
    /// Before every channel where the configuration has no prefix.
    pub channel_prefix: &'static str,
    /// Behind the name of a stream in that of its dead letters, where the configuration does not say.
    pub dead_letter_suffix: Option<&'static str>,
    /// How the channels of rooms, users and broadcasts are named.
    pub naming: Naming,
}

impl Default for Traits {
    fn default() -> Self {
        Traits {
            live: true,
            names_publisher: true,
            kept_names_publisher: true,
            names_id: true,
            names_type: true,
            channel_prefix: "",
            dead_letter_suffix: None,
            naming: Naming::Plain,
        }
    }
}

/// What a message is.
#[derive(Debug)]
enum Body {
    /// A JSON object.
    Object { writing: Writing, tree: Tree },
    /// The data and nothing else: JSON, or a text that is no JSON.
    Data,
    /// A frame of bytes, which says what the tree reads. The writing is that of the metadata.
    Framed { framing: Framing, writing: Writing, tree: Tree },
}

/// What a format is made of.
#[derive(Default)]
pub(in crate::codec) struct Parts<'a> {
    pub(in crate::codec) name: &'a str,
    /// The places of a message that is written, in their order. None: it is the data.
    pub(in crate::codec) write: &'a [(&'a str, Source)],
    /// Where the parts of an event are read from.
    pub(in crate::codec) read: &'a [(&'a str, Source)],
    pub(in crate::codec) type_from_channel: bool,
    pub(in crate::codec) channels: Option<ChannelRules>,
    pub(in crate::codec) traits: Traits,
}

impl Format {
    /// A format of these parts, whose entries are those of Oxbus.
    pub(in crate::codec) fn new(parts: Parts<'_>) -> Format {
        let Parts { name, write, read, type_from_channel, channels, traits } = parts;
        let body = match write {
            [] => Body::Data,
            _ => Body::Object { writing: Writing::new(write), tree: Tree::of(read) },
        };
        Format {
            name: name.into(),
            body,
            type_from_channel,
            channels: channels.map(Arc::new),
            entries: None,
            letters: None,
            keys: None,
            traits,
        }
    }

    /// The same with entries of its own: how each field is written, without a source as the message, and where the parts of an
    /// event are read from. Each has a key.
    pub(in crate::codec) fn with_keyed_entries(
        self,
        write: &[(&str, Option<Source>)],
        read: &[(&str, Source)],
    ) -> Format {
        let field = |source: &Option<Source>| source.clone().map_or(Field::Message, Field::Part);
        let write = write.iter().map(|(name, source)| ((*name).into(), field(source))).collect();
        Format { entries: Some(Entries::keyed(write, Tree::of(read))), ..self }
    }

    /// The same in a frame, in which the places that are written are those of ours.
    pub(in crate::codec) fn framed(self, framing: Framing) -> Format {
        let body = match self.body {
            Body::Object { writing, tree } => Body::Framed { framing, writing, tree },
            body => body,
        };
        Format { body, ..self }
    }

    /// The same with this format of dead letters.
    pub(in crate::codec) fn with_letters(self, letters: Option<LetterFormat>) -> Format {
        Format { letters, ..self }
    }

    /// How dead letters look.
    pub(in crate::codec) fn letters(&self) -> Option<&LetterFormat> {
        self.letters.as_ref()
    }

    /// The names of keys.
    pub(in crate::codec) fn keys(&self) -> Option<&KeyTexts> {
        self.keys.as_ref()
    }

    /// Its name; of a format of a user's own, its JSON.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What holds for it.
    pub fn traits(&self) -> Traits {
        self.traits
    }

    /// Where events go; `None`: to the prefix and their type.
    pub fn channels(&self) -> Option<&Arc<ChannelRules>> {
        self.channels.as_ref()
    }

    /// Gives the fields of an entry to `out`; false, and nothing, where they are those of Oxbus.
    pub(in crate::codec) fn write_entry(
        &self,
        out: &mut impl FnMut(&[u8], &[u8]),
        origin: &Origin,
        event: &NewEvent<'_>,
    ) -> bool {
        if let Some((framing, field)) = self.entry_frame() {
            return framed::write_entry(framing, field, &self.ours(origin, event), out, event);
        }
        let Some(entries) = &self.entries else { return false };
        entries.write(|message| self.write_message(message, origin, event), out, origin, event);
        true
    }

    /// Reads an entry; entries of Oxbus are read as well.
    pub(in crate::codec) fn read_entry<'a>(
        &self,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        (stream, id): (&str, EntryId),
        shapes: Option<&mut Shapes>,
    ) -> Result<DecodedEntry<'a>, String> {
        if let (Body::Framed { framing, tree, .. }, Some((_, field))) = (&self.body, self.entry_frame()) {
            return framed::read_entry(framing, tree, field, fields, (stream, id), shapes);
        }
        match &self.entries {
            Some(entries) => entries.read(fields, id, shapes),
            None => oxbus::entry::read(fields, id, shapes),
        }
    }

    /// The type in an entry; `None` where a field other than these tells it.
    pub(in crate::codec) fn entry_type<'a>(
        &self,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Option<&'a [u8]> {
        let names = [Some(oxbus::entry::EVENT_TYPE), self.type_field()]
            .map(|name| name.unwrap_or_default().as_bytes());
        fields.filter(|(name, _)| names.contains(name)).last().map(|(_, value)| value)
    }

    /// The field of entries in this format that tells the type, where one does.
    fn type_field(&self) -> Option<&str> {
        let framed = self.entry_frame().map(|_| framed::TYPE_FIELD);
        self.entries.as_ref().and_then(Entries::type_field).or(framed)
    }

    /// The names of the fields that tell the type of an entry. Entries may be in the format of Oxbus, too.
    pub(in crate::codec) fn type_fields(&self) -> Vec<&str> {
        let ours = oxbus::entry::EVENT_TYPE;
        let own = self.type_field().filter(|own| *own != ours);
        own.into_iter().chain([ours]).collect()
    }

    /// Accepts an event that is to be written.
    ///
    /// # Errors
    /// `INVALID_DATA` for data that has no place in this format, and for a field of an entry that has no value.
    pub(in crate::codec) fn check(
        &self,
        origin: &Origin,
        event: &NewEvent<'_>,
        stored: bool,
    ) -> Result<(), BusError> {
        match &self.body {
            Body::Object { writing, .. } if writing.spreads_data() => check_spread(writing, event.data)?,
            Body::Framed { framing, .. } => framing.check(event, &self.ours(origin, event))?,
            Body::Object { .. } | Body::Data => {}
        }
        match &self.entries {
            Some(entries) if stored => entries.check(origin, event),
            _ => Ok(()),
        }
    }

    /// Appends a message to `out`.
    pub(in crate::codec) fn write_message(&self, out: &mut Vec<u8>, origin: &Origin, event: &NewEvent<'_>) {
        match &self.body {
            Body::Object { writing, .. } => writing.write(out, origin, event),
            Body::Data => out.extend_from_slice(event.data.as_bytes()),
            Body::Framed { framing, .. } => framing.write(out, event, &self.ours(origin, event)),
        }
    }

    /// What an event has that the frame has no place for, as JSON.
    fn ours(&self, origin: &Origin, event: &NewEvent<'_>) -> String {
        let mut json = Vec::with_capacity(256);
        if let Body::Framed { writing, .. } = &self.body {
            writing.write(&mut json, origin, event);
        }
        String::from_utf8(json).unwrap_or_default()
    }

    /// The frame of entries, and the field that it is in.
    fn entry_frame(&self) -> Option<(&Framing, &'static str)> {
        match &self.body {
            Body::Framed { framing, .. } => Some((framing, framing.entry_field()?)),
            Body::Object { .. } | Body::Data => None,
        }
    }

    /// Reads a message that came on the channel `on`, which is given without the prefix and may be empty.
    pub(in crate::codec) fn read_message<'a>(
        &self,
        message: &'a [u8],
        on: &[u8],
        missing: impl FnOnce() -> Missing,
        shapes: Option<&mut Shapes>,
    ) -> Result<Decoded<'a>, Foreign> {
        if let Body::Framed { framing, tree, .. } = &self.body {
            let channel = self.type_from_channel.then_some(on);
            return framed::read(framing, tree, (message, on), channel, missing, shapes);
        }
        let text = std::str::from_utf8(message).map_err(|_| Foreign::NotText)?;
        let channel = std::str::from_utf8(on).ok().filter(|on| self.type_from_channel && !on.is_empty());
        let around = Around { event_type: channel };
        match &self.body {
            Body::Object { tree, .. } => {
                let found = reading::find(tree, text, shapes).map_err(|_| Foreign::NotObject)?;
                found.event(&around, missing)
            }
            Body::Data => {
                let event_type = channel.ok_or(Foreign::NoType)?;
                let Some(shapes) = shapes else { return data_alone(text, &around, missing) };
                let mut scanner = Scanner::new(text);
                scanner.space();
                let read =
                    shapes.read(&mut scanner, event_type).and_then(|read| scanner.end().map(|()| read));
                match read {
                    Ok((data, outline)) => Found::data(data, outline).event(&around, missing),
                    Err(_) => data_alone(text, &around, missing),
                }
            }
            // It was read above.
            Body::Framed { .. } => Err(Foreign::Malformed),
        }
    }
}

/// A message that is its data: JSON, or else a text.
fn data_alone<'a>(
    text: &'a str,
    around: &Around<'_>,
    missing: impl FnOnce() -> Missing,
) -> Result<Decoded<'a>, Foreign> {
    match whole(text) {
        Ok(data) => Found::data(data, None).event(around, missing),
        Err(_) => Ok(Found::data(&reading::string_of(text), None).event(around, missing)?.into_owned()),
    }
}

/// Accepts data whose members stand among those of the message.
fn check_spread(writing: &Writing, data: &str) -> Result<(), BusError> {
    let refused = |path: String, message: &str| BusError::at(ErrorKind::InvalidData, path, message);
    let mut taken = None;
    let mut scanner = Scanner::new(data);
    let read = scanner.object(|scanner, name| {
        let name = name.lossy();
        if taken.is_none() && writing.top_names().any(|own| *own == *name) {
            taken = Some(name.into_owned());
        }
        scanner.value().map(drop)
    });
    match (read, taken) {
        (Err(_), _) => {
            let message = "must be an object: this wire puts its members among those of the message";
            Err(refused("data".to_owned(), message))
        }
        (Ok(()), Some(name)) => {
            let message = "this wire has a member of that name for something else";
            Err(refused(format!("data.{name}"), message))
        }
        (Ok(()), None) => Ok(()),
    }
}
