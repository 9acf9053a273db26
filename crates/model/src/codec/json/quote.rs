//! Texts as JSON strings.

use std::borrow::Cow;

use serde_json::Value;

/// `text` as a JSON string with its quotes.
pub(crate) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The inside of a JSON string: `text` itself unless it needs escaping.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        return Cow::Borrowed(text);
    }
    let quoted = quoted(text);
    Cow::Owned(quoted[1..quoted.len() - 1].to_owned())
}
