//! The event on the wire: `{"id","type","data","metadata"}`. Every question of format is answered here.
//!
//! Writing: `data` arrives as JSON text from V8 and is copied, never parsed; the envelope around it
//! is made here. Reading: a message that is a whole event is passed on byte for byte; one with
//! missing metadata is completed; anything else is [`Foreign`].

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::scan::{Refused, Scanner};
use crate::time;

/// Who publishes: the same for every event of a client.
#[derive(Clone, Debug)]
pub struct Origin {
    instance_id: String,
    /// `"source":"…","instanceId":"…"`, escaped once.
    members: String,
    instance_member: String,
}

impl Origin {
    /// An origin with its service name and the id of this client start.
    pub fn new(service_name: &str, instance_id: &str) -> Self {
        let instance_member = format!("\"instanceId\":{}", json_text(instance_id));
        Origin {
            members: format!("\"source\":{},{instance_member}", json_text(service_name)),
            instance_id: instance_id.to_owned(),
            instance_member,
        }
    }

    /// The id of this client start.
    pub fn instance_id(&self) -> &str {
        &self.instance_id
    }
}

/// What a caller may set in an event's metadata.
#[derive(Clone, Copy, Debug, Default)]
pub struct Metadata<'a> {
    /// Instead of the service name.
    pub source: Option<&'a str>,
    /// Instead of the event's own id.
    pub correlation_id: Option<&'a str>,
    /// The id of the event that caused this one.
    pub causation_id: Option<&'a str>,
    /// W3C trace context.
    pub traceparent: Option<&'a str>,
    /// W3C trace state.
    pub tracestate: Option<&'a str>,
    /// On whose behalf.
    pub user_id: Option<&'a str>,
    /// For which organisation.
    pub organization_id: Option<&'a str>,
    /// The room that it is for.
    pub room: Option<&'a str>,
    /// The key for ordering and for `latest-per-key`.
    pub key: Option<&'a str>,
    /// The caller's own members, already without the reserved names.
    pub extra: Option<&'a Map<String, Value>>,
}

/// Appends the event as JSON to `out`.
///
/// `data` must be JSON text and `timestamp` in the form of [`time::to_iso`]; both are copied as they are.
pub fn write(
    out: &mut Vec<u8>,
    origin: &Origin,
    id: &str,
    event_type: &str,
    data: &str,
    timestamp: &str,
    metadata: Option<&Metadata<'_>>,
) {
    let mut put = |parts: &[&str]| parts.iter().for_each(|p| out.extend_from_slice(p.as_bytes()));
    // A generated id and a valid type have no character to escape; a given id may.
    let id = json_text_if_needed(id);
    put(&["{\"id\":\"", &id, "\",\"type\":\"", event_type, "\",\"data\":", data]);
    put(&[",\"metadata\":{\"timestamp\":\"", timestamp, "\","]);
    let Some(m) = metadata else {
        put(&[&origin.members, ",\"correlationId\":\"", &id, "\"}}"]);
        return;
    };
    match m.source {
        Some(source) => put(&["\"source\":", &json_text(source), ",", &origin.instance_member]),
        None => put(&[&origin.members]),
    }
    match m.correlation_id {
        Some(correlation) => put(&[",\"correlationId\":", &json_text(correlation)]),
        None => put(&[",\"correlationId\":\"", &id, "\""]),
    }
    let optional = [
        (",\"causationId\":", m.causation_id),
        (",\"traceparent\":", m.traceparent),
        (",\"tracestate\":", m.tracestate),
        (",\"userId\":", m.user_id),
        (",\"organizationId\":", m.organization_id),
        (",\"room\":", m.room),
        (",\"key\":", m.key),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            put(&[name, &json_text(value)]);
        }
    }
    for (name, value) in m.extra.into_iter().flatten() {
        put(&[",", &json_text(name), ":", &value.to_string()]);
    }
    put(&["}}"]);
}

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

    /// Where `part`, which was borrowed from `text`, stands in it. `None` for a text of 4 GiB.
    fn within(text: &str, part: &str) -> Option<Span> {
        let start = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
        let (start, end) = (u32::try_from(start).ok()?, u32::try_from(start + part.len()).ok()?);
        Some(Span { start, end })
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
        let Wire { event_type, metadata: WireMetadata { instance_id, key, .. }, .. } = wire;
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

/// The slow way, for the messages of others: fills in what is missing or has the wrong type.
fn complete(text: &str, missing: impl FnOnce() -> Missing) -> Result<Decoded<'static>, Foreign> {
    let Ok(Value::Object(mut event)) = serde_json::from_str(text) else { return Err(Foreign) };
    let Some(Value::String(event_type)) = event.get("type").cloned() else { return Err(Foreign) };
    let missing = missing();
    let id = match event.get("id") {
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        _ => missing.id,
    };
    event.insert("id".into(), id.clone().into());
    event.entry("data").or_insert(Value::Null);
    let mut metadata = match event.remove("metadata") {
        Some(Value::Object(metadata)) => metadata,
        _ => Map::new(),
    };
    let published_ms = metadata.get("timestamp").and_then(Value::as_str).and_then(time::from_iso);
    if published_ms.is_none() {
        metadata.insert("timestamp".into(), time::to_iso(missing.timestamp_ms).into());
    }
    for (name, default) in [("source", "unknown"), ("correlationId", id.as_str())] {
        if !metadata.get(name).is_some_and(Value::is_string) {
            metadata.insert(name.into(), default.into());
        }
    }
    let own = |name: &str| metadata.get(name).and_then(Value::as_str).map(|s| Cow::Owned(s.to_owned()));
    let (instance_id, key) = (own("instanceId"), own("key"));
    event.insert("metadata".into(), metadata.into());
    Ok(Decoded {
        json: Cow::Owned(Value::Object(event).to_string()),
        event_type: Cow::Owned(event_type),
        published_ms,
        instance_id,
        key,
        parts: None,
    })
}

/// `text` as a JSON string with its quotes.
fn json_text(text: &str) -> String {
    Value::from(text).to_string()
}

/// The inside of a JSON string: `text` itself unless it needs escaping.
fn json_text_if_needed(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        return Cow::Borrowed(text);
    }
    let quoted = json_text(text);
    Cow::Owned(quoted[1..quoted.len() - 1].to_owned())
}

/// An event as it stands in a message. Members that Oxbus does not know are only counted.
#[derive(Default)]
struct Wire<'a> {
    id: Option<Cow<'a, str>>,
    event_type: Option<Cow<'a, str>>,
    data: Option<&'a str>,
    metadata: WireMetadata<'a>,
    others: usize,
}

#[derive(Default)]
struct WireMetadata<'a> {
    timestamp: Option<Cow<'a, str>>,
    source: Option<Cow<'a, str>>,
    instance_id: Option<Cow<'a, str>>,
    correlation_id: Option<Cow<'a, str>>,
    causation_id: Option<Cow<'a, str>>,
    key: Option<Cow<'a, str>>,
    others: usize,
}

impl<'a> Wire<'a> {
    /// When it was published; `None` when anything that an event must have is missing.
    fn published_ms(&self) -> Option<i64> {
        let m = &self.metadata;
        let required = [&self.id, &self.event_type, &m.source, &m.correlation_id];
        (required.into_iter().all(Option::is_some) && self.data.is_some())
            .then(|| time::from_iso(m.timestamp.as_deref()?))
            .flatten()
    }

    fn parts(&self, text: &'a str) -> Option<Parts> {
        let m = &self.metadata;
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
        "metadata" => scan_metadata(scanner, &mut wire.metadata),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(metadata: Option<&Metadata<'_>>) -> Value {
        let mut out = Vec::new();
        let origin = Origin::new("a \"service\"", "i-1");
        write(&mut out, &origin, "id-1", "photo.uploaded", "{\"x\":1}", "2026-11-21T03:04:05.678Z", metadata);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_plain_event_correlates_with_itself() {
        assert_eq!(
            event(None),
            serde_json::json!({
                "id": "id-1", "type": "photo.uploaded", "data": {"x": 1},
                "metadata": {
                    "timestamp": "2026-11-21T03:04:05.678Z", "source": "a \"service\"",
                    "instanceId": "i-1", "correlationId": "id-1"
                }
            })
        );
    }

    #[test]
    fn all_metadata_is_written() {
        let extra = serde_json::json!({"tenant": {"a": [1]}});
        let metadata = Metadata {
            source: Some("s"),
            correlation_id: Some("c\n"),
            causation_id: Some("p"),
            traceparent: Some("00-1-2-01"),
            tracestate: Some("k=v"),
            user_id: Some("u"),
            organization_id: Some("o"),
            room: Some("r"),
            key: Some("k"),
            extra: extra.as_object(),
        };
        assert_eq!(
            event(Some(&metadata))["metadata"],
            serde_json::json!({
                "timestamp": "2026-11-21T03:04:05.678Z", "source": "s", "instanceId": "i-1",
                "correlationId": "c\n", "causationId": "p", "traceparent": "00-1-2-01", "tracestate": "k=v",
                "userId": "u", "organizationId": "o", "room": "r", "key": "k", "tenant": {"a": [1]}
            })
        );
    }

    fn missing() -> Missing {
        Missing { id: "new".into(), timestamp_ms: 1000 }
    }

    fn read_text(text: &str) -> Result<Decoded<'_>, Foreign> {
        read(text.as_bytes(), missing)
    }

    #[test]
    fn a_whole_event_is_passed_on_byte_for_byte() {
        let text = r#" {"id":"1","type":"a","extra":[1], "data":{"é":"\ud800"},"metadata":{"timestamp":"2026-11-21T03:04:05.678Z","source":"s","correlationId":"c","key":"k","more":1}}"#;
        let decoded = read_text(text).unwrap();
        assert!(matches!(&decoded.json, Cow::Borrowed(json) if *json == text));
        assert_eq!(decoded.event_type, "a");
        assert_eq!(decoded.key.as_deref(), Some("k"));
    }

    #[test]
    fn the_parts_of_a_plain_event_are_found() {
        let mut out = Vec::new();
        let metadata = Metadata { correlation_id: Some("c"), causation_id: Some("p"), ..Default::default() };
        let stamp = "2026-11-21T03:04:05.678Z";
        write(&mut out, &Origin::new("s", "i"), "1", "t", "[1, 2]", stamp, Some(&metadata));
        let decoded = read(&out, missing).unwrap();
        let parts = decoded.parts.unwrap();
        let of = |span: Span| span.of(&decoded.json);
        assert_eq!([of(parts.id), of(parts.event_type), of(parts.data)], ["1", "t", "[1, 2]"]);
        assert_eq!([of(parts.timestamp), of(parts.source), of(parts.instance_id)], [stamp, "s", "i"]);
        assert_eq!((parts.correlation_id.map(of), parts.causation_id.map(of)), (Some("c"), Some("p")));
        out.clear();
        write(&mut out, &Origin::new("s", "i"), "1", "t", "null", stamp, None);
        assert_eq!(read(&out, missing).unwrap().parts.unwrap().correlation_id, None);
        for more in [
            Metadata { key: Some("k"), ..Default::default() },
            Metadata { user_id: Some("u"), ..Default::default() },
            Metadata { source: Some("has \"quotes\""), ..Default::default() },
        ] {
            out.clear();
            write(&mut out, &Origin::new("s", "i"), "1", "t", "null", stamp, Some(&more));
            assert_eq!(read(&out, missing).unwrap().parts, None);
        }
    }

    #[test]
    fn what_is_missing_is_filled_in() {
        let decoded = read_text(r#"{"type":"a"}"#).unwrap();
        let json: Value = serde_json::from_str(&decoded.json).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "id": "new", "type": "a", "data": null,
                "metadata": {"timestamp": "1970-01-01T00:00:01.000Z", "source": "unknown", "correlationId": "new"}
            })
        );
        let decoded = read_text(r#"{"type":"a","id":7,"data":1,"metadata":{"source":3,"x":1}}"#).unwrap();
        let json: Value = serde_json::from_str(&decoded.json).unwrap();
        assert_eq!(json["id"], "7");
        assert_eq!(json["metadata"]["source"], "unknown");
        assert_eq!(json["metadata"]["x"], 1);
    }

    #[test]
    fn what_is_not_an_event_is_foreign() {
        for text in
            ["", "null", "[]", "\"a\"", "{}", "{\"type\":1}", "{\"type\":\"a\"", "{\"type\":\"a\"},{}", "]"]
        {
            assert_eq!(read_text(text).unwrap_err(), Foreign, "{text}");
        }
        assert_eq!(read(b"{\"type\":\"\xff\"}", missing).unwrap_err(), Foreign);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic_and_give_one_json_object(bytes: Vec<u8>) {
            if let Ok(decoded) = read(&bytes, missing) {
                prop_assert!(serde_json::from_str::<Map<String, Value>>(&decoded.json).is_ok());
            }
        }

        #[test]
        fn what_is_written_is_read_back(id in "[^\\p{C}]{1,40}", data in "\\PC{0,60}", source in ".{0,20}", key in ".{0,20}") {
            let mut out = Vec::new();
            let metadata = Metadata { source: Some(&source), key: Some(&key), ..Default::default() };
            let data = Value::from(data).to_string();
            write(&mut out, &Origin::new("s", "i"), &id, "t", &data, &time::to_iso(5), Some(&metadata));
            let decoded = read(&out, missing).unwrap();
            prop_assert!(matches!(decoded.json, Cow::Borrowed(_)));
            prop_assert_eq!(decoded.published_ms, Some(5));
            prop_assert_eq!(decoded.instance_id.as_deref(), Some("i"));
            prop_assert_eq!(decoded.key.as_deref(), Some(key.as_str()));
            let json: Value = serde_json::from_str(&decoded.json).unwrap();
            prop_assert_eq!(&json["id"], &Value::from(id));
            prop_assert_eq!(&json["metadata"]["source"], &Value::from(source));
            prop_assert_eq!(&json["data"], &serde_json::from_str::<Value>(&data).unwrap());
        }
    }
}
