//! Events on their way to handlers, as JSON: in runs that have most in common.

use oxbus_model::delivery::{Delivery, LiveEvent, StoredContext};
use serde_json::{Map, Value};

use crate::drained::{list, member, put, quoted};

/// Writes the members for deliveries: the runs, and the shapes of their events.
pub(crate) fn write(out: &mut String, deliveries: &[Delivery]) {
    let mut shapes = Shapes::default();
    member(out, "d");
    out.push('[');
    for (i, run) in deliveries.chunk_by(same_run).enumerate() {
        let Some(first) = run.first() else { continue };
        if i > 0 {
            out.push(',');
        }
        put(out, format_args!("[{},{},", first.subscription, first.token));
        match &first.stored {
            Some(stored) => stored_info(out, run, first, stored),
            None => live_info(out, first),
        }
        for delivery in run {
            if let Some(stored) = &delivery.stored {
                put(out, format_args!(",\"{}\"", stored.id));
            }
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

/// Whether `b` belongs to the run of `a`, which it follows. A batch is a run of its own.
fn same_run(a: &Delivery, b: &Delivery) -> bool {
    let token = match (&a.stored, &b.stored) {
        (None, None) => a.token.wrapping_add(1),
        (Some(x), Some(y)) if x.batch > 0 => return y.batch > 0 && a.token == b.token,
        (Some(x), Some(y)) if y.batch == 0 && same_place(x, y) => a.token.wrapping_add(1),
        _ => return false,
    };
    b.token == token
        && (a.subscription, a.attempt, a.pattern) == (b.subscription, b.attempt, b.pattern)
        && a.event.channel == b.event.channel
}

fn same_place(a: &StoredContext, b: &StoredContext) -> bool {
    a.deliveries == b.deliveries && a.stream == b.stream && a.group == b.group
}

/// What differs from the plain case; `0` where nothing does.
fn live_info(out: &mut String, delivery: &Delivery) {
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

/// Where the entries of a run stand. Of a batch, attempt and deliveries are the highest.
fn stored_info(out: &mut String, run: &[Delivery], first: &Delivery, stored: &StoredContext) {
    let deliveries = run.iter().filter_map(|d| Some(d.stored.as_ref()?.deliveries)).max();
    let attempt = run.iter().map(|d| d.attempt).max().unwrap_or(1);
    out.push_str("{\"stream\":");
    quoted(out, &stored.stream);
    out.push_str(",\"group\":");
    quoted(out, &stored.group);
    put(out, format_args!(",\"deliveries\":{}", deliveries.unwrap_or(stored.deliveries)));
    if attempt != 1 {
        put(out, format_args!(",\"attempt\":{attempt}"));
    }
    if first.pattern != 0 {
        put(out, format_args!(",\"pattern\":{}", first.pattern));
    }
    if let Some(channel) = &first.event.channel {
        out.push_str(",\"channel\":");
        quoted(out, channel);
    }
    if stored.batch > 0 {
        put(out, format_args!(",\"batch\":{}", run.len()));
        let streams = || run.iter().filter_map(|d| Some(&*d.stored.as_ref()?.stream));
        if streams().any(|stream| *stream != *stored.stream) {
            out.push_str(",\"streams\":");
            put(out, streams().collect::<Value>());
        }
    }
    out.push('}');
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
        room: parts.room.map(|room| room.of(json)),
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
    room: Option<&'a str>,
}

impl Shape<'_> {
    fn write(out: &mut String, shape: &Shape<'_>) {
        let flags = u8::from(shape.has_correlation) | u8::from(shape.has_causation) << 1;
        let Shape { event_type, timestamp, source, instance_id, .. } = shape;
        put(out, format_args!("[\"{event_type}\",\"{timestamp}\",\"{source}\",\"{instance_id}\",{flags}"));
        if let Some(room) = shape.room {
            put(out, format_args!(",\"{room}\""));
        }
        out.push(']');
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
