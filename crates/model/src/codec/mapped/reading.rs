//! From a foreign message to the JSON that handlers get.

use std::borrow::Cow;

use super::source::{SLOTS, Slot, Source};
use super::tree::Tree;
use crate::codec::decoded::{Decoded, Foreign, Missing};
use crate::codec::json::{Refused, Scanner, escaped, quoted, text_of};
use crate::codec::outline::{Outline, Shapes};
use crate::codec::parts::{Parts, Span};
use crate::time;

/// What a message was found to hold, as it is written there.
#[derive(Default)]
pub(super) struct Found<'a> {
    slots: [Option<&'a str>; SLOTS],
    outline: Option<Outline>,
    /// Members of the metadata that are no slots, each behind a comma.
    more: String,
    /// Members of the data that stand among those of another object, each behind a comma.
    data_members: Option<String>,
    /// How many members the format does not know.
    unknown: usize,
    refused: Option<Foreign>,
}

/// What a message does not say by itself.
pub(super) struct Around<'a> {
    /// The type that the channel or a field names.
    pub(super) event_type: Option<&'a str>,
}

/// Finds the places of a format in a message.
///
/// # Errors
/// When the text is not one JSON object.
pub(super) fn find<'a>(
    tree: &Tree,
    text: &'a str,
    mut shapes: Option<&mut Shapes>,
) -> Result<Found<'a>, Refused> {
    let mut scanner = Scanner::new(text);
    let mut found = Found::default();
    object(tree, &mut scanner, &mut found, &mut shapes)?;
    scanner.end()?;
    Ok(found)
}

fn object<'a>(
    tree: &Tree,
    scanner: &mut Scanner<'a>,
    found: &mut Found<'a>,
    shapes: &mut Option<&mut Shapes>,
) -> Result<(), Refused> {
    scanner.object(|scanner, name| {
        let text = name.lossy();
        if let Some((_, below)) =
            tree.members.iter().find(|(known, _)| known.len() == text.len() && **known == *text)
        {
            return place(below, scanner, found, shapes);
        }
        let value = scanner.value()?;
        match &tree.source {
            Some(Source::OtherMetadata) => found.metadata(&text, name.json(), value),
            Some(Source::DataMembers) => {
                let members = found.data_members.get_or_insert_default();
                members.extend([",", name.json(), ":", value]);
            }
            _ => found.unknown += 1,
        }
        Ok(())
    })
}

/// Reads what stands in a place.
pub(super) fn place<'a>(
    tree: &Tree,
    scanner: &mut Scanner<'a>,
    found: &mut Found<'a>,
    shapes: &mut Option<&mut Shapes>,
) -> Result<(), Refused> {
    let holds_members =
        !tree.members.is_empty() || matches!(tree.source, Some(Source::OtherMetadata | Source::DataMembers));
    if holds_members && scanner.peek() == Some(b'{') {
        let start = scanner.position();
        object(tree, scanner, found, shapes)?;
        if let Some(source) = &tree.source {
            found.set(source, scanner.since(start));
        }
        return Ok(());
    }
    if tree.source == Some(Source::Slot(Slot::Data)) {
        let (data, outline) = match shapes {
            Some(shapes) => {
                let event_type = found.slots[Slot::Type as usize].and_then(text_of).unwrap_or_default();
                shapes.read(scanner, &event_type)?
            }
            None => (scanner.value()?, None),
        };
        found.slots[Slot::Data as usize] = Some(data);
        found.outline = outline;
        return Ok(());
    }
    let value = scanner.value()?;
    if let Some(source) = &tree.source {
        found.set(source, value);
    }
    Ok(())
}

impl<'a> Found<'a> {
    /// Data alone: a message that is nothing else.
    pub(super) fn data(data: &'a str, outline: Option<Outline>) -> Self {
        let mut found = Found { outline, ..Found::default() };
        found.slots[Slot::Data as usize] = Some(data);
        found
    }

    /// A member of the metadata that has no place of its own.
    fn metadata(&mut self, name: &str, name_json: &str, value: &'a str) {
        match Slot::of_metadata(name) {
            Some(slot) => {
                self.slots[slot as usize].get_or_insert(value);
            }
            None => self.more.extend([",", name_json, ":", value]),
        }
    }

    /// So many members are not known besides, which may be the data of another format.
    pub(super) fn has_unknown(&mut self, unknown: usize) {
        self.unknown += unknown;
    }

    /// Takes the JSON of a part.
    pub(super) fn set(&mut self, source: &Source, value: &'a str) {
        // What is not said is null in many languages. Data may be null.
        if value == "null" && *source != Source::Slot(Slot::Data) {
            return;
        }
        match source {
            Source::Slot(slot) => {
                if *slot == Slot::Data {
                    self.outline = None;
                }
                self.slots[*slot as usize] = Some(value);
            }
            Source::Milliseconds => self.slots[Slot::Timestamp as usize] = Some(value),
            Source::Metadata(name) => self.more.extend([",", &quoted(name), ":", value]),
            // An answer has an id, too.
            Source::Refused(_) if self.refused == Some(Foreign::Answer) => {}
            Source::Refused(reason) => self.refused = Some(*reason),
            Source::OtherMetadata | Source::DataMembers | Source::DataAt(_) | Source::Constant(_) => {}
        }
    }

    /// The event. What is missing is filled in as for a message in the format of Oxbus.
    ///
    /// # Errors
    /// Why it is none: it has no type, or its payload is elsewhere.
    pub(super) fn event(
        self,
        around: &Around<'_>,
        missing: impl FnOnce() -> Missing,
    ) -> Result<Decoded<'a>, Foreign> {
        if let Some(reason) = self.refused {
            return Err(reason);
        }
        let slot = |slot: Slot| self.slots[slot as usize];
        let string = |of: Slot| slot(of).filter(|json| json.starts_with('"'));
        let type_json = match (string(Slot::Type), around.event_type) {
            (Some(json), _) => Cow::Borrowed(json),
            (None, Some(name)) => Cow::Owned(quoted(name)),
            (None, None) => return Err(Foreign::NoType),
        };
        let mut data_members = self.data_members;
        let data = match (slot(Slot::Data), &mut data_members) {
            (Some(data), _) => Cow::Borrowed(data),
            (None, Some(members)) => {
                members.replace_range(..1, "{");
                members.push('}');
                Cow::Borrowed(members.as_str())
            }
            (None, None) if self.unknown > 0 => return Err(Foreign::NoData),
            (None, None) => Cow::Borrowed("null"),
        };
        let mut missing = Lazy::Not(Some(missing));
        let id = match slot(Slot::Id) {
            Some(id) if id.len() > 2 && id.starts_with('"') => Cow::Borrowed(id),
            Some(id) if id.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
                Cow::Owned(format!("\"{id}\""))
            }
            _ => Cow::Owned(quoted(&missing.get().id)),
        };
        let published_ms = slot(Slot::Timestamp).and_then(time_of);
        let timestamp = match (slot(Slot::Timestamp), published_ms) {
            (Some(json), Some(_)) if json.len() == 26 && json.ends_with("Z\"") => Cow::Borrowed(json),
            (_, Some(ms)) => Cow::Owned(format!("\"{}\"", time::to_iso(ms))),
            (_, None) => Cow::Owned(format!("\"{}\"", time::to_iso(missing.get().timestamp_ms))),
        };
        let source = string(Slot::Source).unwrap_or("\"unknown\"");
        let correlation_id = string(Slot::CorrelationId).filter(|json| json.len() > 2).unwrap_or(&id);
        let causation_id = string(Slot::CausationId).filter(|json| json.len() > 2);
        let (instance_id, room, key) = (string(Slot::InstanceId), string(Slot::Room), slot(Slot::Key));

        let length = [&*id, &*type_json, &data, &timestamp, source, correlation_id, &self.more]
            .iter()
            .chain([instance_id, causation_id, room, key].iter().flatten())
            .map(|text| text.len())
            .sum::<usize>();
        let mut out = Composer(String::with_capacity(length + 160));
        let id_span = out.string("{\"id\":", &id);
        let type_span = out.string(",\"type\":", &type_json);
        let data_span = out.value(",\"data\":", &data);
        let timestamp_span = out.string(",\"metadata\":{\"timestamp\":", &timestamp);
        let source_span = out.string(",\"source\":", source);
        let instance_span = instance_id.and_then(|json| out.string(",\"instanceId\":", json));
        let correlation_span = out.string(",\"correlationId\":", correlation_id);
        let causation_span = causation_id.map(|json| out.string(",\"causationId\":", json));
        let room_span = room.map(|json| out.string(",\"room\":", json));
        if let Some(key) = key {
            out.value(",\"key\":", key);
        }
        out.0.extend([&*self.more, "}}"]);

        let parts = || {
            Some(Parts {
                id: id_span?,
                event_type: type_span?,
                timestamp: timestamp_span?,
                source: source_span?,
                instance_id: instance_span?,
                correlation_id: if *correlation_id == *id { None } else { Some(correlation_span?) },
                causation_id: match causation_span {
                    Some(span) => Some(span?),
                    None => None,
                },
                room: match room_span {
                    Some(span) => Some(span?),
                    None => None,
                },
                rest: None,
                data: data_span?,
            })
        };
        let event_type = match type_json {
            Cow::Borrowed(json) => text_of(json).unwrap_or_default(),
            Cow::Owned(_) => around.event_type.unwrap_or_default().to_owned().into(),
        };
        Ok(Decoded {
            event_type,
            published_ms,
            instance_id: instance_id.and_then(text_of),
            key: key.and_then(text_of),
            parts: if self.more.is_empty() && key.is_none() { parts() } else { None },
            outlined: self.outline.and_then(|outline| Some((data_span?, outline))),
            json: out.0.into(),
        })
    }
}

/// What is asked for once at the most.
enum Lazy<F> {
    Not(Option<F>),
    Made(Missing),
}

impl<F: FnOnce() -> Missing> Lazy<F> {
    fn get(&mut self) -> &Missing {
        if let Lazy::Not(make) = self
            && let Some(make) = make.take()
        {
            *self = Lazy::Made(make());
        }
        static NONE: Missing = Missing { id: String::new(), timestamp_ms: 0 };
        match self {
            Lazy::Made(missing) => missing,
            Lazy::Not(_) => &NONE,
        }
    }
}

/// The time that a timestamp says: a text, or milliseconds since the Unix epoch.
fn time_of(json: &str) -> Option<i64> {
    match text_of(json) {
        Some(text) => time::from_iso(&text),
        None => {
            let ms = json.parse::<f64>().ok()?;
            // Years 0 to 9999.
            (-62_167_219_200_000.0..253_402_300_800_000.0).contains(&ms).then_some(ms as i64)
        }
    }
}

/// A JSON text in the making.
struct Composer(String);

impl Composer {
    /// A string with its quotes; where its inside stands, unless it has escapes.
    fn string(&mut self, head: &str, json: &str) -> Option<Span> {
        let start = self.0.len() + head.len();
        self.0.extend([head, json]);
        if json.contains('\\') {
            return None;
        }
        Span::new(start + 1, self.0.len() - 1)
    }

    fn value(&mut self, head: &str, json: &str) -> Option<Span> {
        let start = self.0.len() + head.len();
        self.0.extend([head, json]);
        Span::new(start, self.0.len())
    }
}

/// `text` as a JSON string, for fields of entries.
pub(super) fn string_of(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}
