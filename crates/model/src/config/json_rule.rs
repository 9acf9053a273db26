//! What becomes of values in `data` that JSON would change without a word.

use serde::Serialize;

use crate::error::BusError;
use crate::options::reader::Reader;

/// What becomes of values in `data` that JSON would change without a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JsonRule {
    /// They are published as JSON has them, and a warning tells of them. The default.
    #[default]
    Lenient,
    /// The publish is refused.
    Strict,
}

pub(super) fn read_json_rule(r: &mut Reader) -> Result<JsonRule, BusError> {
    let words = [("lenient", JsonRule::Lenient), ("strict", JsonRule::Strict)];
    Ok(r.choice("json", &words)?.unwrap_or_default())
}
