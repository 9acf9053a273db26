//! The client: takes the host's calls, none of which blocks, and answers through [`Client::drain`].
//! `core` is what is behind it.

mod core;

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use oxbus_model::config::{Config, Mode};
use oxbus_model::delivery::{DURABLE_TOKEN, Settlement};
use oxbus_model::observe::stats::{Parts, Snapshot};
use oxbus_model::options::names::check_pattern;
use oxbus_model::options::subscribe::SubscribeOptions;
use oxbus_model::{BusError, ErrorKind};
use serde_json::Value;
use tokio::runtime::Handle;

use crate::groups::Durable;
use crate::host::{Drained, Host, Notice};
use crate::memory::Broker;
use crate::observe::health;
use crate::publish::encoder::only_in_hybrid;
use crate::receive::confirmations::Waiter;
use crate::runtime::clock;
use crate::state::lifecycle::State;
use crate::transport::Submission;

pub(crate) use core::Core;
use core::ready;

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
    pub(crate) core: Arc<Core>,
}

impl Client {
    /// A client; no I/O. `broker` is what a client in memory mode publishes to, and is ignored in others.
    pub fn new(config: Config, broker: Option<Arc<Broker>>, host: Arc<dyn Host>, runtime: Handle) -> Client {
        let core = Core::new(config, broker, host, runtime);
        Client { core }
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
    /// `connectTimeout`) with what went wrong, while the client goes on trying. At once with `lazyConnect` and
    /// in hybrid mode.
    pub fn connect(&self, ticket: u32, timeout: Option<u64>) {
        let shared = &self.core.shared;
        self.core.start();
        let mode = shared.config.mode;
        if mode == Mode::Hybrid || (shared.config.redis.lazy_connect && mode.has_server()) {
            return shared.outbox.reply(ticket, self.check_open().map(|()| Value::Null));
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
            let all = async {
                ready(&shared, report_cause).await?;
                shared.streams_ensured().await;
                Ok(())
            };
            let result = match tokio::time::timeout(limit, all).await {
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
        // Held until they are handed over: `finish` must not flush in between.
        let accepting = self.core.accepting.read().unwrap_or_else(PoisonError::into_inner);
        if !*accepting {
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
            self.core.start();
            self.core.transport.publish(Submission { batch, count: admitted, text });
        }
    }

    /// Settles a publish as aborted, unless it is settled.
    pub fn cancel(&self, batch: u32, index: u32) {
        self.core.transport.cancel(batch, index);
    }

    /// Subscribes. The reply comes when the server has confirmed it; on failure nothing is left behind. In hybrid
    /// mode a live subscription works at once, so that it does not fail for want of an answer: the reply comes as
    /// soon as the server is known to be away, or when the time for the answer is over.
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
        if options.durable.is_none() && !shared.config.pubsub {
            let message = "a bus that only stores has no live events: give the subscription a group";
            return Err(BusError::new(ErrorKind::NoStream, message));
        }
        if options.local_only && shared.config.mode != Mode::Hybrid {
            return Err(only_in_hybrid("localOnly"));
        }
        self.check_open()?;
        let mut numbering = self.core.subscribing();
        let subscription = self.core.next_number(&mut numbering);
        if options.durable.is_some() {
            let (patterns, given) = (patterns.to_vec(), options.clone());
            shared.subscribe_durable(Durable { subscription, ticket, patterns, options: given })?;
            drop(numbering);
            self.core.watch_deadlines();
            return Ok(Subscribed { subscription, options });
        }
        let server_subscriptions = shared.add(subscription, patterns, &options)?;
        transport.start();
        let deadline = shared.clock.now_ms().saturating_add(shared.config.redis.command_timeout);
        shared.unconfirmed().add(subscription, Waiter::Ticket(ticket), &server_subscriptions, deadline);
        let confirmed = server_subscriptions.is_empty();
        transport.subscribe(server_subscriptions);
        if confirmed || shared.is_local_only() {
            shared.end_wait(subscription, Ok(()));
        }
        drop(numbering);
        self.core.watch_deadlines();
        Ok(Subscribed { subscription, options })
    }

    /// `CLOSED` once the client closes.
    pub(crate) fn check_open(&self) -> Result<(), BusError> {
        if matches!(self.state(), State::Draining | State::Closed) {
            return Err(BusError::new(ErrorKind::Closed, "the client is closed"));
        }
        Ok(())
    }

    /// Whether a room or a user is joined.
    pub fn has_joined(&self) -> bool {
        self.core.shared.router().memberships() > 0
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
        let shared = &self.core.shared;
        shared.intake().deliveries.pause(subscription, paused);
        if shared.groups.in_use() {
            shared.groups.claims().pause(subscription, paused);
            shared.kick();
        }
        self.core.wake_if_ready();
    }

    /// Ends handler calls: (token, settlement, microseconds that the handler ran).
    pub fn settle(&self, settlements: impl IntoIterator<Item = (u32, Settlement, u32)>) {
        let shared = &self.core.shared;
        let mut failed = false;
        let now = shared.clock.now_ms();
        let mut intake = shared.intake();
        // Locked only when needed, and always after the intake.
        let mut claims = None;
        for (token, settlement, microseconds) in settlements {
            let change = if token & DURABLE_TOKEN == 0 {
                failed |= settlement != Settlement::Succeeded;
                intake.settle(token, settlement, microseconds.into(), now)
            } else {
                let claims = claims.get_or_insert_with(|| shared.groups.claims());
                let (tally, change) = claims.settle(token, settlement, now, clock::random);
                intake.measures.ended(claims.take_ended(), settlement, microseconds.into());
                intake.measures.count(tally);
                change.map(|c| Notice::Circuit { subscription: c.subscription, state: c.state })
            };
            if let Some(notice) = change {
                shared.notice(notice);
            }
        }
        let (idle, mut ready) = (intake.deliveries.running() == 0, intake.has_ready());
        let durable = claims.is_some();
        if let Some(claims) = claims {
            ready |= claims.has_ready(now);
        }
        drop(intake);
        if durable {
            shared.kick();
        }
        if ready {
            shared.outbox.wake();
        }
        if failed || (idle && self.state() == State::Draining) {
            shared.deadlines.notify_waiters();
        }
    }

    /// What a handler of a durable event threw, as JSON; before the call is settled as failed.
    pub fn explain(&self, token: u32, error: String) {
        self.core.shared.groups.claims().explain(token, error.into());
    }

    /// A handler call that had timed out has ended after all.
    pub fn zombie_ended(&self, token: u32) {
        let shared = &self.core.shared;
        shared.stats.zombie_handlers.subtract(1);
        if token & DURABLE_TOKEN != 0 {
            shared.groups.claims().finish_timed_out(token, shared.clock.now_ms());
            shared.kick();
            self.core.wake_if_ready();
        }
    }

    /// Takes everything that is ready, at most [`DRAIN_LIMIT`] deliveries; the rest is announced by another wake.
    pub fn drain(&self) -> Drained {
        let shared = &self.core.shared;
        let mut drained = shared.outbox.take();
        let mut intake = shared.intake();
        intake.take((DRAIN_LIMIT, DRAIN_BYTES), &mut drained.deliveries, &mut drained.notices);
        let mut more = intake.has_ready();
        drop(intake);
        if shared.groups.in_use() {
            more |= self.drain_claims(&mut drained);
        }
        if more {
            shared.outbox.wake();
        }
        drained
    }

    /// Takes entries of groups. Returns whether there are more.
    fn drain_claims(&self, drained: &mut Drained) -> bool {
        let shared = &self.core.shared;
        let now = shared.clock.now_ms();
        let first = drained.deliveries.len();
        let taken: usize = drained.deliveries.iter().map(|d| d.event.json.len()).sum();
        let limit = (DRAIN_LIMIT.saturating_sub(first), DRAIN_BYTES.saturating_sub(taken));
        let mut claims = shared.groups.claims();
        for change in claims.take(now, limit, &mut drained.deliveries) {
            drained.notices.push(Notice::Circuit { subscription: change.subscription, state: change.state });
        }
        let more = claims.has_ready(now);
        drop(claims);
        let durable = drained.deliveries.get(first..).unwrap_or_default();
        if !durable.is_empty() {
            shared.intake().measures.handed_out(durable);
        }
        more
    }

    /// The counters and gauges.
    pub fn stats(&self) -> Snapshot {
        let shared = &self.core.shared;
        let (subscriptions, globs) = shared.router().counts();
        let claims = shared.groups.claims();
        let (durable, (_, claimed_bytes)) = (claims.subscriptions(), claims.waiting());
        drop(claims);
        let intake = shared.intake();
        let parts = Parts {
            active_subscriptions: (subscriptions + durable) as u64,
            pattern_subscriptions: globs as u64,
            in_flight: shared.admission.in_flight() as u64,
            messages_per_second: intake.measures.received.per_second(shared.clock.now_ms()),
            latency: &intake.measures.latency,
            handler_duration: &intake.measures.handler_duration,
            mode: shared.link_mode(),
            uptime: shared.clock.now_ms(),
            memory: (intake.deliveries.waiting_bytes() + shared.admission.bytes() + claimed_bytes) as u64,
        };
        Snapshot::new(&shared.stats, parts)
    }

    /// Replies when what [`Client::metrics`] tells of streams is not older than 10 s, or could not be asked for;
    /// within a second.
    pub fn refresh_metrics(&self, ticket: u32) {
        let core = self.core.clone();
        self.core.runtime.spawn(async move {
            core.shared.refresh_gauges().await;
            core.shared.outbox.reply(ticket, Ok(Value::Null));
        });
    }

    /// All metrics in the text format of Prometheus 0.0.4, as they are now.
    pub fn metrics(&self) -> String {
        self.core.shared.metrics_text(&self.stats())
    }

    /// Answers a question about streams, dead letters or past events; `arguments` is JSON.
    pub fn request(&self, ticket: u32, method: String, arguments: String) {
        let core = self.core.clone();
        self.core.answer(ticket, async move { core.administer(&method, &arguments).await });
    }

    /// Whether nothing is under way that would change anything by itself, but for what time and the
    /// handlers that run bring: those the host knows.
    pub fn is_idle(&self) -> bool {
        let shared = &self.core.shared;
        let intake = shared.intake();
        let live = !intake.has_ready();
        drop(intake);
        let claims = shared.groups.claims();
        live && !claims.has_ready(shared.clock.now_ms())
            && shared.admission.in_flight() == 0
            && self.core.requests.load(Ordering::Acquire) == 0
            && shared.outbox.is_empty()
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
