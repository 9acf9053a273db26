//! Everything that is ready, as one JSON text.

use std::fmt::Write;

use oxbus_engine::Drained;
use oxbus_engine::host::{Notice, Published};
use oxbus_model::delivery::Delivery;
use oxbus_model::time;
use serde_json::{Map, Value, json};

use crate::values;

/// The text of a drain; empty when there is nothing. Publishes and deliveries are written by hand: they
/// are most of it, and their parts are JSON already.
pub(crate) fn text(drained: &Drained) -> String {
    if drained.is_empty() {
        return String::new();
    }
    let events: usize = drained.deliveries.iter().map(|d| d.event.json.len() + 1).sum();
    let results: usize = drained.published.iter().map(|p| 64 + p.items.len() * 44).sum();
    let mut out = String::with_capacity(events + results + 256);
    out.push('{');
    if !drained.published.is_empty() {
        member(&mut out, "p");
        list(&mut out, &drained.published, published);
    }
    if !drained.deliveries.is_empty() {
        member(&mut out, "d");
        deliveries(&mut out, &drained.deliveries);
    }
    let mut rest = Map::new();
    if !drained.failed.is_empty() {
        let failed = drained.failed.iter().map(|f| json!([f.batch, f.index, values::error(&f.error)]));
        rest.insert("f".into(), failed.collect());
    }
    let (mut replies, mut refusals) = (Vec::new(), Vec::new());
    for (ticket, result) in &drained.replies {
        match result {
            Ok(value) => replies.push(json!([ticket, value])),
            Err(error) => refusals.push(json!([ticket, values::error(error)])),
        }
    }
    let notices: Vec<Value> = drained.notices.iter().map(notice).collect();
    for (name, values) in [("r", replies), ("x", refusals), ("n", notices)] {
        if !values.is_empty() {
            rest.insert(name.into(), values.into());
        }
    }
    for (name, value) in rest {
        member(&mut out, &name);
        put(&mut out, value);
    }
    out.push('}');
    out
}

fn member(out: &mut String, name: &str) {
    if out.len() > 1 {
        out.push(',');
    }
    put(out, format_args!("\"{name}\":"));
}

fn list<T>(out: &mut String, items: &[T], mut write: impl FnMut(&mut String, &T)) {
    for (i, item) in items.iter().enumerate() {
        out.push(if i == 0 { '[' } else { ',' });
        write(out, item);
    }
    out.push(']');
}

fn published(out: &mut String, run: &Published) {
    put(out, format_args!("[{},{},\"{}\"", run.batch, run.first, run.timestamp));
    for (id, receivers) in &run.items {
        match id {
            Some(id) => {
                out.push_str(",\"");
                out.push_str(id.as_str());
                out.push_str("\",");
            }
            None => out.push_str(",0,"),
        }
        put(out, receivers);
    }
    out.push(']');
}

fn deliveries(out: &mut String, deliveries: &[Delivery]) {
    let same_run = |a: &Delivery, b: &Delivery| {
        (a.subscription, a.attempt, a.pattern) == (b.subscription, b.attempt, b.pattern)
            && a.event.channel == b.event.channel
            && b.token == a.token.wrapping_add(1)
    };
    out.push('[');
    for (i, run) in deliveries.chunk_by(same_run).enumerate() {
        let Some(first) = run.first() else { continue };
        if i > 0 {
            out.push(',');
        }
        put(out, format_args!("[{},{},", first.subscription, first.token));
        info(out, first);
        for delivery in run {
            out.push(',');
            out.push_str(&delivery.event.json);
        }
        out.push(']');
    }
    out.push(']');
}

/// What differs from the plain case; `0` where nothing does.
fn info(out: &mut String, delivery: &Delivery) {
    if delivery.attempt == 1 && delivery.pattern == 0 && delivery.event.channel.is_none() {
        return out.push('0');
    }
    let mut info = Map::new();
    if delivery.attempt != 1 {
        info.insert("attempt".into(), delivery.attempt.into());
    }
    if delivery.pattern != 0 {
        info.insert("pattern".into(), delivery.pattern.into());
    }
    if let Some(channel) = &delivery.event.channel {
        info.insert("channel".into(), (&**channel).into());
    }
    put(out, Value::Object(info));
}

fn notice(notice: &Notice) -> Value {
    match notice {
        Notice::Ready => json!({ "event": "ready" }),
        Notice::Reconnecting { attempt, delay, error } => {
            json!({ "event": "reconnecting", "attempt": attempt, "delay": delay, "error": values::error(error) })
        }
        Notice::Disconnected(error) => json!({ "event": "disconnected", "error": values::error(error) }),
        Notice::Closed => json!({ "event": "closed" }),
        Notice::Error(error) => json!({ "event": "error", "error": values::error(error) }),
        Notice::Gap { from, to, patterns } => json!({
            "event": "gap", "from": time::to_iso(*from), "to": time::to_iso(*to), "patterns": patterns,
            "recovered": 0, "complete": false,
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

fn put(out: &mut String, value: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{value}");
}
