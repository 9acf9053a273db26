//! The fields of stream entries in a foreign format.

use super::channels::Template;
use super::reading::{self, Around, string_of};
use super::source::{Slot, Source};
use super::tree::Tree;
use super::writing::{Values, Writing};
use crate::BusError;
use crate::codec::decoded::{Decoded, DecodedEntry, Missing};
use crate::codec::json::Scanner;
use crate::codec::new_event::{Metadata, NewEvent, Origin};
use crate::codec::outline::Shapes;
use crate::codec::oxbus;
use crate::error::ErrorKind;
use crate::options::names::check_event_type;
use crate::stream_store::EntryId;
use crate::time;

/// What a field of an entry is written from.
#[derive(Debug)]
pub(super) enum Field {
    /// A part of the event, as plain text.
    Part(Source),
    /// The live message.
    Message,
    /// A text with parts of the event in it.
    Text(Template),
}

/// How entries are written and read.
#[derive(Debug)]
pub(super) struct Entries {
    /// Each field, in their order.
    write: Box<[(Box<str>, Field)]>,
    /// The metadata that has no field of its own, as JSON.
    others: Writing,
    /// Where the parts of an event are found, with the name of the field as the first step of each path.
    read: Tree,
    /// Whether an event without a key cannot be stored.
    needs_key: bool,
    /// Whether an entry without data that has fields which the format does not know is none.
    refuses_unknown: bool,
}

impl Entries {
    /// Entries of a format that users describe. What is unknown in an entry without data is not passed over.
    pub(super) fn described(write: Vec<(Box<str>, Field)>, read: Tree) -> Entries {
        Entries { refuses_unknown: true, ..Entries::new(write, read) }
    }

    /// Entries of a library whose events all have a key.
    pub(super) fn keyed(write: Vec<(Box<str>, Field)>, read: Tree) -> Entries {
        Entries { needs_key: true, ..Entries::new(write, read) }
    }

    fn new(write: Vec<(Box<str>, Field)>, read: Tree) -> Entries {
        let part = |(name, field): &(Box<str>, Field)| match field {
            Field::Part(source) => Some((name.clone(), source.clone())),
            Field::Message | Field::Text(_) => None,
        };
        let parts: Vec<(Box<str>, Source)> = write.iter().filter_map(part).collect();
        let parts: Vec<(&str, Source)> =
            parts.iter().map(|(name, source)| (&**name, source.clone())).collect();
        let others = Writing::of_others(&parts);
        Entries { write: write.into(), others, read, needs_key: false, refuses_unknown: false }
    }

    /// Accepts an event that is to be stored.
    ///
    /// # Errors
    /// `INVALID_DATA` when a field has no value that must have one: that of the key, and a text that needs a part which the
    /// event has not.
    pub(super) fn check(&self, origin: &Origin, event: &NewEvent<'_>) -> Result<(), BusError> {
        for (name, field) in &self.write {
            match field {
                Field::Part(Source::Slot(Slot::Key)) if self.needs_key => {
                    if event.metadata.is_none_or(|metadata| metadata.key.is_none()) {
                        let message = format!("is missing: this wire needs it for the field {name}");
                        return Err(BusError::at(ErrorKind::InvalidData, "key", message));
                    }
                }
                Field::Text(text) => {
                    text.write(&mut String::new(), &format!("the field {name}"), origin, event)?;
                }
                Field::Part(_) | Field::Message => {}
            }
        }
        Ok(())
    }

    /// Gives the fields of an entry to `out`. A field without a value is empty, so that all entries have the same fields.
    /// `message` appends the message.
    pub(super) fn write(
        &self,
        message: impl Fn(&mut Vec<u8>),
        out: &mut impl FnMut(&[u8], &[u8]),
        origin: &Origin,
        event: &NewEvent<'_>,
    ) {
        let none = Metadata::default();
        let values = Values { origin, event, metadata: event.metadata.unwrap_or(&none) };
        for (name, field) in &self.write {
            match field {
                Field::Part(Source::OtherMetadata) => {
                    let mut json = Vec::with_capacity(128);
                    self.others.write(&mut json, origin, event);
                    out(name.as_bytes(), &json);
                }
                Field::Part(source) => {
                    let value = values.plain(source).unwrap_or_default();
                    out(name.as_bytes(), value.as_bytes());
                }
                Field::Message => {
                    let mut text = Vec::with_capacity(event.data.len() + 512);
                    message(&mut text);
                    out(name.as_bytes(), &text);
                }
                Field::Text(template) => {
                    let mut text = String::new();
                    // What it lacks was refused before.
                    let _ = template.write(&mut text, name, origin, event);
                    out(name.as_bytes(), text.as_bytes());
                }
            }
        }
    }

    /// The name of the field that holds the type.
    pub(super) fn type_field(&self) -> Option<&str> {
        let typed = |(_, below): &&(Box<str>, Tree)| below.source == Some(Source::Slot(Slot::Type));
        self.read.members.iter().find(typed).map(|(name, _)| &**name)
    }

    /// Reads an entry in this format, or in that of Oxbus: a service may move to another wire while its streams stay.
    pub(super) fn read<'a>(
        &self,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        id: EntryId,
        mut shapes: Option<&mut Shapes>,
    ) -> Result<DecodedEntry<'a>, String> {
        let fields: Vec<(&[u8], &[u8])> = fields.collect();
        let has = |wanted: &str| fields.iter().any(|(name, _)| *name == wanted.as_bytes());
        let has_type = has(oxbus::entry::EVENT_TYPE);
        let alike = has_type && self.knows(oxbus::entry::EVENT_TYPE);
        if has_type && (!alike || (has(oxbus::entry::META) && !self.knows(oxbus::entry::META))) {
            return oxbus::entry::read(fields.into_iter(), id, shapes);
        }
        match self.read_own(&fields, id, shapes.as_deref_mut()) {
            Err(reason) if alike => oxbus::entry::read(fields.into_iter(), id, shapes).map_err(|_| reason),
            read => read,
        }
    }

    /// Whether a field of this name is one of the format.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.read.member(name).is_some() || self.write.iter().any(|(known, _)| **known == *name)
    }

    fn read_own<'a>(
        &self,
        fields: &[(&'a [u8], &'a [u8])],
        id: EntryId,
        mut shapes: Option<&mut Shapes>,
    ) -> Result<DecodedEntry<'a>, String> {
        for (message, _) in self.write.iter().filter(|(_, field)| matches!(field, Field::Message)) {
            if self.read.member(message).is_some()
                && !fields.iter().any(|(name, _)| *name == message.as_bytes())
            {
                return Err(format!("the field {message} is missing"));
            }
        }
        let (mut only_group, mut unknown) = (None, 0);
        let (mut texts, mut values) = (Vec::new(), Vec::new());
        for (name, value) in fields {
            let name = std::str::from_utf8(name).map_err(|_| "the name of a field is not UTF-8")?;
            let text = || std::str::from_utf8(value).map_err(|_| format!("the field {name} is not UTF-8"));
            if name == oxbus::entry::ONLY_GROUP {
                only_group = Some(text()?);
                continue;
            }
            let Some(below) = self.read.member(name) else {
                unknown += usize::from(self.refuses_unknown && !self.knows(name));
                continue;
            };
            // A field that is missing is empty in many languages.
            match (text()?, &below.source) {
                ("", _) => {}
                (value, Some(source)) if below.members.is_empty() && !holds_json(source) => {
                    texts.push((source, json_of(source, value)));
                }
                (value, _) => values.push((below, name, value)),
            }
        }
        let mut found = reading::Found::default();
        for (source, json) in &texts {
            found.set(source, json);
        }
        // The type is known by now, where it has a field: the shapes are those of a type.
        for (below, name, value) in values {
            let mut scanner = Scanner::new(value);
            scanner.space();
            reading::place(below, &mut scanner, &mut found, &mut shapes)
                .and_then(|()| scanner.end())
                .map_err(|_| format!("the field {name} is not JSON"))?;
        }
        found.has_unknown(unknown);
        let missing =
            || Missing { id: id.to_string(), timestamp_ms: i64::try_from(id.ms).unwrap_or_default() };
        let event = found.event(&Around { event_type: None }, missing).map_err(|reason| reason.reason())?;
        check_event_type(&event.event_type).map_err(|error| error.message)?;
        let event = event.into_owned();
        let event = if event.outlined.is_some() { event } else { outlined(event, shapes) };
        Ok(DecodedEntry { event, only_group })
    }
}

/// Whether a field holds JSON, and not a text.
fn holds_json(source: &Source) -> bool {
    matches!(source, Source::OtherMetadata | Source::DataMembers | Source::Slot(Slot::Data))
}

/// The JSON of a field that is a text. A time may be a number.
fn json_of(source: &Source, value: &str) -> String {
    let is_time = matches!(source, Source::Milliseconds | Source::Slot(Slot::Timestamp));
    let is_number = || value.parse::<f64>().is_ok_and(f64::is_finite);
    if is_time && time::from_iso(value).is_none() && is_number() {
        value.to_owned()
    } else {
        string_of(value)
    }
}

/// The same event with what stands in its data, for a host that builds objects.
pub(super) fn outlined<'a>(mut event: Decoded<'a>, shapes: Option<&mut Shapes>) -> Decoded<'a> {
    let (Some(shapes), Some(parts)) = (shapes, &event.parts) else { return event };
    let data = parts.data;
    let mut scanner = Scanner::new(data.of(&event.json));
    if let Ok((_, Some(outline))) = shapes.read(&mut scanner, &event.event_type) {
        event.outlined = Some((data, outline));
    }
    event
}
