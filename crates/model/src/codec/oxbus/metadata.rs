//! The metadata that a message and the field `meta` of an entry write alike.

use serde_json::Value;

use crate::codec::json::quoted;
use crate::codec::new_event::Metadata;

/// Appends the members of the metadata behind `causationId`, each behind a comma.
pub(super) fn write_more(m: &Metadata<'_>, out: &mut Vec<u8>) {
    let mut put = |parts: &[&str]| parts.iter().for_each(|p| out.extend_from_slice(p.as_bytes()));
    let optional = [
        (",\"traceparent\":", m.traceparent),
        (",\"tracestate\":", m.tracestate),
        (",\"userId\":", m.user_id),
        (",\"organizationId\":", m.organization_id),
        (",\"room\":", m.room),
        (",\"toUser\":", m.to_user),
        (",\"key\":", m.key),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            put(&[name, &quoted(value)]);
        }
    }
    if !m.except.is_empty() {
        put(&[",\"except\":", &Value::from(m.except).to_string()]);
    }
    for (name, value) in m.extra.into_iter().flatten() {
        put(&[",", &quoted(name), ":", &value.to_string()]);
    }
}
