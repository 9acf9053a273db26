//! Publishing to streams when things break: what is confirmed is stored, what was not sent is not, and nothing
//! is stored twice.
//!
//! # Layout
//!
//! - this file: streams, and what they hold against what the publisher was told.
//! - `breaking`, `refused`: servers and connections that break, and servers that refuse.
//! - `calls`: many events in one call of a script; `replicated`: events that wait for replicas;
//!   `kept`: events that are kept by their id; `unavailable`: groups that must not miss them and are not there.
//! - `cap`: what publishers trim; `torn`: files of a server that a crash cut.

mod breaking;
mod calls;
mod cap;
mod kept;
mod refused;
mod replicated;
mod torn;
mod unavailable;

use oxbus_model::Outcome;
use oxbus_testkit::tracker::Ending;
use oxbus_testkit::{RedisServer, Tracker};
use serde_json::{Value, json};

use crate::support::{Bus, Published, Record};

/// `job…` is stored and published, `quiet…` is stored only.
fn streams() -> Value {
    json!([
        { "name": "jobs", "events": "job*" },
        { "name": "quiet", "events": "quiet*", "realtime": false },
    ])
}

/// A configuration with these streams.
fn keeping(mut config: Value) -> Value {
    config["streams"] = streams();
    config
}

/// The ids of the events in a stream, in order.
async fn stored(server: &RedisServer, stream: &str) -> Vec<String> {
    let entries = server.command(&["XRANGE", stream, "-", "+"]).await;
    let id = |entry: &oxbus_testkit::Value| {
        let fields = entry.items()[1].items();
        assert_eq!(fields[0].text(), "eventId");
        fields[1].text()
    };
    entries.items().iter().map(id).collect()
}

fn ending(result: &Published) -> Ending {
    match result.as_ref().map_err(|error| error.outcome.expect("an outcome")) {
        Ok(_) => Ending::Resolved,
        Err(Outcome::Unknown) => Ending::Unknown,
        Err(Outcome::Rejected) => Ending::Rejected,
        Err(Outcome::NotSent) => Ending::NotSent,
    }
}

/// Events of all ways of storing: with a script, by a command, without duplicates.
fn records(tracker: &Tracker, round: usize, count: usize, size: usize) -> Vec<Record> {
    let record = |n| {
        let id = format!("{round}-{n}");
        tracker.published(id.clone());
        match n % 4 {
            0 | 1 => Record::new("job", "x".repeat(size)).with_id(&id),
            2 => Record::new("quiet", "x".repeat(size)).with_id(&id),
            _ => Record::new("job", "x".repeat(size)).with(json!({ "id": id, "deduplicate": true })),
        }
    };
    (0..count).map(record).collect()
}

/// Publishes events, which are confirmed.
async fn confirmed(bus: &Bus, tracker: &Tracker, event_type: &str, ids: &[String], options: &Value) {
    let record = |id: &String| {
        tracker.published(id.clone());
        let mut options = options.clone();
        options["id"] = json!(id);
        Record::new(event_type, 1).with(options)
    };
    let records: Vec<Record> = ids.iter().map(record).collect();
    for (id, result) in ids.iter().zip(bus.start_publish(&records).results().await) {
        result.unwrap();
        tracker.ended(id.clone(), Ending::Resolved);
    }
}

fn ids(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{name}-{n}")).collect()
}

/// Checks what is stored against what the publisher was told.
async fn check(server: &RedisServer, tracker: &Tracker) {
    for stream in ["jobs", "quiet"] {
        for id in stored(server, stream).await {
            tracker.received(id);
        }
    }
    tracker.assert_all_ended();
    tracker.assert_resolved_received();
    tracker.assert_failed_not_received();
    tracker.assert_no_duplicates();
    tracker.assert_only_published_received();
}
