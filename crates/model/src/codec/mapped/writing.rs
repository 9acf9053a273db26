//! From an event to a foreign message.

use std::borrow::Cow;

use serde_json::Value;

use super::source::{OF_METADATA, Slot, Source};
use super::tree::Tree;
use crate::codec::json::{Refused, Scanner, escaped, plain_length, quoted};
use crate::codec::new_event::{Metadata, NewEvent, Origin};
use crate::time;

/// How a message is written: steps that are made once, from the places of a format.
#[derive(Debug)]
pub(super) struct Writing {
    steps: Box<[Step]>,
    /// The members of the metadata without a place of their own: their names as JSON with a colon.
    other_slots: Box<[(Box<str>, Slot)]>,
    other_names: Box<[(Box<str>, &'static str)]>,
    /// The members of the caller's own that have a place.
    names: Box<[Box<str>]>,
}

#[derive(Debug)]
enum Step {
    /// Begins an object: what stands before it, its name and a colon or nothing.
    Open(Box<str>),
    Close,
    /// A member: its name and a colon, and its value. One that the event has not is left out.
    Member(Box<str>, Source),
    /// Members of an object without its braces.
    Members(Source),
}

impl Writing {
    /// How a message with these places is written, in their order.
    pub(super) fn new(places: &[(&str, Source)]) -> Writing {
        let (mut steps, mut slots, mut names) = (Vec::new(), 0, Vec::<Box<str>>::new());
        for (_, source) in places {
            match source {
                Source::Slot(slot) => slots |= slot.bit(),
                Source::Milliseconds => slots |= Slot::Timestamp.bit(),
                Source::Metadata(name) => names.push(name.clone()),
                _ => {}
            }
        }
        open(&mut steps, Box::default(), &Tree::of(places));
        let other_slots = OF_METADATA.iter().filter(|(_, slot)| slots & slot.bit() == 0);
        let has_place = |name: &str| names.iter().any(|own| **own == *name);
        let other_names = OPTIONAL.into_iter().filter(|name| !has_place(name));
        Writing {
            steps: steps.into(),
            other_slots: other_slots.map(|(name, slot)| (member_head(name).into(), *slot)).collect(),
            other_names: other_names.map(|name| (member_head(name).into(), name)).collect(),
            names: names.into(),
        }
    }

    /// How the metadata that has no place of its own is written, as one object.
    pub(super) fn of_others(places: &[(&str, Source)]) -> Writing {
        let steps = [Step::Open(Box::default()), Step::Members(Source::OtherMetadata), Step::Close];
        Writing { steps: steps.into(), ..Writing::new(places) }
    }

    /// The names of the members of the message itself.
    pub(super) fn top_names(&self) -> impl Iterator<Item = &str> {
        let mut depth = 0;
        self.steps.iter().filter_map(move |step| {
            let name = match step {
                Step::Open(name) => {
                    depth += 1;
                    (depth == 2).then_some(name)
                }
                Step::Close => {
                    depth -= 1;
                    None
                }
                Step::Member(name, _) => (depth == 1).then_some(name),
                Step::Members(_) => None,
            };
            name.and_then(|name| name.strip_prefix('"')?.strip_suffix("\":"))
        })
    }

    /// Whether the members of the data are members of the message itself.
    pub(super) fn spreads_data(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Members(Source::DataMembers)))
    }

    /// Appends the message to `out`.
    pub(super) fn write(&self, out: &mut Vec<u8>, origin: &Origin, event: &NewEvent<'_>) {
        let none = Metadata::default();
        let values = Values { origin, event, metadata: event.metadata.unwrap_or(&none) };
        let mut follows = false;
        for step in &self.steps {
            match step {
                Step::Open(name) => {
                    separate(out, follows);
                    out.extend_from_slice(name.as_bytes());
                    out.push(b'{');
                    follows = false;
                }
                Step::Close => {
                    out.push(b'}');
                    follows = true;
                }
                Step::Member(name, source) => follows |= values.put_member(out, follows, name, source),
                Step::Members(Source::DataMembers) => {
                    let inside = event.data.strip_prefix('{').and_then(|data| data.strip_suffix('}'));
                    if let Some(inside) = inside.map(str::trim).filter(|inside| !inside.is_empty()) {
                        separate(out, follows);
                        out.extend_from_slice(inside.as_bytes());
                        follows = true;
                    }
                }
                Step::Members(_) => self.put_others(out, &values, &mut follows),
            }
        }
    }

    /// Appends the members of the metadata that have no place of their own.
    fn put_others(&self, out: &mut Vec<u8>, values: &Values<'_>, follows: &mut bool) {
        for (head, slot) in &self.other_slots {
            *follows |= values.put_text(out, *follows, head, *slot);
        }
        if values.event.metadata.is_none() {
            return;
        }
        let mut put = |head: &str, json: Option<String>| {
            if let Some(json) = json {
                separate(out, *follows);
                out.extend_from_slice(head.as_bytes());
                out.extend_from_slice(json.as_bytes());
                *follows = true;
            }
        };
        for (head, name) in &self.other_names {
            put(head, values.named(name));
        }
        for (name, value) in values.metadata.extra.into_iter().flatten() {
            if !self.names.iter().any(|own| **own == **name) {
                put(&member_head(name), Some(value.to_string()));
            }
        }
    }
}

/// Members of the metadata that few events have.
const OPTIONAL: [&str; 6] = ["traceparent", "tracestate", "userId", "organizationId", "toUser", "except"];

/// Makes the steps of an object.
fn open(steps: &mut Vec<Step>, name: Box<str>, tree: &Tree) {
    steps.push(Step::Open(name));
    for (name, below) in &tree.members {
        let head = member_head(name).into();
        match &below.source {
            None | Some(Source::OtherMetadata | Source::DataMembers) => open(steps, head, below),
            Some(source) => steps.push(Step::Member(head, source.clone())),
        }
    }
    if let Some(source) = &tree.source {
        steps.push(Step::Members(source.clone()));
    }
    steps.push(Step::Close);
}

fn member_head(name: &str) -> String {
    let mut head = quoted(name);
    head.push(':');
    head
}

fn separate(out: &mut Vec<u8>, follows: bool) {
    if follows {
        out.push(b',');
    }
}

/// What an event has to write.
pub(super) struct Values<'a> {
    pub(super) origin: &'a Origin,
    pub(super) event: &'a NewEvent<'a>,
    pub(super) metadata: &'a Metadata<'a>,
}

impl Values<'_> {
    /// Appends a member. False when the event has it not.
    fn put_member(&self, out: &mut Vec<u8>, follows: bool, name: &str, source: &Source) -> bool {
        if let Source::Slot(slot) = source
            && *slot != Slot::Data
        {
            return self.put_text(out, follows, name, *slot);
        }
        let before = out.len();
        separate(out, follows);
        out.extend_from_slice(name.as_bytes());
        if self.put(out, source) {
            return true;
        }
        out.truncate(before);
        false
    }

    /// Appends a member that is a text. False when the event has it not.
    fn put_text(&self, out: &mut Vec<u8>, follows: bool, head: &str, slot: Slot) -> bool {
        let Some(text) = self.text(slot) else { return false };
        separate(out, follows);
        out.extend_from_slice(head.as_bytes());
        put_string(out, text);
        true
    }

    /// Appends a value as JSON. False, with nothing written, when the event has it not.
    fn put(&self, out: &mut Vec<u8>, source: &Source) -> bool {
        match source {
            Source::Slot(Slot::Data) => out.extend_from_slice(self.event.data.as_bytes()),
            Source::Slot(slot) => {
                let Some(text) = self.text(*slot) else { return false };
                put_string(out, text);
            }
            Source::Milliseconds => {
                let ms = time::from_iso(self.event.timestamp).unwrap_or_default();
                out.extend_from_slice(ms.to_string().as_bytes());
            }
            Source::Metadata(name) => {
                let Some(json) = self.named(name) else { return false };
                out.extend_from_slice(json.as_bytes());
            }
            Source::DataAt(steps) => {
                let Some(json) = at(self.event.data, steps) else { return false };
                out.extend_from_slice(json.as_bytes());
            }
            Source::Constant(json) => out.extend_from_slice(json.as_bytes()),
            Source::OtherMetadata | Source::DataMembers | Source::Refused(_) => return false,
        }
        true
    }

    /// A value as plain text: that of a string, else its JSON.
    pub(super) fn plain(&self, source: &Source) -> Option<Cow<'_, str>> {
        match source {
            Source::Slot(Slot::Data) => Some(Cow::Borrowed(self.event.data)),
            Source::Slot(slot) => self.text(*slot).map(Cow::Borrowed),
            _ => {
                let mut json = Vec::new();
                let json = self.put(&mut json, source).then_some(json)?;
                let json = String::from_utf8(json).ok()?;
                let text = Scanner::new(&json).string().ok().map(|text| text.lossy().into_owned());
                Some(Cow::Owned(text.unwrap_or(json)))
            }
        }
    }

    /// The text of a slot other than the data.
    fn text(&self, slot: Slot) -> Option<&str> {
        let m = self.metadata;
        match slot {
            Slot::Id => Some(self.event.id),
            Slot::Type => Some(self.event.event_type),
            Slot::Data => None,
            Slot::Timestamp => Some(self.event.timestamp),
            Slot::Source => Some(m.source.unwrap_or(self.origin.source())),
            Slot::InstanceId => Some(self.origin.instance_id()).filter(|id| !id.is_empty()),
            Slot::CorrelationId => Some(m.correlation_id.unwrap_or(self.event.id)),
            Slot::CausationId => m.causation_id,
            Slot::Room => m.room,
            Slot::Key => m.key,
        }
    }

    /// Another member of the metadata as JSON.
    fn named(&self, name: &str) -> Option<String> {
        let m = self.metadata;
        let text = match name {
            "traceparent" => m.traceparent,
            "tracestate" => m.tracestate,
            "userId" => m.user_id,
            "organizationId" => m.organization_id,
            "toUser" => m.to_user,
            "except" => return (!m.except.is_empty()).then(|| Value::from(m.except).to_string()),
            _ => return m.extra.and_then(|extra| extra.get(name)).map(Value::to_string),
        };
        text.map(quoted)
    }
}

/// Appends a text as a JSON string.
fn put_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    if plain_length(text.as_bytes()) == text.len() {
        out.extend_from_slice(text.as_bytes());
    } else {
        out.extend_from_slice(escaped(text).as_bytes());
    }
    out.push(b'"');
}

/// The value at a path of a JSON object, as it is written. Of members with one name, the first: what is behind it is not read.
pub(super) fn at<'a>(json: &'a str, steps: &[Box<str>]) -> Option<&'a str> {
    steps.iter().try_fold(json, |json, step| {
        let mut found = None;
        let mut scanner = Scanner::new(json);
        let read = scanner.object(|scanner, name| {
            let value = scanner.value()?;
            if *name.lossy() == **step {
                found = Some(value);
                return Err(Refused);
            }
            Ok(())
        });
        match read {
            // Refused where it was found, too.
            Ok(()) | Err(Refused) => found,
        }
    })
}
