//! A client with its host.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oxbus_engine::host::Notice;
use oxbus_engine::{Broker, Client, Host, State};
use oxbus_model::config::{Config, Environment};
use oxbus_model::observe::stats::Snapshot;
use oxbus_model::stream_store::EntryId;
use oxbus_model::{BusError, ErrorKind};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedMutexGuard, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::event::{Event, Verdict};
use super::health_watch;
use super::publishing::{Batch, Open, Record};
use super::pump;
use super::pump::Handler;

/// How long anything may take before a test fails; far more than it needs, as machines are shared.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Wakes the pump when the engine wakes its host.
pub(super) struct Waker(pub(super) Notify);

impl Host for Waker {
    fn wake(&self) {
        self.0.notify_one();
    }
}

/// A client, its host, and what waits for its answers. Dropping it closes the client at once.
///
/// A fault of the engine that no call reports (a publish settled twice, a reply that nobody asked
/// for), or a panic of a handler, fails the test when the bus is dropped or disconnected.
pub struct Bus {
    pub(super) inner: Arc<Inner>,
    pump: JoinHandle<()>,
    /// Where the test program wants it.
    watch: Option<JoinHandle<()>>,
}

pub(super) struct Inner {
    pub(super) client: Client,
    pub(super) waker: Arc<Waker>,
    /// Held by the pump while it works; see [`Bus::block`].
    pub(super) gate: Arc<tokio::sync::Mutex<()>>,
    /// How often the host was blocked.
    pub(super) blocked: AtomicU64,
    pub(super) waiting: Mutex<Waiting>,
    pub(super) handlers: Mutex<HashMap<u32, Handler>>,
    pub(super) faults: Mutex<Vec<String>>,
    /// Publishes that failed and were stored: batch, index, entry.
    pub(super) stored_nevertheless: Mutex<Vec<(u32, u32, EntryId)>>,
    /// All notices so far.
    pub(super) notices: watch::Sender<Vec<Notice>>,
}

/// Calls that are not answered.
#[derive(Default)]
pub(super) struct Waiting {
    last_ticket: u32,
    last_batch: u32,
    pub(super) tickets: HashMap<u32, oneshot::Sender<Result<Value, BusError>>>,
    pub(super) batches: HashMap<u32, Open>,
}

/// The answer to a call that was made.
pub type Answered = Pin<Box<dyn Future<Output = Result<Value, BusError>> + Send>>;

/// While it lives the host does not drain, as when an event loop is blocked.
pub struct Blocked(#[expect(dead_code, reason = "held for its drop")] OwnedMutexGuard<()>);

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A failed assertion elsewhere must not hide behind a poisoned lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

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
        let waker = Arc::new(Waker(Notify::new()));
        let inner = Arc::new(Inner {
            client: Client::new(config, broker, waker.clone(), Handle::current()),
            waker,
            gate: Arc::default(),
            blocked: AtomicU64::default(),
            waiting: Mutex::default(),
            handlers: Mutex::default(),
            faults: Mutex::default(),
            stored_nevertheless: Mutex::default(),
            notices: watch::Sender::default(),
        });
        let watch = crate::WATCH_HEALTH.then(|| tokio::spawn(health_watch::run(inner.clone())));
        Bus { pump: tokio::spawn(pump::run(inner.clone())), watch, inner }
    }

    /// The client itself, for calls that need no host.
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    async fn ask(&self, what: &str, call: impl FnOnce(&Client, u32)) -> Result<Value, BusError> {
        let (ticket, reply) = self.inner.ticket();
        call(&self.inner.client, ticket);
        answer(what, reply).await
    }

    /// As [`Bus::ask`], of a call that may be refused at once.
    pub(super) async fn try_ask(
        &self,
        what: &str,
        call: impl FnOnce(&Client, u32) -> Result<(), BusError>,
    ) -> Result<Value, BusError> {
        self.start_ask(what, call).await
    }

    /// As [`Bus::try_ask`]; the call is made before this returns.
    pub(super) fn start_ask(
        &self,
        what: &str,
        call: impl FnOnce(&Client, u32) -> Result<(), BusError>,
    ) -> Answered {
        let (ticket, reply) = self.inner.ticket();
        let refused = call(&self.inner.client, ticket).err();
        if refused.is_some() {
            lock(&self.inner.waiting).tickets.remove(&ticket);
        }
        let what = what.to_owned();
        Box::pin(async move {
            match refused {
                Some(error) => Err(error),
                None => answer(&what, reply).await,
            }
        })
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

    /// As [`Bus::disconnect`], with a limit in milliseconds for what still runs.
    pub async fn disconnect_within(&self, limit: Option<u64>) {
        let reply = self.ask("disconnect", |client, ticket| client.disconnect(ticket, limit)).await;
        reply.expect("disconnect never fails");
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

    /// Starts publishes as one batch.
    pub fn start_publish(&self, records: &[Record]) -> Batch {
        let (open, results, text) = Open::new(records);
        let count = u32::try_from(records.len()).expect("a batch of a size that fits");
        // Held during the call: the engine expects publishes from one thread at a time.
        let mut waiting = lock(&self.inner.waiting);
        waiting.last_batch = waiting.last_batch.wrapping_add(1);
        let number = waiting.last_batch;
        waiting.batches.insert(number, open);
        self.inner.client.publish(number, count, text);
        Batch { number, results }
    }

    /// The entry of a publish that failed and was stored nevertheless, as far as is known.
    pub fn stored_nevertheless(&self, batch: u32, index: u32) -> Option<EntryId> {
        let stored = lock(&self.inner.stored_nevertheless);
        stored.iter().find(|(b, i, _)| (*b, *i) == (batch, index)).map(|(_, _, id)| *id)
    }

    /// Cancels a publish of a batch.
    pub fn cancel(&self, batch: u32, index: u32) {
        self.inner.client.cancel(batch, index);
    }

    /// Calls a method of administration, with its arguments as one object.
    pub async fn request(&self, method: &str, args: impl Into<Value>) -> Result<Value, BusError> {
        let args = args.into().to_string();
        self.ask(method, |client, ticket| client.request(ticket, method.to_owned(), args)).await
    }

    /// Subscribes a handler that answers at once; returns when the subscription is confirmed.
    pub async fn subscribe<V: Into<Verdict>>(
        &self,
        patterns: &[&str],
        options: impl Into<Value>,
        handler: impl Fn(Event) -> V + Send + Sync + 'static,
    ) -> Result<u32, BusError> {
        let handler = Handler::Sync(Arc::new(move |event| handler(event).into()));
        self.add(patterns, options.into(), handler).await
    }

    /// Subscribes a handler that takes its time.
    pub async fn subscribe_async<F, V>(
        &self,
        patterns: &[&str],
        options: impl Into<Value>,
        handler: impl Fn(Event) -> F + Send + Sync + 'static,
    ) -> Result<u32, BusError>
    where
        F: Future<Output = V> + Send + 'static,
        V: Into<Verdict>,
    {
        let handler = Handler::Async(Arc::new(move |event| {
            let running = handler(event);
            Box::pin(async move { running.await.into() })
        }));
        self.add(patterns, options.into(), handler).await
    }

    /// Subscribes a handler of batches.
    pub async fn subscribe_batch<F, V>(
        &self,
        patterns: &[&str],
        options: impl Into<Value>,
        handler: impl Fn(Vec<Event>) -> F + Send + Sync + 'static,
    ) -> Result<u32, BusError>
    where
        F: Future<Output = V> + Send + 'static,
        V: Into<Verdict>,
    {
        let handler = Handler::Batch(Arc::new(move |events| {
            let running = handler(events);
            Box::pin(async move { running.await.into() })
        }));
        self.add(patterns, options.into(), handler).await
    }

    async fn add(&self, patterns: &[&str], options: Value, handler: Handler) -> Result<u32, BusError> {
        let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
        let options = if options.is_null() { String::new() } else { options.to_string() };
        let (ticket, reply) = self.inner.ticket();
        let subscription = {
            // Held during the call, so that no delivery comes before its handler is known.
            let mut handlers = lock(&self.inner.handlers);
            let subscribed = match self.inner.client.subscribe(ticket, &patterns, &options) {
                Ok(subscribed) => subscribed,
                Err(error) => {
                    lock(&self.inner.waiting).tickets.remove(&ticket);
                    return Err(error);
                }
            };
            handlers.insert(subscribed.subscription, handler);
            subscribed.subscription
        };
        match answer("subscribe", reply).await {
            Ok(_) => Ok(subscription),
            Err(error) => {
                lock(&self.inner.handlers).remove(&subscription);
                Err(error)
            }
        }
    }

    /// Ends a subscription: no new call starts. False when there was none of that number.
    pub async fn unsubscribe(&self, subscription: u32) -> bool {
        lock(&self.inner.handlers).remove(&subscription);
        let ended = self.ask("unsubscribe", |client, ticket| client.unsubscribe(ticket, subscription)).await;
        ended.expect("unsubscribe never fails") == Value::Bool(true)
    }

    /// Stops or resumes deliveries.
    pub fn pause(&self, subscription: u32, paused: bool) {
        self.inner.client.pause(subscription, paused);
    }

    /// Keeps the host from draining until the returned value is dropped.
    pub async fn block(&self) -> Blocked {
        let gate = self.inner.gate.clone().lock_owned().await;
        self.inner.blocked.fetch_add(1, Ordering::AcqRel);
        Blocked(gate)
    }

    /// All notices so far.
    pub fn notices(&self) -> Vec<Notice> {
        self.inner.notices.borrow().clone()
    }

    /// How many notices there are: what comes later is found by [`Bus::wait_for_notice_from`].
    pub fn mark(&self) -> usize {
        self.inner.notices.borrow().len()
    }

    /// The first notice that `wanted` accepts, past ones included.
    #[track_caller]
    pub fn wait_for_notice(&self, wanted: impl Fn(&Notice) -> bool) -> impl Future<Output = Notice> {
        self.wait_for_notice_from(0, wanted)
    }

    /// The first notice that `wanted` accepts, from the one of number `mark` on.
    ///
    /// # Panics
    /// When none comes within [`PATIENCE`]; the message lists those that came.
    #[track_caller]
    pub fn wait_for_notice_from(
        &self,
        mark: usize,
        wanted: impl Fn(&Notice) -> bool,
    ) -> impl Future<Output = Notice> {
        let caller = std::panic::Location::caller();
        let mut notices = self.inner.notices.subscribe();
        async move {
            let deadline = Instant::now() + PATIENCE;
            loop {
                let found = notices.borrow_and_update().iter().skip(mark).find(|n| wanted(n)).cloned();
                if let Some(notice) = found {
                    return notice;
                }
                if !matches!(timeout_at(deadline, notices.changed()).await, Ok(Ok(()))) {
                    panic!("the notice waited for at {caller} did not come, but {:?}", notices.borrow());
                }
            }
        }
    }

    /// Waits until the client is in `state`.
    pub async fn wait_for_state(&self, state: State) {
        oxbus_testkit::eventually(PATIENCE, &format!("the state {state:?}"), || async {
            self.state() == state
        })
        .await;
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

impl Inner {
    pub(super) fn ticket(&self) -> (u32, oneshot::Receiver<Result<Value, BusError>>) {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = lock(&self.waiting);
        waiting.last_ticket = waiting.last_ticket.wrapping_add(1);
        let ticket = waiting.last_ticket;
        waiting.tickets.insert(ticket, sender);
        (ticket, receiver)
    }

    pub(super) fn fault(&self, what: impl Into<String>) {
        let what = what.into();
        eprintln!("a fault: {what}");
        lock(&self.faults).push(what);
    }
}

async fn answer(what: &str, reply: oneshot::Receiver<Result<Value, BusError>>) -> Result<Value, BusError> {
    match timeout(PATIENCE, reply).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(BusError::new(ErrorKind::Internal, format!("the host ended during {what}"))),
        Err(_) => panic!("{what}: no reply within {PATIENCE:?}"),
    }
}
