//! Texts as JSON.

use crate::codec::json::escaped;

/// A text as a JSON string with its quotes.
pub(super) fn string(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}
