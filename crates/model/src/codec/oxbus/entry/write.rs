//! From an event to the fields of an entry.

use crate::codec::new_event::{NewEvent, Origin};
use crate::codec::oxbus::metadata::write_more;

/// Gives the fields of an entry to `out`, name and value, in their order.
pub fn write(out: &mut impl FnMut(&[u8], &[u8]), origin: &Origin, event: &NewEvent<'_>) {
    let m = event.metadata.copied().unwrap_or_default();
    let mut put = |name: &str, value: &str| out(name.as_bytes(), value.as_bytes());
    put("eventId", event.id);
    put("eventType", event.event_type);
    put("timestamp", event.timestamp);
    put("source", m.source.unwrap_or(origin.source()));
    put("correlationId", m.correlation_id.unwrap_or(event.id));
    if let Some(causation) = m.causation_id {
        put("causationId", causation);
    }
    put("data", event.data);
    let mut more = Vec::new();
    write_more(&m, &mut more);
    if more.is_empty() {
        return put("meta", origin.meta());
    }
    // The object without its closing brace, then the other members, each behind a comma.
    let mut meta = origin.meta().as_bytes().to_vec();
    meta.pop();
    meta.append(&mut more);
    meta.push(b'}');
    out(b"meta", &meta);
}
