//! The client: takes the host's calls, none of which blocks, and answers through [`Client::drain`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oxbus_model::config::{Config, Mode};
use oxbus_model::delivery::Settlement;
use oxbus_model::names::check_pattern;
use oxbus_model::stats::{LinkMode, Parts, Snapshot};
use oxbus_model::subscribe_options::SubscribeOptions;
use oxbus_model::{BusError, ErrorKind};
use serde_json::Value;
use tokio::runtime::Handle;

use crate::health;
use crate::host::{Drained, Host, Notice};
use crate::lifecycle::{State, is_fatal};
use crate::memory::{Broker, MemoryTransport};
use crate::redis::RedisTransport;
use crate::shared::Shared;
use crate::transport::{Submission, Transport};

/// Deliveries in one [`Client::drain`]: enough to make the crossing cheap, few enough that a host's
/// other work gets its turn.
pub const DRAIN_LIMIT: usize = 256;

/// Bytes of events in one [`Client::drain`]; the event that reaches it is the last. V8 gives every
/// string beyond 128 KiB pages of its own, which costs more than it takes to parse a small event.
pub const DRAIN_BYTES: usize = 96 * 1024;

/// How long [`Client::disconnect`] lets handlers and publishes finish, unless told otherwise.
pub const DRAIN_TIMEOUT: u64 = 10_000;

/// How long closed links may take to settle what they hold.
const SETTLING: Duration = Duration::from_secs(1);

/// The patterns of one subscription at the most.
const MAX_PATTERNS: usize = 1024;

/// A subscription that was accepted; it is confirmed by its ticket.
#[derive(Debug)]
pub struct Subscribed {
    /// Its number.
    pub subscription: u32,
    /// Its options with all defaults.
    pub options: SubscribeOptions,
}

/// A bus client. Dropping it closes its connections at once.
pub struct Client {
    core: Arc<Core>,
}

struct Core {
    shared: Arc<Shared>,
    transport: Arc<dyn Transport>,
    runtime: Handle,
    instance_id: String,
    /// Held while subscriptions are added or removed and the transport is told, so that the removal of
    /// a wire's last subscription cannot overtake the addition of its next.
    subscribing: Mutex<Numbering>,
    /// False once publishes are refused.
    accepting: AtomicBool,
}

#[derive(Default)]
struct Numbering {
    last: u32,
    /// Whether the task that watches over deadlines runs.
    watched: bool,
}

impl Numbering {
    /// The next number that is not taken.
    fn next(&mut self, taken: impl Fn(u32) -> bool) -> u32 {
        loop {
            self.last = self.last.wrapping_add(1);
            if !taken(self.last) {
                return self.last;
            }
        }
    }
}

impl Client {
    /// A client; no I/O. `broker` is what a client in memory mode publishes to, and is ignored in others.
    pub fn new(config: Config, broker: Option<Arc<Broker>>, host: Arc<dyn Host>, runtime: Handle) -> Client {
        let instance_id = uuid::Uuid::new_v4().simple().to_string();
        let mode = config.mode;
        let shared = Arc::new(Shared::new(config, &instance_id, host));
        let transport: Arc<dyn Transport> = match mode {
            Mode::Memory => Arc::new(MemoryTransport::new(shared.clone(), broker.unwrap_or_default())),
            Mode::Redis => Arc::new(RedisTransport::new(shared.clone(), runtime.clone())),
        };
        Client {
            core: Arc::new(Core {
                shared,
                transport,
                runtime,
                instance_id,
                subscribing: Mutex::default(),
                accepting: AtomicBool::new(true),
            }),
        }
    }

    /// Unique for this client.
    pub fn instance_id(&self) -> &str {
        &self.core.instance_id
    }

    /// What the client is doing.
    pub fn state(&self) -> State {
        self.core.shared.lifecycle.state()
    }

    /// Connects. The reply comes when the client is ready; or after `timeout` milliseconds (default:
    /// `connectTimeout`) with what went wrong, while the client goes on trying. At once with `lazyConnect`.
    pub fn connect(&self, ticket: u32, timeout: Option<u64>) {
        let shared = &self.core.shared;
        self.core.transport.start();
        if shared.config.redis.lazy_connect && shared.config.mode == Mode::Redis {
            return shared.outbox.reply(ticket, Ok(Value::Null));
        }
        self.reply_when_ready(ticket, timeout.unwrap_or(shared.config.redis.connect_timeout), true);
    }

    /// Replies when the client is ready, or with `CONNECT_TIMEOUT`. Does not connect by itself.
    pub fn wait_until_ready(&self, ticket: u32, timeout: Option<u64>) {
        let default = self.core.shared.config.redis.connect_timeout;
        self.reply_when_ready(ticket, timeout.unwrap_or(default), false);
    }

    fn reply_when_ready(&self, ticket: u32, timeout: u64, report_cause: bool) {
        let shared = self.core.shared.clone();
        self.core.runtime.spawn(async move {
            let limit = Duration::from_millis(timeout);
            let result = match tokio::time::timeout(limit, ready(&shared, report_cause)).await {
                Ok(result) => result,
                Err(_) => {
                    let cause = shared.lifecycle.watch().borrow().error.clone();
                    let late = |why: String| {
                        BusError::new(ErrorKind::ConnectTimeout, format!("not ready after {timeout} ms{why}"))
                    };
                    Err(match cause {
                        Some(error) if report_cause => error,
                        Some(error) => late(format!(": {}", error.message)),
                        None => late(String::new()),
                    })
                }
            };
            shared.outbox.reply(ticket, result.map(|()| Value::Null));
        });
    }

    /// Publishes `count` records (see [`oxbus_model::submission`]). Each is settled exactly once.
    pub fn publish(&self, batch: u32, count: u32, text: String) {
        let shared = &self.core.shared;
        if !self.core.accepting.load(Ordering::Acquire) {
            return shared.outbox.refused(batch, 0..count, ErrorKind::Closed, "the client is closed");
        }
        let admitted = shared.admission.admit(count as usize, text.len());
        // At most `count`, so it fits.
        let admitted = u32::try_from(admitted).unwrap_or(count);
        if admitted < count {
            let why = "too many publishes are in flight";
            shared.outbox.refused(batch, admitted..count, ErrorKind::QueueFull, why);
        }
        if admitted > 0 {
            self.core.transport.start();
            self.core.transport.publish(Submission { batch, count: admitted, text });
        }
    }

    /// Settles a publish as aborted, unless it is settled.
    pub fn cancel(&self, batch: u32, index: u32) {
        self.core.transport.cancel(batch, index);
    }

    /// Subscribes. The reply comes when the server has confirmed it; on failure nothing is left behind.
    ///
    /// # Errors
    /// `INVALID_PATTERN`, `INVALID_OPTIONS`, `CLOSED`: nothing was done.
    pub fn subscribe(&self, ticket: u32, patterns: &[String], options: &str) -> Result<Subscribed, BusError> {
        let Core { shared, transport, .. } = &*self.core;
        if patterns.is_empty() || patterns.len() > MAX_PATTERNS {
            let message =
                format!("a subscription takes 1 to {MAX_PATTERNS} patterns, not {}", patterns.len());
            return Err(BusError::new(ErrorKind::InvalidPattern, message));
        }
        patterns.iter().try_for_each(|p| check_pattern(p))?;
        let options = SubscribeOptions::parse(options, &shared.config.retry)?;
        if matches!(self.state(), State::Draining | State::Closed) {
            return Err(BusError::new(ErrorKind::Closed, "the client is closed"));
        }
        let mut numbering = self.core.subscribing();
        let subscription = numbering.next(|number| shared.router().contains(number));
        let wires = shared.add(subscription, patterns, &options)?;
        transport.start();
        let deadline = shared.clock.now_ms().saturating_add(shared.config.redis.command_timeout);
        shared.unconfirmed().add(subscription, ticket, &wires, deadline);
        transport.subscribe(wires);
        drop(numbering);
        self.core.watch_deadlines();
        Ok(Subscribed { subscription, options })
    }

    /// Ends a subscription: no new handler call starts. The reply says whether there was one of that number.
    pub fn unsubscribe(&self, ticket: u32, subscription: u32) {
        let found = self.core.unsubscribe(subscription, ErrorKind::Aborted, "the subscription was ended");
        self.core.shared.outbox.reply(ticket, Ok(found.into()));
    }

    /// Reports a fault that no call waits for.
    pub fn report(&self, fault: BusError) {
        self.core.shared.notice(Notice::Error(fault));
    }

    /// Stops or resumes the deliveries of a subscription.
    pub fn pause(&self, subscription: u32, paused: bool) {
        self.core.shared.intake().deliveries.pause(subscription, paused);
        self.core.wake_if_ready();
    }

    /// Ends handler calls: (token, settlement, microseconds that the handler ran).
    pub fn settle(&self, settlements: impl IntoIterator<Item = (u32, Settlement, u32)>) {
        let shared = &self.core.shared;
        let mut failed = false;
        let now = shared.clock.now_ms();
        let mut intake = shared.intake();
        for (token, settlement, microseconds) in settlements {
            failed |= settlement != Settlement::Succeeded;
            if let Some(notice) = intake.settle(token, settlement, microseconds.into(), now) {
                shared.notice(notice);
            }
        }
        let (idle, ready) = (intake.deliveries.running() == 0, intake.has_ready());
        drop(intake);
        if ready {
            shared.outbox.wake();
        }
        if failed || (idle && self.state() == State::Draining) {
            shared.deadlines.notify_waiters();
        }
    }

    /// A handler call that had timed out has ended after all.
    pub fn zombie_ended(&self) {
        self.core.shared.stats.zombie_handlers.subtract(1);
    }

    /// Takes everything that is ready, at most [`DRAIN_LIMIT`] deliveries; the rest is announced by another wake.
    pub fn drain(&self) -> Drained {
        let shared = &self.core.shared;
        let mut drained = shared.outbox.take();
        let mut intake = shared.intake();
        intake.take((DRAIN_LIMIT, DRAIN_BYTES), &mut drained.deliveries, &mut drained.notices);
        let more = intake.has_ready();
        drop(intake);
        if more {
            shared.outbox.wake();
        }
        drained
    }

    /// The counters and gauges.
    pub fn stats(&self) -> Snapshot {
        let shared = &self.core.shared;
        let (subscriptions, globs) = shared.router().counts();
        let intake = shared.intake();
        let parts = Parts {
            active_subscriptions: subscriptions as u64,
            pattern_subscriptions: globs as u64,
            in_flight: shared.admission.in_flight() as u64,
            messages_per_second: intake.received.per_second(shared.clock.now_ms()),
            latency: &intake.latency,
            handler_duration: &intake.handler_duration,
            mode: match shared.config.mode {
                Mode::Memory => LinkMode::Memory,
                Mode::Redis => LinkMode::RedisOnly,
            },
            uptime: shared.clock.now_ms(),
            memory: (intake.deliveries.waiting_bytes() + shared.admission.bytes()) as u64,
        };
        Snapshot::new(&shared.stats, parts)
    }

    /// Replies with the health report, within a second whatever is broken.
    pub fn health(&self, ticket: u32) {
        let core = self.core.clone();
        self.core.runtime.spawn(async move {
            let report = health::report(&core.shared, &*core.transport).await;
            core.shared.outbox.reply(ticket, Ok(report));
        });
    }

    /// Drains and closes: nothing more is delivered, running handlers and publishes get `timeout`
    /// milliseconds (default [`DRAIN_TIMEOUT`]) to finish. The reply comes when all is closed.
    pub fn disconnect(&self, ticket: u32, timeout: Option<u64>) {
        let core = self.core.clone();
        let first = core.shared.lifecycle.drain();
        if first {
            core.stop_deliveries();
        }
        self.core.runtime.spawn(async move {
            let limit = Duration::from_millis(timeout.unwrap_or(DRAIN_TIMEOUT));
            if first {
                // Past the limit what is left is aborted by closing.
                let _ = tokio::time::timeout(limit, core.finish()).await;
                core.close();
                // Settling what is left takes no I/O.
                let _ = tokio::time::timeout(SETTLING, core.transport.ended()).await;
            } else {
                let mut watch = core.shared.lifecycle.watch();
                // The sender lives in `core`, so this ends with the state.
                let _ = watch.wait_for(|seen| seen.state == State::Closed).await;
            }
            core.shared.outbox.reply(ticket, Ok(Value::Null));
        });
    }

    /// Closes at once, without draining. Idempotent.
    pub fn destroy(&self) {
        self.core.close();
    }

    /// Makes a loop (`publisher`, `subscriber`) panic, to prove that it recovers.
    #[cfg(feature = "failpoints")]
    pub fn inject_panic(&self, loop_name: &str) {
        self.core.transport.inject_panic(loop_name);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.core.close();
    }
}

impl Core {
    fn subscribing(&self) -> MutexGuard<'_, Numbering> {
        self.subscribing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unsubscribe(&self, subscription: u32, kind: ErrorKind, why: &str) -> bool {
        let numbering = self.subscribing();
        if !self.shared.router().contains(subscription) {
            return false;
        }
        let unused = self.shared.remove(subscription);
        self.transport.unsubscribe(unused);
        drop(numbering);
        if let Some(ticket) = self.shared.unconfirmed().remove(subscription) {
            self.shared.outbox.reply(ticket, Err(BusError::new(kind, why)));
        }
        true
    }

    fn wake_if_ready(&self) {
        if self.shared.intake().has_ready() {
            self.shared.outbox.wake();
        }
    }

    /// Starts, once, the task that acts when a time has come: a retry, or a subscription without an answer.
    fn watch_deadlines(self: &Arc<Self>) {
        if std::mem::replace(&mut self.subscribing().watched, true) {
            return self.shared.deadlines.notify_waiters();
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
    fn act_on_deadlines(&self) -> Option<u64> {
        let now = self.shared.clock.now_ms();
        let expired = self.shared.unconfirmed().expired(now);
        for subscription in expired {
            let cause = self.shared.lifecycle.watch().borrow().error.clone();
            let why = cause.map_or_else(|| "no confirmation from the server".to_owned(), |e| e.message);
            self.unsubscribe(
                subscription,
                ErrorKind::CommandTimeout,
                &format!("not subscribed in time: {why}"),
            );
        }
        let intake = self.shared.intake();
        let (ready, retry) = (intake.deliveries.has_due(now), intake.deliveries.next_due(now));
        drop(intake);
        if ready {
            self.shared.outbox.wake();
        }
        [retry, self.shared.unconfirmed().next_deadline()].into_iter().flatten().min()
    }

    /// The first stage of closing: nothing more is taken in.
    fn stop_deliveries(&self) {
        let numbering = self.subscribing();
        let unused = self.shared.close();
        self.transport.unsubscribe(unused);
        drop(numbering);
        let waiting = self.shared.unconfirmed().all();
        for subscription in waiting {
            if let Some(ticket) = self.shared.unconfirmed().remove(subscription) {
                let error = BusError::new(ErrorKind::Closed, "the client was closed");
                self.shared.outbox.reply(ticket, Err(error));
            }
        }
    }

    /// Waits for running handlers, which may still publish, and then for publishes.
    async fn finish(&self) {
        loop {
            let changed = self.shared.deadlines.notified();
            if self.shared.intake().deliveries.running() == 0 {
                break;
            }
            changed.await;
        }
        self.accepting.store(false, Ordering::Release);
        self.transport.flush().await;
    }

    fn close(&self) {
        self.accepting.store(false, Ordering::Release);
        self.stop_deliveries();
        self.transport.close();
        if self.shared.lifecycle.close() {
            self.shared.notice(Notice::Closed);
        }
        self.shared.deadlines.notify_waiters();
    }
}

async fn ready(shared: &Shared, fail_early: bool) -> Result<(), BusError> {
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
