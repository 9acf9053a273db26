//! Dead letters in a foreign format: which fields they have in a stream besides those of Oxbus, and which JSON they are in a list.

use serde_json::{Map, Value, json};

use super::writing::at;
use crate::codec::json::{quoted, text_of};
use crate::codec::oxbus::dead_letter as ours;
use crate::stream_store::name_template::NameText;
use crate::stream_store::{ConsumerId, DeadLetterEntry, EntryId, Fields};
use crate::time;

/// The member of a letter in a list that Oxbus adds, by which it is moved back as it was.
pub(super) const OURS: &str = "oxbus";

/// The only field of a letter of a list that cannot be read: all of it.
pub const UNREADABLE: &str = "letter";

/// The format of dead letters.
#[derive(Debug)]
pub struct LetterFormat {
    /// The name of their stream; `None` where the configuration says it.
    pub(crate) stream: Option<NameText>,
    /// The fields that a letter in a stream has besides those of Oxbus.
    pub(super) fields: Box<[(Box<str>, Part)]>,
    /// The list that they are in.
    pub(crate) list: Option<ListFormat>,
    /// Whether a user has described it.
    pub(super) described: bool,
}

/// A list of dead letters.
#[derive(Debug)]
pub(crate) struct ListFormat {
    /// Its name.
    pub(crate) name: NameText,
    /// Whether it keeps the letters. If not, a stream does, and this has copies.
    pub(crate) keeps: bool,
    /// How many letters it has at the most.
    pub(crate) max_length: u64,
    /// Whether a new letter is the first one of the list, as `LPUSH` has it, and not the last.
    pub(crate) at_front: bool,
    /// The JSON of a letter.
    pub(super) letter: Letter,
}

/// An object of a letter: names, and what stands there.
#[derive(Debug, Default)]
pub(super) struct Letter(Vec<(Box<str>, Place)>);

#[derive(Debug)]
enum Place {
    Part(Part),
    Object(Letter),
}

/// What of a dead letter stands in a place.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// The event as a live message.
    Message,
    /// The fields of the entry, as an object.
    Fields,
    MessageId,
    Stream,
    Group,
    Consumer,
    Attempts,
    /// The attempts but the first one.
    Retries,
    Reason,
    /// The error, an object.
    Error,
    /// A member of the error.
    OfError(&'static str),
    /// When it was given up, as ISO 8601.
    Time,
    /// The same as milliseconds since the Unix epoch.
    Milliseconds,
    /// This JSON.
    Constant(Box<str>),
}

/// What is known of an entry that is given up.
#[derive(Clone, Copy, Debug)]
pub struct LetterFacts<'a> {
    /// Who gives it up.
    pub member: &'a ConsumerId,
    /// Why.
    pub letter: &'a DeadLetterEntry,
    /// When, in milliseconds since the Unix epoch.
    pub time_ms: u64,
}

const PARTS: [(&str, Part); 15] = [
    ("message", Part::Message),
    ("fields", Part::Fields),
    ("messageId", Part::MessageId),
    ("stream", Part::Stream),
    ("group", Part::Group),
    ("consumer", Part::Consumer),
    ("attempts", Part::Attempts),
    ("retries", Part::Retries),
    ("reason", Part::Reason),
    ("error", Part::Error),
    ("error.name", Part::OfError("name")),
    ("error.message", Part::OfError("message")),
    ("error.stack", Part::OfError("stack")),
    ("error.code", Part::OfError("code")),
    ("time", Part::Time),
];

impl Part {
    /// The part of that name.
    pub(super) fn named(name: &str) -> Option<Part> {
        if name == "timeMs" {
            return Some(Part::Milliseconds);
        }
        PARTS.iter().find(|(known, _)| *known == name).map(|(_, part)| part.clone())
    }

    /// The names of all parts, for errors.
    pub(super) fn names() -> String {
        let names: Vec<String> = PARTS.iter().map(|(name, _)| format!("'{name}'")).collect();
        format!("{} and 'timeMs'", names.join(", "))
    }

    /// Its JSON; `None` where there is none, and for what only the entry has.
    fn json(&self, LetterFacts { member, letter, time_ms }: LetterFacts<'_>) -> Option<String> {
        Some(match self {
            Part::Message | Part::Fields => return None,
            Part::MessageId => quoted(&letter.id.to_string()),
            Part::Stream => quoted(&member.stream),
            Part::Group => quoted(&member.group),
            Part::Consumer => quoted(&member.consumer),
            Part::Attempts => letter.attempts.to_string(),
            Part::Retries => letter.attempts.saturating_sub(1).to_string(),
            Part::Reason => quoted(letter.reason),
            Part::Error => letter.error.to_string(),
            Part::OfError(name) => at(&letter.error, &[(*name).into()])?.to_owned(),
            Part::Time => quoted(&time::to_iso(i64::try_from(time_ms).unwrap_or_default())),
            Part::Milliseconds => time_ms.to_string(),
            Part::Constant(json) => json.to_string(),
        })
    }

    /// The field of a dead letter of Oxbus that says the same, and its value where this part is `value`.
    fn of_ours(&self, value: &str) -> Option<(&'static str, String)> {
        let name = match self {
            Part::MessageId => ours::ID,
            Part::Stream => ours::STREAM,
            Part::Group => ours::GROUP,
            Part::Consumer => ours::CONSUMER,
            Part::Attempts => ours::ATTEMPTS,
            Part::Retries => {
                let retries: u32 = value.parse().ok()?;
                return Some((ours::ATTEMPTS, retries.saturating_add(1).to_string()));
            }
            Part::Reason => ours::REASON,
            Part::Error => ours::ERROR,
            Part::Time | Part::Milliseconds => ours::TIME,
            Part::Message | Part::Fields | Part::OfError(_) | Part::Constant(_) => return None,
        };
        Some((name, value.to_owned()))
    }
}

impl LetterFormat {
    /// Whether a user has described it, so that its names are to be taken as they are.
    pub(crate) fn is_described(&self) -> bool {
        self.described
    }

    /// The names of the fields that a letter in a stream has besides those of Oxbus.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| &**name)
    }

    /// Their values, empty where there is none.
    pub fn field_values(&self, facts: LetterFacts<'_>) -> impl Iterator<Item = String> {
        self.fields.iter().map(move |(_, part)| part.json(facts).map(|json| plain(&json)).unwrap_or_default())
    }

    /// The fields of a letter in a stream with names of Oxbus instead of these, so that a letter of another program says
    /// what it says.
    pub fn with_own_names(&self, fields: Fields) -> Fields {
        let part_of = |name: &[u8]| {
            self.fields.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, part)| part)
        };
        let (theirs, mut own): (Fields, Fields) =
            fields.into_iter().partition(|(name, _)| part_of(name).is_some());
        for (name, value) in theirs {
            let Some(part) = part_of(&name) else { continue };
            let Some((name, value)) = part.of_ours(&String::from_utf8_lossy(&value)) else { continue };
            if !own.iter().any(|(known, _)| **known == *name.as_bytes()) {
                own.push((name.as_bytes().into(), value.as_bytes().into()));
            }
        }
        own
    }
}

impl ListFormat {
    /// A letter as JSON. `message` is the event as a message, if the entry has one.
    pub(in crate::codec) fn letter(
        &self,
        facts: LetterFacts<'_>,
        message: Option<&str>,
        fields: &Fields,
    ) -> String {
        self.letter.write(facts, message, fields)
    }

    /// Reads a letter: see [`Letter::read`].
    pub(in crate::codec) fn read(
        &self,
        bytes: &[u8],
        fields_of: impl Fn(&str) -> Option<Fields>,
    ) -> (EntryId, Fields) {
        self.letter.read(bytes, fields_of)
    }
}

impl Letter {
    /// Adds a place.
    pub(super) fn add(&mut self, path: &str, part: Part) {
        match path.split_once('.') {
            None => self.0.push((path.into(), Place::Part(part))),
            Some((step, rest)) => {
                let found = self
                    .0
                    .iter()
                    .position(|(name, place)| **name == *step && matches!(place, Place::Object(_)));
                let index = found.unwrap_or_else(|| {
                    self.0.push((step.into(), Place::Object(Letter::default())));
                    self.0.len() - 1
                });
                if let Some((_, Place::Object(below))) = self.0.get_mut(index) {
                    below.add(rest, part);
                }
            }
        }
    }

    /// The letter as JSON. `message` is the event as a message, if the entry has one.
    pub(super) fn write(&self, facts: LetterFacts<'_>, message: Option<&str>, fields: &Fields) -> String {
        let mut out = String::with_capacity(512 + message.map_or(0, str::len));
        self.put(&mut out, facts, message, fields);
        out.pop();
        if out.len() > 1 {
            out.push(',');
        }
        let LetterFacts { member, letter, time_ms } = facts;
        let kept: Vec<Value> = fields.iter().map(|(name, value)| json!([kept(name), kept(value)])).collect();
        let error: Value = serde_json::from_str(&letter.error).unwrap_or_default();
        let own = json!({
            "id": letter.id.to_string(),
            "stream": &*member.stream,
            "group": &*member.group,
            "consumer": &*member.consumer,
            "attempts": letter.attempts,
            "reason": letter.reason,
            "error": error,
            "time": time_ms,
            "fields": kept,
        });
        out.extend(["\"", OURS, "\":", &own.to_string(), "}"]);
        out
    }

    fn put(&self, out: &mut String, facts: LetterFacts<'_>, message: Option<&str>, fields: &Fields) {
        out.push('{');
        for (name, place) in &self.0 {
            let before = out.len();
            if !out.ends_with('{') {
                out.push(',');
            }
            out.extend([&*quoted(name), ":"]);
            let json = match place {
                Place::Object(below) => {
                    below.put(out, facts, message, fields);
                    continue;
                }
                Place::Part(Part::Message) => message.map(str::to_owned),
                Place::Part(Part::Fields) => Some(object_of(fields).to_string()),
                Place::Part(part) => part.json(facts),
            };
            match json {
                Some(json) => out.push_str(&json),
                None => out.truncate(before),
            }
        }
        out.push('}');
    }

    /// Calls `found` with each part that a letter has, and its JSON.
    fn each<'a>(&self, json: &'a str, found: &mut impl FnMut(&Part, &'a str)) {
        for (name, place) in &self.0 {
            let Some(json) = at(json, std::slice::from_ref(name)) else { continue };
            match place {
                Place::Part(part) => found(part, json),
                Place::Object(below) => below.each(json, found),
            }
        }
    }

    /// Reads a letter of a list: its id, and the fields that it would have in a stream. `fields_of` gives the fields of an
    /// entry whose event is this message, where the letter does not say them. One that cannot be read has one field with all of it.
    pub(super) fn read(&self, bytes: &[u8], fields_of: impl Fn(&str) -> Option<Fields>) -> (EntryId, Fields) {
        let text = std::str::from_utf8(bytes).ok();
        if let Some((time_ms, fields)) = text.and_then(own_letter) {
            return (id_of(time_ms, bytes), fields);
        }
        let (mut message, mut entry, mut own, mut error) = (None, None, Fields::new(), Map::new());
        self.each(text.unwrap_or_default(), &mut |part, json| match part {
            Part::Message => message = fields_of(&plain(json)),
            Part::Fields => entry = fields_of_object(json).filter(|fields| !fields.is_empty()),
            Part::OfError(name) => {
                error.insert((*name).to_owned(), Value::from(plain(json)));
            }
            part => own.extend(part.of_ours(&plain(json)).map(|(name, value)| field(name, &value))),
        });
        if !error.is_empty() {
            own.push(field(ours::ERROR, &Value::Object(error).to_string()));
        }
        let time = own.iter().find(|(name, _)| **name == *ours::TIME.as_bytes());
        let time = time.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default();
        let time_ms = time.parse().ok().or_else(|| u64::try_from(time::from_iso(&time)?).ok());
        let mut fields =
            entry.or(message).unwrap_or_else(|| vec![(UNREADABLE.as_bytes().into(), bytes.into())]);
        fields.append(&mut own);
        (id_of(time_ms.unwrap_or_default(), bytes), fields)
    }
}

/// The time and the fields of a letter that Oxbus has put into a list.
fn own_letter(text: &str) -> Option<(u64, Fields)> {
    let own: Value = serde_json::from_str(at(text, &[OURS.into()])?).ok()?;
    let mut fields = Fields::new();
    for pair in own.get("fields")?.as_array()? {
        fields.push((restored(pair.get(0)?)?, restored(pair.get(1)?)?));
    }
    let time_ms = own.get("time")?.as_u64()?;
    let names = ["id", "stream", "group", "consumer", "attempts", "error", "reason", "time"];
    for (name, ours) in names.iter().zip(ours::ALL) {
        let value = match own.get(*name)? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        fields.push(field(ours, &value));
    }
    Some((time_ms, fields))
}

/// The id of a letter of a list: when it was given up, and which of those at that time it is, by its bytes. Two letters with the
/// same id are the same letter.
fn id_of(time_ms: u64, bytes: &[u8]) -> EntryId {
    // FNV-1a.
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    EntryId { ms: time_ms, seq: hash }
}

fn field(name: &str, value: &str) -> (Box<[u8]>, Box<[u8]>) {
    (name.as_bytes().into(), value.as_bytes().into())
}

/// The text of a string, else the JSON itself.
fn plain(json: &str) -> String {
    text_of(json).map_or_else(|| json.to_owned(), |text| text.into_owned())
}

/// The name or the value of a field in JSON: text, or bytes that are none.
fn kept(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() }),
    }
}

/// The opposite of [`kept`].
fn restored(value: &Value) -> Option<Box<[u8]>> {
    if let Some(text) = value.as_str() {
        return Some(text.as_bytes().into());
    }
    let digits = value.get("hex")?.as_str()?;
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn object_of(fields: &Fields) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    fields.iter().map(|(name, value)| (text(name), Value::from(text(value)))).collect::<Map<_, _>>().into()
}

fn fields_of_object(json: &str) -> Option<Fields> {
    let fields: Map<String, Value> = serde_json::from_str(json).ok()?;
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Some(fields.iter().map(|(name, value)| field(name, &text(value))).collect())
}
