//! A client, its streams in memory, and a clock that the tests move.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use oxbus_model::BusError;
use oxbus_model::ErrorKind;
use oxbus_model::config::{Config, Environment};
use oxbus_model::delivery::{Delivery, Settlement};
use oxbus_model::options::subscribe::SubscribeOptions;
use oxbus_model::routing::router::ServerSubscription;
use oxbus_model::stream_store::{Fields, Request, Streams};
use oxbus_testkit::eventually_some;
use serde_json::{Value, json};

use crate::gap::continuity::Continuity;
use crate::gap::missed_interval::Gap;
use crate::gap::recovery::Recovery;
use crate::host::{Host, Notice};
use crate::receive::acceptance;
use crate::receive::foreign::ForeignMessages;
use crate::runtime::clock::{Clock, VirtualTime};
use crate::state::ClientState;
use crate::transport::inbound::InboundBatch;
use crate::transport::store::{PendingResponse, Store};

struct Deaf;

impl Host for Deaf {
    fn wake(&self) {}
}

pub(super) struct Memory {
    pub(super) streams: Mutex<Streams>,
    time: Arc<VirtualTime>,
    /// How many requests fail from now on.
    pub(super) fails: Mutex<u32>,
}

impl Store for Memory {
    fn execute(&self, request: Request) -> PendingResponse {
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
pub(super) struct Rig {
    pub(super) memory: Arc<Memory>,
    pub(super) time: Arc<VirtualTime>,
    pub(super) shared: Arc<ClientState>,
    pub(super) recovery: Arc<Recovery>,
    pub(super) continuity: Continuity,
    pub(super) batch: InboundBatch,
}

impl Rig {
    pub(super) fn new() -> Rig {
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
        Rig { memory, time, shared, recovery, continuity, batch: InboundBatch::default() }
    }

    pub(super) fn now(&self) -> u64 {
        self.shared.clock.now_ms()
    }

    pub(super) fn pass(&self, ms: u64) {
        self.time.advance_to(self.time.now_ms() + ms);
    }

    /// A subscription whose server subscriptions are confirmed now.
    pub(super) fn subscribe(&mut self, number: u32, patterns: &[&str]) {
        let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        let server_subscriptions =
            self.shared.add_subscription(number, &patterns, &SubscribeOptions::default()).unwrap();
        let now = self.now();
        server_subscriptions
            .iter()
            .for_each(|server_subscription| self.continuity.confirmed(server_subscription, now));
    }

    /// All server subscriptions.
    pub(super) fn server_subscriptions(&self) -> Vec<ServerSubscription> {
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
    pub(super) fn store(&self, stream: &str, id: &str, event_type: &str, more: &[(&str, &str)]) {
        let fields = [("eventId", id), ("eventType", event_type), ("data", "1")];
        let fields = fields.iter().chain(more).map(|(n, v)| (n.as_bytes().into(), v.as_bytes().into()));
        let fields: Fields = fields.collect();
        self.memory.streams.lock().unwrap().append(stream, fields, None, self.time.now_ms());
    }

    /// An event comes, once for each server subscription.
    pub(super) fn come(&mut self, id: &str, event_type: &str) {
        let server_subscriptions = self.server_subscriptions();
        self.come_for(&server_subscriptions, id, event_type);
    }

    pub(super) fn come_for(
        &mut self,
        server_subscriptions: &[ServerSubscription],
        id: &str,
        event_type: &str,
    ) {
        let payload = json!({
            "id": id, "type": event_type, "data": 1,
            "metadata": { "timestamp": "2026-11-21T03:04:05.678Z", "source": "s", "correlationId": id },
        })
        .to_string();
        let channel = format!("p:{event_type}");
        let seen = Some(&self.recovery.seen);
        acceptance::receive(
            &self.shared,
            seen,
            &mut self.batch,
            &mut ForeignMessages::default(),
            &mut |message| {
                for server_subscription in server_subscriptions
                    .iter()
                    .filter(|server_subscription| server_subscription.matches(channel.as_bytes()))
                {
                    message(server_subscription.into(), channel.as_bytes(), payload.as_bytes());
                }
            },
        );
    }

    pub(super) fn heartbeat(&mut self) {
        let now = self.now();
        self.continuity.heartbeat(now, now);
    }

    pub(super) fn interrupt(&mut self) {
        let (server_subscriptions, now) = (self.server_subscriptions(), self.now());
        self.continuity.interrupted(server_subscriptions, now);
    }

    /// A new connection, on which all server subscriptions are confirmed.
    pub(super) fn resume(&mut self) {
        let (server_subscriptions, now) = (self.server_subscriptions(), self.now());
        self.continuity.opened(now);
        server_subscriptions
            .iter()
            .for_each(|server_subscription| self.continuity.confirmed(server_subscription, now));
        self.continuity.resumed(Gap { from: 1, to: 2, patterns: vec!["p".into()] });
    }

    /// What the gap says: how many were recovered, and whether these are all.
    pub(super) async fn gap(&self) -> (u64, bool) {
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
    pub(super) fn delivered(&self) -> Vec<(u32, String)> {
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

    pub(super) fn delivered_to_one(&self) -> Vec<String> {
        self.delivered().into_iter().map(|(_, id)| id).collect()
    }
}
