//! What the tests of durable events share: streams, groups, and handlers that wait.

use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;

use oxbus_model::delivery::Settlement;
use oxbus_model::stream_store::EntryId;
use oxbus_testkit::eventually;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::fixture::Fixture;
use crate::support::{Bus, Event, Inbox, PATIENCE, Record};

/// The lease of tests in which claims expire, in milliseconds. The others have the default, so that
/// nothing expires however slow the machine is.
pub const LEASE: u64 = 500;

impl Fixture {
    /// The stream of the types `job` and `job.*`.
    pub fn jobs(&self) -> String {
        self.name("jobs")
    }

    /// The stream of the types `note.*`.
    pub fn notes(&self) -> String {
        self.name("notes")
    }

    /// A connected client with these two streams.
    pub async fn keeper(&self) -> Bus {
        self.keeper_with(json!({})).await
    }

    /// As [`Fixture::keeper`], with more configuration.
    pub async fn keeper_with(&self, more: Value) -> Bus {
        let mut config = json!({
            "streams": [
                { "name": self.jobs(), "events": ["job", "job.*"] },
                { "name": self.notes(), "events": "note.*" },
            ],
        });
        merge(&mut config, more);
        self.bus_with(config).await
    }

    /// As [`Fixture::keeper`], with claims that expire soon.
    pub async fn hasty_keeper(&self) -> Bus {
        self.keeper_with(json!({ "lease": LEASE })).await
    }
}

/// Adds the fields of one object to another.
pub fn merge(object: &mut Value, more: Value) {
    let Value::Object(more) = more else { panic!("not an object: {more}") };
    object.as_object_mut().expect("an object").extend(more);
}

/// Options of a subscription of the group `workers`.
pub fn workers() -> Value {
    member("workers", json!({}))
}

/// As [`workers`], with more options.
pub fn workers_with(more: Value) -> Value {
    member("workers", more)
}

/// Options of a subscription of a group; its retries are quick.
pub fn member(group: &str, more: Value) -> Value {
    let mut options = json!({ "group": group, "retry": { "initialDelay": 1, "maxDelay": 2 } });
    merge(&mut options, more);
    options
}

/// Events of one type with the numbers of a range as data.
pub fn numbered(event_type: &str, numbers: std::ops::Range<u64>) -> Vec<Record> {
    numbers.map(|n| Record::new(event_type, n)).collect()
}

/// Publishes, and gives the ids of the entries.
pub async fn store(bus: &Bus, records: Vec<Record>) -> Vec<String> {
    let results = bus.publish_many(records).await;
    results.into_iter().map(|result| result.unwrap().message_id().to_owned()).collect()
}

/// The numbers that an inbox got as data, in order.
pub fn numbers(inbox: &Inbox) -> Vec<u64> {
    inbox.data().iter().map(|data| data.as_u64().expect("a number")).collect()
}

/// The numbers that an inbox got as data, sorted.
pub fn sorted(inbox: &Inbox) -> Vec<u64> {
    let mut numbers = numbers(inbox);
    numbers.sort_unstable();
    numbers
}

/// A group of a stream, seen through a client.
pub struct Group<'a> {
    bus: &'a Bus,
    stream: String,
    name: String,
}

impl<'a> Group<'a> {
    /// The group of a name.
    pub fn of(bus: &'a Bus, stream: &str, name: &str) -> Self {
        Group { bus, stream: stream.to_owned(), name: name.to_owned() }
    }

    /// The group `workers` of the jobs.
    pub fn workers(bus: &'a Bus, fixture: &Fixture) -> Self {
        Group::of(bus, &fixture.jobs(), "workers")
    }

    /// Its stream.
    pub async fn stream(&self) -> Value {
        self.bus.request("streams.info", json!({ "name": self.stream })).await.expect("a stream")
    }

    /// What is known of it.
    pub async fn facts(&self) -> Value {
        let mut stream = self.stream().await;
        let groups = stream["groups"].as_array_mut().expect("groups");
        let found = groups.iter_mut().find(|group| group["name"] == *self.name);
        found.map_or(Value::Null, Value::take)
    }

    /// The names of its consumers, sorted.
    pub async fn consumers(&self) -> Vec<String> {
        let facts = self.facts().await;
        let consumers = facts["consumers"].as_array().expect("consumers");
        let name = |consumer: &Value| consumer["name"].as_str().expect("a name").to_owned();
        let mut names: Vec<_> = consumers.iter().map(name).collect();
        names.sort_unstable();
        names
    }

    /// Its pending entries.
    pub async fn pending(&self) -> Vec<Value> {
        let args = json!({ "name": self.stream, "group": self.name, "limit": 10_000 });
        let pending = self.bus.request("streams.pending", args).await.expect("pending entries");
        pending.as_array().expect("a list").clone()
    }

    /// Whether it has read and settled everything.
    async fn is_settled(&self) -> bool {
        let last = id(&self.stream().await["lastId"]);
        let facts = self.facts().await;
        facts["pending"] == 0 && id(&facts["lastDeliveredId"]) >= last
    }

    /// Waits until it has read and settled everything.
    #[track_caller]
    pub fn settled(&self) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move {
            let what = format!("{} of {} has settled everything, for {caller}", self.name, self.stream);
            eventually(PATIENCE, &what, || self.is_settled()).await;
        }
    }

    /// Waits until it has read everything.
    #[track_caller]
    pub fn wait_for_delivered(&self) -> impl Future<Output = ()> {
        eventually(PATIENCE, "a group that has read everything", || async {
            id(&self.facts().await["lastDeliveredId"]) >= id(&self.stream().await["lastId"])
        })
    }

    /// Waits until so many of its entries are pending.
    #[track_caller]
    pub fn wait_for_pending(&self, count: usize) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move {
            let what = format!("{count} pending entries of {}, for {caller}", self.name);
            eventually(PATIENCE, &what, || async { self.facts().await["pending"] == count }).await;
        }
    }
}

/// The dead letters of a stream, oldest first.
pub async fn dead_letters(bus: &Bus, stream: &str) -> Vec<Value> {
    let dead_letters =
        bus.request("deadLetters.list", json!({ "stream": stream })).await.expect("dead letters");
    dead_letters.as_array().expect("a list").clone()
}

/// An event in an answer of administration.
pub fn event_in(answer: &Value) -> Value {
    let text = answer.as_str().unwrap_or_else(|| panic!("not an event as text: {answer}"));
    serde_json::from_str(text).expect("an event as JSON")
}

/// An entry id in an answer; the lowest id when there is none.
pub fn id(text: &Value) -> EntryId {
    text.as_str().map_or(EntryId::MIN, |text| text.parse().expect("an entry id"))
}

/// A handler call.
pub type Settling = Pin<Box<dyn Future<Output = Settlement> + Send>>;

/// Holds handler calls until it is opened.
#[derive(Clone)]
pub struct Gate {
    /// What was started.
    pub started: Inbox,
    permits: Arc<Semaphore>,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Gate {
        Gate { started: Inbox::default(), permits: Arc::new(Semaphore::new(0)) }
    }

    /// A handler that waits at the gate and then succeeds.
    pub fn handler(&self) -> impl Fn(Event) -> Settling + Send + Sync + 'static {
        self.ending(Settlement::Succeeded)
    }

    /// A handler that waits at the gate and then ends so.
    pub fn ending(&self, settlement: Settlement) -> impl Fn(Event) -> Settling + Send + Sync + 'static {
        let gate = self.clone();
        move |event| {
            gate.started.put(event);
            let permits = gate.permits.clone();
            Box::pin(async move {
                permits.acquire().await.expect("never closed").forget();
                settlement
            })
        }
    }

    /// Lets so many calls go, of those that wait and those to come.
    pub fn open(&self, calls: usize) {
        self.permits.add_permits(calls);
    }

    /// Holds up all calls to come.
    pub fn close(&self) {
        self.permits.forget_permits(usize::MAX);
    }
}
