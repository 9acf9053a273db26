//! Everything that is ready, as one JSON text.

use std::fmt::Write;

use oxbus_engine::Drained;
use oxbus_engine::host::{Notice, Published};
use oxbus_model::delivery::{Delivery, LiveEvent};
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
    let mut shapes = Shapes::default();
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
            event(out, &delivery.event, &mut shapes);
        }
        out.push(']');
    }
    out.push(']');
    if !shapes.rows.is_empty() {
        member(out, "s");
        list(out, &shapes.rows, Shape::write);
    }
}

/// An event: as it came, or as its shape and what is its own.
fn event<'a>(out: &mut String, event: &'a LiveEvent, shapes: &mut Shapes<'a>) {
    let json = &*event.json;
    let Some(parts) = &event.parts else { return out.push_str(json) };
    let shape = Shape {
        event_type: parts.event_type.of(json),
        timestamp: parts.timestamp.of(json),
        source: parts.source.of(json),
        instance_id: parts.instance_id.of(json),
        has_correlation: parts.correlation_id.is_some(),
        has_causation: parts.causation_id.is_some(),
    };
    put(out, shapes.index_of(shape));
    for own in [Some(parts.id), parts.correlation_id, parts.causation_id].into_iter().flatten() {
        out.push_str(",\"");
        out.push_str(own.of(json));
        out.push('"');
    }
    out.push(',');
    out.push_str(parts.data.of(json));
}

/// What the events of a drain have in common.
#[derive(Clone, Copy, PartialEq)]
struct Shape<'a> {
    event_type: &'a str,
    timestamp: &'a str,
    source: &'a str,
    instance_id: &'a str,
    has_correlation: bool,
    has_causation: bool,
}

impl Shape<'_> {
    fn write(out: &mut String, shape: &Shape<'_>) {
        let flags = u8::from(shape.has_correlation) | u8::from(shape.has_causation) << 1;
        let Shape { event_type, timestamp, source, instance_id, .. } = shape;
        put(out, format_args!("[\"{event_type}\",\"{timestamp}\",\"{source}\",\"{instance_id}\",{flags}]"));
    }
}

/// The shapes of a drain. Looking further back than a few costs more than writing a shape again.
#[derive(Default)]
struct Shapes<'a> {
    rows: Vec<Shape<'a>>,
}

impl<'a> Shapes<'a> {
    fn index_of(&mut self, shape: Shape<'a>) -> usize {
        let from = self.rows.len().saturating_sub(8);
        match self.rows[from..].iter().rposition(|row| *row == shape) {
            Some(at) => from + at,
            None => {
                self.rows.push(shape);
                self.rows.len() - 1
            }
        }
    }
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
        Notice::Reconnecting { link, attempt, delay, error } => {
            json!({ "event": "reconnecting", "link": &**link, "attempt": attempt, "delay": delay, "error": values::error(error) })
        }
        Notice::Disconnected { link, error } => {
            json!({ "event": "disconnected", "link": &**link, "error": values::error(error) })
        }
        Notice::Closed => json!({ "event": "closed" }),
        Notice::Error(error) => json!({ "event": "error", "error": values::error(error) }),
        Notice::Gap { from, to, patterns, recovered, complete } => json!({
            "event": "gap", "from": time::to_iso(*from), "to": time::to_iso(*to), "patterns": patterns,
            "recovered": recovered, "complete": complete,
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
