//! What happens to durable events when things break: nothing that is stored is lost, nothing is given up twice.
//!
//! # Layout
//!
//! - this file: a stream with its groups, and what the server says of them.
//! - `dying`: clients and servers that die in the middle; `full`: a server without memory.
//! - `stuck`: connections that stand still; `cut`: connections that break while entries are settled.
//! - `lost`: streams, groups and entries that disappear; `refused`: what the server does not let groups do.
//! - `held`: what a client holds of a stream that goes away.
//! - `vanishing`: what a waiting read gets when its stream or group goes away.
//! - `taking`: how soon others have what was handed back or left behind.
//! - `foreign`: entries that are not events, and consumers that are other programs.

mod cut;
mod dying;
mod foreign;
mod full;
mod held;
mod lost;
mod refused;
mod stuck;
mod taking;
mod vanishing;

use std::collections::HashMap;
use std::panic::Location;

use oxbus_model::stream_store::EntryId;
use oxbus_testkit::{RedisServer, Value as Reply, eventually};
use serde_json::{Value, json};

use crate::setup::{hasty, ready};
use crate::support::{Bus, Inbox, PATIENCE, Record};

/// The stream of all tests, and its dead letters.
const JOBS: &str = "jobs";
const DEAD_LETTERS: &str = "jobs:dlq";

/// A configuration that finds faults within about a second, with claims that expire after `lease`.
fn hasty_keeper(url: &str, lease: u64) -> Value {
    let mut config = hasty(url);
    config["streams"] = json!([{ "name": JOBS, "events": ["job", "job.*"] }]);
    config["lease"] = json!(lease);
    config
}

/// A connected client with that configuration.
async fn keeper(url: &str, lease: u64) -> Bus {
    ready(hasty_keeper(url, lease)).await
}

/// A connected client that leaves what other programs read to them for `foreign_lease`.
async fn keeper_beside_others(url: &str, lease: u64, foreign_lease: u64) -> Bus {
    let mut config = hasty_keeper(url, lease);
    config["foreignLease"] = json!(foreign_lease);
    ready(config).await
}

/// Options of a subscription of a group; its retries are quick.
fn member(group: &str, more: Value) -> Value {
    let mut options = json!({ "group": group, "retry": { "initialDelay": 1, "maxDelay": 2 } });
    let Value::Object(more) = more else { panic!("not an object: {more}") };
    options.as_object_mut().expect("an object").extend(more);
    options
}

/// Options of a subscription of the group `workers`.
fn workers() -> Value {
    member("workers", json!({}))
}

/// Events with the numbers of a range as data.
fn numbered(numbers: std::ops::Range<u64>) -> Vec<Record> {
    numbers.map(|n| Record::new("job", n)).collect()
}

/// Publishes, and gives the ids of the entries.
async fn store(bus: &Bus, records: Vec<Record>) -> Vec<String> {
    let results = bus.publish_many(records).await;
    results.into_iter().map(|result| result.unwrap().message_id().to_owned()).collect()
}

/// The numbers that an inbox got, sorted.
fn sorted(inbox: &Inbox) -> Vec<u64> {
    let mut numbers: Vec<u64> = inbox.data().iter().map(|data| data.as_u64().expect("a number")).collect();
    numbers.sort_unstable();
    numbers
}

/// The fields of a map as the server gives it.
fn fields(reply: &Reply) -> HashMap<String, Reply> {
    match reply {
        Reply::Map(pairs) => pairs.iter().map(|(name, value)| (name.text(), value.clone())).collect(),
        other => other.items().chunks(2).map(|pair| (pair[0].text(), pair[1].clone())).collect(),
    }
}

fn entry(reply: &Reply) -> EntryId {
    reply.text().parse().expect("an entry id")
}

/// How many entries of a group are pending; 0 when there is no such group.
async fn pending(server: &RedisServer, group: &str) -> i64 {
    match server.try_command(&["XPENDING", JOBS, group]).await {
        Ok(summary) => summary.items()[0].int(),
        Err(_) => 0,
    }
}

/// How many entries there are in a stream.
async fn length(server: &RedisServer, stream: &str) -> i64 {
    server.command(&["XLEN", stream]).await.int()
}

/// Whether a group has read and settled everything.
async fn is_settled(server: &RedisServer, group: &str) -> bool {
    let Ok(stream) = server.try_command(&["XINFO", "STREAM", JOBS]).await else { return false };
    let Ok(groups) = server.try_command(&["XINFO", "GROUPS", JOBS]).await else { return false };
    let last = entry(&fields(&stream)["last-generated-id"]);
    let found = groups.items().iter().map(fields).find(|facts| facts["name"].text() == group);
    found.is_some_and(|facts| facts["pending"].int() == 0 && entry(&facts["last-delivered-id"]) >= last)
}

/// Waits until a group has read and settled everything.
#[track_caller]
fn settled(server: &RedisServer, group: &str) -> impl Future<Output = ()> {
    let caller = Location::caller();
    async move {
        let what = format!("the group {group} has settled everything, for {caller}");
        eventually(PATIENCE, &what, || is_settled(server, group)).await;
    }
}

/// The ids of the events among the dead letters, sorted.
async fn dead_letter_ids(server: &RedisServer) -> Vec<String> {
    let dead_letters = server.command(&["XRANGE", DEAD_LETTERS, "-", "+"]).await;
    let of = |dead_letter: &Reply| fields(&dead_letter.items()[1])["eventId"].text();
    let mut ids: Vec<String> = dead_letters.items().iter().map(of).collect();
    ids.sort_unstable();
    ids
}
