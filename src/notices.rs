//! Events of the client as JSON values.

use oxbus_engine::host::Notice;
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
        Notice::ClaimLost { tokens, stream, group, id } => json!({
            "event": "claimLost", "tokens": tokens, "stream": &**stream, "group": &**group,
            "messageId": id.to_string(),
        }),
        Notice::MessagesLost { stream, group, missed } => json!({
            "event": "messagesLost", "stream": &**stream, "group": &**group, "count": missed.count,
            "from": missed.from.to_string(), "to": missed.to.to_string(),
        }),
        Notice::DeadLettered { stream, group, id, event, attempts, reason, error, kept } => json!({
            "event": "deadLetter", "stream": &**stream, "group": &**group, "messageId": id.to_string(),
            "attempts": attempts, "reason": reason, "error": error, "kept": kept,
            // As text: V8 reads what `serde_json` does not.
            "data": event.as_ref().map(|event| &*event.json),
        }),
        Notice::GroupRecreated { stream, group, from } => json!({
            "event": "groupRecreated", "stream": &**stream, "group": &**group, "from": from.to_string(),
        }),
        Notice::Circuit { subscription, state } => {
            json!({ "event": "circuit", "subscription": subscription, "state": state.as_str() })
        }
        Notice::Warning { code, message } => json!({ "event": "warning", "code": code, "message": message }),
        Notice::Log { level, message, fields } => {
            json!({ "event": "log", "level": level, "message": message, "fields": fields })
        }
    }
}
