//! Events of the client, as JavaScript reads them.

use napi_derive::napi;
use oxbus_engine::host;
use oxbus_model::consumer::Announcement;
use oxbus_model::time;
use serde::Serialize;
use serde_json::Value;

use crate::values::ErrorValue;

/// An event of the client, for its listeners and the log.
#[napi(
    discriminant = "event",
    discriminant_case = "camelCase",
    object_from_js = false,
    object_to_js = false,
    use_nullable = true
)]
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Notice {
    Ready,
    Reconnecting {
        #[napi(ts_type = "import('./index').LinkName")]
        link: String,
        attempt: u32,
        /// Milliseconds.
        #[napi(ts_type = "number")]
        delay: u64,
        error: ErrorValue,
    },
    Disconnected {
        #[napi(ts_type = "import('./index').LinkName")]
        link: String,
        error: ErrorValue,
    },
    Closed,
    Error {
        error: ErrorValue,
    },
    Gap {
        /// ISO 8601, as `to`.
        from: String,
        to: String,
        patterns: Vec<String>,
        #[napi(ts_type = "number")]
        recovered: u64,
        complete: bool,
    },
    DeadLetter {
        stream: String,
        group: String,
        message_id: String,
        attempts: u32,
        reason: String,
        #[napi(ts_type = "import('./index').StoredError")]
        error: Value,
        /// The event as JSON text: V8 reads what `serde_json` does not.
        data: Option<String>,
        kept: bool,
    },
    MessagesLost {
        stream: String,
        group: String,
        #[napi(ts_type = "number")]
        count: u64,
        from: String,
        to: String,
    },
    ClaimLost {
        tokens: Vec<u32>,
        stream: String,
        group: String,
        message_id: String,
    },
    GroupRecreated {
        stream: String,
        group: String,
        from: String,
    },
    Circuit {
        /// The number of the subscription.
        subscription: u32,
        #[napi(ts_type = "'open' | 'half-open' | 'closed'")]
        state: String,
    },
    Warning {
        code: String,
        message: String,
    },
    Log {
        #[napi(ts_type = "import('./index').LogLevel")]
        level: String,
        message: String,
        #[napi(ts_type = "Record<string, unknown>")]
        fields: Value,
    },
}

impl Notice {
    /// What JavaScript is told of a notice of the engine, if anything.
    pub(crate) fn of(notice: &host::Notice) -> Option<Notice> {
        Some(match notice {
            host::Notice::Ready => Notice::Ready,
            host::Notice::Reconnecting { link, attempt, delay, error } => Notice::Reconnecting {
                link: link.to_string(),
                attempt: *attempt,
                delay: *delay,
                error: error.into(),
            },
            host::Notice::Disconnected { link, error } => {
                Notice::Disconnected { link: link.to_string(), error: error.into() }
            }
            host::Notice::Closed => Notice::Closed,
            host::Notice::Error(error) => Notice::Error { error: error.into() },
            host::Notice::Gap { from, to, patterns, recovered, complete } => Notice::Gap {
                from: time::to_iso(*from),
                to: time::to_iso(*to),
                patterns: patterns.clone(),
                recovered: *recovered,
                complete: *complete,
            },
            host::Notice::Group(announcement) => return Notice::announced(announcement),
            host::Notice::Circuit { subscription, state } => {
                Notice::Circuit { subscription: *subscription, state: state.as_str().to_owned() }
            }
            host::Notice::Warning { code, message } => {
                Notice::Warning { code: (*code).to_owned(), message: message.clone() }
            }
            host::Notice::Log { level, message, fields } => {
                Notice::Log { level: (*level).to_owned(), message: message.clone(), fields: fields.clone() }
            }
        })
    }

    /// What JavaScript is told of what a consumer group announces.
    fn announced(announcement: &Announcement) -> Option<Notice> {
        Some(match announcement {
            Announcement::ClaimLost { tokens, stream, group, id } => Notice::ClaimLost {
                tokens: tokens.clone(),
                stream: stream.to_string(),
                group: group.to_string(),
                message_id: id.to_string(),
            },
            Announcement::MessagesLost { stream, group, missed } => Notice::MessagesLost {
                stream: stream.to_string(),
                group: group.to_string(),
                count: missed.count,
                from: missed.from.to_string(),
                to: missed.to.to_string(),
            },
            Announcement::DeadLettered { stream, group, id, event, attempts, reason, error, kept } => {
                Notice::DeadLetter {
                    stream: stream.to_string(),
                    group: group.to_string(),
                    message_id: id.to_string(),
                    attempts: *attempts,
                    reason: (*reason).to_owned(),
                    error: thrown(error),
                    data: event.as_ref().map(|event| event.json.to_string()),
                    kept: *kept,
                }
            }
            Announcement::GroupRecreated { stream, group, from } => Notice::GroupRecreated {
                stream: stream.to_string(),
                group: group.to_string(),
                from: from.to_string(),
            },
            // The engine makes a warning of it.
            Announcement::ClockJumped { .. } => return None,
            Announcement::Warning { code, message } => {
                Notice::Warning { code: (*code).to_owned(), message: message.clone() }
            }
            Announcement::Error(error) => Notice::Error { error: error.into() },
            // The reply to the ticket of the subscription says it.
            Announcement::Confirmed { .. } | Announcement::Refused { .. } => return None,
        })
    }
}

/// What a handler threw is JSON already; any other error is text.
fn thrown(error: &str) -> Value {
    serde_json::from_str(error).unwrap_or_else(|_| error.into())
}
