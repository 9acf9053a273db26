//! Errors as dead letters have them.

use std::sync::Arc;

use crate::ErrorKind;

/// An error as dead letters have it.
pub(super) fn error_json(name: &str, message: &str, kind: Option<ErrorKind>) -> Arc<str> {
    let mut error = serde_json::json!({ "name": name, "message": message });
    if let (Some(kind), Some(fields)) = (kind, error.as_object_mut()) {
        fields.insert("code".to_owned(), kind.code().into());
    }
    error.to_string().into()
}
