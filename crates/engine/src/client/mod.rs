//! The client: takes the host's calls, none of which blocks, and answers through [`Client::drain`].
//!
//! - this file: the calls, but for those of `handling`: events are taken for handlers, and settled.
//! - `core`: what is behind them; `readiness`: waiting until it is ready; `deadlines`: what it does when a time has come; `assembly`: how it is made.
//! - `closing`: how it ends.
//! - `observer`: what an observer is refused; `transport_events`: what becomes of the reports of its transport.

mod assembly;
mod closing;
mod core;
mod deadlines;
mod handling;
mod observer;
mod readiness;
mod subscribed;
#[cfg(test)]
mod tests;
mod transport_events;

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use oxbus_model::config::{Config, Mode};
use oxbus_model::observe::stats::{Parts, Snapshot};
use oxbus_model::options::names::check_pattern;
use oxbus_model::options::subscribe::{MatchBy, SubscribeOptions};
use oxbus_model::submission::Records;
use oxbus_model::{BusError, ErrorKind};
use serde_json::Value;
use tokio::runtime::Handle;

use crate::groups::DurableSubscription;
use crate::host::{Host, Notice};
use crate::memory::Broker;
use crate::observe::link_mode::{is_local_only, link_mode};
use crate::observe::{health, prometheus};
use crate::publish::encoder::only_in_hybrid;
use crate::receive::confirmations::Waiter;
use crate::rooms::Joinable;
use crate::state::lifecycle::State;
use crate::state::numbers::SubscriptionNumbers;
use crate::transport::{Submission, Transport};

pub use closing::DRAIN_TIMEOUT;
use core::Core;
pub use readiness::NO_LIMIT;
pub use subscribed::Subscribed;
#[cfg(test)]
pub(crate) use transport_events::ClientEvents;

/// Deliveries in one [`Client::drain`]: enough to make the crossing cheap, few enough that a host's
/// other work gets its turn.
pub const DRAIN_LIMIT: usize = 256;

/// Bytes of events in one [`Client::drain`]; the event that reaches it is the last. V8 gives every
/// string beyond 128 KiB pages of its own, which costs more than it takes to parse a small event. Of what does not cross as JSON text
/// a quarter counts ([`Delivery::share`](oxbus_model::delivery::Delivery::share)).
pub const DRAIN_BYTES: usize = 96 * 1024;

/// The patterns of one subscription at the most.
const MAX_PATTERNS: usize = 1024;

/// A bus client. Dropping it closes its connections at once.
pub struct Client {
    core: Arc<Core>,
}

impl Client {
    /// A client; no I/O. `broker` is what a client in memory mode publishes to, and is ignored in others.
    pub fn new(config: Config, broker: Option<Arc<Broker>>, host: Arc<dyn Host>, runtime: Handle) -> Client {
        Client { core: assembly::assemble(config, broker, host, runtime) }
    }

    /// A client over any transport.
    #[cfg(test)]
    pub(crate) fn over(
        config: Config,
        host: Arc<dyn Host>,
        clock: crate::runtime::clock::Clock,
        runtime: Handle,
        transport: impl FnOnce(&Arc<ClientEvents>) -> Arc<dyn crate::transport::Transport>,
    ) -> Client {
        Client { core: assembly::over(config, host, clock, runtime, transport) }
    }

    /// Unique for this client.
    pub fn instance_id(&self) -> &str {
        self.core.state.origin.instance_id()
    }

    /// What the client is doing.
    pub fn state(&self) -> State {
        self.core.state.lifecycle.state()
    }

    /// Connects. The reply comes when the client is ready; or after `timeout` milliseconds (default:
    /// `connectTimeout`; [`NO_LIMIT`]: never) with what went wrong, while the client goes on trying; or at once with
    /// what only a person can mend. At once with `lazyConnect` and in hybrid mode.
    pub fn connect(&self, ticket: u32, timeout: Option<u64>) {
        let state = &self.core.state;
        self.core.start();
        let mode = state.config.mode;
        if mode == Mode::Hybrid || (state.config.redis.lazy_connect && mode.has_server()) {
            return state.completions.reply(ticket, state.lifecycle.check_open().map(|()| Value::Null));
        }
        readiness::reply_when_ready(&self.core, ticket, timeout, true);
    }

    /// Replies when the client is ready, or with `CONNECT_TIMEOUT`; without a limit also with what only a person can
    /// mend. Does not connect by itself.
    pub fn wait_until_ready(&self, ticket: u32, timeout: Option<u64>) {
        readiness::reply_when_ready(&self.core, ticket, timeout, false);
    }

    /// Publishes `count` records (see [`oxbus_model::submission`]). Each is settled exactly once.
    pub fn publish(&self, batch: u32, count: u32, records: impl Into<Records>) {
        self.hand_over(batch, count, records.into(), |transport, submission| transport.publish(submission));
    }

    /// As `publish`. In hybrid mode the server gets them with `send_held`, or with whatever is published next, so that this
    /// client's own handlers can run before a thread is woken for it.
    pub fn publish_here_first(&self, batch: u32, count: u32, records: impl Into<Records>) {
        let publish = |transport: &dyn Transport, submission| transport.publish_here_first(submission);
        self.hand_over(batch, count, records.into(), publish);
    }

    /// Sends the server what `publish_here_first` has held.
    pub fn send_held(&self) {
        self.core.transport.send_held();
    }

    fn hand_over(
        &self,
        batch: u32,
        count: u32,
        records: Records,
        publish: impl FnOnce(&dyn Transport, Submission),
    ) {
        let state = &self.core.state;
        if state.config.observe {
            let why = observer::PUBLISHES_NOTHING;
            return state.completions.refused(batch, 0..count, ErrorKind::InvalidOptions, why);
        }
        // Held until they are handed over: `finish` must not flush in between.
        let accepting = self.core.accepting.read().unwrap_or_else(PoisonError::into_inner);
        if !*accepting {
            return state.completions.refused(batch, 0..count, ErrorKind::Closed, "the client is closed");
        }
        let admitted = state.admission.admit(count as usize, records.bytes());
        // At most `count`, so it fits.
        let admitted = u32::try_from(admitted).unwrap_or(count);
        if admitted < count {
            let why = "too many publishes are in flight";
            state.completions.refused(batch, admitted..count, ErrorKind::QueueFull, why);
        }
        if admitted > 0 {
            self.core.start();
            publish(&*self.core.transport, Submission { batch, count: admitted, records });
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
        let Core { state, transport, groups, tasks, .. } = &*self.core;
        let _log = tasks.log();
        if patterns.is_empty() || patterns.len() > MAX_PATTERNS {
            let message =
                format!("a subscription takes 1 to {MAX_PATTERNS} patterns, not {}", patterns.len());
            return Err(BusError::new(ErrorKind::InvalidPattern, message));
        }
        patterns.iter().try_for_each(|p| check_pattern(p))?;
        let options = SubscribeOptions::parse(options, &state.config.retry)?;
        observer::check_subscription(&state.config, &options)?;
        if options.durable.is_none() && !state.config.pubsub {
            match &self.core.tail {
                Some(tail) => tail.check(patterns, options.by == MatchBy::Channel)?,
                None => {
                    let message = "a bus that only stores has no live events: give the subscription a group";
                    return Err(BusError::new(ErrorKind::NoStream, message));
                }
            }
        }
        if options.local_only && state.config.mode != Mode::Hybrid {
            return Err(only_in_hybrid("localOnly"));
        }
        state.lifecycle.check_open()?;
        let mut numbers = state.numbers();
        let subscription = self.core.next_number(&mut numbers);
        if options.durable.is_some() {
            let (patterns, given) = (patterns.to_vec(), options.clone());
            let durable = DurableSubscription { subscription, ticket, patterns, options: given };
            let streams = groups.subscribe(durable)?;
            drop(numbers);
            self.core.keep_time();
            return Ok(Subscribed { subscription, options, streams });
        }
        let mut server_subscriptions = state.add_subscription(subscription, patterns, &options)?;
        transport.start();
        let tail = self.core.tail.as_ref().filter(|_| !options.local_only);
        if !state.config.pubsub {
            // Nothing comes on channels.
            server_subscriptions.clear();
        }
        let awaited: Vec<_> =
            server_subscriptions.iter().cloned().chain(tail.map(|tail| tail.awaited())).collect();
        let deadline = state.confirmation_deadline(&options);
        state.confirmations.add(subscription, Waiter::Ticket(ticket), &awaited, deadline);
        if state.config.pubsub {
            transport.subscribe(server_subscriptions);
        }
        tail.iter().for_each(|tail| tail.start());
        let confirmed = awaited.is_empty();
        if confirmed || is_local_only(state) {
            state.confirmations.end_wait(subscription, Ok(()));
        }
        drop(numbers);
        self.core.keep_time();
        Ok(Subscribed { subscription, options, streams: Vec::new() })
    }

    /// Whether a room or a user is joined.
    pub fn has_joined(&self) -> bool {
        self.core.memberships.any()
    }

    /// Joins a room or a user: its events reach the subscriptions by type, and `member` (default: the service name
    /// and the instance id) is listed in the room. The reply, whether the member is new, comes when the server has
    /// confirmed both; on failure nothing is left behind. In hybrid mode it comes at once when the server is known
    /// to be away; the server is told when it is back.
    ///
    /// # Errors
    /// `INVALID_OPTIONS`, `CLOSED`, `NO_STREAM` where nothing is live, `QUEUE_FULL` beyond
    /// [`MAX_MEMBERSHIPS`](oxbus_model::presence::MAX_MEMBERSHIPS): nothing was done.
    pub fn join(
        &self,
        ticket: u32,
        what: Joinable,
        name: &str,
        member: Option<String>,
    ) -> Result<(), BusError> {
        let core = self.core.clone();
        observer::check_join(&core.state.config, what, name)?;
        let _log = core.tasks.log();
        let next_number = |numbers: &mut SubscriptionNumbers| core.next_number(numbers);
        let join = core.memberships.begin_join(what, name, member, next_number)?;
        core.keep_time();
        self.core.answer(ticket, async move { core.memberships.finish_join(join).await });
        Ok(())
    }

    /// Leaves a room or a user: one member, or all of this client. The reply, whether there was any, comes when
    /// its events reach no subscription by type any more, and the store knows of it or could not be told: then it
    /// is told later, or the membership expires.
    ///
    /// # Errors
    /// `INVALID_OPTIONS`: nothing was done.
    pub fn leave(
        &self,
        ticket: u32,
        what: Joinable,
        name: &str,
        member: Option<String>,
    ) -> Result<(), BusError> {
        let _log = self.core.tasks.log();
        let left = self.core.memberships.leave(what, name, member.as_deref())?;
        let (core, room) = (self.core.clone(), Arc::from(name));
        self.core.answer(ticket, async move {
            if left > 0 && what == Joinable::Room {
                core.memberships.finish_leave(&room).await;
            }
            Ok(Value::from(left > 0))
        });
        Ok(())
    }

    /// Ends a subscription: no new handler call starts. The reply says whether there was one of that number.
    pub fn unsubscribe(&self, ticket: u32, subscription: u32) {
        let _log = self.core.tasks.log();
        let found = self.core.unsubscribe(subscription, ErrorKind::Aborted, "the subscription was ended");
        self.core.state.completions.reply(ticket, Ok(found.into()));
    }

    /// Reports a fault that no call waits for.
    pub fn report(&self, fault: BusError) {
        self.core.state.notice(Notice::Error(fault));
    }

    /// The counters and gauges.
    pub fn stats(&self) -> Snapshot {
        let state = &self.core.state;
        let (subscriptions, globs) = state.router().counts();
        let claims = state.groups.claims();
        let (durable, (_, claimed_bytes)) = (claims.subscriptions(), claims.waiting());
        drop(claims);
        let queue = state.live_queue();
        let parts = Parts {
            active_subscriptions: (subscriptions + durable) as u64,
            pattern_subscriptions: globs as u64,
            in_flight: state.admission.in_flight() as u64,
            messages_per_second: queue.metrics.received.per_second(state.clock.now_ms()),
            latency: &queue.metrics.latency,
            handler_duration: &queue.metrics.handler_duration,
            mode: link_mode(state),
            uptime: state.clock.now_ms(),
            memory: (queue.deliveries.waiting_bytes() + state.admission.bytes() + claimed_bytes) as u64,
        };
        Snapshot::new(&state.stats, parts)
    }

    /// Replies when what [`Client::metrics`] tells of streams is not older than 10 s, or could not be asked for;
    /// within a second.
    pub fn refresh_metrics(&self, ticket: u32) {
        let core = self.core.clone();
        self.core.tasks.spawn(async move {
            core.gauges.refresh(&core.state, &*core.transport.store()).await;
            core.state.completions.reply(ticket, Ok(Value::Null));
        });
    }

    /// All metrics in the text format of Prometheus 0.0.4, as they are now.
    pub fn metrics(&self) -> String {
        prometheus::text(&self.core.state, &self.core.gauges, &self.stats())
    }

    /// Answers a question about streams, dead letters or past events; `arguments` is JSON.
    pub fn request(&self, ticket: u32, method: String, arguments: String) {
        let core = self.core.clone();
        self.core.answer(ticket, async move { core.administer(&method, &arguments).await });
    }

    /// True when no queued event, no publish in flight and no request without a reply is left. Timers and running
    /// handlers are not counted: the host knows of them.
    pub fn is_idle(&self) -> bool {
        let state = &self.core.state;
        let queue = state.live_queue();
        let live = !queue.has_ready();
        drop(queue);
        let claims = state.groups.claims();
        live && !claims.has_ready(state.clock.now_ms())
            && state.admission.in_flight() == 0
            && self.core.requests.load(Ordering::Acquire) == 0
            && state.completions.is_empty()
    }

    /// Replies with the health report, within a second whatever is broken.
    pub fn health(&self, ticket: u32) {
        let core = self.core.clone();
        self.core.tasks.spawn(async move {
            let report = health::report(&core.state, &*core.transport).await;
            core.state.completions.reply(ticket, Ok(report));
        });
    }

    /// Drains and closes: nothing more is delivered, running handlers and publishes get `timeout`
    /// milliseconds (default [`DRAIN_TIMEOUT`]) to finish. The reply comes when all is closed: null, or what was not
    /// finished in that time, `{ publishes, settled }`. It is null as well where another call closes the client.
    pub fn disconnect(&self, ticket: u32, timeout: Option<u64>) {
        let core = self.core.clone();
        let _log = self.core.tasks.log();
        let first = core.state.lifecycle.drain();
        if first {
            core.stop_deliveries();
        }
        self.core.tasks.spawn(async move {
            let unfinished = match first {
                true => closing::close_drained(&core, timeout.unwrap_or(DRAIN_TIMEOUT)).await,
                false => closing::wait_until_closed(&core).await,
            };
            core.state.completions.reply(ticket, Ok(unfinished));
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
