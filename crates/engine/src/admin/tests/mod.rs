//! Administration over streams in memory.

mod dead_letters;
mod history;
mod replay;
mod streams;
mod told_events;

use std::sync::{Arc, Mutex};

use oxbus_model::config::{Config, Environment, PersistenceConfig};
use oxbus_model::error::Outcome;
use oxbus_model::stream_store::{
    ConsumerId, DeadLetterEntry, EntryId, Fields, Position, Request, Response, Streams,
};
use oxbus_model::{BusError, ErrorKind};
use serde_json::{Value, json};

use super::{Context, Effect, call, questions};
use crate::host::Answer;
use crate::receive::shapes::SharedShapes;
use crate::state::recent_events::RecentEvents;
use crate::transport::store::{PendingResponse, Store};

/// A store whose clock stands still unless a test moves it.
struct Memory {
    streams: Mutex<(Streams, u64)>,
    /// Which requests fail, by a part of their text.
    fails: Mutex<Option<&'static str>>,
    /// How many entries one answer holds at the most.
    holds: Mutex<Option<usize>>,
    /// Whether the store cannot be asked.
    is_away: Mutex<bool>,
}

impl Store for Memory {
    fn execute(&self, mut request: Request) -> PendingResponse {
        if let (Request::Claim { ids, .. }, Some(most)) = (&mut request, *self.holds.lock().unwrap()) {
            ids.truncate(most);
        }
        if *self.is_away.lock().unwrap() {
            let mut error = BusError::new(ErrorKind::ConnectionLost, "not connected");
            error.outcome = Some(Outcome::NotSent);
            return Box::pin(std::future::ready(Err(error)));
        }
        let fails = self.fails.lock().unwrap().is_some_and(|part| format!("{request:?}").starts_with(part));
        let mut streams = self.streams.lock().unwrap();
        let now = streams.1;
        let result = match fails {
            true => Err(BusError::new(ErrorKind::ServerOom, "out of memory")),
            false => streams.0.execute(request, now),
        };
        Box::pin(std::future::ready(result))
    }
}

/// Administration of the streams `orders` (`order.*`) and `photos` (`photo.*`, `order.photo`).
struct Rig {
    memory: Arc<Memory>,
    context: Context,
    recent: Arc<Mutex<RecentEvents>>,
    effects: Arc<Mutex<Vec<Effect>>>,
}

impl Rig {
    fn new() -> Rig {
        Rig::with(None)
    }

    fn with(persistence: Option<PersistenceConfig>) -> Rig {
        Rig::of(persistence, |_| ())
    }

    /// What the client was let do since the last call.
    fn effects(&self) -> Vec<Effect> {
        std::mem::take(&mut self.effects.lock().unwrap())
    }

    fn of(persistence: Option<PersistenceConfig>, change: impl FnOnce(&mut Config)) -> Rig {
        let config = json!({
            "mode": "memory", "serviceName": "test", "channelPrefix": "p:", "lease": 1000,
            "streams": [
                { "name": "orders", "events": "order.*" },
                { "name": "photos", "events": ["photo.*", "order.photo"] },
            ],
        });
        let config = Config::resolve(&config.to_string(), &Environment::default()).unwrap();
        let mut config = Config { persistence, ..config };
        change(&mut config);
        let streams = Mutex::new((Streams::new(), 1_000_000));
        let (fails, holds, is_away) = (Mutex::default(), Mutex::default(), Mutex::default());
        let memory = Arc::new(Memory { streams, fails, holds, is_away });
        let recent = Arc::<Mutex<RecentEvents>>::default();
        let effects = Arc::<Mutex<Vec<Effect>>>::default();
        let act = {
            let effects = effects.clone();
            move |effect| effects.lock().unwrap().push(effect)
        };
        let known = (recent.clone(), Arc::new(SharedShapes::new()));
        let context = Context::new(memory.clone(), &config, "instance", known, act);
        Rig { memory, context, recent, effects }
    }

    /// Time passes.
    fn pass(&self, ms: u64) {
        self.memory.streams.lock().unwrap().1 += ms;
    }

    fn now(&self) -> u64 {
        self.memory.streams.lock().unwrap().1
    }

    fn fail(&self, part: Option<&'static str>) {
        *self.memory.fails.lock().unwrap() = part;
    }

    /// What `act` does with the streams at this time.
    fn act<T>(&self, act: impl FnOnce(&mut Streams, u64) -> T) -> T {
        let mut streams = self.memory.streams.lock().unwrap();
        let now = streams.1;
        act(&mut streams.0, now)
    }

    fn execute(&self, request: Request) -> Response {
        self.act(|streams, now| streams.execute(request, now)).unwrap()
    }

    /// Stores an event; a millisecond passes.
    fn store(&self, stream: &str, id: &str, event_type: &str) -> EntryId {
        let fields = [("eventId", id), ("eventType", event_type), ("data", "{\"n\": 1}")];
        self.append(stream, &fields)
    }

    fn append(&self, stream: &str, fields: &[(&str, &str)]) -> EntryId {
        let fields: Fields = fields.iter().map(|(n, v)| (n.as_bytes().into(), v.as_bytes().into())).collect();
        let id = self.act(|streams, now| streams.append(stream, fields, None, now));
        self.pass(1);
        id
    }

    fn group(&self, stream: &str, group: &str) {
        let (stream, group) = (stream.into(), group.into());
        self.execute(Request::EnsureGroup { stream, group, from: Position::Beginning, restarted: false });
    }

    /// A consumer of ours reads new entries.
    fn read(&self, stream: &str, group: &str, limit: usize) -> Vec<EntryId> {
        let entries =
            self.act(|streams, now| streams.read_group(stream, group, "other", limit, now)).unwrap();
        let ids: Vec<EntryId> = entries.into_iter().map(|entry| entry.id).collect();
        let (stream, group) = (stream.into(), group.into());
        let member = ConsumerId { stream, group, consumer: "other".into(), instance: "i".into() };
        let (min_idle, early, set_right) = (0.into(), false, false);
        let list = Request::ListExpired { member: member.clone(), min_idle, limit: 1_000, early, set_right };
        let Response::Expired { entries, .. } = self.execute(list) else { panic!("no list") };
        if entries.iter().any(|entry| entry.foreign) {
            // Who claims is ours.
            self.execute(Request::Claim { member, min_idle, early, ids: ids.clone() });
        }
        ids
    }

    /// Moves entries that a consumer has read to the dead letters; a millisecond passes.
    fn bury(&self, stream: &str, group: &str, ids: &[EntryId]) {
        let member = ConsumerId {
            stream: stream.into(),
            group: group.into(),
            consumer: "other".into(),
            instance: "i".into(),
        };
        let error = r#"{"name":"Error","message":"no"}"#;
        let letter =
            |id: &EntryId| DeadLetterEntry { id: *id, attempts: 4, reason: "failed", error: error.into() };
        let letters = ids.iter().map(letter).collect();
        let to = Some(format!("{stream}:dlq").into());
        assert_eq!(
            self.execute(Request::DeadLetter { member, to, max_len: 100, letters }),
            Response::Fenced { not_owned: vec![], deleted: vec![], dropped: 0 }
        );
        self.pass(1);
    }

    async fn call(&self, method: &str, args: Value) -> Result<Value, BusError> {
        self.asked(method, args).await.map(|answer| answer.value)
    }

    async fn asked(&self, method: &str, args: Value) -> Result<Answer, BusError> {
        // The host's calls run on any thread.
        fn sent<F: Future + Send>(future: F) -> F {
            future
        }
        sent(call(&self.context, method, args)).await
    }

    async fn ok(&self, method: &str, args: Value) -> Value {
        self.call(method, args).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    async fn refused(&self, method: &str, args: Value) -> (ErrorKind, String) {
        let error = self.call(method, args).await.expect_err(method);
        (error.kind, error.message)
    }
}

/// The ids of events that are JSON texts.
fn ids_of(events: &Value) -> Vec<String> {
    let id = |text: &Value| {
        let event: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
        event["id"].as_str().unwrap().to_owned()
    };
    events.as_array().unwrap().iter().map(id).collect()
}

#[tokio::test]
async fn strange_calls_are_refused() {
    let rig = Rig::new();
    assert_eq!(rig.refused("streams.drop", json!({})).await.0, ErrorKind::Internal);
    for (method, args, message) in [
        ("streams.info", json!({}), "name: is missing"),
        ("streams.info", json!({ "name": 5 }), "name: expected a string, got a number"),
        ("streams.info", json!({ "name": "orders", "nme": 1 }), "nme: unknown key: did you mean 'name'?"),
        ("streams.list", json!({ "x": 1 }), "x: unknown key"),
        ("streams.list", json!([]), "the arguments must be an object"),
        ("streams.pending", json!({ "name": "orders" }), "group: is missing"),
        ("streams.trim", json!({ "name": "orders" }), "give exactly one of maxLength, minId and before"),
        (
            "streams.trim",
            json!({ "name": "orders", "maxLength": 1, "minId": "1-1" }),
            "give exactly one of maxLength, minId and before",
        ),
        (
            "streams.recover",
            json!({ "minIdle": -1 }),
            "minIdle: expected an integer from 0 to 9007199254740991, got -1",
        ),
        ("deadLetters.get", json!({ "id": 5 }), "id: expected a string, got a number"),
        ("deadLetters.remove", json!({}), "id: is missing"),
        ("deadLetters.list", json!({ "after": "orders:dlq" }), "after: is not the id of a dead letter"),
        ("deadLetters.list", json!({ "after": "x:dlq:1-0" }), "after: is a dead letter of another stream"),
        (
            "deadLetters.replay",
            json!({ "id": "orders:dlq:1-0", "to": "all" }),
            "to: expected 'group' or 'stream', got \"all\"",
        ),
        ("getEvent", json!({ "id": "" }), "id: must not be empty"),
        (
            "getHistory",
            json!({ "source": "disk" }),
            "source: expected 'redis' or 'local' or 'all', got \"disk\"",
        ),
        ("getHistory", json!({ "from": "5-0" }), "from: expected a Date, milliseconds or ISO 8601"),
        ("replay.page", json!({}), "give either a stream or a pattern"),
        ("replay.page", json!({ "stream": "orders", "pattern": "*" }), "give either a stream or a pattern"),
        (
            "replay.page",
            json!({ "stream": "orders", "from": "soon" }),
            "from: expected a Date, milliseconds, ISO 8601 or a message id",
        ),
        (
            "replay.page",
            json!({ "stream": "orders", "after": "9-0/photos:1-0" }),
            "after: is not where a page of this replay ended",
        ),
        ("replay.group", json!({ "stream": "orders" }), "group: is missing"),
        (
            "replay.group",
            json!({ "stream": "orders", "group": "g", "limit": 10_001 }),
            "limit: expected an integer from 1 to 10000, got 10001",
        ),
        (
            "replay.group",
            json!({ "stream": "orders", "group": "g", "after": "9-0/photos:1-0" }),
            "after: is not where a page of this replay ended",
        ),
    ] {
        assert_eq!(
            rig.refused(method, args).await,
            (ErrorKind::InvalidOptions, message.to_owned()),
            "{method}"
        );
    }
}

#[tokio::test]
async fn every_argument_that_is_declared_is_read() {
    let rig = Rig::new();
    let mut names: Vec<&str> = questions().map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), questions().count());
    // What the questions need beside the argument at hand.
    let valid = json!({ "name": "orders", "group": "g", "stream": "orders", "id": "new", "room": "r" });
    for (question, arguments) in questions() {
        for argument in arguments {
            let beside = arguments.iter().filter(|name| *name != argument);
            let mut args: Value =
                beside.filter_map(|name| Some(((*name).to_owned(), valid.get(name)?.clone()))).collect();
            args[*argument] = json!({ "of no type": true });
            let error = rig.call(question, args).await.unwrap_err();
            let expected = (ErrorKind::InvalidOptions, Some(*argument));
            assert_eq!((error.kind, error.path.as_deref()), expected, "{question}: {error}");
            assert!(error.message.contains("expected"), "{question}: {error}");
        }
    }
}

#[tokio::test]
async fn unknown_streams_and_groups_are_told_apart() {
    let rig = Rig::new();
    rig.store("orders", "1", "order.a");
    let group = json!({ "name": "none", "group": "g", "id": "new" });
    for (method, keys) in [
        ("streams.info", &["name"][..]),
        ("streams.pending", &["name", "group"]),
        ("streams.setPosition", &["name", "group", "id"]),
        ("streams.removeGroup", &["name", "group"]),
    ] {
        let args: Value = keys.iter().map(|key| ((*key).to_owned(), group[*key].clone())).collect();
        let expected = (ErrorKind::NoStream, "there is no stream \"none\"".to_owned());
        assert_eq!(rig.refused(method, args).await, expected, "{method}");
    }
    for (method, args) in [
        ("streams.trim", json!({ "name": "none", "maxLength": 1 })),
        ("deadLetters.count", json!({ "stream": "none" })),
        ("deadLetters.purge", json!({ "stream": "none" })),
        ("replay.page", json!({ "stream": "none" })),
        ("replay.page", json!({ "pattern": "user.*" })),
        ("replay.group", json!({ "stream": "none", "group": "g" })),
    ] {
        assert_eq!(rig.refused(method, args).await.0, ErrorKind::NoStream, "{method}");
    }
    for (method, args) in [
        ("streams.pending", json!({ "name": "orders", "group": "g" })),
        // Configured, but not made yet.
        ("streams.pending", json!({ "name": "photos", "group": "g" })),
        ("streams.setPosition", json!({ "name": "orders", "group": "g", "id": "new" })),
        ("streams.recover", json!({ "group": "g" })),
        ("replay.group", json!({ "stream": "orders", "group": "g" })),
    ] {
        assert_eq!(rig.refused(method, args).await.0, ErrorKind::NoGroup, "{method}");
    }
    assert_eq!(rig.ok("streams.removeGroup", json!({ "name": "photos", "group": "g" })).await, json!(false));
}
