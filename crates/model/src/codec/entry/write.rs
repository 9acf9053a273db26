//! From an event to the fields of an entry.

use crate::codec::message::{Metadata, Origin};

/// Gives the fields of an entry to `out`, name and value, in their order.
///
/// As for [`envelope::write`](crate::codec::message::write), `data` must be JSON text and `timestamp` in the form of
/// [`crate::time::to_iso`].
pub fn write(
    out: &mut impl FnMut(&[u8], &[u8]),
    origin: &Origin,
    id: &str,
    event_type: &str,
    data: &str,
    timestamp: &str,
    metadata: Option<&Metadata<'_>>,
) {
    let m = metadata.copied().unwrap_or_default();
    let mut put = |name: &str, value: &str| out(name.as_bytes(), value.as_bytes());
    put("eventId", id);
    put("eventType", event_type);
    put("timestamp", timestamp);
    put("source", m.source.unwrap_or(origin.source()));
    put("correlationId", m.correlation_id.unwrap_or(id));
    if let Some(causation) = m.causation_id {
        put("causationId", causation);
    }
    put("data", data);
    let mut more = Vec::new();
    m.write_more(&mut more);
    if more.is_empty() {
        return put("meta", origin.meta());
    }
    // Without its brace, then what follows, each behind a comma.
    let mut meta = origin.meta().as_bytes().to_vec();
    meta.pop();
    meta.append(&mut more);
    meta.push(b'}');
    out(b"meta", &meta);
}
