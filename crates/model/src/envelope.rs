//! The event on the wire: `{"id","type","data","metadata"}`. Every question of format is answered here.
//!
//! Writing: `data` arrives as JSON text from V8 and is copied, never parsed; the envelope around it
//! is made here. Reading: a message that is a whole event is passed on byte for byte; one with
//! missing metadata is completed; anything else is [`Foreign`].

use std::borrow::Cow;

use serde_json::{Map, Value};

mod read;
#[cfg(test)]
mod tests;

pub use read::{Decoded, Foreign, Missing, Parts, Span, id_of, read};

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
/// `data` must be JSON text and `timestamp` in the form of [`crate::time::to_iso`]; both are copied as they are.
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
