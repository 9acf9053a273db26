//! What is behind a client: its parts, and what happens to several of them at once.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::task::{Context, Waker};

use oxbus_model::config::{Config, Mode};
use oxbus_model::{BusError, ErrorKind};
use serde_json::Value;
use tokio::runtime::Handle;

use crate::admin;
use crate::host::{Host, Notice};
use crate::memory::{Broker, MemoryTransport, Timed};
use crate::redis::RedisTransport;
use crate::runtime::clock::Clock;
use crate::runtime::panics::catch_panic;
use crate::state::ClientState;
use crate::state::lifecycle::{State, is_fatal};
use crate::state::transport_events::ClientEvents;
use crate::transport::Transport;

/// The parts of a client.
pub(crate) struct Core {
    pub(crate) shared: Arc<ClientState>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) runtime: Handle,
    pub(crate) instance_id: String,
    /// Held while subscriptions are added or removed and the transport is told, so that the removal of
    /// a server subscription's last subscription cannot overtake the addition of its next.
    pub(crate) subscribing: Mutex<Numbering>,
    /// False once publishes are refused.
    pub(crate) accepting: RwLock<bool>,
    /// Questions without an answer.
    pub(crate) requests: AtomicUsize,
}

/// The numbers of subscriptions.
#[derive(Default)]
pub(crate) struct Numbering {
    last: u32,
    /// Whether the task that watches over deadlines runs.
    watched: bool,
}

impl Numbering {
    /// The next number that is not taken.
    pub(crate) fn next(&mut self, taken: impl Fn(u32) -> bool) -> u32 {
        loop {
            self.last = self.last.wrapping_add(1);
            if !taken(self.last) {
                return self.last;
            }
        }
    }
}

impl Timed for Core {
    fn run_due(&self) -> Option<u64> {
        self.act_on_deadlines().map(|at| self.shared.clock.wall_of(at))
    }
}

impl Core {
    pub(crate) fn new(
        config: Config,
        broker: Option<Arc<Broker>>,
        host: Arc<dyn Host>,
        runtime: Handle,
    ) -> Arc<Core> {
        let broker = (!config.mode.has_server()).then(|| broker.unwrap_or_default());
        let clock = Clock::start(broker.as_ref().and_then(|broker| broker.virtual_time()));
        let core = Core::over(config, host, clock, runtime.clone(), |events| {
            let context = events.context(events.clone());
            match &broker {
                Some(broker) => Arc::new(MemoryTransport::new(context, broker.clone())),
                None => Arc::new(RedisTransport::new(context, runtime)),
            }
        });
        if let Some(broker) = broker {
            let timed: Weak<dyn Timed> = Arc::downgrade(&core) as Weak<dyn Timed>;
            broker.keep_time_for(timed);
        }
        core
    }

    /// A client over any transport, which `transport` makes of the client's side of its events.
    pub(crate) fn over(
        config: Config,
        host: Arc<dyn Host>,
        clock: Clock,
        runtime: Handle,
        transport: impl FnOnce(&Arc<ClientEvents>) -> Arc<dyn Transport>,
    ) -> Arc<Core> {
        let instance_id = uuid::Uuid::new_v4().simple().to_string();
        let shared = Arc::new(ClientState::new(config, &instance_id, host, clock));
        let events = ClientEvents::new(shared.clone());
        let transport = transport(&events);
        if shared.config.mode.has_server() {
            events.recover_from(transport.store());
        }
        shared.groups.attach(&transport, runtime.clone());
        Arc::new(Core {
            shared,
            transport,
            runtime,
            instance_id,
            subscribing: Mutex::default(),
            accepting: RwLock::new(true),
            requests: AtomicUsize::new(0),
        })
    }

    /// Connects, if that was not done before.
    pub(crate) fn start(self: &Arc<Self>) {
        self.transport.start();
        if !self.shared.config.streams.is_empty() {
            self.watch_deadlines();
        }
    }

    pub(crate) fn subscribing(&self) -> MutexGuard<'_, Numbering> {
        self.subscribing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn unsubscribe(&self, subscription: u32, kind: ErrorKind, why: &str) -> bool {
        let numbering = self.subscribing();
        if self.shared.groups.contains(subscription) {
            return self.shared.remove_durable(subscription, BusError::new(kind, why));
        }
        if !self.shared.router().contains(subscription) {
            return false;
        }
        let unused = self.shared.remove(subscription);
        self.transport.unsubscribe(unused);
        drop(numbering);
        self.shared.end_wait(subscription, Err(BusError::new(kind, why)));
        true
    }

    /// The next number that no subscription has.
    pub(crate) fn next_number(&self, numbering: &mut Numbering) -> u32 {
        numbering.next(|number| self.shared.router().contains(number) || self.shared.groups.contains(number))
    }

    /// Does something that ends with a reply. In memory, where nothing waits, it is done at once.
    pub(crate) fn answer(
        self: &Arc<Self>,
        ticket: u32,
        work: impl Future<Output = Result<Value, BusError>> + Send + 'static,
    ) {
        let core = self.clone();
        core.requests.fetch_add(1, Ordering::AcqRel);
        let mut work = Box::pin(async move {
            let result = catch_panic("a request", work).await;
            core.shared.outbox.reply(ticket, result.and_then(|result| result));
            core.requests.fetch_sub(1, Ordering::AcqRel);
        });
        let at_once = !self.shared.config.mode.has_server()
            && work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        if !at_once {
            self.runtime.spawn(work);
        }
    }

    pub(crate) fn wake_if_ready(&self) {
        let shared = &self.shared;
        let durable = || shared.groups.in_use() && shared.groups.claims().has_ready(shared.clock.now_ms());
        if shared.intake().has_ready() || durable() {
            shared.outbox.wake();
        }
    }

    /// Starts, once, the task that acts when a time has come: a retry, or a subscription without an answer.
    pub(crate) fn watch_deadlines(self: &Arc<Self>) {
        if std::mem::replace(&mut self.subscribing().watched, true) {
            return self.shared.deadlines.notify_waiters();
        }
        if self.shared.clock.is_virtual() {
            // The broker keeps the time.
            return;
        }
        let core = Arc::downgrade(self);
        let shared = self.shared.clone();
        self.runtime.spawn(async move {
            while shared.lifecycle.state() != State::Closed {
                let changed = shared.deadlines.notified();
                let Some(next) = core.upgrade().map(|core| core.act_on_deadlines()) else { return };
                match next {
                    Some(at) => {
                        let _ = tokio::time::timeout_at(shared.clock.instant(at), changed).await;
                    }
                    None => changed.await,
                }
            }
        });
    }

    /// Does what is due. Returns when the next is.
    pub(crate) fn act_on_deadlines(&self) -> Option<u64> {
        let now = self.shared.clock.now_ms();
        let expired = self.shared.unconfirmed().expired(now);
        for subscription in expired {
            if self.shared.config.mode == Mode::Hybrid {
                // It works here, and the server is asked for it as long as it is wanted.
                self.shared.end_wait(subscription, Ok(()));
                continue;
            }
            let cause = self.shared.lifecycle.watch().borrow().error.clone();
            let why = cause.map_or_else(|| "no confirmation from the server".to_owned(), |e| e.message);
            let why = format!("not subscribed in time: {why}");
            if !self.unsubscribe(subscription, ErrorKind::CommandTimeout, &why) {
                // A join, which takes itself back.
                self.shared.end_wait(subscription, Err(BusError::new(ErrorKind::CommandTimeout, why)));
            }
        }
        let intake = self.shared.intake();
        let (ready, retry) = (intake.deliveries.has_due(now), intake.deliveries.next_due(now));
        drop(intake);
        if ready {
            self.shared.outbox.wake();
        }
        let groups = self.shared.groups_due();
        [retry, self.shared.unconfirmed().next_deadline(), groups].into_iter().flatten().min()
    }

    fn refuse_publishes(&self) {
        *self.accepting.write().unwrap_or_else(PoisonError::into_inner) = false;
    }

    pub(crate) async fn administer(&self, method: &str, arguments: &str) -> Result<Value, BusError> {
        let arguments: Value = serde_json::from_str(arguments).map_err(|e| {
            BusError::new(ErrorKind::InvalidOptions, format!("the arguments cannot be read as JSON: {e}"))
        })?;
        if self.shared.lifecycle.state() == State::Closed {
            return Err(BusError::new(ErrorKind::Closed, "the client is closed"));
        }
        let ClientState { config, recent, .. } = &*self.shared;
        let store = self.transport.store();
        let context = admin::Context::new(store, config, &self.instance_id, recent.clone());
        let removed = (method == "streams.removeGroup").then(|| arguments.clone());
        let answer = admin::call(&context, method, arguments).await;
        if let Some(removed) = removed.filter(|_| answer.is_ok()) {
            let named = |name: &str| removed.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            self.shared.forget_group(&(named("name"), named("group")));
        }
        answer
    }

    /// The first stage of closing: nothing more is taken in.
    pub(crate) fn stop_deliveries(&self) {
        let numbering = self.subscribing();
        let unused = self.shared.close();
        self.transport.unsubscribe(unused);
        drop(numbering);
        if self.shared.groups.in_use() {
            self.shared.stop_groups();
        }
        let waiting = self.shared.unconfirmed().all();
        for subscription in waiting {
            self.shared
                .end_wait(subscription, Err(BusError::new(ErrorKind::Closed, "the client was closed")));
        }
    }

    /// Waits for running handlers, which may still publish, and then for publishes.
    pub(crate) async fn finish(&self) {
        let live = async {
            loop {
                let changed = self.shared.deadlines.notified();
                if self.shared.intake().deliveries.running() == 0 {
                    break;
                }
                changed.await;
            }
        };
        tokio::join!(live, self.shared.finish_groups(), self.leave_all());
        self.refuse_publishes();
        self.transport.flush().await;
    }

    pub(crate) fn close(&self) {
        self.refuse_publishes();
        self.stop_deliveries();
        self.transport.close();
        if self.shared.lifecycle.close() {
            self.shared.notice(Notice::Closed);
        }
        self.shared.deadlines.notify_waiters();
        // Those that wait for groups see that it is over.
        self.shared.kick();
        self.shared.groups.changed.notify_waiters();
    }
}

/// Waits until the client is ready. With `fail_early` what only a person can mend ends the wait.
pub(crate) async fn ready(shared: &ClientState, fail_early: bool) -> Result<(), BusError> {
    let mut watch = shared.lifecycle.watch();
    loop {
        let seen = watch.borrow_and_update().clone();
        match (seen.state, seen.error) {
            (State::Ready, _) => return Ok(()),
            (State::Draining | State::Closed, _) => {
                return Err(BusError::new(ErrorKind::Closed, "the client is closed"));
            }
            (_, Some(error)) if fail_early && is_fatal(&error) => return Err(error),
            _ => {}
        }
        if watch.changed().await.is_err() {
            return Err(BusError::new(ErrorKind::Closed, "the client is gone"));
        }
    }
}
