//! Errors and results as JSON values.

use oxbus_model::BusError;
use serde_json::{Map, Value, json};

/// An error as JavaScript reads it: `ErrorValue`.
pub(crate) fn error(error: &BusError) -> Value {
    let mut value = Map::new();
    value.insert("code".into(), error.kind.code().into());
    value.insert("message".into(), error.message.clone().into());
    if let Some(outcome) = error.outcome {
        value.insert("outcome".into(), outcome.as_str().into());
    }
    if let Some(path) = &error.path {
        value.insert("path".into(), path.clone().into());
    }
    Value::Object(value)
}

/// A result as JavaScript reads it: `{"ok": …}` or `{"error": ErrorValue}`.
pub(crate) fn result(result: Result<Value, BusError>) -> String {
    match result {
        Ok(ok) => json!({ "ok": ok }),
        Err(e) => json!({ "error": error(&e) }),
    }
    .to_string()
}
