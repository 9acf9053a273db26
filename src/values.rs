//! Errors and results as JavaScript reads them.

use napi_derive::napi;
use oxbus_model::stream_store::EntryId;
use oxbus_model::{BusError, Outcome};
use serde::Serialize;

use crate::json;

/// An error as a value. `ts/errors.ts` makes an `Error` of it.
#[napi(object, object_from_js = false, object_to_js = false)]
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorValue {
    #[napi(ts_type = "import('./index').ErrorCode")]
    pub code: String,
    pub message: String,
    /// Of a publish: what became of it.
    #[napi(ts_type = "import('./index').Outcome")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Of bad input: the path of the field, such as `redis.tls.ca`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Of a publish that was stored nevertheless: its entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
}

impl ErrorValue {
    /// The error of a publish that was stored nevertheless, if there is an entry.
    pub(crate) fn of_publish(error: &BusError, entry: Option<EntryId>) -> ErrorValue {
        ErrorValue { message_id: entry.map(|id| id.to_string()), ..ErrorValue::from(error) }
    }
}

impl From<&BusError> for ErrorValue {
    fn from(error: &BusError) -> ErrorValue {
        ErrorValue {
            code: error.kind.code().to_owned(),
            message: error.message.clone(),
            outcome: error.outcome,
            path: error.path.clone(),
            message_id: None,
        }
    }
}

/// `NativeResult<T>` of `ts/native/native.ts`: `{"ok": …}` or `{"error": ErrorValue}`.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum NativeResult<T> {
    Ok(T),
    Error(ErrorValue),
}

/// A result as JSON.
pub(crate) fn result<T: Serialize>(result: Result<T, BusError>) -> String {
    json::text(&match result {
        Ok(value) => NativeResult::Ok(value),
        Err(error) => NativeResult::Error(ErrorValue::from(&error)),
    })
}
