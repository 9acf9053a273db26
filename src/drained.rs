//! Everything that is ready, as one JSON text.

use std::fmt::Write;

use oxbus_engine::Drained;
use oxbus_engine::host::{DeliveredLocally, EventId, Failed, Published, SettledLocally, StoredEntries};
use oxbus_model::Outcome;
use serde_json::{Map, Value, json};

use crate::{deliveries, notices, values};

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
    let (mut live, mut stored) = (Vec::new(), Vec::new());
    for run in &drained.published {
        match &run.stored {
            Some(place) => stored.push((run, place)),
            None => live.push(run),
        }
    }
    if !live.is_empty() {
        member(&mut out, "p");
        list(&mut out, &live, |out, run| published(out, run));
    }
    if !stored.is_empty() {
        member(&mut out, "q");
        list(&mut out, &stored, |out, (run, place)| kept(out, run, place));
    }
    if !drained.delivered_locally.is_empty() {
        member(&mut out, "l");
        list(&mut out, &drained.delivered_locally, delivered_locally);
    }
    if !drained.settled_locally.is_empty() {
        member(&mut out, "u");
        list(&mut out, &drained.settled_locally, settled_locally);
    }
    if !drained.deliveries.is_empty() {
        deliveries::write(&mut out, &drained.deliveries);
    }
    let mut rest = Map::new();
    if !drained.failed.is_empty() {
        rest.insert("f".into(), drained.failed.iter().map(failed).collect());
    }
    let (mut replies, mut refusals) = (Vec::new(), Vec::new());
    for (ticket, result) in &drained.replies {
        match result {
            Ok(value) => replies.push(json!([ticket, value])),
            Err(error) => refusals.push(json!([ticket, values::error(error)])),
        }
    }
    let notices: Vec<Value> = drained.notices.iter().map(notices::value).collect();
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

/// Begins a member of the object.
pub(crate) fn member(out: &mut String, name: &str) {
    if out.len() > 1 {
        out.push(',');
    }
    put(out, format_args!("\"{name}\":"));
}

/// Writes an array.
pub(crate) fn list<T>(out: &mut String, items: &[T], mut write: impl FnMut(&mut String, &T)) {
    for (i, item) in items.iter().enumerate() {
        out.push(if i == 0 { '[' } else { ',' });
        write(out, item);
    }
    out.push(']');
}

/// Writes a text as JSON.
pub(crate) fn quoted(out: &mut String, text: &str) {
    put(out, Value::from(text));
}

/// Writes a value as it is shown.
pub(crate) fn put(out: &mut String, value: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{value}");
}

/// A run of events that were only published.
fn published(out: &mut String, run: &Published) {
    put(out, format_args!("[{},{},\"{}\"", run.batch, run.first, run.timestamp));
    for item in &run.items {
        receipt(out, item);
    }
    out.push(']');
}

/// A run of events that were stored.
fn kept(out: &mut String, run: &Published, place: &StoredEntries) {
    put(out, format_args!("[{},{},\"{}\",", run.batch, run.first, run.timestamp));
    quoted(out, &place.stream);
    for (item, (entry, duplicate)) in run.items.iter().zip(&place.entries) {
        receipt(out, item);
        put(out, format_args!(",\"{entry}\",{}", u8::from(*duplicate)));
    }
    out.push(']');
}

/// What this client itself has taken: each with its index.
fn delivered_locally(out: &mut String, DeliveredLocally { batch, items }: &DeliveredLocally) {
    put(out, format_args!("[{batch}"));
    items.iter().for_each(|(index, takers)| put(out, format_args!(",{index},{takers}")));
    out.push(']');
}

/// An event that succeeded without the server.
fn settled_locally(
    out: &mut String,
    SettledLocally { batch, index, timestamp, id, remote }: &SettledLocally,
) {
    let remote = remote.map_or("skipped", Outcome::as_str);
    put(out, format_args!("[{batch},{index},\"{timestamp}\",\"{remote}\""));
    if let Some(id) = id {
        put(out, format_args!(",\"{}\"", id.as_str()));
    }
    out.push(']');
}

fn receipt(out: &mut String, (id, receivers): &(Option<EventId>, i64)) {
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

fn failed(failed: &Failed) -> Value {
    let mut error = values::error(&failed.error);
    if let (Some(id), Value::Object(error)) = (&failed.message_id, &mut error) {
        error.insert("messageId".into(), id.to_string().into());
    }
    json!([failed.batch, failed.index, error])
}
