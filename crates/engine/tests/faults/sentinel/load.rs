//! Load on a Sentinel set: events that are published without a pause, and who handles them.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use oxbus_model::Outcome;
use oxbus_model::delivery::Settlement;
use oxbus_testkit::{RedisServer, RespClient, SentinelSet, eventually};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::of_set;
use crate::setup::{millis, ready};
use crate::support::{Bus, Event, PATIENCE, Published, Record};

/// What became of one event.
pub(super) struct Sent {
    pub(super) id: String,
    replicated: bool,
    started: Instant,
    result: Published,
}

/// Publishes without a pause, until it is told to stop: of each three events one waits for both replicas.
pub(super) struct Load {
    pub(super) bus: Arc<Bus>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<Vec<Sent>>,
}

impl Load {
    pub(super) async fn start(set: &SentinelSet) -> Load {
        let (bus, stop) = (Arc::new(ready(of_set(set)).await), Arc::new(AtomicBool::new(false)));
        let (publisher, stopped) = (bus.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let bus = publisher;
            let mut publishing = Vec::new();
            for n in 0_u64.. {
                if stopped.load(Relaxed) {
                    break;
                }
                let (id, replicated) = (format!("e{n}"), n % 3 == 0);
                let mut options = json!({ "id": id, "timeout": 8_000 });
                if replicated {
                    options["replicas"] = json!(2);
                }
                let (bus, started) = (bus.clone(), Instant::now());
                publishing.push(tokio::spawn(async move {
                    let result = bus.publish_raw(Record::new("job", n).with(options)).await;
                    Sent { id, replicated, started, result }
                }));
                sleep(millis(3)).await;
            }
            let mut all = Vec::new();
            for sent in publishing {
                all.push(sent.await.unwrap());
            }
            bus.disconnect().await;
            all
        });
        Load { bus, stop, task }
    }

    pub(super) async fn end(self) -> Vec<Sent> {
        self.stop.store(true, Relaxed);
        self.task.await.unwrap()
    }
}

/// The links that some clients have to a master, which they are to leave.
pub(super) struct Links<'a>(Vec<(&'a Bus, usize, Vec<String>)>);

impl<'a> Links<'a> {
    /// All links of these clients.
    pub(super) async fn of(clients: &[&'a Bus]) -> Links<'a> {
        let mut all = Vec::new();
        for bus in clients {
            let mark = bus.notices.mark();
            let report = bus.health().await;
            let links = report["connections"].as_object().expect("connections").keys().cloned().collect();
            all.push((*bus, mark, links));
        }
        Links(all)
    }

    /// Waits until each has been left.
    pub(super) async fn were_left(&self) {
        for (bus, mark, links) in &self.0 {
            let links: Vec<&str> = links.iter().map(String::as_str).collect();
            bus.has_lost(*mark, &links).await;
        }
    }
}

/// Waits for the first `+switch-master` of any sentinel, and gives the time.
pub(super) async fn first_switch(set: &SentinelSet) -> JoinHandle<u128> {
    let mut listening = Vec::new();
    for sentinel in set.sentinels.iter().filter(|sentinel| sentinel.process_id().is_some()) {
        let mut client = RespClient::connect(sentinel.addr()).await.unwrap().with_timeout(PATIENCE);
        client.call(&["SUBSCRIBE", "+switch-master"]).await.unwrap();
        listening.push(Box::pin(async move {
            client.read().await.unwrap();
        }));
    }
    tokio::spawn(async move {
        let (sender, mut first) = tokio::sync::mpsc::channel(8);
        for listener in listening {
            let sender = sender.clone();
            tokio::spawn(async move {
                listener.await;
                let _ = sender.try_send(unix_ms());
            });
        }
        first.recv().await.unwrap()
    })
}

/// When one of the replicas has become a master.
pub(super) fn promotion(set: &Arc<SentinelSet>) -> JoinHandle<Instant> {
    let set = set.clone();
    tokio::spawn(async move {
        loop {
            for replica in &set.servers[1..] {
                if is_master(replica).await {
                    return Instant::now();
                }
            }
            sleep(millis(10)).await;
        }
    })
}

/// Whether a server takes itself for a master. Those whose role changes close connections, also that of this question.
pub(super) async fn is_master(server: &RedisServer) -> bool {
    let role = server.try_command(&["ROLE"]).await;
    role.is_ok_and(|role| role.items()[0].text() == "master")
}

pub(super) fn unix_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()
}

/// A subscription, and when it handled which event.
pub(super) struct Listener {
    pub(super) bus: Bus,
    handled: Arc<Mutex<Vec<(String, Instant)>>>,
}

impl Listener {
    /// A member of a group.
    pub(super) async fn join(set: &SentinelSet) -> Listener {
        Listener::with(set, json!({ "group": "workers" })).await
    }

    /// A live subscription.
    pub(super) async fn live(set: &SentinelSet) -> Listener {
        Listener::with(set, json!({})).await
    }

    async fn with(set: &SentinelSet, options: Value) -> Listener {
        let bus = ready(of_set(set)).await;
        let handled = Arc::new(Mutex::new(Vec::new()));
        let log = handled.clone();
        let handler = move |event: Event| {
            log.lock().unwrap().push((event.id(), Instant::now()));
            Settlement::Succeeded
        };
        bus.subscribe(&["job"], options, handler).await.unwrap();
        Listener { bus, handled }
    }

    /// Waits until so many events were handled.
    pub(super) async fn wait_for(&self, count: usize) {
        eventually(PATIENCE, "events", || async { self.ids().len() >= count }).await;
    }

    pub(super) fn ids(&self) -> HashSet<String> {
        self.handled.lock().unwrap().iter().map(|(id, _)| id.clone()).collect()
    }

    /// When the first event was handled that is among `ids` and was published after `at`.
    pub(super) fn first_of(&self, sent: &[Sent], ids: &HashSet<String>, at: Instant) -> Option<Instant> {
        let later: HashSet<&str> = sent
            .iter()
            .filter(|sent| sent.started > at && ids.contains(&sent.id))
            .map(|sent| &*sent.id)
            .collect();
        self.handled
            .lock()
            .unwrap()
            .iter()
            .filter(|(id, _)| later.contains(&**id))
            .map(|(_, when)| *when)
            .min()
    }
}

/// Fails unless each resolved event that waited for all replicas is kept; gives how many of the others are lost.
pub(super) fn lost(sent: &[Sent], kept: &HashSet<String>) -> (usize, usize) {
    let mut lost = 0;
    let mut unknown = 0;
    for Sent { id, replicated, result, .. } in sent {
        match result {
            Ok(_) if !kept.contains(id) => {
                assert!(!replicated, "{id} was replicated and is lost");
                lost += 1;
            }
            Ok(_) => {}
            Err(error) => {
                assert!(matches!(error.outcome, Some(Outcome::Unknown | Outcome::NotSent)), "{id}: {error}");
                assert!(error.outcome != Some(Outcome::NotSent) || !kept.contains(id), "{id}: {error}");
                unknown += usize::from(error.outcome == Some(Outcome::Unknown));
            }
        }
    }
    (lost, unknown)
}

/// Figures are printed for the notes; `--nocapture` shows them.
#[allow(clippy::print_stdout, reason = "the figures of a run")]
pub(super) fn figure(text: &str) {
    println!("FIGURE {text}");
}
