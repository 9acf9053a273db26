//! Masters that sentinels watch.
//!
//! - this file: a client of a set; what is on its servers.
//! - `failover`: a master is followed; `partition`: also where it is cut off; `load`: what goes on meanwhile.
//! - `discovery`: how it is found; `replicas`: what the health report says of its replicas.
//! - `hybrid`: clients that work alone meanwhile.

mod discovery;
mod failover;
mod hybrid;
mod load;
mod partition;
mod replicas;

use std::collections::HashSet;

use oxbus_testkit::{RedisServer, SentinelSet, eventually_some};
use serde_json::{Value, json};

use crate::support::PATIENCE;

/// The stream of all tests.
const JOBS: &str = "jobs";

/// A configuration for these sentinels that finds faults within about a second. Its events of type `job` are stored.
fn watched(nodes: &[String], sentinel: Value) -> Value {
    let mut of_sentinels = json!({ "name": "mymaster", "nodes": nodes });
    let Value::Object(more) = sentinel else { panic!("not an object: {sentinel}") };
    of_sentinels.as_object_mut().expect("an object").extend(more);
    json!({
        "redis": { "sentinel": of_sentinels, "connectTimeout": 2000, "commandTimeout": 2000, "heartbeat": 500 },
        "streams": [{ "name": JOBS, "events": "job" }],
    })
}

/// As [`watched`], for a whole set.
fn of_set(set: &SentinelSet) -> Value {
    watched(&set.nodes(), json!({}))
}

/// How often a server has got an event of ours. Sentinels publish too, so that is not counted.
async fn events_got(server: &RedisServer) -> u64 {
    // A server whose role changes closes connections, also that of this question.
    let info = || async { server.try_command(&["INFO", "commandstats"]).await.ok() };
    let info = eventually_some(PATIENCE, "what a server has done", info).await.text();
    let calls = |command: &str| -> Option<u64> {
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("cmdstat_")?.strip_prefix(command)?.strip_prefix(":calls="))?;
        line.split(',').next()?.parse().ok()
    };
    ["xadd", "eval", "evalsha"].into_iter().filter_map(calls).sum()
}

/// The ids of the events that a server keeps.
async fn kept(server: &RedisServer) -> HashSet<String> {
    let entries = server.command(&["XRANGE", JOBS, "-", "+"]).await;
    let id = |entry: &oxbus_testkit::Value| {
        let fields = entry.items()[1].items();
        let pair = fields.chunks(2).find(|pair| pair[0].text() == "eventId").expect("an id");
        pair[1].text()
    };
    entries.items().iter().map(id).collect()
}
