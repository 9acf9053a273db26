//! A master is replaced: on command, because it died, and because it stands still.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oxbus_engine::State;
use oxbus_model::Outcome;
use oxbus_model::delivery::Settlement;
use oxbus_testkit::{RedisServer, RespClient, SentinelSet, eventually};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::{JOBS, events_got, kept, of_set};
use crate::setup::{gaps_since, is_gap, millis, ready, seconds};
use crate::support::{Bus, Event, Inbox, PATIENCE, Published, Record, is_warning};

/// What became of one event.
struct Sent {
    id: String,
    replicated: bool,
    started: Instant,
    result: Published,
}

/// Publishes without a pause, until it is told to stop: of each three events one waits for both replicas.
struct Load {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Vec<Sent>>,
}

impl Load {
    fn start(set: &SentinelSet) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, config) = (stop.clone(), of_set(set));
        let task = tokio::spawn(async move {
            let bus = ready(config).await;
            let mut publishing = Vec::new();
            let bus = Arc::new(bus);
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
        Load { stop, task }
    }

    async fn end(self) -> Vec<Sent> {
        self.stop.store(true, Relaxed);
        self.task.await.unwrap()
    }
}

/// Waits for the first `+switch-master` of any sentinel, and gives the time.
async fn first_switch(set: &SentinelSet) -> JoinHandle<(Instant, u128)> {
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
                let _ = sender.try_send((Instant::now(), unix_ms()));
            });
        }
        first.recv().await.unwrap()
    })
}

/// When one of the replicas has become a master.
fn promotion(set: &Arc<SentinelSet>) -> JoinHandle<Instant> {
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
async fn is_master(server: &RedisServer) -> bool {
    let role = server.try_command(&["ROLE"]).await;
    role.is_ok_and(|role| role.items()[0].text() == "master")
}

fn unix_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()
}

/// A subscription, and when it handled which event.
struct Listener {
    bus: Bus,
    handled: Arc<Mutex<Vec<(String, Instant)>>>,
}

impl Listener {
    /// A member of a group.
    async fn join(set: &SentinelSet) -> Listener {
        Listener::with(set, json!({ "group": "workers" })).await
    }

    /// A live subscription.
    async fn live(set: &SentinelSet) -> Listener {
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
    async fn wait_for(&self, count: usize) {
        eventually(PATIENCE, "events", || async { self.ids().len() >= count }).await;
    }

    fn ids(&self) -> HashSet<String> {
        self.handled.lock().unwrap().iter().map(|(id, _)| id.clone()).collect()
    }

    /// When the first event was handled that is among `ids` and was published after `at`.
    fn first_of(&self, sent: &[Sent], ids: &HashSet<String>, at: Instant) -> Option<Instant> {
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
fn lost(sent: &[Sent], kept: &HashSet<String>) -> (usize, usize) {
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
fn figure(text: &str) {
    println!("FIGURE {text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_failover_is_followed_at_once() {
    let set = Arc::new(SentinelSet::start().await);
    let old = &set.servers[0];
    let (member, live) = (Listener::join(&set).await, Listener::live(&set).await);
    let load = Load::start(&set);
    live.wait_for(100).await;
    let (switch, promoted) = (first_switch(&set).await, promotion(&set));
    set.fail_over().await;
    let (switched, at_unix) = timeout(PATIENCE, switch).await.unwrap().unwrap();
    sleep((switched + millis(300)).saturating_duration_since(Instant::now())).await;
    let calls = events_got(old).await;
    let promoted = promoted.await.unwrap();
    sleep(seconds(3)).await;
    // Sentinel has not demoted it yet: it would take all that it is sent.
    assert!(is_master(old).await);
    assert_eq!(events_got(old).await, calls, "something was published to the old master");
    let last = old.command(&["XREVRANGE", JOBS, "+", "-", "COUNT", "1"]).await.items()[0].items()[0].text();
    let last: u128 = last.split('-').next().unwrap().parse().unwrap();
    figure(&format!(
        "planned: last write to the old master {} ms after +switch-master",
        last as i128 - at_unix as i128
    ));

    let new = set.successor_of(old.port()).await;
    let sent = load.end().await;
    let on_new = kept(new).await;
    let (lost, unknown) = lost(&sent, &on_new);
    figure(&format!(
        "planned: {} published, {lost} resolved without replicas are lost, {unknown} unknown",
        sent.len()
    ));
    eventually(PATIENCE, "the group has handled what is stored", || async {
        member.ids().is_superset(&on_new)
    })
    .await;
    let again = member.first_of(&sent, &on_new, promoted).unwrap() - promoted;
    figure(&format!("planned: the group handles again {again:?} after the promotion"));
    let heard = live.first_of(&sent, &on_new, promoted).unwrap() - promoted;
    figure(&format!("planned: live subscribers hear again {heard:?} after the promotion"));
    assert!(again <= seconds(2) && heard <= seconds(2), "{again:?} {heard:?}");
    live.bus.notices.wait_for(is_gap).await;
    assert_eq!((gaps_since(&live.bus, 0), gaps_since(&member.bus, 0)), (1, 0));
    let health = live.bus.health().await;
    assert_eq!(health["redis"]["sentinel"]["master"], json!(new.addr().to_string()));
    live.bus.disconnect().await;
    member.bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_killed_is_replaced_and_not_gone_back_to() {
    let set = Arc::new(SentinelSet::start().await);
    let old = &set.servers[0];
    let (member, live) = (Listener::join(&set).await, Listener::live(&set).await);
    let load = Load::start(&set);
    live.wait_for(100).await;
    let (killed, promoted) = (Instant::now(), promotion(&set));
    old.kill();
    let promoted = timeout(PATIENCE, promoted).await.unwrap().unwrap();
    let new = set.successor_of(old.port()).await;
    live.bus.wait_for_state(State::Ready).await;
    // It comes back and takes itself for a master, until a sentinel has told it.
    old.restart().await;
    let mut alone = 0;
    let seen = live.ids().len();
    while is_master(old).await && live.ids().len() < seen + 1_000 {
        // As a replica it gets the events of the others.
        let got = events_got(old).await;
        if is_master(old).await {
            assert_eq!(got, 0);
            alone += 1;
        }
        sleep(millis(10)).await;
    }
    live.wait_for(seen + 200).await;
    let sent = load.end().await;
    figure(&format!("killed: the old master was looked at {alone} times while it took itself for a master"));
    let on_new = kept(new).await;
    let (lost, unknown) = lost(&sent, &on_new);
    eventually(PATIENCE, "the group has handled what is stored", || async {
        member.ids().is_superset(&on_new)
    })
    .await;
    let again = member.first_of(&sent, &on_new, killed).unwrap();
    figure(&format!(
        "killed: {} published, {lost} lost, {unknown} unknown; promoted {:?} after the kill, handled again {:?} after the kill",
        sent.len(),
        promoted - killed,
        again - killed
    ));
    assert!(again <= killed + seconds(6), "{:?}", again - killed);
    assert_eq!(gaps_since(&live.bus, 0), 1);
    live.bus.disconnect().await;
    member.bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_stands_still_is_replaced() {
    let set = Arc::new(SentinelSet::start().await);
    let old = &set.servers[0];
    let member = Listener::join(&set).await;
    let load = Load::start(&set);
    member.wait_for(100).await;
    let frozen = Instant::now();
    old.freeze();
    let new = set.successor_of(old.port()).await;
    let seen = kept(new).await.len();
    eventually(PATIENCE, "events are stored again", || async { kept(new).await.len() > seen + 100 }).await;
    old.thaw();
    let sent = load.end().await;
    let on_new = kept(new).await;
    let (lost, unknown) = lost(&sent, &on_new);
    eventually(PATIENCE, "the group has handled what is stored", || async {
        member.ids().is_superset(&on_new)
    })
    .await;
    let again = member.first_of(&sent, &on_new, frozen).unwrap() - frozen;
    figure(&format!(
        "frozen: {} published, {lost} lost, {unknown} unknown; handled again {again:?} after the freeze",
        sent.len()
    ));
    assert!(again <= seconds(6), "{again:?}");
    member.bus.disconnect().await;
}

/// Nobody publishes here while the master changes, so only the sentinels can tell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_clients_follow_sentinels_that_may_not_be_listened_to_or_speak_an_old_protocol() {
    for denied in ["-hello", "-subscribe"] {
        let user = format!("default on nopass ~* &* +@all {denied}");
        let set =
            SentinelSet::builder().of(1, 1).sentinel(RedisServer::builder().arg("user", user)).start().await;
        let bus = ready(of_set(&set)).await;
        let inbox = Inbox::of(&bus, &["job"]).await;
        bus.publish("job", 1).await.unwrap();
        let mark = bus.notices.all().len();
        set.fail_over().await;
        let new = set.successor_of(set.servers[0].port()).await;
        eventually(Duration::from_secs(5), "the new master is followed", || async {
            bus.health().await["redis"]["sentinel"]["master"] == json!(new.addr().to_string())
        })
        .await;
        bus.publish("job", 2).await.unwrap();
        inbox.wait_for(2).await;
        assert_eq!(kept(new).await.len(), 2);
        bus.notices.wait_from(mark, is_gap).await;
        assert_eq!(gaps_since(&bus, mark), 1, "{denied}");
        assert!(!bus.notices.all().iter().any(|notice| is_warning(notice, "POSSIBLY_UNDELIVERED")));
        bus.disconnect().await;
    }
}
