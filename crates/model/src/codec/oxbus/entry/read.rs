//! From the fields of an entry to an event.

use super::ONLY_GROUP;
use crate::codec::decoded::{Decoded, DecodedEntry};
use crate::codec::json::{Refused, Scanner, escaped, plain_length, text_of, whole};
use crate::codec::outline::{Outline, Shapes};
use crate::codec::parts::{Parts, Span};
use crate::options::names::check_event_type;
use crate::stream_store::EntryId;
use crate::time;

/// Reads an entry. What its publisher left out is completed: an entry without an id gets that of the entry, one
/// without a timestamp the time of the entry. Of a field that is there twice the last counts; unknown fields are
/// passed over.
///
/// # Errors
/// Why it is not an event: it has no valid type, no JSON data, or text that is not UTF-8.
pub fn read<'a>(
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    entry_id: EntryId,
    shapes: Option<&mut Shapes>,
) -> Result<DecodedEntry<'a>, String> {
    let raw = Raw::gather(fields);
    let event_type = text("eventType", raw.event_type)?.ok_or("the field eventType is missing")?;
    check_event_type(event_type).map_err(|error| error.message)?;
    let data = text("data", raw.data)?.ok_or("the field data is missing")?;
    let (data, outline) = value(data, event_type, shapes).map_err(|Refused| "the field data is not JSON")?;
    let meta = Meta::read(text("meta", raw.meta)?);
    let only_group = text(ONLY_GROUP, raw.group)?;

    let of_entry;
    let id = match text("eventId", raw.event_id)? {
        Some(id) => id,
        None => {
            of_entry = entry_id.to_string();
            &of_entry
        }
    };
    let given = text("timestamp", raw.timestamp)?;
    let published_ms = given.and_then(time::from_iso);
    let of_entry;
    let timestamp = match given.filter(|_| published_ms.is_some()) {
        Some(timestamp) => timestamp,
        None => {
            of_entry = time::to_iso(i64::try_from(entry_id.ms).unwrap_or_default());
            &of_entry
        }
    };
    let source = text("source", raw.source)?.unwrap_or("unknown");
    let correlation_id = text("correlationId", raw.correlation_id)?.unwrap_or(id);
    let causation_id = text("causationId", raw.causation_id)?;

    let texts = [id, event_type, data, timestamp, source, correlation_id, causation_id.unwrap_or_default()];
    let length = texts.iter().map(|text| text.len()).sum::<usize>()
        + FRAME.len()
        + causation_id.map_or(0, |_| CAUSATION.len())
        + meta.instance_id.map_or(0, |json| INSTANCE.len() + json.len())
        + meta.more.len();
    let mut out = Composer { json: String::with_capacity(length), plain: true };
    out.json.push_str("{\"id\":\"");
    let id_span = out.text(id);
    out.json.push_str("\",\"type\":\"");
    let type_span = out.text(event_type);
    out.json.push_str("\",\"data\":");
    let data_span = out.json(data);
    out.json.push_str(",\"metadata\":{\"timestamp\":\"");
    let timestamp_span = out.text(timestamp);
    out.json.push_str("\",\"source\":\"");
    let source_span = out.text(source);
    out.json.push('"');
    let instance_span = meta.instance_id.and_then(|json| {
        out.json.push_str(INSTANCE);
        out.quoted(json)
    });
    out.json.push_str(",\"correlationId\":\"");
    let correlation_span = out.text(correlation_id);
    out.json.push('"');
    let causation_span = causation_id.and_then(|causation_id| {
        out.json.push_str(",\"causationId\":\"");
        let span = out.text(causation_id);
        out.json.push('"');
        span
    });
    out.json.push_str(&meta.more);
    out.json.push_str("}}");

    let parts = || {
        Some(Parts {
            id: id_span?,
            event_type: type_span?,
            timestamp: timestamp_span?,
            source: source_span?,
            instance_id: instance_span?,
            correlation_id: if correlation_id == id { None } else { Some(correlation_span?) },
            causation_id: causation_span,
            room: None,
            rest: None,
            data: data_span?,
        })
    };
    let parts = if out.plain && meta.more.is_empty() { parts() } else { None };
    let event = Decoded {
        json: out.json.into(),
        event_type: event_type.into(),
        published_ms,
        instance_id: meta.instance_id.and_then(text_of),
        key: meta.key.and_then(text_of),
        parts,
        outlined: outline.and_then(|outline| Some((data_span?, outline))),
    };
    Ok(DecodedEntry { event, only_group })
}

const FRAME: &str =
    r#"{"id":"","type":"","data":,"metadata":{"timestamp":"","source":"","correlationId":""}}"#;
const INSTANCE: &str = r#","instanceId":"#;
const CAUSATION: &str = r#","causationId":"""#;

/// The values of the fields that count; empty where one is missing.
#[derive(Default)]
struct Raw<'a> {
    event_id: &'a [u8],
    event_type: &'a [u8],
    timestamp: &'a [u8],
    source: &'a [u8],
    correlation_id: &'a [u8],
    causation_id: &'a [u8],
    data: &'a [u8],
    meta: &'a [u8],
    group: &'a [u8],
}

impl<'a> Raw<'a> {
    fn gather(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut raw = Raw::default();
        for (name, value) in fields {
            let field = match name {
                b"eventId" => &mut raw.event_id,
                b"eventType" => &mut raw.event_type,
                b"timestamp" => &mut raw.timestamp,
                b"source" => &mut raw.source,
                b"correlationId" => &mut raw.correlation_id,
                b"causationId" => &mut raw.causation_id,
                b"data" => &mut raw.data,
                b"meta" => &mut raw.meta,
                name if name == ONLY_GROUP.as_bytes() => &mut raw.group,
                _ => continue,
            };
            *field = value;
        }
        raw
    }
}

/// The one JSON value that `text` is, and what stands in it.
fn value<'a>(
    text: &'a str,
    event_type: &str,
    shapes: Option<&mut Shapes>,
) -> Result<(&'a str, Option<Outline>), Refused> {
    let Some(shapes) = shapes else { return Ok((whole(text)?, None)) };
    let mut scanner = Scanner::new(text);
    scanner.space();
    let value = shapes.read(&mut scanner, event_type)?;
    scanner.end()?;
    Ok(value)
}

/// The text of a field; an empty one counts as missing.
fn text<'a>(name: &str, value: &'a [u8]) -> Result<Option<&'a str>, String> {
    if value.is_empty() {
        return Ok(None);
    }
    std::str::from_utf8(value).map(Some).map_err(|_| format!("the field {name} is not UTF-8"))
}

/// What the field `meta` says, as JSON.
#[derive(Default)]
struct Meta<'a> {
    instance_id: Option<&'a str>,
    key: Option<&'a str>,
    /// All other members, the key included, each behind a comma.
    more: String,
}

impl<'a> Meta<'a> {
    /// Nothing where it is not a JSON object.
    fn read(meta: Option<&'a str>) -> Self {
        let Some(meta) = meta else { return Meta::default() };
        if let Some(inside) = meta.strip_prefix("{\"instanceId\":\"").and_then(|m| m.strip_suffix("\"}"))
            && plain_length(inside.as_bytes()) == inside.len()
        {
            // What nearly every event has: ten times as fast as the scanner.
            let quoted = &meta[meta.len() - inside.len() - 3..meta.len() - 1];
            return Meta { instance_id: Some(quoted), ..Meta::default() };
        }
        Meta::scan(meta).unwrap_or_default()
    }

    fn scan(meta: &'a str) -> Result<Self, Refused> {
        let mut scanner = Scanner::new(meta);
        let mut found = Meta::default();
        scanner.object(|scanner, name| {
            let value = scanner.value()?;
            match &*name.lossy() {
                "instanceId" => found.instance_id = Some(value),
                // These have fields of their own.
                "timestamp" | "source" | "correlationId" | "causationId" => {}
                known => {
                    if known == "key" {
                        found.key = Some(value);
                    }
                    found.more.extend([",", name.json(), ":", value]);
                }
            }
            Ok(())
        })?;
        scanner.end()?;
        Ok(found)
    }
}

/// A JSON text in the making.
struct Composer {
    json: String,
    /// Whether nothing had to be escaped.
    plain: bool,
}

impl Composer {
    /// The inside of a string.
    fn text(&mut self, text: &str) -> Option<Span> {
        if plain_length(text.as_bytes()) == text.len() {
            return self.json(text);
        }
        self.plain = false;
        self.json(&escaped(text))
    }

    /// A string with its quotes; where its inside stands. Of other JSON, or a string with escapes, nothing is told.
    fn quoted(&mut self, json: &str) -> Option<Span> {
        let start = self.json.len();
        self.json.push_str(json);
        let inside = json.strip_prefix('"')?.strip_suffix('"')?;
        if inside.contains('\\') {
            return None;
        }
        Span::new(start + 1, self.json.len() - 1)
    }

    fn json(&mut self, json: &str) -> Option<Span> {
        let start = self.json.len();
        self.json.push_str(json);
        Span::new(start, self.json.len())
    }
}
