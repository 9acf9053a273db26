//! What is logged.

use serde::Serialize;

use crate::error::BusError;
use crate::options::reader::Reader;

/// The least important lines that are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What a person may want to know. The default.
    #[default]
    Info,
    /// What may be wrong.
    Warn,
    /// What is wrong.
    Error,
    /// Nothing.
    Silent,
}

/// `logger: false` is the level `silent`, as there is nobody to log to.
pub(super) fn read_log_level(r: &mut Reader) -> Result<LogLevel, BusError> {
    use LogLevel::{Debug, Error, Info, Silent, Warn};
    let words = [("debug", Debug), ("info", Info), ("warn", Warn), ("error", Error), ("silent", Silent)];
    let level = r.choice("logLevel", &words)?.unwrap_or_default();
    match r.boolean("logger")? {
        Some(true) => Err(r.error("logger", "must be a logger, or false")),
        Some(false) => Ok(Silent),
        None => Ok(level),
    }
}
