//! Servers in cluster mode.
//!
//! - this file: a client of three masters, and a load on it.
//! - `one_server`: one server that serves all slots, by its address.
//! - `questions`: those that several masters are asked.
//! - `sharded`: live events on lanes.
//! - `keeping`: events that a stream stores, and that are kept by their id in another slot.
//! - `partition`: a master that clients cannot reach; `proxied`: the proxies for that.
//! - `moving`: slots move; `redirected`: what a node refuses meanwhile; `failover`: masters are replaced; `demoted`: what links to them do then; `membership`: nodes come, go, and are called otherwise.

mod demoted;
mod failover;
mod keeping;
mod membership;
mod moving;
mod one_server;
mod partition;
mod proxied;
mod questions;
mod redirected;
mod sharded;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use oxbus_model::Outcome;
use oxbus_testkit::{ClusterSet, eventually};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::setup::{millis, ready};
use crate::support::{Bus, Inbox, PATIENCE, Published, Record};

/// The streams of all tests, which are in slots of different masters, and the types of their events.
const STREAMS: [(&str, &str); 3] = [("orders", "o.*"), ("payments", "m.*"), ("users", "p.*")];
const TYPES: [&str; 3] = ["o.a", "m.a", "p.a"];

/// A configuration for a cluster that finds faults within about a second.
fn of_set(set: &ClusterSet) -> Value {
    let streams = STREAMS.map(|(name, events)| json!({ "name": name, "events": events }));
    json!({
        "redis": {
            "cluster": { "nodes": set.addresses() },
            "connectTimeout": 2000, "commandTimeout": 2000, "heartbeat": 500,
        },
        "streams": streams,
    })
}

/// Publishes to all streams without a pause, until it is told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Vec<(String, Published)>>,
}

impl Load {
    /// With so many milliseconds between two batches of a dozen.
    fn start(config: Value, pause: u64) -> Load {
        Load::with(config, pause, "e", json!({}))
    }

    /// As [`Load::start`], with options, and ids that begin with `prefix`.
    fn with(config: Value, pause: u64, prefix: &'static str, options: Value) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let bus = Arc::new(ready(config).await);
            let mut publishing = Vec::new();
            for batch in 0_u64.. {
                if stopped.load(Relaxed) {
                    break;
                }
                let of_batch: Vec<(String, Record)> = (0..12)
                    .map(|n| {
                        let number = batch * 12 + n;
                        let id = format!("{prefix}{number}");
                        let mut with = json!({ "id": id, "timeout": 10_000 });
                        with.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
                        (id, Record::new(TYPES[(number % 3) as usize], number).with(with))
                    })
                    .collect();
                let (ids, records): (Vec<_>, Vec<_>) = of_batch.into_iter().unzip();
                // Started in order, here; what waits for the results is another matter.
                let started = bus.start_publish(&records);
                publishing.push(tokio::spawn(async move { (ids, started.results().await) }));
                sleep(millis(pause)).await;
            }
            let mut all = Vec::new();
            for batch in publishing {
                let (ids, results) = batch.await.unwrap();
                all.extend(ids.into_iter().zip(results));
            }
            bus.disconnect().await;
            all
        });
        Load { stop, task }
    }

    async fn end(self) -> Vec<(String, Published)> {
        self.stop.store(true, Relaxed);
        self.task.await.unwrap()
    }
}

/// A member of a group of all streams.
async fn worker(set: &ClusterSet) -> (Bus, Inbox) {
    let bus = ready(of_set(set)).await;
    let inbox = Inbox::with(&bus, &["o.*", "m.*", "p.*"], json!({ "group": "workers" })).await;
    (bus, inbox)
}

/// How often each event is in the streams, wherever these are.
async fn kept(set: &ClusterSet) -> HashMap<String, usize> {
    let mut kept = HashMap::new();
    for (stream, _) in STREAMS {
        let entries = set.master_of_key(stream).await.command(&["XRANGE", stream, "-", "+"]).await;
        for entry in entries.items() {
            let fields = entry.items()[1].items();
            let pair = fields.chunks(2).find(|pair| pair[0].text() == "eventId").expect("an id");
            *kept.entry(pair[1].text()).or_insert(0) += 1;
        }
    }
    kept
}

/// Fails unless each outcome is true. Gives how many are lost, and how many unknown.
fn judge(sent: &[(String, Published)], kept: &HashMap<String, usize>) -> (usize, usize) {
    let (mut lost, mut unknown) = (0, 0);
    for (id, result) in sent {
        let times = kept.get(id).copied().unwrap_or(0);
        assert!(times <= 1, "{id} is stored {times} times");
        match result {
            Ok(_) => lost += usize::from(times == 0),
            Err(error) => {
                for word in ["MOVED", "ASK", "CROSSSLOT", "UNBLOCKED"] {
                    assert!(!error.message.starts_with(word), "{id}: {error}");
                }
                match error.outcome {
                    Some(Outcome::Unknown) => unknown += 1,
                    _ => assert_eq!(times, 0, "{id} was not stored, it says: {error}"),
                }
            }
        }
    }
    (lost, unknown)
}

/// Waits until a handler has had all that is kept.
async fn handled(inbox: &Inbox, kept: &HashMap<String, usize>) {
    eventually(PATIENCE, "all that is kept is handled", || async {
        let handled: std::collections::HashSet<String> = inbox.ids().into_iter().collect();
        kept.keys().all(|id| handled.contains(id))
    })
    .await;
}

/// Fails unless the events of each stream were handled in the order of their publishes, the first time.
fn assert_in_order(inbox: &Inbox) {
    let mut seen = std::collections::HashSet::new();
    let mut last: HashMap<String, u64> = HashMap::new();
    for event in inbox.events() {
        if !seen.insert(event.id()) {
            continue;
        }
        let number = event.data().as_u64().unwrap();
        let of_load = event.id()[..1].to_owned() + &event.event_type();
        let before = last.insert(of_load, number);
        assert!(before.is_none_or(|before| before < number), "{number} after {before:?}");
    }
}
