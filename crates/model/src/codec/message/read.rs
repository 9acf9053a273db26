//! From a message to an event.

use std::borrow::Cow;

use super::json_text;
use crate::codec::json::{Refused, Scanner};
use crate::time;

/// A message that is not an event: not a JSON object with a `type` of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign;

/// A message read as an event.
#[derive(Debug)]
pub struct Decoded<'a> {
    /// The event as JSON: the message itself where it was complete.
    pub json: Cow<'a, str>,
    /// Its type.
    pub event_type: Cow<'a, str>,
    /// When it was published, by the publisher's clock; `None` when it did not say.
    pub published_ms: Option<i64>,
    /// The client start that published it.
    pub instance_id: Option<Cow<'a, str>>,
    /// Its key.
    pub key: Option<Cow<'a, str>>,
    /// Where its parts stand in `json`, when it has only those that every event of Oxbus has.
    pub parts: Option<Parts>,
}

/// Where the parts of an event stand in its JSON text. None has an escape, so each is its own JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Without its quotes, as all but `data`.
    pub id: Span,
    /// The type.
    pub event_type: Span,
    /// The timestamp.
    pub timestamp: Span,
    /// The source.
    pub source: Span,
    /// The client start that published it.
    pub instance_id: Span,
    /// `None` when it is the id.
    pub correlation_id: Option<Span>,
    /// The id of the event that caused it.
    pub causation_id: Option<Span>,
    /// The room that it is for.
    pub room: Option<Span>,
    /// The data as JSON.
    pub data: Span,
}

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The part of `text`.
    pub fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// From one place in a text to another. `None` beyond 4 GiB.
    pub(crate) fn new(start: usize, end: usize) -> Option<Span> {
        Some(Span { start: u32::try_from(start).ok()?, end: u32::try_from(end).ok()? })
    }

    /// Where `part`, which was borrowed from `text`, stands in it. `None` for a text of 4 GiB.
    fn within(text: &str, part: &str) -> Option<Span> {
        let start = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
        Span::new(start, start + part.len())
    }
}

/// What completes an event whose publisher left it out.
#[derive(Clone, Debug)]
pub struct Missing {
    /// An id.
    pub id: String,
    /// The time of receipt, Unix milliseconds.
    pub timestamp_ms: i64,
}

/// Reads a message. `missing` is asked only where a foreign publisher left something out.
pub fn read(message: &[u8], missing: impl FnOnce() -> Missing) -> Result<Decoded<'_>, Foreign> {
    let text = std::str::from_utf8(message).map_err(|_| Foreign)?;
    if let Ok(wire) = scan(text)
        && let Some(published_ms) = wire.published_ms()
    {
        let parts = wire.parts(text);
        let Wire { event_type, metadata, .. } = wire;
        let WireMetadata { instance_id, key, .. } = metadata.unwrap_or_default();
        return Ok(Decoded {
            json: Cow::Borrowed(text),
            event_type: event_type.unwrap_or_default(),
            published_ms: Some(published_ms),
            instance_id,
            key,
            parts,
        });
    }
    complete(text, missing)
}

/// The id of a whole event, as [`Decoded::json`] holds it.
pub fn id_of(json: &str) -> Option<Cow<'_, str>> {
    let mut id = None;
    let mut scanner = Scanner::new(json);
    // Nearly all events begin with it. The last one counts, as for V8.
    let read = scanner.object(|scanner, name| {
        let value = scanner.value()?;
        if name.lossy() == "id" {
            id = Some(value);
        }
        Ok(())
    });
    read.ok()?;
    let id = id?;
    // Of others it may be a number.
    Some(said(id).unwrap_or(Cow::Borrowed(id)))
}

/// The members of a room that a whole event of it is not for; none where it does not say.
pub fn except_of(json: &str) -> Vec<String> {
    // Few events have any.
    if !json.contains("\"except\"") {
        return Vec::new();
    }
    let found = members(&mut Scanner::new(json), ["metadata"])
        .and_then(|([metadata], _)| members(&mut Scanner::new(metadata.unwrap_or_default()), ["except"]));
    let Ok(([Some(except)], _)) = found else { return Vec::new() };
    serde_json::from_str(except).unwrap_or_default()
}

/// The slow way, for the messages of others: fills in what is missing or has the wrong type. What is there
/// stays as it is written, so that what only V8 can read is left to it.
fn complete(text: &str, missing: impl FnOnce() -> Missing) -> Result<Decoded<'static>, Foreign> {
    let mut scanner = Scanner::new(text);
    let (event, others) =
        members(&mut scanner, ["id", "type", "data", "metadata"]).map_err(|Refused| Foreign)?;
    scanner.end().map_err(|Refused| Foreign)?;
    let [id, event_type, data, metadata] = event;
    let event_type_json = event_type.ok_or(Foreign)?;
    let event_type = said(event_type_json).ok_or(Foreign)?;
    let missing = missing();
    let id = match id {
        Some(id) if id.starts_with('"') => Cow::Borrowed(id),
        Some(id) if id.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => format!("\"{id}\"").into(),
        _ => json_text(&missing.id).into(),
    };
    let ([timestamp, source, correlation_id, instance_id, key], more) = members(
        &mut Scanner::new(metadata.unwrap_or_default()),
        ["timestamp", "source", "correlationId", "instanceId", "key"],
    )
    .unwrap_or_default();
    let published_ms = timestamp.and_then(said).and_then(|text| time::from_iso(&text));
    let timestamp = match timestamp {
        Some(timestamp) if published_ms.is_some() => Cow::Borrowed(timestamp),
        _ => json_text(&time::to_iso(missing.timestamp_ms)).into(),
    };
    let is_text = |json: &&str| json.starts_with('"');
    let source = source.filter(is_text).unwrap_or("\"unknown\"");
    let correlation_id = correlation_id.filter(is_text).unwrap_or(&id);
    let mut json = format!(
        "{{\"id\":{id},\"type\":{event_type_json},\"data\":{}{others},\"metadata\":{{\"timestamp\":{timestamp},\
         \"source\":{source},\"correlationId\":{correlation_id}",
        data.unwrap_or("null"),
    );
    for (name, value) in [("instanceId", instance_id), ("key", key)] {
        if let Some(value) = value {
            json.extend([",\"", name, "\":", value]);
        }
    }
    json.extend([&more, "}}"]);
    Ok(Decoded {
        json: json.into(),
        event_type: event_type.into_owned().into(),
        published_ms,
        instance_id: instance_id.and_then(said).map(|text| text.into_owned().into()),
        key: key.and_then(said).map(|text| text.into_owned().into()),
        parts: None,
    })
}

/// The values of the members `names` as they are written, the last of each as V8 takes it, and all other
/// members as text, each behind a comma.
fn members<'a, const N: usize>(
    scanner: &mut Scanner<'a>,
    names: [&str; N],
) -> Result<([Option<&'a str>; N], String), Refused>
where
    [Option<&'a str>; N]: Default,
{
    let mut values: [Option<&str>; N] = Default::default();
    let mut others = String::new();
    scanner.object(|scanner, name| {
        let value = scanner.value()?;
        let text = name.lossy();
        match names.iter().zip(&mut values).find(|(known, _)| **known == text) {
            Some((_, last)) => *last = Some(value),
            None => others.extend([",", name.json(), ":", value]),
        }
        Ok(())
    })?;
    Ok((values, others))
}

/// What a JSON string says; `None` for other JSON.
pub(crate) fn said(json: &str) -> Option<Cow<'_, str>> {
    Some(Scanner::new(json).string().ok()?.lossy())
}

/// An event as it stands in a message. Members that Oxbus does not know are only counted.
#[derive(Default)]
struct Wire<'a> {
    id: Option<Cow<'a, str>>,
    event_type: Option<Cow<'a, str>>,
    data: Option<&'a str>,
    metadata: Option<WireMetadata<'a>>,
    others: usize,
}

#[derive(Default)]
struct WireMetadata<'a> {
    timestamp: Option<Cow<'a, str>>,
    source: Option<Cow<'a, str>>,
    instance_id: Option<Cow<'a, str>>,
    correlation_id: Option<Cow<'a, str>>,
    causation_id: Option<Cow<'a, str>>,
    room: Option<Cow<'a, str>>,
    key: Option<Cow<'a, str>>,
    others: usize,
}

impl<'a> Wire<'a> {
    /// When it was published; `None` when anything that an event must have is missing.
    fn published_ms(&self) -> Option<i64> {
        let m = self.metadata.as_ref()?;
        let required = [&self.id, &self.event_type, &m.source, &m.correlation_id];
        (required.into_iter().all(Option::is_some) && self.data.is_some())
            .then(|| time::from_iso(m.timestamp.as_deref()?))
            .flatten()
    }

    fn parts(&self, text: &'a str) -> Option<Parts> {
        let m = self.metadata.as_ref()?;
        if self.others + m.others > 0 || m.key.is_some() {
            return None;
        }
        // What had an escape was copied: only what still borrows stands in the text as it is.
        let span = |part: &Option<Cow<'a, str>>| match part {
            Some(Cow::Borrowed(part)) => Span::within(text, part),
            _ => None,
        };
        Some(Parts {
            id: span(&self.id)?,
            event_type: span(&self.event_type)?,
            timestamp: span(&m.timestamp)?,
            source: span(&m.source)?,
            instance_id: span(&m.instance_id)?,
            correlation_id: if m.correlation_id == self.id { None } else { Some(span(&m.correlation_id)?) },
            causation_id: match &m.causation_id {
                Some(_) => Some(span(&m.causation_id)?),
                None => None,
            },
            room: match &m.room {
                Some(_) => Some(span(&m.room)?),
                None => None,
            },
            data: Span::within(text, self.data?)?,
        })
    }
}

/// Reads the members of an event. Refuses what is not a JSON object, and a member that is there twice.
fn scan(text: &str) -> Result<Wire<'_>, Refused> {
    let mut scanner = Scanner::new(text);
    let mut wire = Wire::default();
    scanner.object(|scanner, name| match &*name.text()? {
        "id" => once(&mut wire.id, scanner.string()?.text()?),
        "type" => once(&mut wire.event_type, scanner.string()?.text()?),
        "data" => once(&mut wire.data, scanner.value()?),
        "metadata" if wire.metadata.is_some() => Err(Refused),
        "metadata" => scan_metadata(scanner, wire.metadata.insert(WireMetadata::default())),
        _ => {
            wire.others += 1;
            scanner.value().map(drop)
        }
    })?;
    scanner.end()?;
    Ok(wire)
}

fn scan_metadata<'a>(scanner: &mut Scanner<'a>, m: &mut WireMetadata<'a>) -> Result<(), Refused> {
    scanner.object(|scanner, name| {
        let member = match &*name.text()? {
            "timestamp" => &mut m.timestamp,
            "source" => &mut m.source,
            "instanceId" => &mut m.instance_id,
            "correlationId" => &mut m.correlation_id,
            "causationId" => &mut m.causation_id,
            "room" => &mut m.room,
            "key" => &mut m.key,
            _ => {
                m.others += 1;
                return scanner.value().map(drop);
            }
        };
        once(member, scanner.string()?.text()?)
    })
}

/// Sets a member. One that is there twice is left to the general parser, which takes the last, as V8 does.
fn once<T>(member: &mut Option<T>, value: T) -> Result<(), Refused> {
    match member.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refused),
    }
}
