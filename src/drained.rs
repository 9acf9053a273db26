//! Everything that is ready, as one JSON text: `Drained` of `ts/native/drained.ts`.

use oxbus_engine::Drained;
use oxbus_engine::host::{Answer, DeliveredLocally, EventId, Published, SettledLocally, StoredEntries};
use oxbus_model::Outcome;
use oxbus_model::codec::outline::Columns;
use oxbus_model::codec::outline::columns::Lengths;

use crate::json::{list_member, member, put, value};
use crate::notices::Notice;
use crate::raw::RawData;
use crate::values::ErrorValue;
use crate::{deliveries, json};

/// The text of a drain; empty when there is nothing. Publishes and deliveries are written by hand: they
/// are most of it, and their parts are JSON already. Events go into `columns`, and data that handlers get as it is into `raw`.
pub(crate) fn text(drained: &Drained, columns: &mut Columns, raw: &mut RawData) -> String {
    if drained.is_empty() {
        return String::new();
    }
    let results: usize = drained.published.iter().map(|p| 64 + p.items.len() * 44).sum();
    let mut out = String::with_capacity(results + 256);
    out.push('{');
    results_of_publishes(&mut out, drained);
    deliveries::write(&mut out, columns, raw, drained);
    let lengths = columns.finish();
    if lengths.total() > 0 {
        member(&mut out, "columns");
        let Lengths { doubles, words, chunks, text } = lengths;
        put(&mut out, format_args!("[{doubles},{words},{chunks},{text}]"));
    }
    if !columns.json().is_empty() {
        member(&mut out, "json");
        put(&mut out, format_args!("[{}]", columns.json()));
    }
    if !raw.is_empty() {
        member(&mut out, "raw");
        put(&mut out, format_args!("[{}]", raw.len()));
    }
    let (mut replies, mut refusals) = (Vec::new(), Vec::new());
    for (ticket, result) in &drained.replies {
        match result {
            Ok(answer) => replies.push((ticket, answer)),
            Err(error) => refusals.push((ticket, ErrorValue::from(error))),
        }
    }
    list_member(&mut out, "replies", &replies, |out, (ticket, answer)| reply(out, **ticket, answer));
    list_member(&mut out, "refusals", &refusals, value);
    let notices: Vec<Notice> = drained.notices.iter().filter_map(Notice::of).collect();
    list_member(&mut out, "notices", &notices, value);
    out.push('}');
    out
}

/// An answer, and how many events it has, if it can have any.
fn reply(out: &mut String, ticket: u32, Answer { value: told, events }: &Answer) {
    match events {
        Some(events) => value(out, &(ticket, told, events.len())),
        None => value(out, &(ticket, told)),
    }
}

fn results_of_publishes(out: &mut String, drained: &Drained) {
    let (mut live, mut stored) = (Vec::new(), Vec::new());
    for run in &drained.published {
        match &run.stored {
            Some(place) => stored.push((run, place)),
            None => live.push(run),
        }
    }
    list_member(out, "published", &live, |out, run| published_run(out, run));
    list_member(out, "stored", &stored, |out, (run, place)| stored_run(out, run, place));
    list_member(out, "localDeliveries", &drained.delivered_locally, delivered_locally);
    list_member(out, "settledLocally", &drained.settled_locally, settled_locally);
    list_member(out, "failed", &drained.failed, |out, failed| {
        let error = ErrorValue::of_publish(&failed.error, failed.message_id);
        value(out, &(failed.batch, failed.index, error));
    });
}

/// A run of events that were only published.
fn published_run(out: &mut String, run: &Published) {
    put(out, format_args!("[{},{},\"{}\"", run.batch, run.first, run.timestamp));
    for item in &run.items {
        receipt(out, item);
    }
    out.push(']');
}

/// A run of events that were stored.
fn stored_run(out: &mut String, run: &Published, place: &StoredEntries) {
    put(out, format_args!("[{},{},\"{}\",", run.batch, run.first, run.timestamp));
    json::value(out, &*place.stream);
    for (item, (entry, duplicate)) in run.items.iter().zip(&place.entries) {
        receipt(out, item);
        put(out, format_args!(",\"{entry}\",{}", u8::from(*duplicate)));
    }
    out.push(']');
}

/// To how many subscriptions of this client events were delivered, each with its index.
fn delivered_locally(out: &mut String, DeliveredLocally { batch, items }: &DeliveredLocally) {
    put(out, format_args!("[{batch}"));
    items.iter().for_each(|(index, deliveries)| put(out, format_args!(",{index},{deliveries}")));
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

/// The id of an event, `0` where the caller gave it, and how many have received it.
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
