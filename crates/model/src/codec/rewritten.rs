//! Events that were read and are written again, in another format.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::new_event::{Metadata, NewEvent, Origin};

/// Calls `write` with the event of this JSON, `{"id","type","data","metadata"}`, and who has published it, as far as it says.
/// `None` where the JSON is none of an event.
pub(super) fn rewritten<T>(json: &str, write: impl FnOnce(&Origin, &NewEvent<'_>) -> T) -> Option<T> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(json).ok()?;
    let text = |name: &str| serde_json::from_str::<String>(members.get(name)?.get()).ok();
    let (id, event_type) = (text("id")?, text("type")?);
    let mut extra: Map<String, Value> = serde_json::from_str(members.get("metadata")?.get()).ok()?;
    let mut taken = |name: &str| match extra.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let timestamp = taken("timestamp")?;
    let source = taken("source").unwrap_or_default();
    let origin = Origin::new(&source, &taken("instanceId").unwrap_or_default());
    let [correlation_id, causation_id, traceparent, tracestate, user_id, organization_id, room, to_user, key] =
        [
            "correlationId",
            "causationId",
            "traceparent",
            "tracestate",
            "userId",
            "organizationId",
            "room",
            "toUser",
            "key",
        ]
        .map(&mut taken);
    let except: Vec<String> = match extra.remove("except") {
        Some(Value::Array(members)) => members.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let metadata = Metadata {
        source: Some(&source),
        correlation_id: correlation_id.as_deref(),
        causation_id: causation_id.as_deref(),
        traceparent: traceparent.as_deref(),
        tracestate: tracestate.as_deref(),
        user_id: user_id.as_deref(),
        organization_id: organization_id.as_deref(),
        room: room.as_deref(),
        except: &except,
        to_user: to_user.as_deref(),
        key: key.as_deref(),
        extra: Some(&extra),
    };
    let data = members.get("data")?.get();
    let event =
        NewEvent { id: &id, event_type: &event_type, data, timestamp: &timestamp, metadata: Some(&metadata) };
    Some(write(&origin, &event))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::mapped::tests::with_all_metadata;
    use crate::codec::oxbus::message;

    #[test]
    fn an_event_is_what_it_was() {
        with_all_metadata(|event| {
            let mut json = Vec::new();
            message::write(&mut json, &Origin::new("api", "i-1"), event);
            let again = rewritten(std::str::from_utf8(&json).unwrap(), |origin, event| {
                let mut again = Vec::new();
                message::write(&mut again, origin, event);
                again
            });
            let value = |json: &[u8]| serde_json::from_slice::<Value>(json).unwrap();
            assert_eq!(value(&again.unwrap()), value(&json));
        });
        assert!(rewritten("{}", |_, _| ()).is_none());
    }
}
