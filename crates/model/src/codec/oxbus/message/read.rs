//! From a message to an event.

use std::borrow::Cow;

use crate::codec::decoded::{Decoded, Foreign, Missing};
use crate::codec::json::{Refused, Scanner, Stops, members, quoted, text_of, utf8};
use crate::codec::outline::{Outline, Shapes};
use crate::codec::parts::{Parts, Span};
use crate::time;

/// Reads a message. `missing` is called only where a foreign publisher left something out. A message is an event
/// when it is a JSON object whose `type` is text, and which has `data` or nothing but members of an event. Without `data`
/// and without other members its data is `null`: there is nothing to lose.
pub fn read<'a>(
    message: &'a [u8],
    missing: impl FnOnce() -> Missing,
    shapes: Option<&mut Shapes>,
) -> Result<Decoded<'a>, Foreign> {
    let text = utf8(message).ok_or(Foreign::NotText)?;
    if let Ok(wire) = scan(text, shapes)
        && let Some(published_ms) = wire.published_ms()
    {
        let parts = wire.parts(text);
        let Wire { event_type, metadata, data, outline, .. } = wire;
        let WireMetadata { instance_id, key, .. } = metadata.unwrap_or_default();
        return Ok(Decoded {
            json: Cow::Borrowed(text),
            event_type: event_type.unwrap_or_default(),
            published_ms: Some(published_ms),
            instance_id,
            key,
            parts,
            outlined: outline.and_then(|outline| Some((Span::within(text, data?)?, outline))),
        });
    }
    complete(text, missing)
}

/// The slow way, for the messages of other programs: it fills in what is missing or has the wrong type. What is
/// there stays as it is written, so that what only V8 can read is left to it.
fn complete(text: &str, missing: impl FnOnce() -> Missing) -> Result<Decoded<'static>, Foreign> {
    let mut scanner = Scanner::new(text);
    let (event, others) =
        members(&mut scanner, ["id", "type", "data", "metadata"]).map_err(|Refused| Foreign::NotObject)?;
    scanner.end().map_err(|Refused| Foreign::NotObject)?;
    let [id, event_type, data, metadata] = event;
    let event_type_json = event_type.ok_or(Foreign::NoType)?;
    let event_type = text_of(event_type_json).ok_or(Foreign::NoType)?;
    if data.is_none() && !others.is_empty() {
        return Err(Foreign::NoData);
    }
    let missing = missing();
    let id = match id {
        Some(id) if id.starts_with('"') => Cow::Borrowed(id),
        Some(id) if id.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => format!("\"{id}\"").into(),
        _ => quoted(&missing.id).into(),
    };
    let ([timestamp, source, correlation_id, instance_id, key], more) = members(
        &mut Scanner::new(metadata.unwrap_or_default()),
        ["timestamp", "source", "correlationId", "instanceId", "key"],
    )
    .unwrap_or_default();
    let published_ms = timestamp.and_then(text_of).and_then(|text| time::from_iso(&text));
    let timestamp = match timestamp {
        Some(timestamp) if published_ms.is_some() => Cow::Borrowed(timestamp),
        _ => quoted(&time::to_iso(missing.timestamp_ms)).into(),
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
        instance_id: instance_id.and_then(text_of).map(|text| text.into_owned().into()),
        key: key.and_then(text_of).map(|text| text.into_owned().into()),
        parts: None,
        outlined: None,
    })
}

/// An event as it stands in a message. Members that Oxbus does not know are only counted.
#[derive(Default)]
struct Wire<'a> {
    id: Option<Cow<'a, str>>,
    event_type: Option<Cow<'a, str>>,
    data: Option<&'a str>,
    outline: Option<Outline>,
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
    rest: Rest,
}

/// The members of the metadata that have no part of their own.
#[derive(Default)]
enum Rest {
    #[default]
    None,
    /// They stand together, and behind all others as far as they were read.
    Together(Span),
    /// They do not, or one of them cannot be set as others are.
    Apart,
}

impl Rest {
    /// One more of them, whose value has just been read.
    fn add(&mut self, scanner: &Scanner<'_>, name: &str, quoted: &str) {
        let own = Span::within(scanner.text(), quoted)
            .zip(Span::new(scanner.position(), scanner.position()))
            .filter(|_| name != "__proto__");
        *self = match (std::mem::take(self), own) {
            (Rest::None, Some((name, end))) => Rest::Together(name.until(end)),
            (Rest::Together(rest), Some((_, end))) => Rest::Together(rest.until(end)),
            _ => Rest::Apart,
        };
    }
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
        let rest = match m.rest {
            Rest::None => None,
            Rest::Together(rest) => Some(rest),
            Rest::Apart => return None,
        };
        if self.others > 0 || m.key.is_some() {
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
            rest,
            data: Span::within(text, self.data?)?,
        })
    }
}

/// Reads the members of an event. Refuses what is not a JSON object, and a member that is there twice.
fn scan<'a>(text: &'a str, mut shapes: Option<&mut Shapes>) -> Result<Wire<'a>, Refused> {
    let mut scanner = Scanner::new(text);
    let mut wire = Wire::default();
    let mut stops = Stops::new(text, 0);
    scanner.object_by(&mut stops, |scanner, stops, name| match &*name.text()? {
        "id" => once(&mut wire.id, scanner.string_by(stops)?.text()?),
        "type" => once(&mut wire.event_type, scanner.string_by(stops)?.text()?),
        "data" => {
            let (data, outline) = match &mut shapes {
                Some(shapes) => shapes.read(scanner, wire.event_type.as_deref().unwrap_or_default())?,
                None => (scanner.value()?, None),
            };
            wire.outline = outline;
            once(&mut wire.data, data)
        }
        "metadata" if wire.metadata.is_some() => Err(Refused),
        "metadata" => scan_metadata(scanner, stops, wire.metadata.insert(WireMetadata::default())),
        _ => {
            wire.others += 1;
            scanner.value().map(drop)
        }
    })?;
    scanner.end()?;
    Ok(wire)
}

fn scan_metadata<'a>(
    scanner: &mut Scanner<'a>,
    stops: &mut Stops<'a>,
    m: &mut WireMetadata<'a>,
) -> Result<(), Refused> {
    scanner.object_by(stops, |scanner, stops, quoted| {
        let name = quoted.text()?;
        let member = match &*name {
            "timestamp" => &mut m.timestamp,
            "source" => &mut m.source,
            "instanceId" => &mut m.instance_id,
            "correlationId" => &mut m.correlation_id,
            "causationId" => &mut m.causation_id,
            "room" => &mut m.room,
            "key" => &mut m.key,
            _ => {
                scanner.value()?;
                m.rest.add(scanner, &name, quoted.json());
                return Ok(());
            }
        };
        if matches!(m.rest, Rest::Together(_)) {
            m.rest = Rest::Apart;
        }
        once(member, scanner.string_by(stops)?.text()?)
    })
}

/// Sets a member. One that is there twice is left to the general parser, which takes the last, as V8 does.
fn once<T>(member: &mut Option<T>, value: T) -> Result<(), Refused> {
    match member.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refused),
    }
}
