//! The fields of stream entries in a foreign format.

use super::reading::{self, Around, string_of};
use super::source::{Slot, Source};
use super::tree::Tree;
use super::writing::Values;
use crate::BusError;
use crate::codec::decoded::{Decoded, DecodedEntry, Missing};
use crate::codec::json::{Scanner, quoted, whole};
use crate::codec::new_event::{Metadata, NewEvent, Origin};
use crate::codec::outline::Shapes;
use crate::codec::oxbus;
use crate::error::ErrorKind;
use crate::options::names::check_event_type;
use crate::stream_store::EntryId;

/// How entries are written and read.
#[derive(Debug)]
pub(in crate::codec) struct Entries {
    /// Each field, and what it is written from; `None`: the message.
    write: Box<[(&'static str, Option<Source>)]>,
    /// Where the parts of an event are found, with the name of the field as the first step of each path.
    read: Tree,
}

impl Entries {
    pub(super) fn new(write: &[(&'static str, Option<Source>)], read: Tree) -> Entries {
        Entries { write: write.into(), read }
    }

    /// Accepts an event that is to be stored.
    ///
    /// # Errors
    /// `INVALID_DATA` when a field has no value that must have one: that of the key.
    pub(super) fn check(&self, origin: &Origin, event: &NewEvent<'_>) -> Result<(), BusError> {
        let none = Metadata::default();
        let values = Values { origin, event, metadata: event.metadata.unwrap_or(&none) };
        let key = Source::Slot(Slot::Key);
        let lacks = |(_, source): &(&str, Option<Source>)| *source == Some(key.clone());
        match self.write.iter().find(|field| lacks(field)) {
            Some((field, _)) if values.plain(&key).is_none() => {
                let message = format!("is missing: this wire needs it for the field {field}");
                Err(BusError::at(ErrorKind::InvalidData, "key", message))
            }
            _ => Ok(()),
        }
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
        for (name, source) in &self.write {
            match source {
                Some(source) => {
                    let value = values.plain(source).unwrap_or_default();
                    out(name.as_bytes(), value.as_bytes());
                }
                None => {
                    let mut text = Vec::with_capacity(event.data.len() + 512);
                    message(&mut text);
                    out(name.as_bytes(), &text);
                }
            }
        }
    }

    /// The name of the field that holds the type.
    pub(super) fn type_field(&self) -> Option<&'static str> {
        let typed = |(_, source): &&(&str, Option<Source>)| *source == Some(Source::Slot(Slot::Type));
        self.write.iter().find(typed).map(|(name, _)| *name)
    }

    /// Reads an entry in this format, or in that of Oxbus.
    pub(super) fn read<'a>(
        &self,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        id: EntryId,
        shapes: Option<&mut Shapes>,
    ) -> Result<DecodedEntry<'a>, String> {
        let fields: Vec<(&[u8], &[u8])> = fields.collect();
        // A service may move to another wire while its streams stay.
        if fields.iter().any(|(name, _)| *name == oxbus::entry::EVENT_TYPE.as_bytes()) {
            return oxbus::entry::read(fields.into_iter(), id, shapes);
        }
        if let Some((message, _)) = self.write.iter().find(|(_, source)| source.is_none())
            && !fields.iter().any(|(name, _)| *name == message.as_bytes())
        {
            return Err(format!("the field {message} is missing"));
        }
        let mut json = String::from("{");
        let mut only_group = None;
        for (name, value) in fields {
            let name = std::str::from_utf8(name).map_err(|_| "the name of a field is not UTF-8")?;
            let not_text = |_| format!("the field {name} is not UTF-8");
            let value = std::str::from_utf8(value).map_err(not_text)?;
            if name == oxbus::entry::ONLY_GROUP {
                only_group = Some(value);
            }
            let Some((_, below)) = self.read.members.iter().find(|(known, _)| **known == *name) else {
                continue;
            };
            // A field that is missing is empty in many languages.
            if value.is_empty() {
                continue;
            }
            let value = if below.members.is_empty() && !holds_json(below.source.as_ref()) {
                string_of(value)
            } else {
                whole(value).map_err(|_| format!("the field {name} is not JSON"))?.to_owned()
            };
            if json.len() > 1 {
                json.push(',');
            }
            json.extend([&*quoted(name), ":", &value]);
        }
        json.push('}');
        let missing =
            || Missing { id: id.to_string(), timestamp_ms: i64::try_from(id.ms).unwrap_or_default() };
        let found = reading::find(&self.read, &json, None).map_err(|_| "its fields make no event")?;
        let event = found.event(&Around { event_type: None }, missing).map_err(|reason| reason.reason())?;
        check_event_type(&event.event_type).map_err(|error| error.message)?;
        Ok(DecodedEntry { event: outlined(event.into_owned(), shapes), only_group })
    }
}

/// Whether a field holds JSON, and not a text.
fn holds_json(source: Option<&Source>) -> bool {
    matches!(source, Some(Source::OtherMetadata | Source::DataMembers | Source::Slot(Slot::Data)))
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
