//! Holes and what fills them, over streams in memory and with a clock that the tests move.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oxbus_model::BusError;
use oxbus_model::ErrorKind;
use oxbus_model::config::{Config, Environment};
use oxbus_model::delivery::{Delivery, Settlement};
use oxbus_model::options::subscribe::SubscribeOptions;
use oxbus_model::stream_store::{Fields, Request, Streams};
use oxbus_testkit::eventually_some;
use serde_json::{Value, json};

use super::continuity::Continuity;
use super::*;
use crate::host::Host;
use crate::receive::acceptance;
use crate::receive::reception::InboundBatch;
use crate::receive::seen::MAX_IDS;
use crate::runtime::clock::{Clock, VirtualTime};
use crate::transport::store::Answer;

struct Deaf;

impl Host for Deaf {
    fn wake(&self) {}
}

struct Memory {
    streams: Mutex<Streams>,
    time: Arc<VirtualTime>,
    /// How many requests fail from now on.
    fails: Mutex<u32>,
}

impl Store for Memory {
    fn execute(&self, request: Request) -> Answer {
        let mut fails = self.fails.lock().unwrap();
        let result = if *fails > 0 {
            *fails -= 1;
            Err(BusError::new(ErrorKind::ConnectionLost, "not connected"))
        } else {
            self.streams.lock().unwrap().execute(request, self.time.now_ms())
        };
        Box::pin(std::future::ready(result))
    }
}

/// A client with the streams `orders` (`order.*`, live but for `order.secret`) and `photos` (`photo.*`).
struct Rig {
    memory: Arc<Memory>,
    time: Arc<VirtualTime>,
    shared: Arc<ClientState>,
    recovery: Arc<Recovery>,
    continuity: Continuity,
    arrivals: InboundBatch,
}

impl Rig {
    fn new() -> Rig {
        let config = json!({
            "mode": "memory", "channelPrefix": "p:",
            "streams": [
                { "name": "orders", "events": "order.*", "realtime": ["order.[^s]*"] },
                { "name": "photos", "events": ["photo.*"] },
            ],
        });
        let config = Config::resolve(&config.to_string(), &Environment::default()).unwrap();
        let time = Arc::new(VirtualTime::new(1_000_000_000));
        let clock = Clock::start(Some(time.clone()));
        let memory = Memory { streams: Mutex::default(), time: time.clone(), fails: Mutex::default() };
        let memory = Arc::new(memory);
        let shared = Arc::new(ClientState::new(config, "own", Arc::new(Deaf), clock));
        let recovery = Recovery::new(shared.clone(), memory.clone()).unwrap();
        let mut continuity = Continuity::new(recovery.clone());
        continuity.opened(shared.clock.now_ms());
        Rig { memory, time, shared, recovery, continuity, arrivals: InboundBatch::default() }
    }

    fn now(&self) -> u64 {
        self.shared.clock.now_ms()
    }

    fn pass(&self, ms: u64) {
        self.time.advance_to(self.time.now_ms() + ms);
    }

    /// A subscription whose server subscriptions are confirmed now.
    fn subscribe(&mut self, number: u32, patterns: &[&str]) {
        let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        let server_subscriptions =
            self.shared.add_subscription(number, &patterns, &SubscribeOptions::default()).unwrap();
        let now = self.now();
        server_subscriptions
            .iter()
            .for_each(|server_subscription| self.continuity.confirmed(server_subscription, now));
    }

    /// All server subscriptions.
    fn server_subscriptions(&self) -> Vec<ServerSubscription> {
        let names =
            ["p:order.*", "p:photo.*", "p:*"].map(|name| ServerSubscription::Pattern(name.as_bytes().into()));
        let exact =
            ["p:order.a", "p:broadcast"].map(|name| ServerSubscription::Channel(name.as_bytes().into()));
        let router = self.shared.router();
        names
            .into_iter()
            .chain(exact)
            .filter(|server_subscription| router.patterns(server_subscription).next().is_some())
            .collect()
    }

    /// An event is stored.
    fn store(&self, stream: &str, id: &str, event_type: &str, more: &[(&str, &str)]) {
        let fields = [("eventId", id), ("eventType", event_type), ("data", "1")];
        let fields = fields.iter().chain(more).map(|(n, v)| (n.as_bytes().into(), v.as_bytes().into()));
        let fields: Fields = fields.collect();
        self.memory.streams.lock().unwrap().append(stream, fields, None, self.time.now_ms());
    }

    /// An event comes, once for each server subscription.
    fn come(&mut self, id: &str, event_type: &str) {
        let server_subscriptions = self.server_subscriptions();
        self.come_for(&server_subscriptions, id, event_type);
    }

    fn come_for(&mut self, server_subscriptions: &[ServerSubscription], id: &str, event_type: &str) {
        let payload = json!({
            "id": id, "type": event_type, "data": 1,
            "metadata": { "timestamp": "2026-11-21T03:04:05.678Z", "source": "s", "correlationId": id },
        })
        .to_string();
        let channel = format!("p:{event_type}");
        let seen = Some(&self.recovery.seen);
        acceptance::receive(&self.shared, seen, &mut self.arrivals, &mut |message| {
            for server_subscription in server_subscriptions
                .iter()
                .filter(|server_subscription| server_subscription.matches(channel.as_bytes()))
            {
                message(server_subscription.into(), channel.as_bytes(), payload.as_bytes());
            }
        });
    }

    fn heartbeat(&mut self) {
        let now = self.now();
        self.continuity.heartbeat(now, now);
    }

    fn interrupt(&mut self) {
        let (server_subscriptions, now) = (self.server_subscriptions(), self.now());
        self.continuity.interrupted(server_subscriptions, now);
    }

    /// A new connection, on which all server subscriptions are confirmed.
    fn resume(&mut self) {
        let (server_subscriptions, now) = (self.server_subscriptions(), self.now());
        self.continuity.opened(now);
        server_subscriptions
            .iter()
            .for_each(|server_subscription| self.continuity.confirmed(server_subscription, now));
        self.continuity.resumed(Gap { from: 1, to: 2, patterns: vec!["p".into()] });
    }

    /// What the gap says: how many were recovered, and whether these are all.
    async fn gap(&self) -> (u64, bool) {
        let look = || async {
            let notices = self.shared.completions.take().notices;
            notices.into_iter().find_map(|notice| match notice {
                Notice::Gap { from: 1, to: 2, recovered, complete, .. } => Some((recovered, complete)),
                _ => None,
            })
        };
        eventually_some(Duration::from_secs(30), "the gap is reported", look).await
    }

    /// What handlers get: the subscription and the event's id.
    fn delivered(&self) -> Vec<(u32, String)> {
        let mut deliveries: Vec<Delivery> = Vec::new();
        let (mut intake, now) = (self.shared.live_queue(), self.now());
        while intake.has_ready() {
            let first = deliveries.len();
            intake.take((1_000, 1 << 30), &mut deliveries, &mut Vec::new());
            for delivery in &deliveries[first..] {
                intake.settle(delivery.token, Settlement::Succeeded, 0, now);
            }
        }
        let id = |delivery: Delivery| {
            let event: Value = serde_json::from_str(&delivery.event.json).unwrap();
            (delivery.subscription, event["id"].as_str().unwrap().to_owned())
        };
        let mut all: Vec<_> = deliveries.into_iter().map(id).collect();
        all.sort();
        all
    }

    fn delivered_to_one(&self) -> Vec<String> {
        self.delivered().into_iter().map(|(_, id)| id).collect()
    }
}

fn to(subscription: u32, ids: &[&str]) -> Vec<(u32, String)> {
    ids.iter().map(|id| (subscription, (*id).to_owned())).collect()
}

#[tokio::test]
async fn what_was_missed_is_delivered_and_what_came_is_not_again() {
    let mut rig = Rig::new();
    rig.subscribe(1, &["order.*"]);
    rig.pass(60_000);
    rig.store("orders", "too old", "order.a", &[]);
    rig.pass(1_001);
    rig.heartbeat();
    rig.store("orders", "came", "order.a", &[]);
    rig.come("came", "order.a");
    rig.store("orders", "on its way", "order.b", &[]);
    rig.interrupt();
    rig.pass(60_000);
    rig.store("orders", "meanwhile", "order.a", &[]);
    rig.store("orders", "not live", "order.secret", &[]);
    rig.store("orders", "for a group", "order.a", &[("group", "g")]);
    rig.store("orders", "for a room", "order.a", &[("meta", r#"{"room":"1"}"#)]);
    rig.store("orders", "with more", "order.a", &[("meta", r#"{"tenant":{"room":1}}"#)]);
    rig.store("orders", "elsewhere", "photo.a", &[]);
    rig.store("photos", "another", "photo.a", &[]);
    assert_eq!(rig.delivered_to_one(), ["came"]);
    rig.resume();
    assert_eq!(rig.gap().await, (3, true));
    assert_eq!(rig.delivered_to_one(), ["meanwhile", "on its way", "with more"]);
}

#[tokio::test]
async fn each_subscription_gets_each_missed_event_once() {
    let mut rig = Rig::new();
    rig.subscribe(1, &["order.a", "order.*", "*"]);
    rig.subscribe(2, &["order.a"]);
    rig.subscribe(3, &["*"]);
    rig.pass(10_000);
    rig.heartbeat();
    rig.interrupt();
    rig.store("orders", "1", "order.a", &[]);
    rig.store("photos", "2", "photo.a", &[]);
    rig.resume();
    assert_eq!(rig.gap().await, (2, false), "'*' matches what is not stored");
    assert_eq!(rig.delivered(), [to(1, &["1", "2"]), to(2, &["1"]), to(3, &["1", "2"])].concat());
    // It was on its way when the subscriptions were confirmed.
    rig.come("1", "order.a");
    assert_eq!(rig.delivered(), []);
    // Another one of the same id, long after.
    rig.pass(10_000);
    rig.heartbeat();
    rig.come("1", "order.a");
    assert_eq!(rig.delivered(), [to(1, &["1"]), to(2, &["1"]), to(3, &["1"])].concat());
}

#[tokio::test]
async fn a_message_that_came_for_one_wire_only_is_recovered_for_the_other() {
    let mut rig = Rig::new();
    rig.subscribe(1, &["order.a"]);
    rig.subscribe(2, &["order.*"]);
    rig.pass(10_000);
    rig.heartbeat();
    rig.store("orders", "1", "order.a", &[]);
    let exact = [ServerSubscription::Channel(b"p:order.a".as_slice().into())];
    rig.come_for(&exact, "1", "order.a");
    assert_eq!(rig.delivered(), to(1, &["1"]));
    rig.interrupt();
    rig.resume();
    assert_eq!(rig.gap().await, (1, true));
    assert_eq!(rig.delivered(), to(2, &["1"]));
}

#[tokio::test]
async fn a_subscription_gets_nothing_from_before_it_was_made() {
    let mut rig = Rig::new();
    rig.pass(10_000);
    rig.heartbeat();
    rig.store("orders", "before", "order.a", &[]);
    rig.pass(10);
    rig.subscribe(1, &["order.*"]);
    rig.store("orders", "behind", "order.a", &[]);
    rig.interrupt();
    rig.store("photos", "before, too", "photo.a", &[]);
    rig.subscribe(2, &["photo.*"]);
    rig.resume();
    assert_eq!(rig.gap().await, (1, true));
    assert_eq!(rig.delivered(), to(1, &["behind"]));
}

#[tokio::test]
async fn connections_that_break_again_make_one_hole() {
    let mut rig = Rig::new();
    rig.subscribe(1, &["order.*"]);
    rig.pass(10_000);
    rig.heartbeat();
    rig.interrupt();
    rig.pass(10_000);
    rig.continuity.opened(rig.now());
    rig.heartbeat();
    rig.interrupt();
    rig.pass(10_000);
    rig.store("orders", "1", "order.a", &[]);
    rig.resume();
    assert_eq!(rig.gap().await, (1, true));
    // The next hole reaches back to this one, and then begins with this connection.
    rig.interrupt();
    rig.resume();
    assert_eq!(rig.gap().await, (0, true));
    rig.pass(10_000);
    rig.interrupt();
    rig.store("orders", "2", "order.a", &[]);
    rig.resume();
    assert_eq!(rig.gap().await, (1, true));
    assert_eq!(rig.delivered_to_one(), ["1", "2"]);
}

#[tokio::test]
async fn a_gap_is_complete_only_if_all_was_stored_and_read() {
    for (patterns, trimmed, expected) in [
        (&["order.*"][..], false, (2, true)),
        (&["order.*"], true, (1, false)),
        (&["order.a", "photo.x*"], false, (2, true)),
        (&["photo.*"], true, (0, true)),
        (&["o*"], false, (2, false)),
        (&["order.*", "user.a"], false, (2, false)),
        (&["user.a"], false, (0, false)),
        (&["order.*", "room:1"], false, (2, false)),
    ] {
        let mut rig = Rig::new();
        rig.subscribe(1, patterns);
        rig.pass(10_000);
        rig.heartbeat();
        let all = patterns.iter().map(|pattern| match pattern.contains('*') {
            true => ServerSubscription::Pattern(format!("p:{pattern}").into_bytes().into()),
            false => ServerSubscription::Channel(format!("p:{pattern}").into_bytes().into()),
        });
        let now = rig.now();
        rig.continuity.interrupted(all, now);
        rig.store("orders", "1", "order.a", &[]);
        rig.pass(1);
        rig.store("orders", "2", "order.a", &[]);
        if trimmed {
            let request = Request::Trim { stream: "orders".into(), max_len: Some(1), min_id: None };
            rig.memory.streams.lock().unwrap().execute(request, 0).unwrap();
        }
        rig.resume();
        assert_eq!(rig.gap().await, expected, "{patterns:?} {trimmed}");
    }
}

#[tokio::test]
async fn a_store_that_is_not_reached_at_once_is_asked_again() {
    let mut rig = Rig::new();
    rig.subscribe(1, &["order.*"]);
    rig.pass(10_000);
    rig.heartbeat();
    rig.interrupt();
    rig.store("orders", "1", "order.a", &[]);
    *rig.memory.fails.lock().unwrap() = 3;
    rig.resume();
    assert_eq!(rig.gap().await, (1, true));
    assert_eq!(rig.delivered_to_one(), ["1"]);
}

#[tokio::test]
async fn a_store_that_is_never_reached_is_given_up() {
    let mut rig = Rig::new();
    rig.subscribe(1, &["order.*"]);
    rig.interrupt();
    *rig.memory.fails.lock().unwrap() = u32::MAX;
    rig.resume();
    rig.pass(3_600_000);
    assert_eq!(rig.gap().await, (0, false));
}

#[tokio::test]
async fn when_too_much_came_to_remember_only_what_cannot_have_come_is_delivered() {
    let mut rig = Rig::new();
    rig.subscribe(1, &["order.*"]);
    rig.pass(10_000);
    rig.heartbeat();
    rig.store("orders", "may have come", "order.a", &[]);
    for n in 0..=MAX_IDS {
        rig.come(&n.to_string(), "order.a");
        if n % 1_000 == 0 {
            rig.delivered();
        }
    }
    rig.delivered();
    rig.interrupt();
    rig.pass(60_000);
    rig.store("orders", "missed", "order.a", &[]);
    rig.pass(60_000);
    rig.store("orders", "may come", "order.a", &[]);
    rig.resume();
    assert_eq!(rig.gap().await, (1, false));
    assert_eq!(rig.delivered_to_one(), ["missed"]);
}

#[tokio::test]
async fn a_subscription_that_the_server_had_refused_gets_what_it_missed() {
    let mut rig = Rig::new();
    rig.subscribe(1, &["order.*"]);
    rig.pass(10_000);
    rig.store("orders", "before", "order.a", &[]);
    rig.pass(1);
    let since = rig.now();
    rig.store("orders", "meanwhile", "order.a", &[]);
    rig.pass(10_000);
    let (server_subscription, now) = (rig.server_subscriptions()[0].clone(), rig.now());
    rig.continuity.regained(server_subscription, since, now, Gap { from: 1, to: 2, patterns: vec![] });
    assert_eq!(rig.gap().await, (1, true));
    assert_eq!(rig.delivered_to_one(), ["meanwhile"]);
}

#[tokio::test]
async fn who_unsubscribes_meanwhile_misses_nothing() {
    let mut rig = Rig::new();
    rig.subscribe(1, &["order.*"]);
    rig.subscribe(2, &["photo.*"]);
    rig.interrupt();
    let unused = rig.shared.remove_subscription(1);
    unused.iter().for_each(|server_subscription| rig.continuity.ended(server_subscription));
    rig.store("orders", "1", "order.a", &[]);
    rig.subscribe(1, &["order.*"]);
    rig.resume();
    assert_eq!(rig.gap().await, (0, true));
    assert_eq!(rig.delivered(), []);
}
