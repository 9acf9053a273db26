mod clocks;
mod consumers;
mod delays;
mod differential;
mod entries;
mod foreign;
mod letters;
mod link;
mod read_past;
mod streams;
mod trims;

use std::sync::Arc;

use oxbus_model::config::{Config, Environment};
use oxbus_model::stream_store::{
    ConsumerId, DeadLetterEntry, EntryId, Position, Request, Response, RetryState, StoredEntry,
};
use oxbus_model::{BusError, ErrorKind};
use oxbus_testkit::{RedisServer, Value};
use serde_json::json;

use crate::client::ClientEvents;
use crate::host::Host;
use crate::redis::RedisTransport;
use crate::runtime::clock::Clock;
use crate::runtime::tasks::Tasks;
use crate::state::ClientState;
use crate::transport::Transport;

/// The stream of all tests.
const STREAM: &str = "orders";
/// Its group.
const GROUP: &str = "billing";
/// Where its dead letters go.
const LETTERS: &str = "orders:dlq";

struct Deaf;

impl Host for Deaf {
    fn wake(&self) {}
}

/// A transport with nobody behind it.
fn transport(url: &str, settings: serde_json::Value) -> (RedisTransport, Arc<ClientState>) {
    let mut redis = json!({ "url": url });
    if let (Some(redis), serde_json::Value::Object(settings)) = (redis.as_object_mut(), settings) {
        redis.extend(settings);
    }
    transport_of(&json!({ "redis": redis }))
}

/// A transport of this configuration, with nobody behind it.
fn transport_of(config: &serde_json::Value) -> (RedisTransport, Arc<ClientState>) {
    let config = Config::resolve(&config.to_string(), &Environment::default()).unwrap();
    let shared = Arc::new(ClientState::new(config, "this-start", Arc::new(Deaf), Clock::start(None)));
    let events = ClientEvents::detached(shared.clone());
    (RedisTransport::new(events.context(events.clone()), Tasks::current(events.log())), shared)
}

/// A server, and a store on it.
struct Rig {
    server: RedisServer,
    transport: RedisTransport,
}

impl Rig {
    async fn start() -> Rig {
        let server = RedisServer::start().await;
        let (transport, _) = transport(&server.url(), serde_json::Value::Null);
        Rig { server, transport }
    }

    /// A client with more in its configuration.
    async fn of_config(mut config: serde_json::Value) -> Rig {
        let server = RedisServer::start().await;
        config["redis"] = server.url().into();
        let (transport, _) = transport_of(&config);
        Rig { server, transport }
    }

    /// With the group, at the beginning, and a client that reads these formats and writes the first of them.
    async fn reading(formats: &[&str]) -> Rig {
        let rig = Rig::of_config(json!({ "wire": { "read": formats, "write": &formats[..1] } })).await;
        rig.open(Position::Beginning).await;
        rig
    }

    /// With the group, at the beginning.
    async fn with_group() -> Rig {
        let rig = Rig::start().await;
        rig.open(Position::Beginning).await;
        rig
    }

    async fn open(&self, from: Position) -> (bool, EntryId) {
        let request =
            Request::EnsureGroup { stream: STREAM.into(), group: GROUP.into(), from, restarted: false };
        match self.done(request).await {
            Response::Ensured { created, position, .. } => (created, position),
            other => panic!("{other:?}"),
        }
    }

    async fn ask(&self, request: Request) -> Result<Response, BusError> {
        self.transport.store().execute(request).await
    }

    #[track_caller]
    fn done(&self, request: Request) -> impl Future<Output = Response> {
        let shown = format!("{request:?}");
        let answer = self.ask(request);
        async move { answer.await.unwrap_or_else(|error| panic!("{shown}: {error}")) }
    }

    async fn lost(&self, request: Request) -> Vec<EntryId> {
        match self.done(request).await {
            Response::Fenced { not_owned: taken, deleted: gone, .. } => {
                let mut lost = [taken, gone].concat();
                lost.sort();
                lost
            }
            other => panic!("{other:?}"),
        }
    }

    async fn claimed(&self, request: Request) -> (Vec<StoredEntry>, Vec<EntryId>) {
        match self.done(request).await {
            Response::Claimed { entries, deleted } => (entries, deleted),
            other => panic!("{other:?}"),
        }
    }

    async fn count(&self, request: Request) -> u64 {
        match self.done(request).await {
            Response::Count(count) => count,
            other => panic!("{other:?}"),
        }
    }

    async fn kind_of(&self, request: Request) -> ErrorKind {
        self.ask(request).await.expect_err("an error").kind
    }

    /// Appends so many entries.
    async fn append(&self, count: usize) -> Vec<EntryId> {
        let mut ids = Vec::new();
        for i in 0..count {
            ids.push(self.append_to(STREAM, &["n", &i.to_string()]).await);
        }
        ids
    }

    async fn append_to(&self, stream: &str, fields: &[&str]) -> EntryId {
        self.server.command(&[&["XADD", stream, "*"], fields].concat()).await.text().parse().unwrap()
    }

    /// A consumer of ours, which does not live, reads at most `count` new entries.
    async fn deliver(&self, consumer: &str, count: usize) {
        self.server.command(&["HSETNX", "orders:group:billing:consumers", consumer, "i 0"]).await;
        self.deliver_to_foreign(consumer, count).await;
    }

    /// A consumer that was never heard of reads at most `count` new entries.
    async fn deliver_to_foreign(&self, consumer: &str, count: usize) {
        let count = count.to_string();
        let read = ["XREADGROUP", "GROUP", GROUP, consumer, "COUNT", &count, "STREAMS", STREAM, ">"];
        self.server.command(&read).await;
    }

    /// The pending entries: id, consumer, delivery count.
    async fn pending(&self) -> Vec<(EntryId, String, u32)> {
        let rows = self.server.command(&["XPENDING", STREAM, GROUP, "-", "+", "1000"]).await;
        let row = |row: &Value| {
            let row = row.items();
            (row[0].text().parse().unwrap(), row[1].text(), u32::try_from(row[3].int()).unwrap())
        };
        rows.items().iter().map(row).collect()
    }

    async fn length(&self, stream: &str) -> i64 {
        self.server.command(&["XLEN", stream]).await.int()
    }

    /// Makes the server refuse writes that need memory, or take them again.
    async fn out_of_memory(&self, is_out: bool) {
        let limit = if is_out { "1" } else { "0" };
        self.server.command(&["CONFIG", "SET", "maxmemory", limit]).await;
    }
}

fn member(consumer: &str) -> ConsumerId {
    ConsumerId { stream: STREAM.into(), group: GROUP.into(), consumer: consumer.into(), instance: "i".into() }
}

fn letter(id: EntryId) -> DeadLetterEntry {
    DeadLetterEntry { id, attempts: 4, reason: "failed", error: r#"{"name":"Error","message":"no"}"#.into() }
}

fn bury(consumer: &str, ids: &[EntryId]) -> Request {
    let letters = ids.iter().map(|id| letter(*id)).collect();
    Request::DeadLetter { member: member(consumer), to: Some(LETTERS.into()), max_len: 1_000, letters }
}

fn hold(consumer: &str, ids: &[EntryId]) -> Request {
    Request::ExtendLease { member: member(consumer), items: ids.iter().map(|id| (*id, None)).collect() }
}

fn own(consumer: &str, after: EntryId, limit: usize, raise: bool) -> Request {
    Request::ClaimOwnPending { member: member(consumer), after, limit, raise }
}

fn claim(consumer: &str, min_idle: u64, ids: &[EntryId]) -> Request {
    Request::Claim { member: member(consumer), min_idle: min_idle.into(), early: false, ids: ids.to_vec() }
}

fn expired(consumer: &str, min_idle: u64, limit: usize) -> Request {
    Request::ListExpired {
        member: member(consumer),
        min_idle: min_idle.into(),
        limit,
        early: false,
        set_right: false,
    }
}

/// Hands entries back, each with its delivery count.
fn requeue(consumer: &str, counts: &[(EntryId, u32)], unhandled: bool) -> Request {
    let items = counts.iter().map(|(id, count)| (*id, (*count).into())).collect();
    Request::Requeue { member: member(consumer), items, lease: 30_000, unhandled }
}

fn beat(consumer: &str, instance: &str) -> Request {
    Request::Heartbeat {
        member: member(consumer),
        instance: instance.into(),
        alive: 60_000,
        alive_key: "alive".into(),
        lease: 30_000,
        foreign_lease: 600_000,
        patterns: vec!["order.*".to_owned()],
        mark: None,
        version: 0,
        take_up: Vec::new(),
    }
}

fn ids_of(entries: &[StoredEntry]) -> Vec<EntryId> {
    entries.iter().map(|entry| entry.id).collect()
}
