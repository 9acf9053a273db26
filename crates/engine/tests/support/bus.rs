//! A client with its host.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use oxbus_engine::{Broker, Client, State};
use oxbus_model::BusError;
use oxbus_model::config::{Config, Environment};
use oxbus_model::observe::stats::Snapshot;
use oxbus_model::topology::lanes::Lanes;
use oxbus_testkit::eventually;
use serde_json::{Value, json};
use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinHandle;

use super::health_watch;
use super::host::{Inner, answer, lock};
use super::notices::{Notices, is_lost};
use super::patience::PATIENCE;
use super::pump;

/// A client, its host, and what waits for its answers. Dropping it closes the client at once.
///
/// A fault of the engine that no call reports (a publish settled twice, a reply that nobody asked
/// for), or a panic of a handler, fails the test when the bus is dropped or disconnected.
pub struct Bus {
    /// What the client has said without being asked.
    pub notices: Notices,
    pub(super) inner: Arc<Inner>,
    /// The channel prefix and the lanes, with sharded pub/sub.
    lanes: Option<(String, Lanes)>,
    pump: JoinHandle<()>,
    /// The health watch, in test programs that want one.
    watch: Option<JoinHandle<()>>,
}

/// While it lives the host does not drain, as when an event loop is blocked.
pub struct Blocked(#[expect(dead_code, reason = "held for its drop")] OwnedMutexGuard<()>);

impl Bus {
    /// A client of the server at `url`, with the defaults.
    pub fn redis(url: &str) -> Bus {
        Bus::with_config(json!({ "redis": url }))
    }

    /// A client of `broker`, with the defaults.
    pub fn memory(broker: &Arc<Broker>) -> Bus {
        Bus::with_broker(json!({ "mode": "memory" }), Some(broker.clone()))
    }

    /// A client with a configuration of its own.
    pub fn with_config(config: Value) -> Bus {
        Bus::with_broker(config, None)
    }

    /// A client with a configuration of its own; `broker` is what it uses in memory mode.
    #[track_caller]
    pub fn with_broker(config: Value, broker: Option<Arc<Broker>>) -> Bus {
        let environment = Environment { package: Some("tests".into()), ..Environment::default() };
        let config = Config::resolve(&config.to_string(), &environment).expect("a valid configuration");
        let count = config.redis.servers.lanes();
        let lanes =
            count.map(|count| (config.channel_prefix.clone(), Lanes::new(&config.channel_prefix, count)));
        let notices = Notices::default();
        let inner = Arc::new(Inner::new(config, broker, notices.clone()));
        let watch = crate::WATCH_HEALTH.then(|| tokio::spawn(health_watch::run(inner.clone())));
        Bus { pump: tokio::spawn(pump::run(inner.clone())), watch, notices, lanes, inner }
    }

    /// The client itself, for calls that need no host.
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// The channel prefix and the lanes of its live events, with sharded pub/sub.
    pub fn lanes(&self) -> Option<&(String, Lanes)> {
        self.lanes.as_ref()
    }

    pub(super) async fn ask(&self, what: &str, call: impl FnOnce(&Client, u32)) -> Result<Value, BusError> {
        let (ticket, reply) = self.inner.ticket();
        call(&self.inner.client, ticket);
        answer(what, reply).await
    }

    /// Connects, and waits until that succeeded or failed.
    pub async fn connect(&self) -> Result<(), BusError> {
        self.connect_within(None).await
    }

    /// As [`Bus::connect`], with a timeout in milliseconds.
    pub async fn connect_within(&self, limit: Option<u64>) -> Result<(), BusError> {
        self.ask("connect", |client, ticket| client.connect(ticket, limit)).await.map(drop)
    }

    /// Waits until the client is ready, `limit` milliseconds at the most.
    pub async fn wait_until_ready(&self, limit: Option<u64>) -> Result<(), BusError> {
        self.ask("wait_until_ready", |client, ticket| client.wait_until_ready(ticket, limit)).await.map(drop)
    }

    /// Drains and closes, and checks that nothing went wrong unnoticed.
    pub async fn disconnect(&self) {
        self.disconnect_within(None).await;
        self.check();
    }

    /// As [`Bus::disconnect`], with a limit in milliseconds for what still runs. Returns what was given up then.
    pub async fn disconnect_within(&self, limit: Option<u64>) -> Value {
        let reply = self.ask("disconnect", |client, ticket| client.disconnect(ticket, limit)).await;
        reply.expect("disconnect never fails")
    }

    /// The health report.
    pub async fn health(&self) -> Value {
        self.ask("health", |client, ticket| client.health(ticket)).await.expect("health never fails")
    }

    /// The counters and gauges.
    pub fn stats(&self) -> Snapshot {
        self.inner.client.stats()
    }

    /// What the client is doing.
    pub fn state(&self) -> State {
        self.inner.client.state()
    }

    /// Keeps the host from draining until the returned value is dropped.
    pub async fn block(&self) -> Blocked {
        let gate = self.inner.gate.clone().lock_owned().await;
        self.inner.blocked.fetch_add(1, Ordering::AcqRel);
        Blocked(gate)
    }

    /// Waits until the client is in `state`.
    pub async fn wait_for_state(&self, state: State) {
        eventually(PATIENCE, &format!("the state {state:?}"), || async { self.state() == state }).await;
    }

    /// Carries a fault out that breaks the connections of these links, and returns when the client knows that they are broken:
    /// what it is asked for from then on waits for the next connections.
    ///
    /// A publish that is made earlier may be written to a connection that has gone, and is unknown then. The state does not say
    /// when that is over: it tells that some link is down and not which, it is `ready` until the first is noticed, and `ready`
    /// again after a reconnect that was quick.
    ///
    /// # Panics
    /// When one of the links is not lost within [`PATIENCE`].
    pub async fn loses<T>(&self, links: &[&str], fault: impl Future<Output = T>) -> T {
        let mark = self.notices.mark();
        let output = fault.await;
        self.has_lost(mark, links).await;
        output
    }

    /// Waits until each of these links was lost, from the notice of number `mark` on. Panics as [`Bus::loses`].
    pub async fn has_lost(&self, mark: usize, links: &[&str]) {
        for wanted in links {
            self.notices.wait_from(mark, |notice| is_lost(notice, wanted)).await;
        }
    }

    /// Fails the test if something went wrong that no call reported.
    #[track_caller]
    pub fn check(&self) {
        let faults = std::mem::take(&mut *lock(&self.inner.faults));
        assert!(faults.is_empty(), "{faults:?}");
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.pump.abort();
        if let Some(watch) = &self.watch {
            watch.abort();
        }
        self.inner.client.destroy();
        if !std::thread::panicking() {
            self.check();
        }
    }
}
