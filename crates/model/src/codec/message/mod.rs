//! The event on the wire: `{"id","type","data","metadata"}`. Every question of format is answered here.
//!
//! Writing: `data` arrives as JSON text from V8 and is copied, never parsed; the envelope around it
//! is made here. Reading: a message that is a whole event is passed on byte for byte; one with
//! missing metadata is completed; anything else is [`Foreign`].

mod read;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::{Map, Value};

pub(crate) use read::said;
pub use read::{Decoded, Foreign, Missing, Parts, Span, except_of, id_of, read};

/// Who publishes: the same for every event of a client.
#[derive(Clone, Debug)]
pub struct Origin {
    source: String,
    instance_id: String,
    /// `"source":"…","instanceId":"…"`, escaped once.
    members: String,
    /// `{"instanceId":"…"}`, escaped once.
    meta: String,
}

impl Origin {
    /// An origin with its service name and the id of this client start.
    pub fn new(service_name: &str, instance_id: &str) -> Self {
        let instance_member = format!("\"instanceId\":{}", json_text(instance_id));
        Origin {
            members: format!("\"source\":{},{instance_member}", json_text(service_name)),
            source: service_name.to_owned(),
            meta: format!("{{{instance_member}}}"),
            instance_id: instance_id.to_owned(),
        }
    }

    /// The service name: the `source` of its events.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The id of this client start.
    pub fn instance_id(&self) -> &str {
        &self.instance_id
    }

    /// `{"instanceId":"…"}`: the metadata for which the entries of streams have no field of its own.
    pub(crate) fn meta(&self) -> &str {
        &self.meta
    }

    fn instance_member(&self) -> &str {
        &self.meta[1..self.meta.len() - 1]
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
    /// The members of the room that it is not for.
    pub except: &'a [String],
    /// The user that it is for.
    pub to_user: Option<&'a str>,
    /// The key for ordering and for `latest-per-key`.
    pub key: Option<&'a str>,
    /// The caller's own members, already without the reserved names.
    pub extra: Option<&'a Map<String, Value>>,
}

impl Metadata<'_> {
    /// Appends the members behind `causationId`, each behind a comma.
    pub(crate) fn write_more(&self, out: &mut Vec<u8>) {
        let mut put = |parts: &[&str]| parts.iter().for_each(|p| out.extend_from_slice(p.as_bytes()));
        let optional = [
            (",\"traceparent\":", self.traceparent),
            (",\"tracestate\":", self.tracestate),
            (",\"userId\":", self.user_id),
            (",\"organizationId\":", self.organization_id),
            (",\"room\":", self.room),
            (",\"toUser\":", self.to_user),
            (",\"key\":", self.key),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                put(&[name, &json_text(value)]);
            }
        }
        if !self.except.is_empty() {
            put(&[",\"except\":", &Value::from(self.except).to_string()]);
        }
        for (name, value) in self.extra.into_iter().flatten() {
            put(&[",", &json_text(name), ":", &value.to_string()]);
        }
    }
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
        Some(source) => put(&["\"source\":", &json_text(source), ",", origin.instance_member()]),
        None => put(&[&origin.members]),
    }
    match m.correlation_id {
        Some(correlation) => put(&[",\"correlationId\":", &json_text(correlation)]),
        None => put(&[",\"correlationId\":\"", &id, "\""]),
    }
    if let Some(causation) = m.causation_id {
        put(&[",\"causationId\":", &json_text(causation)]);
    }
    m.write_more(out);
    out.extend_from_slice(b"}}");
}

/// `text` as a JSON string with its quotes.
pub(crate) fn json_text(text: &str) -> String {
    Value::from(text).to_string()
}

/// The inside of a JSON string: `text` itself unless it needs escaping.
pub(crate) fn json_text_if_needed(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        return Cow::Borrowed(text);
    }
    let quoted = json_text(text);
    Cow::Owned(quoted[1..quoted.len() - 1].to_owned())
}
