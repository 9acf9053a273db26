//! Events on their way to handlers, as JSON: in runs that have most in common.

use napi_derive::napi;
use oxbus_model::delivery::{Delivery, StoredContext};
use serde::Serialize;

use crate::json::{list_member, member, put, value};
use crate::raw::RawData;

/// Writes the members for deliveries: the runs, and the shapes of their events. Data that is handed on as it is goes into
/// `raw`, and its index there into the run.
pub(crate) fn write(out: &mut String, raw: &mut RawData, deliveries: &[Delivery]) {
    let mut shapes = Shapes::default();
    member(out, "deliveries");
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
            event(out, raw, delivery, &mut shapes);
        }
        out.push(']');
    }
    out.push(']');
    list_member(out, "shapes", &shapes.rows, Shape::write);
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

/// The facts of a run that differ from the plain case: the first attempt, the first pattern, the channel of the type.
#[napi(object, object_from_js = false, object_to_js = false)]
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunInfo<'a> {
    /// Given for a durable run, in which a message id precedes each event; so are `group` and `deliveries`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<&'a str>,
    /// How often the entry was delivered; of a batch, the highest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliveries: Option<u32>,
    /// Of a batch, the highest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The index of the pattern in the subscription's list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<&'a str>,
    /// How many events the run has, when they are one call with one token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<u32>,
    /// The stream of each event of a batch, where they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streams: Option<Vec<&'a str>>,
}

/// What differs from the plain case; `0` where nothing does.
fn live_info(out: &mut String, delivery: &Delivery) {
    if delivery.attempt == 1 && delivery.pattern == 0 && delivery.event.channel.is_none() {
        return out.push('0');
    }
    value(out, &common_info(delivery, delivery.attempt));
}

/// What a run may differ in, live or durable.
fn common_info(delivery: &Delivery, attempt: u32) -> RunInfo<'_> {
    RunInfo {
        attempt: (attempt != 1).then_some(attempt),
        pattern: (delivery.pattern != 0).then_some(delivery.pattern),
        channel: delivery.event.channel.as_deref(),
        ..RunInfo::default()
    }
}

/// Where the entries of a run stand. Of a batch, attempt and deliveries are the highest.
fn stored_info(out: &mut String, run: &[Delivery], first: &Delivery, stored: &StoredContext) {
    let deliveries = run.iter().filter_map(|d| Some(d.stored.as_ref()?.deliveries)).max();
    let attempt = run.iter().map(|d| d.attempt).max().unwrap_or(1);
    let mut info = RunInfo {
        stream: Some(&stored.stream),
        group: Some(&stored.group),
        deliveries,
        ..common_info(first, attempt)
    };
    if stored.batch > 0 {
        info.batch = u32::try_from(run.len()).ok();
        let streams = || run.iter().filter_map(|d| Some(&*d.stored.as_ref()?.stream));
        if streams().any(|stream| *stream != *stored.stream) {
            info.streams = Some(streams().collect());
        }
    }
    value(out, &info);
}

/// An event: as it came, or as its shape and what is its own.
fn event<'a>(out: &mut String, raw: &mut RawData, delivery: &'a Delivery, shapes: &mut Shapes<'a>) {
    let event = &*delivery.event;
    let json = &*event.json;
    let elsewhere = delivery.raw.then(|| event.data_range()).flatten();
    let elsewhere = elsewhere.map(|data| (raw.add(&delivery.event, data.clone()), data));
    let Some(parts) = &event.parts else {
        return match elsewhere {
            Some((index, data)) => {
                put(out, format_args!("{}{index}{}", &json[..data.start], &json[data.end..]))
            }
            None => out.push_str(json),
        };
    };
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
    match elsewhere {
        Some((index, _)) => put(out, index),
        None => out.push_str(parts.data.of(json)),
    }
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
