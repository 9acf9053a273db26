//! Events that are written, to a message or to an entry.

use serde_json::{Map, Value};

use crate::codec::json::quoted;

/// An event that is to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewEvent<'a> {
    /// The id.
    pub id: &'a str,
    /// The type, which is valid.
    pub event_type: &'a str,
    /// The data as JSON text. It is copied and not parsed.
    pub data: &'a str,
    /// The time in the form of [`crate::time::to_iso`].
    pub timestamp: &'a str,
    /// The metadata; `None` for an event that sets none.
    pub metadata: Option<&'a Metadata<'a>>,
}

/// The publisher of events: the same for every event of a client.
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
        let instance_member = format!("\"instanceId\":{}", quoted(instance_id));
        Origin {
            members: format!("\"source\":{},{instance_member}", quoted(service_name)),
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

    /// `"source":"…","instanceId":"…"`: two members of a JSON object.
    pub(super) fn members(&self) -> &str {
        &self.members
    }

    /// `"instanceId":"…"`: a member of a JSON object.
    pub(super) fn instance_member(&self) -> &str {
        &self.meta[1..self.meta.len() - 1]
    }

    /// `{"instanceId":"…"}`: the metadata for which the entries of streams have no field of its own.
    pub(super) fn meta(&self) -> &str {
        &self.meta
    }
}

/// The metadata that a caller sets for an event.
#[derive(Clone, Copy, Debug, Default)]
pub struct Metadata<'a> {
    /// The source, instead of the service name.
    pub source: Option<&'a str>,
    /// The correlation id, instead of the event's own id.
    pub correlation_id: Option<&'a str>,
    /// The id of the event that caused this one.
    pub causation_id: Option<&'a str>,
    /// The W3C trace context.
    pub traceparent: Option<&'a str>,
    /// The W3C trace state.
    pub tracestate: Option<&'a str>,
    /// The user on whose behalf the event is published.
    pub user_id: Option<&'a str>,
    /// The organisation on whose behalf the event is published.
    pub organization_id: Option<&'a str>,
    /// The room that the event is for.
    pub room: Option<&'a str>,
    /// The members of the room that the event is not for.
    pub except: &'a [String],
    /// The user that the event is for.
    pub to_user: Option<&'a str>,
    /// The key for ordering and for `latest-per-key`.
    pub key: Option<&'a str>,
    /// The caller's own members, already without the reserved names.
    pub extra: Option<&'a Map<String, Value>>,
}
