//! What a client is made of, and what its transport reports.

pub(crate) mod lifecycle;
pub(crate) mod recent_events;
pub(crate) mod transport_events;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use oxbus_model::codec::Codec;
use oxbus_model::codec::new_event::Origin;
use oxbus_model::config::Config;
use oxbus_model::observe::metrics::Types;
use oxbus_model::observe::stats::Stats;
use oxbus_model::options::subscribe::{MatchBy, SubscribeOptions};
use oxbus_model::routing::channel::Channels;
use oxbus_model::routing::router::{Router, ServerSubscription};
use oxbus_model::{BusError, ErrorKind};
use serde_json::Value;
use tokio::sync::Notify;

use crate::groups::Groups;
use crate::host::completions::Completions;
use crate::host::{Host, Notice};
use crate::observe::prometheus::Metrics;
use crate::publish::admission::Admission;
use crate::receive::confirmations::{Confirmations, Waiter};
use crate::receive::live_queue::LiveQueue;
use crate::rooms::presence::Presence;
use crate::runtime::clock::Clock;
use lifecycle::Lifecycle;
use recent_events::RecentEvents;

pub(crate) struct ClientState {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Clock,
    pub(crate) channels: Channels,
    pub(crate) origin: Origin,
    pub(crate) stats: Arc<Stats>,
    /// Event types and their numbers, for what is counted by them.
    pub(crate) types: Arc<Types>,
    pub(crate) metrics: Metrics,
    pub(crate) outbox: Completions,
    pub(crate) admission: Admission,
    pub(crate) lifecycle: Lifecycle,
    /// Wakes the task that watches over deadlines; they have changed.
    pub(crate) deadlines: Notify,
    /// Whether it was reported that broadcasts are not received.
    broadcast_denied: AtomicBool,
    router: RwLock<Router>,
    intake: Mutex<LiveQueue>,
    unconfirmed: Mutex<Confirmations>,
    /// In hybrid mode, whether it was reported that events stay here.
    pub(crate) told_local_only: Mutex<bool>,
    /// The consumer groups.
    pub(crate) groups: Groups,
    /// What the store knows of the rooms that were joined.
    pub(crate) presence: Presence,
    /// What this client published and received lately, where events are kept.
    pub(crate) recent: Arc<Mutex<RecentEvents>>,
}

impl ClientState {
    pub(crate) fn new(config: Config, instance_id: &str, host: Arc<dyn Host>, clock: Clock) -> Self {
        let channels = Channels::new(config.channel_prefix.clone());
        let stats = Arc::new(Stats::default());
        let intake = LiveQueue::new(clock.clone(), stats.clone());
        let types = Arc::new(Types::default());
        let groups = Groups::new(&config, instance_id, types.clone());
        ClientState {
            origin: Origin::new(&config.service_name, instance_id),
            admission: Admission::new(
                config.performance.max_in_flight,
                config.performance.max_in_flight_bytes,
            ),
            outbox: Completions::new(host),
            lifecycle: Lifecycle::new(),
            deadlines: Notify::new(),
            broadcast_denied: AtomicBool::new(false),
            router: RwLock::new(Router::new(channels.clone())),
            intake: Mutex::new(intake),
            unconfirmed: Mutex::default(),
            told_local_only: Mutex::new(false),
            groups,
            types,
            metrics: Metrics::default(),
            presence: Presence::default(),
            recent: Arc::default(),
            config: Arc::new(config),
            clock,
            channels,
            stats,
        }
    }

    /// Which subscriptions there are, and where messages go.
    pub(crate) fn router(&self) -> RwLockReadGuard<'_, Router> {
        // As with the intake below: going on with it is better than a client that is deaf for good.
        self.router.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a subscription. Returns the server subscriptions that it needs.
    pub(crate) fn add(
        &self,
        subscription: u32,
        patterns: &[String],
        options: &SubscribeOptions,
    ) -> Result<Vec<ServerSubscription>, BusError> {
        self.intake().add(subscription, options)?;
        let by_channel = options.by == MatchBy::Channel;
        let mut router = self.router.write().unwrap_or_else(PoisonError::into_inner);
        if options.local_only {
            router.add_local(subscription, patterns, by_channel);
            return Ok(Vec::new());
        }
        Ok(router.add(subscription, patterns, by_channel))
    }

    /// Joins a room or a user. Returns the server subscription that it needs, and whether the member is new.
    pub(crate) fn add_member(&self, name: &str, member: &Arc<str>) -> (ServerSubscription, bool) {
        self.router.write().unwrap_or_else(PoisonError::into_inner).join(name, member)
    }

    /// Leaves it. Returns how many have left, and the server subscription if nobody needs it any more.
    pub(crate) fn remove_member(
        &self,
        name: &str,
        member: Option<&str>,
    ) -> (usize, Option<ServerSubscription>) {
        self.router.write().unwrap_or_else(PoisonError::into_inner).leave(name, member)
    }

    /// Removes a subscription. Returns the server subscriptions that nobody needs any more.
    pub(crate) fn remove(&self, subscription: u32) -> Vec<ServerSubscription> {
        let unused = self.router.write().unwrap_or_else(PoisonError::into_inner).remove(subscription);
        self.intake().remove(subscription);
        unused
    }

    /// Removes all subscriptions and takes nothing more in. Returns the server subscriptions that there were.
    pub(crate) fn close(&self) -> Vec<ServerSubscription> {
        let unused = self.router.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.intake().close();
        unused
    }

    /// What has come in and waits for handlers.
    pub(crate) fn intake(&self) -> MutexGuard<'_, LiveQueue> {
        // After a panic under the lock the tables may be off by one event; losing that one, which is
        // counted as an INTERNAL error, is better than a client that is deaf for good.
        self.intake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn unconfirmed(&self) -> MutexGuard<'_, Confirmations> {
        self.unconfirmed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an event that was received among the recent ones, where events are kept at all. The event is given as
    /// the JSON that handlers get.
    pub(crate) fn keep_received(&self, json: &str) {
        self.keep_recent(Codec::OF_EVENT_JSON, json.as_bytes());
    }

    /// Keeps an event that was published among the recent ones, where events are kept at all. The event is given as
    /// the message that was sent.
    pub(crate) fn keep_published(&self, message: &[u8]) {
        self.keep_recent(self.config.codec, message);
    }

    fn keep_recent(&self, codec: Codec, message: &[u8]) {
        if self.config.persistence.is_some()
            && let Ok(text) = std::str::from_utf8(message)
        {
            self.recent.lock().unwrap_or_else(PoisonError::into_inner).keep(codec, text);
        }
    }

    /// Reports something that no call waits for.
    pub(crate) fn notice(&self, notice: Notice) {
        self.outbox.notice(notice);
    }

    pub(crate) fn log(&self, level: &'static str, message: impl Into<String>, fields: Value) {
        self.notice(Notice::Log { level, message: message.into(), fields });
    }

    /// The server has confirmed a server subscription.
    pub(crate) fn confirmed(&self, server_subscription: &ServerSubscription) {
        if self.broadcast_denied.load(Ordering::Relaxed) && self.router().is_dispensable(server_subscription)
        {
            self.broadcast_denied.store(false, Ordering::Relaxed);
        }
        self.answered(server_subscription);
    }

    /// Those that wait for a server subscription need not wait for it any more.
    fn answered(&self, server_subscription: &ServerSubscription) {
        let complete = self.unconfirmed().confirmed(server_subscription);
        complete.into_iter().for_each(|waiter| self.tell(waiter, Ok(())));
    }

    /// Nobody waits for a subscription, or a join, any more: who did is told how it went.
    pub(crate) fn end_wait(&self, subscription: u32, result: Result<(), BusError>) {
        let waiter = self.unconfirmed().remove(subscription);
        if let Some(waiter) = waiter {
            self.tell(waiter, result);
        }
    }

    fn tell(&self, waiter: Waiter, result: Result<(), BusError>) {
        match waiter {
            Waiter::Ticket(ticket) => self.outbox.reply(ticket, result.map(|()| Value::Null)),
            // A join that nobody waits for any more takes itself back.
            Waiter::Join(sender) => drop(sender.send(result)),
        }
    }

    /// The server refuses a server subscription. Those that wait for it fail; the caller removes them.
    /// Established ones are reported, and stay.
    pub(crate) fn refused(&self, server_subscription: &ServerSubscription, error: &BusError) -> Vec<u32> {
        let waiting = self.unconfirmed().waiting_for(server_subscription);
        let (failed, dispensable): (Vec<u32>, bool) = {
            let router = self.router();
            let failed =
                waiting.into_iter().filter(|s| !router.is_optional(*s, server_subscription)).collect();
            (failed, router.is_dispensable(server_subscription))
        };
        let channel = String::from_utf8_lossy(server_subscription.name()).into_owned();
        if dispensable {
            // Once, not with every subscription and every time that it is asked for again.
            if !self.broadcast_denied.swap(true, Ordering::Relaxed) {
                self.notice(Notice::Warning {
                    code: "BROADCAST_DENIED",
                    message: format!("broadcasts are not received: {} ({channel})", error.message),
                });
            }
        } else if failed.is_empty() {
            let denied = BusError::new(ErrorKind::SubscribeDenied, format!("{channel}: {}", error.message));
            self.notice(Notice::Error(denied));
        }
        for subscription in &failed {
            let message = format!("{channel}: {}", error.message);
            self.end_wait(*subscription, Err(BusError::new(ErrorKind::SubscribeDenied, message)));
        }
        // Those that are left work without it.
        self.answered(server_subscription);
        failed
    }
}
