//! Events of the client as JSON values.

use oxbus_engine::host::Notice;
use oxbus_model::consumer::Announcement;
use oxbus_model::time;
use serde_json::{Value, json};

use crate::values;

/// A notice as JavaScript reads it.
pub(crate) fn value(notice: &Notice) -> Value {
    match notice {
        Notice::Ready => json!({ "event": "ready" }),
        Notice::Reconnecting { link, attempt, delay, error } => json!({
            "event": "reconnecting", "link": &**link, "attempt": attempt, "delay": delay,
            "error": values::error(error),
        }),
        Notice::Disconnected { link, error } => {
            json!({ "event": "disconnected", "link": &**link, "error": values::error(error) })
        }
        Notice::Closed => json!({ "event": "closed" }),
        Notice::Error(error) => json!({ "event": "error", "error": values::error(error) }),
        Notice::Gap { from, to, patterns, recovered, complete } => json!({
            "event": "gap", "from": time::to_iso(*from), "to": time::to_iso(*to), "patterns": patterns,
            "recovered": recovered, "complete": complete,
        }),
        Notice::Group(announcement) => group(announcement),
        Notice::Circuit { subscription, state } => {
            json!({ "event": "circuit", "subscription": subscription, "state": state.as_str() })
        }
        Notice::Warning { code, message } => json!({ "event": "warning", "code": code, "message": message }),
        Notice::Log { level, message, fields } => {
            json!({ "event": "log", "level": level, "message": message, "fields": fields })
        }
    }
}

/// What a consumer group says, as JavaScript reads it.
fn group(announcement: &Announcement) -> Value {
    match announcement {
        Announcement::ClaimLost { tokens, stream, group, id } => json!({
            "event": "claimLost", "tokens": tokens, "stream": &**stream, "group": &**group,
            "messageId": id.to_string(),
        }),
        Announcement::MessagesLost { stream, group, missed } => json!({
            "event": "messagesLost", "stream": &**stream, "group": &**group, "count": missed.count,
            "from": missed.from.to_string(), "to": missed.to.to_string(),
        }),
        Announcement::DeadLettered { stream, group, id, event, attempts, reason, error, kept } => json!({
            "event": "deadLetter", "stream": &**stream, "group": &**group, "messageId": id.to_string(),
            "attempts": attempts, "reason": reason, "error": thrown(error), "kept": kept,
            // As text: V8 reads what `serde_json` does not.
            "data": event.as_ref().map(|event| &*event.json),
        }),
        Announcement::GroupRecreated { stream, group, from } => json!({
            "event": "groupRecreated", "stream": &**stream, "group": &**group, "from": from.to_string(),
        }),
        Announcement::Warning { code, message } => {
            json!({ "event": "warning", "code": code, "message": message })
        }
        Announcement::Error(error) => json!({ "event": "error", "error": values::error(error) }),
        // The ticket of a subscription says it, and the engine gives no notice of it.
        Announcement::Confirmed { .. } | Announcement::Refused { .. } => Value::Null,
    }
}

/// What a handler threw is JSON already; any other error is text.
fn thrown(error: &str) -> Value {
    serde_json::from_str(error).unwrap_or_else(|_| error.into())
}
