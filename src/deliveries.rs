//! Events on their way to handlers: in runs that have most in common, with their values in columns.

use std::ops::Range;
use std::sync::Arc;

use napi_derive::napi;
use oxbus_engine::Drained;
use oxbus_model::codec::outline::Columns;
use oxbus_model::codec::outline::shapes::ShapeChange;
use oxbus_model::delivery::{Delivery, LiveEvent, StoredContext};
use serde::Serialize;

use crate::json::{list_member, member, put, value};
use crate::raw::RawData;

/// Writes the members for deliveries: the runs, the envelopes that events share, and the changes of shapes. The events
/// themselves go into `columns`, those of replies first, and data that is handed on as it is goes into `raw`.
pub(crate) fn write(out: &mut String, columns: &mut Columns, raw: &mut RawData, drained: &Drained) {
    let mut events = Events { columns, raw, generation: drained.shape_generation, envelopes: Vec::new() };
    let answers = drained.replies.iter().filter_map(|(_, result)| result.as_ref().ok());
    answers
        .filter_map(|answer| answer.events.as_ref())
        .flatten()
        .for_each(|event| events.event(event, false));
    if !drained.deliveries.is_empty() {
        member(out, "deliveries");
        out.push('[');
        for (i, run) in drained.deliveries.chunk_by(same_run).enumerate() {
            let Some(first) = run.first() else { continue };
            if i > 0 {
                out.push(',');
            }
            put(out, format_args!("[{},{},{},", first.subscription, first.token, run.len()));
            match &first.stored {
                Some(stored) => stored_info(out, run, first, stored),
                None => live_info(out, first),
            }
            out.push(']');
            run.iter().for_each(|delivery| events.push(delivery));
        }
        out.push(']');
    }
    list_member(out, "envelopes", &events.envelopes, Envelope::write);
    list_member(out, "shapes", &drained.shape_changes.shapes, shape_change);
    list_member(out, "strings", &drained.shape_changes.strings, value);
}

fn shape_change(out: &mut String, ShapeChange { shape, keys }: &ShapeChange) {
    match keys {
        Some(keys) => value(out, &(shape, keys)),
        None => put(out, format_args!("[{shape}]")),
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

/// The events of a drain, as columns.
struct Events<'a, 'c> {
    columns: &'c mut Columns,
    raw: &'c mut RawData,
    generation: u32,
    envelopes: Vec<Envelope<'a>>,
}

/// Looking further back than a few envelopes costs more than writing one again.
const LOOKED_AT: usize = 8;

impl<'a> Events<'a, '_> {
    /// The message id of a durable event, and the event.
    fn push(&mut self, delivery: &'a Delivery) {
        if let Some(stored) = &delivery.stored {
            self.columns.text(&stored.id.to_string());
        }
        self.event(&delivery.event, delivery.raw);
    }

    /// An event: the number of its envelope with what is its own, or its JSON. With `is_raw` its data goes as it is.
    fn event(&mut self, event: &'a Arc<LiveEvent>, is_raw: bool) {
        let json = &*event.json;
        let outlined = event.outlined.as_ref();
        let Some(parts) = &event.parts else {
            let apart = if is_raw { event.data_range() } else { outlined.map(|(data, _)| data.range()) };
            let Some(data) = apart else { return self.columns.parsed(&[json]) };
            self.columns.apart();
            self.columns.parsed(&[&json[..data.start], "0", &json[data.end..]]);
            return self.data(event, data, is_raw);
        };
        let envelope = Envelope {
            event_type: parts.event_type.of(json),
            timestamp: parts.timestamp.of(json),
            source: parts.source.of(json),
            instance_id: parts.instance_id.of(json),
            has_correlation: parts.correlation_id.is_some(),
            has_causation: parts.causation_id.is_some(),
            has_rest: parts.rest.is_some(),
            room: parts.room.map(|room| room.of(json)),
        };
        let number = self.number_of(envelope);
        self.columns.integer(number);
        for own in [Some(parts.id), parts.correlation_id, parts.causation_id].into_iter().flatten() {
            self.columns.text(own.of(json));
        }
        if let Some(rest) = parts.rest {
            self.columns.parsed(&["{", rest.of(json), "}"]);
        }
        self.data(event, parts.data.range(), is_raw);
    }

    fn data(&mut self, event: &Arc<LiveEvent>, data: Range<usize>, is_raw: bool) {
        if is_raw {
            return self.columns.raw(self.raw.add(event, data));
        }
        let outline = event.outlined.as_ref().map(|(_, outline)| outline);
        self.columns.data(&event.json[data], outline, self.generation);
    }

    fn number_of(&mut self, envelope: Envelope<'a>) -> usize {
        let from = self.envelopes.len().saturating_sub(LOOKED_AT);
        match self.envelopes[from..].iter().rposition(|known| *known == envelope) {
            Some(at) => from + at,
            None => {
                self.envelopes.push(envelope);
                self.envelopes.len() - 1
            }
        }
    }
}

/// What events of a drain have in common.
#[derive(Clone, Copy, PartialEq)]
struct Envelope<'a> {
    event_type: &'a str,
    timestamp: &'a str,
    source: &'a str,
    instance_id: &'a str,
    has_correlation: bool,
    has_causation: bool,
    has_rest: bool,
    room: Option<&'a str>,
}

impl Envelope<'_> {
    fn write(out: &mut String, envelope: &Envelope<'_>) {
        let flags = u8::from(envelope.has_correlation)
            | u8::from(envelope.has_causation) << 1
            | u8::from(envelope.has_rest) << 2;
        let Envelope { event_type, timestamp, source, instance_id, .. } = envelope;
        put(out, format_args!("[\"{event_type}\",\"{timestamp}\",\"{source}\",\"{instance_id}\",{flags}"));
        if let Some(room) = envelope.room {
            put(out, format_args!(",\"{room}\""));
        }
        out.push(']');
    }
}
