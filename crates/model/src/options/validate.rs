//! Checks single values, for `EventValidator` in JavaScript.

use std::collections::HashMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::config::Limits;
use crate::error::{BusError, ErrorKind};
use crate::options::names::{check_event_type, check_identifier, check_pattern};
use crate::options::reader::type_name;
use crate::time;

const KIND: ErrorKind = ErrorKind::InvalidEvent;
/// Members of the metadata that are identifiers where they are present.
const IDENTIFIERS: [&str; 8] =
    ["instanceId", "causationId", "traceparent", "tracestate", "userId", "organizationId", "room", "key"];

/// Checks the value in `json`. `what` is
///
/// - `event`: an object with `id`, `type`, `data` and `metadata`, all valid and within `limits`;
/// - `metadata`: an object with a valid `timestamp`, `source` and `correlationId`;
/// - `timestamp`: an ISO 8601 text with a time zone;
/// - `type`, `pattern`: a text that can be one.
///
/// # Errors
/// `INVALID_EVENT`, `INVALID_TYPE`, `INVALID_PATTERN` or `EVENT_TOO_LARGE`, with the path of the bad
/// field; `INTERNAL` for another `what`.
pub fn validate(what: &str, json: &str, limits: &Limits) -> Result<(), BusError> {
    match what {
        "event" => event(json, limits),
        "metadata" => metadata("", &value(json, KIND)?),
        "timestamp" => timestamp("", Some(&value(json, KIND)?)),
        "type" => check_event_type(text("", &value(json, ErrorKind::InvalidType)?, ErrorKind::InvalidType)?),
        "pattern" => {
            check_pattern(text("", &value(json, ErrorKind::InvalidPattern)?, ErrorKind::InvalidPattern)?)
        }
        _ => Err(BusError::new(ErrorKind::Internal, format!("nothing is known of validating {what:?}"))),
    }
}

fn value(json: &str, kind: ErrorKind) -> Result<Value, BusError> {
    serde_json::from_str(json).map_err(|e| unreadable(e, kind))
}

fn unreadable(error: serde_json::Error, kind: ErrorKind) -> BusError {
    BusError::new(kind, format!("cannot be read as JSON: {error}"))
}

fn text<'a>(path: &str, value: &'a Value, kind: ErrorKind) -> Result<&'a str, BusError> {
    let got = type_name(value);
    value.as_str().ok_or_else(|| BusError::at(kind, path, format_args!("expected a string, got {got}")))
}

fn object<'a>(path: &str, value: &'a Value) -> Result<&'a Map<String, Value>, BusError> {
    let got = type_name(value);
    value.as_object().ok_or_else(|| BusError::at(KIND, path, format_args!("expected an object, got {got}")))
}

fn missing(path: &str) -> BusError {
    BusError::at(KIND, path, "is missing")
}

fn event(json: &str, limits: &Limits) -> Result<(), BusError> {
    if !json.trim_start().starts_with('{') {
        object("", &value(json, KIND)?)?;
    }
    // `data` stays text: it is the caller's, and its size is that of its text.
    let fields: HashMap<String, &RawValue> = serde_json::from_str(json).map_err(|e| unreadable(e, KIND))?;
    let field = |name: &str| fields.get(name).map(|raw| raw.get()).ok_or_else(|| missing(name));
    let parsed =
        |name: &str, kind| value(field(name)?, kind).map_err(|e| BusError::at(e.kind, name, e.message));
    check_identifier("id", text("id", &parsed("id", KIND)?, KIND)?, KIND)?;
    check_event_type(text("type", &parsed("type", KIND)?, ErrorKind::InvalidType)?)
        .map_err(|e| BusError::at(e.kind, "type", e.message))?;
    let data = field("data")?;
    metadata("metadata", &parsed("metadata", KIND)?)?;
    size("", json.len(), limits.max_event_bytes)?;
    size("data", data.len(), limits.max_data_bytes)
}

fn size(path: &str, bytes: usize, limit: usize) -> Result<(), BusError> {
    if bytes <= limit {
        return Ok(());
    }
    let message = format!("has {bytes} bytes of JSON, more than {limit}");
    Err(BusError::at(ErrorKind::EventTooLarge, path, message))
}

fn metadata(path: &str, value: &Value) -> Result<(), BusError> {
    let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let fields = object(path, value)?;
    timestamp(&at("timestamp"), fields.get("timestamp"))?;
    let identifier = |name: &str, value: &Value| {
        let path = at(name);
        check_identifier(&path, text(&path, value, KIND)?, KIND)
    };
    for name in ["source", "correlationId"] {
        identifier(name, fields.get(name).ok_or_else(|| missing(&at(name)))?)?;
    }
    IDENTIFIERS
        .iter()
        .filter_map(|name| Some((name, fields.get(*name)?)))
        .try_for_each(|(n, v)| identifier(n, v))
}

fn timestamp(path: &str, value: Option<&Value>) -> Result<(), BusError> {
    let text = text(path, value.ok_or_else(|| missing(path))?, KIND)?;
    let expected = "expected an ISO 8601 text with a time zone, such as 2026-11-21T03:04:05.678Z";
    time::from_iso(text).map(drop).ok_or_else(|| BusError::at(KIND, path, expected))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn good() -> Value {
        json!({"id": "1", "type": "a.b", "data": null, "metadata": {
            "timestamp": "2026-11-21T03:04:05.678Z", "source": "s", "correlationId": "c", "own": {}}})
    }

    fn check(what: &str, value: &Value) -> Result<(), BusError> {
        validate(what, &value.to_string(), &Limits::default())
    }

    #[test]
    fn valid_values_pass() {
        assert_eq!(check("event", &good()), Ok(()));
        let lone = good().to_string().replace("\"data\":null", r#""data":"\ud800""#);
        assert_eq!(validate("event", &lone, &Limits::default()), Ok(()));
        assert_eq!(check("metadata", &good()["metadata"]), Ok(()));
        assert_eq!(check("timestamp", &json!("2026-11-21T03:04:05Z")), Ok(()));
        assert_eq!(check("type", &json!("a")), Ok(()));
        assert_eq!(check("pattern", &json!("room:*")), Ok(()));
    }

    #[test]
    fn a_bad_field_of_an_event_is_named() {
        use ErrorKind::{InvalidEvent, InvalidType};
        for (pointer, path, value, kind, why) in [
            ("/id", "id", Some(json!(1)), InvalidEvent, "a number"),
            ("/id", "id", None, InvalidEvent, "missing"),
            ("/type", "type", Some(json!("a b")), InvalidType, "' '"),
            ("/type", "type", None, InvalidEvent, "missing"),
            ("/data", "data", None, InvalidEvent, "missing"),
            ("/metadata", "metadata", Some(json!([])), InvalidEvent, "an array"),
            ("/metadata", "metadata", None, InvalidEvent, "missing"),
            ("/metadata/timestamp", "metadata.timestamp", Some(json!(5)), InvalidEvent, "a number"),
            ("/metadata/timestamp", "metadata.timestamp", Some(json!("noon")), InvalidEvent, "ISO"),
            ("/metadata/source", "metadata.source", None, InvalidEvent, "missing"),
            ("/metadata/correlationId", "metadata.correlationId", Some(json!("")), InvalidEvent, "empty"),
            ("/metadata/key", "metadata.key", Some(json!("a\nb")), InvalidEvent, "control"),
        ] {
            let mut event = good();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            let fields = event.pointer_mut(parent).and_then(Value::as_object_mut).unwrap();
            match value {
                Some(value) => fields.insert(name.to_owned(), value),
                None => fields.remove(name),
            };
            let error = check("event", &event).unwrap_err();
            assert_eq!((error.kind, error.path.as_deref()), (kind, Some(path)), "{error}");
            assert!(error.message.contains(why), "{error}");
        }
    }

    #[test]
    fn other_values_are_refused_by_their_kind() {
        for (what, value, kind) in [
            ("event", json!("x"), ErrorKind::InvalidEvent),
            ("metadata", json!({}), ErrorKind::InvalidEvent),
            ("timestamp", json!(null), ErrorKind::InvalidEvent),
            ("type", json!(1), ErrorKind::InvalidType),
            ("type", json!("broadcast"), ErrorKind::InvalidType),
            ("pattern", json!(""), ErrorKind::InvalidPattern),
            ("nothing", json!(""), ErrorKind::Internal),
        ] {
            assert_eq!(check(what, &value).unwrap_err().kind, kind, "{what}");
        }
        assert_eq!(validate("event", "{", &Limits::default()).unwrap_err().kind, ErrorKind::InvalidEvent);
    }

    #[test]
    fn large_events_are_refused() {
        let mut event = good();
        event["data"] = json!("x".repeat(98));
        let text = event.to_string();
        let whole = text.len();
        let limits = |max_event_bytes, max_data_bytes| Limits { max_event_bytes, max_data_bytes };
        assert_eq!(validate("event", &text, &limits(whole, 100)), Ok(()));
        for (limits, path) in [(limits(whole - 1, 100), None), (limits(whole, 99), Some("data"))] {
            let error = validate("event", &text, &limits).unwrap_err();
            assert_eq!((error.kind, error.path.as_deref()), (ErrorKind::EventTooLarge, path));
        }
    }
}
