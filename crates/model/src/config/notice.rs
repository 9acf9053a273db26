//! What a configuration has to say besides being valid.

use serde::Serialize;

use crate::config::environment::shown;

/// How loud a [`Notice`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NoticeLevel {
    /// Good to know.
    Info,
    /// Probably not what was meant.
    Warn,
}

const MEMORY_MODE: &str = "MEMORY_MODE";
const OPTION_IGNORED: &str = "OPTION_IGNORED";

/// A line for the log of a client that starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// How loud it is.
    pub level: NoticeLevel,
    /// A stable name: `MEMORY_MODE`, `OPTION_IGNORED` or `TLS_NOT_VERIFIED`.
    pub code: &'static str,
    /// One line for a person; never holds a secret.
    pub message: String,
}

impl Notice {
    /// Whether it says that events stay in memory although nobody has asked for that.
    pub fn is_fallback(&self) -> bool {
        self.code == MEMORY_MODE && self.level == NoticeLevel::Warn
    }

    pub(super) fn memory_mode(level: NoticeLevel, why: &str) -> Self {
        let message = format!("{why}: events stay in this process (memory mode)");
        Notice { level, code: MEMORY_MODE, message }
    }

    pub(super) fn not_verified(path: &str) -> Self {
        let message = format!(
            "{path} is false: the server's certificate is not checked, so whoever is in between can read and change \
             everything"
        );
        Notice { level: NoticeLevel::Warn, code: "TLS_NOT_VERIFIED", message }
    }

    /// A variable beside `REDIS_URL` that says something else, with its value unless that is secret.
    pub(super) fn overruled(variable: &str, value: Option<&str>) -> Self {
        let value = value.map(|value| format!(" ({})", shown(value))).unwrap_or_default();
        let message = format!("{variable}{value} is ignored: REDIS_URL is set, and says something else");
        Notice { level: NoticeLevel::Warn, code: OPTION_IGNORED, message }
    }

    /// The service link of Kubernetes in `REDIS_PORT` is about another server than `host`.
    pub(super) fn other_service(link: &str, host: &str) -> Self {
        let message = format!(
            "REDIS_PORT ({}) is ignored: it is the link that Kubernetes sets for its service named redis, and REDIS_HOST ({}) \
             is another server; the port is the default: set REDIS_URL for another one",
            shown(link),
            shown(host)
        );
        Notice { level: NoticeLevel::Warn, code: OPTION_IGNORED, message }
    }

    pub(super) fn ignored(path: &str, why: &str) -> Self {
        let message = format!("{path} has no meaning here and is ignored: {why}");
        Notice { level: NoticeLevel::Warn, code: OPTION_IGNORED, message }
    }
}
