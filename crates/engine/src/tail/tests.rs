//! The reader over a transport whose answers the tests give.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oxbus_model::config::{Config, Environment};
use oxbus_model::consumer::{GroupKey, Read, ReceivedEntry};
use oxbus_model::options::subscribe::SubscribeOptions;
use oxbus_model::routing::router::ServerSubscription;
use oxbus_model::stream_store::{EntryId, Request, Response, StreamInfo, WantedPattern};
use oxbus_model::{BusError, ErrorKind, Outcome};
use oxbus_testkit::eventually;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, oneshot};

use super::{LOOK, Tail};
use crate::client::ClientEvents;
use crate::host::{Host, Notice};
use crate::runtime::clock::{Clock, VirtualTime};
use crate::runtime::tasks::Tasks;
use crate::state::ClientState;
use crate::transport::store::{PendingResponse, Store};
use crate::transport::{Boxed, Probe, Submission, Transport};

const PATIENCE: Duration = Duration::from_secs(30);

struct Deaf;

impl Host for Deaf {
    fn wake(&self) {}
}

type Looked = Result<Option<StreamInfo>, BusError>;
/// A stream that is looked at, and where the answer goes.
type Look = (Arc<str>, oneshot::Sender<Looked>);

/// What was asked of the transport.
#[derive(Clone)]
struct Asked {
    reads: Arc<Mutex<Vec<Vec<u64>>>>,
    looks: Arc<Mutex<VecDeque<Look>>>,
    happened: Arc<Mutex<Vec<&'static str>>>,
    /// So many readers may end.
    ends: Arc<Semaphore>,
}

impl Store for Asked {
    fn execute(&self, request: Request) -> PendingResponse {
        let Request::Describe { stream } = request else { panic!("{request:?}") };
        let (answer, looked) = oneshot::channel();
        self.looks.lock().unwrap().push_back((stream, answer));
        Box::pin(async { looked.await.unwrap().map(Response::Stream) })
    }
}

impl Transport for Asked {
    fn start(&self) {}
    fn publish(&self, _: Submission) {}
    fn cancel(&self, _: u32, _: u32) {}
    fn subscribe(&self, _: Vec<ServerSubscription>) {}
    fn unsubscribe(&self, _: Vec<ServerSubscription>) {}
    fn close(&self) {}
    fn join(&self, _: GroupKey, _: Arc<str>) {
        self.happened.lock().unwrap().push("join");
    }
    fn unblock_read(&self, _: GroupKey) {}

    fn probe(&self, _: u64) -> Boxed<'_, Probe> {
        Box::pin(async { Probe::default() })
    }

    fn flush(&self) -> Boxed<'_, ()> {
        Box::pin(async {})
    }

    fn ended(&self) -> Boxed<'_, ()> {
        Box::pin(async {})
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.clone())
    }

    fn wanted(&self) -> Boxed<'_, Result<Vec<WantedPattern>, BusError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn may_have_group(&self, _: Arc<str>, _: Arc<str>) -> Boxed<'_, bool> {
        Box::pin(async { true })
    }

    fn read(&self, read: Read) {
        let behind = read.behind.unwrap();
        self.reads.lock().unwrap().push(behind.iter().map(|(_, id)| id.ms).collect());
    }

    fn leave(&self, _: GroupKey) -> Boxed<'static, ()> {
        let Asked { happened, ends, .. } = self.clone();
        Box::pin(async move {
            ends.acquire().await.unwrap().forget();
            happened.lock().unwrap().push("left");
        })
    }
}

/// A client with the streams `a` and `b`.
struct Rig {
    state: Arc<ClientState>,
    time: Arc<VirtualTime>,
    asked: Asked,
    tail: Arc<Tail>,
}

impl Rig {
    /// One that hears everything. `config`: options beside the streams.
    fn new(mut config: Value) -> Rig {
        config["streams"] = json!([{ "name": "a", "events": "A*" }, { "name": "b", "events": "B*" }]);
        let config = Config::resolve(&config.to_string(), &Environment::default()).unwrap();
        let time = Arc::new(VirtualTime::new(1_000_000));
        let clock = Clock::start(Some(time.clone()));
        let state = Arc::new(ClientState::new(config, "own", Arc::new(Deaf), clock));
        let tasks = Tasks::current(ClientEvents::detached(state.clone()).log());
        let asked = Asked {
            reads: Arc::default(),
            looks: Arc::default(),
            happened: Arc::default(),
            ends: Arc::new(Semaphore::new(0)),
        };
        let transport: Arc<dyn Transport> = Arc::new(asked.clone());
        let tail = Tail::new(&state, &transport, &tasks).unwrap();
        let rig = Rig { state, time, asked, tail };
        rig.hear_all();
        rig.tail.start();
        rig
    }

    fn hear_all(&self) {
        self.state.add_subscription(1, &["*".to_owned()], &SubscribeOptions::default()).unwrap();
    }

    /// One that has begun behind the tenth entry of each stream, and reads.
    async fn reading(config: Value) -> Rig {
        let rig = Rig::new(config);
        rig.tail.up();
        rig.look("a", stream(10)).await;
        rig.look("b", stream(10)).await;
        rig.has_read(&[[10, 10]]).await;
        rig
    }

    /// Answers the look at a stream, which is the next one.
    async fn look(&self, stream: &str, answer: Looked) {
        let asked = || std::future::ready(!self.asked.looks.lock().unwrap().is_empty());
        eventually(PATIENCE, &format!("{stream} is looked at"), asked).await;
        let (name, sender) = self.asked.looks.lock().unwrap().pop_front().unwrap();
        assert_eq!(&*name, stream);
        sender.send(answer).unwrap();
    }

    /// Entries of a stream have come.
    fn come(&self, stream: &str, ids: &[u64]) {
        let entry = |ms: &u64| {
            let event_type = stream.to_uppercase();
            let payload = json!({ "event_id": format!("{stream}{ms}"), "event_type": event_type });
            let fields = [("event_type", event_type), ("payload", payload.to_string())];
            let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            let (codec, id) = (&self.state.config.codec, EntryId::first_of(*ms));
            ReceivedEntry::new(codec, stream.into(), id, fields, "own", None)
        };
        self.tail.came(ids.iter().map(entry).collect());
    }

    /// A second later, after which the streams are looked at with the entries that come.
    fn pass_time(&self) {
        self.time.advance_to(self.time.now_ms() + LOOK);
    }

    async fn has_read(&self, behind: &[[u64; 2]]) {
        let reads = || self.asked.reads.lock().unwrap().clone();
        let enough = || std::future::ready(reads().len() >= behind.len());
        eventually(PATIENCE, &format!("{} reads", behind.len()), enough).await;
        assert_eq!(reads(), behind);
    }

    fn gaps(&self) -> usize {
        let notices = self.state.completions.take().notices;
        notices.iter().filter(|notice| matches!(notice, Notice::Gap { .. })).count()
    }

    fn received(&self) -> u64 {
        let (mut queue, mut deliveries) = (self.state.live_queue(), Vec::new());
        queue.take((1_000, 1 << 30), &mut deliveries, &mut Vec::new());
        deliveries.len() as u64
    }
}

/// A stream that has had so many entries, and has them all.
fn stream(entries: u64) -> Looked {
    let last = EntryId::first_of(entries);
    let first = Some(EntryId::first_of(1));
    Ok(Some(StreamInfo {
        length: entries,
        first,
        last_generated: last,
        added: Some(entries),
        ..StreamInfo::default()
    }))
}

fn refused() -> BusError {
    BusError::new(ErrorKind::PermissionDenied, "NOPERM").with_outcome(Outcome::Rejected)
}

/// In a Cluster each node has a read of its own, which may end meanwhile.
#[tokio::test]
async fn what_comes_while_the_streams_are_looked_at_is_neither_a_gap_nor_heard_twice() {
    let rig = Rig::reading(json!({ "wire": "eventsource" })).await;
    rig.pass_time();
    rig.come("a", &[11]);
    rig.look("a", stream(11)).await;
    let asked = || std::future::ready(!rig.asked.looks.lock().unwrap().is_empty());
    eventually(PATIENCE, "the other stream is looked at", asked).await;
    // The server has taken the picture of `b` already, and then the entries.
    rig.come("b", &[11, 12]);
    rig.look("b", stream(10)).await;
    rig.has_read(&[[10, 10], [11, 12]]).await;
    assert_eq!((rig.gaps(), rig.received()), (0, 3));
    assert!(rig.tail.reading().has_read, "what could not be compared is looked at again");
}

#[tokio::test]
async fn a_stream_that_cannot_be_looked_at_keeps_the_others_from_nobody() {
    let rig = Rig::reading(json!({ "wire": "eventsource" })).await;
    rig.pass_time();
    rig.come("a", &[11]);
    rig.look("a", Err(BusError::new(ErrorKind::ConnectionLost, "gone"))).await;
    rig.look("b", stream(10)).await;
    rig.has_read(&[[10, 10], [11, 10]]).await;
    // What is lost shows later.
    rig.come("a", &[]);
    let mut trimmed = stream(14).unwrap().unwrap();
    (trimmed.length, trimmed.first) = (1, Some(EntryId::first_of(14)));
    rig.look("a", Ok(Some(trimmed))).await;
    rig.look("b", stream(10)).await;
    rig.has_read(&[[10, 10], [11, 10], [11, 10]]).await;
    assert_eq!(rig.gaps(), 1);
}

#[tokio::test]
async fn a_first_look_that_is_refused_is_told_once() {
    let rig = Rig::new(json!({ "wire": "eventsource" }));
    rig.tail.up();
    rig.look("a", Err(BusError::new(ErrorKind::ConnectionLost, "not yet"))).await;
    rig.look("a", Err(refused())).await;
    rig.look("a", Err(refused())).await;
    rig.look("a", stream(1)).await;
    rig.look("b", stream(2)).await;
    rig.has_read(&[[1, 2]]).await;
    let mut errors = rig.state.completions.take().notices;
    errors.retain(|notice| matches!(notice, Notice::Error(_)));
    assert!(matches!(&errors[..], [Notice::Error(error)] if *error == refused()), "{errors:?}");
}

#[tokio::test]
async fn own_events_are_known_by_their_ids_where_entries_do_not_say_more() {
    let fields = json!({ "type": "type", "id": "id", "data": "data" });
    let own = json!({ "fields": { "write": fields } });
    let wire = json!({ "read": [own, "eventsource"], "write": [own] });
    let rig = Rig::reading(json!({ "wire": wire, "mode": "hybrid" })).await;
    rig.state.own_ids.as_ref().unwrap().lock().unwrap().insert("a11", 0);
    rig.come("a", &[11, 12]);
    assert_eq!(rig.received(), 1);
}

/// Both would be called the same.
#[tokio::test]
async fn a_reader_begins_when_the_last_one_has_ended() {
    let rig = Rig::reading(json!({ "wire": "eventsource" })).await;
    let happened = || rig.asked.happened.lock().unwrap().clone();
    for _ in 0..2 {
        rig.state.remove_subscription(1);
        rig.tail.subscriptions_changed();
        rig.hear_all();
        rig.tail.start();
    }
    rig.asked.ends.add_permits(1);
    eventually(PATIENCE, "the first ends", || std::future::ready(happened() == ["join", "left"])).await;
    rig.asked.ends.add_permits(1);
    let again = ["join", "left", "left", "join"];
    eventually(PATIENCE, "another one begins", || std::future::ready(happened() == again)).await;
    rig.tail.up();
    rig.look("a", stream(20)).await;
    rig.look("b", stream(20)).await;
    rig.has_read(&[[10, 10], [20, 20]]).await;
}
