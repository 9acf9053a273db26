//! From an event to a message.

use crate::codec::json::{escaped, quoted};
use crate::codec::new_event::{NewEvent, Origin};
use crate::codec::oxbus::metadata::write_more;

/// Appends the event as JSON to `out`.
pub fn write(out: &mut Vec<u8>, origin: &Origin, event: &NewEvent<'_>) {
    let mut put = |parts: &[&str]| parts.iter().for_each(|p| out.extend_from_slice(p.as_bytes()));
    // A generated id and a valid type have no character to escape; a given id may.
    let id = escaped(event.id);
    put(&["{\"id\":\"", &id, "\",\"type\":\"", event.event_type, "\",\"data\":", event.data]);
    put(&[",\"metadata\":{\"timestamp\":\"", event.timestamp, "\","]);
    let Some(m) = event.metadata else {
        put(&[origin.members(), ",\"correlationId\":\"", &id, "\"}}"]);
        return;
    };
    match m.source {
        Some(source) => put(&["\"source\":", &quoted(source), ",", origin.instance_member()]),
        None => put(&[origin.members()]),
    }
    match m.correlation_id {
        Some(correlation) => put(&[",\"correlationId\":", &quoted(correlation)]),
        None => put(&[",\"correlationId\":\"", &id, "\""]),
    }
    if let Some(causation) = m.causation_id {
        put(&[",\"causationId\":", &quoted(causation)]);
    }
    write_more(m, out);
    out.extend_from_slice(b"}}");
}
