//! What a client is made of: its data. What is done with it is in the rooms above.
//!
//! - this file: [`ClientState`]; `lifecycle`: its state, as its links make it.
//! - `groups`: the consumer groups; `numbers`: the numbers of subscriptions; `recent_events`: what it lately published
//!   and received.

pub(crate) mod groups;
pub(crate) mod lifecycle;
pub(crate) mod numbers;
pub(crate) mod recent_events;

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use oxbus_model::codec::Codec;
use oxbus_model::codec::decoded::Missing;
use oxbus_model::codec::event_json::id_of;
use oxbus_model::codec::new_event::Origin;
use oxbus_model::config::{Config, Mode};
use oxbus_model::observe::metrics::Types;
use oxbus_model::observe::stats::Stats;
use oxbus_model::options::subscribe::{MatchBy, SubscribeOptions};
use oxbus_model::routing::channel::Channels;
use oxbus_model::routing::router::{Router, ServerSubscription};
use oxbus_model::topology::lane_reconciler::LaneStatus;
use oxbus_model::{BusError, ErrorKind};
use tokio::sync::Notify;
use tracing::Dispatch;

use crate::host::completions::Completions;
use crate::host::log_subscriber;
use crate::host::{Host, Notice};
use crate::observe::event_samples::EventSamples;
use crate::publish::admission::Admission;
use crate::publish::publish_counts::PublishCounts;
use crate::publish::unstored_types::UnstoredTypes;
use crate::receive::confirmations::Confirmations;
use crate::receive::live_queue::LiveQueue;
use crate::receive::recent_ids::RecentIds;
use crate::receive::shapes::SharedShapes;
use crate::receive::twins::Twins;
use crate::runtime::clock::Clock;
use groups::Groups;
use lifecycle::Lifecycle;
use numbers::SubscriptionNumbers;
use recent_events::RecentEvents;

/// The data of a client.
pub(crate) struct ClientState {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Clock,
    pub(crate) channels: Channels,
    pub(crate) origin: Origin,
    pub(crate) stats: Arc<Stats>,
    /// Event types and their numbers, for what is counted by them.
    pub(crate) types: Arc<Types>,
    /// Types that are published and stored nowhere.
    pub(crate) unstored: Arc<UnstoredTypes>,
    /// Publishes that have succeeded.
    pub(crate) publishes: PublishCounts,
    /// What waits for the host, but for deliveries.
    pub(crate) completions: Arc<Completions>,
    /// Takes what is logged while it is the default of a thread; see [`log_subscriber`].
    pub(crate) log: Dispatch,
    /// Logs some of the events.
    pub(crate) samples: Arc<EventSamples>,
    /// Which objects the events have that this client receives.
    pub(crate) shapes: Arc<SharedShapes>,
    pub(crate) admission: Admission,
    pub(crate) lifecycle: Lifecycle,
    /// Wakes the task that keeps time: a deadline has changed.
    pub(crate) deadlines: Notify,
    /// Wakes the task that renews presence: the store may not know which rooms were joined.
    pub(crate) presence_due: Notify,
    /// Subscriptions and joins that wait for the server's confirmation.
    pub(crate) confirmations: Confirmations,
    /// The consumer groups.
    pub(crate) groups: Groups,
    /// The ids of what this client published lately, where messages do not say that they are its own.
    pub(crate) own_ids: Option<Arc<Mutex<RecentIds>>>,
    /// What this client published and received lately, where events are kept.
    pub(crate) recent: Arc<Mutex<RecentEvents>>,
    /// Where lanes of sharded pub/sub are subscribed; without lanes where there are none.
    pub(crate) lane_status: Arc<Mutex<LaneStatus>>,
    router: Arc<RwLock<Router>>,
    live_queue: Mutex<LiveQueue>,
    twins: Mutex<Twins>,
    numbers: Mutex<SubscriptionNumbers>,
}

impl ClientState {
    pub(crate) fn new(config: Config, instance_id: &str, host: Arc<dyn Host>, clock: Clock) -> Self {
        let live = config.wires.read.iter().map(|wire| (&*wire.prefix, wire.codec.traits().naming));
        let channels = Channels::under(config.channel_prefix.clone(), live);
        let stats = Arc::new(Stats::default());
        let types = Arc::new(Types::default());
        let completions = Arc::new(Completions::new(host));
        let router = Arc::new(RwLock::new(Router::with_wires(channels.clone(), &config.wires)));
        let log = log_subscriber::dispatch(config.log_level, completions.clone(), clock.clone());
        ClientState {
            samples: Arc::new(EventSamples::new(config.log_level, &log, clock.clone())),
            log,
            origin: Origin::new(&config.service_name, instance_id),
            publishes: PublishCounts::new(stats.clone()),
            admission: Admission::new(
                config.performance.max_in_flight,
                config.performance.max_in_flight_bytes,
            ),
            shapes: Arc::new(SharedShapes::new()),
            lifecycle: Lifecycle::new(),
            deadlines: Notify::new(),
            presence_due: Notify::new(),
            confirmations: Confirmations::new(router.clone(), completions.clone()),
            groups: Groups::new(&config, instance_id, types.clone()),
            unstored: Arc::default(),
            recent: Arc::default(),
            own_ids: config.wires.know_own_by_id().then(Arc::default),
            lane_status: Arc::default(),
            twins: Mutex::default(),
            live_queue: Mutex::new(LiveQueue::new(clock.clone(), stats.clone())),
            numbers: Mutex::default(),
            config: Arc::new(config),
            clock,
            channels,
            stats,
            types,
            completions,
            router,
        }
    }

    /// Which subscriptions there are, and where messages go.
    pub(crate) fn router(&self) -> RwLockReadGuard<'_, Router> {
        // As with the live queue below: going on with it is better than a client that is deaf for good.
        self.router.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The router, to be changed.
    pub(crate) fn router_mut(&self) -> RwLockWriteGuard<'_, Router> {
        self.router.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Live events that have come in and wait for handlers.
    pub(crate) fn live_queue(&self) -> MutexGuard<'_, LiveQueue> {
        // After a panic under the lock the tables may be off by one event; losing that one, which is
        // counted as an INTERNAL error, is better than a client that is deaf for good.
        self.live_queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The events that came lately and may come again, on another channel or in another wire.
    pub(crate) fn twins(&self) -> MutexGuard<'_, Twins> {
        self.twins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an event, JSON text, is of this client: it says so, or has an id of what this client published lately.
    pub(crate) fn is_own(&self, instance_id: Option<&str>, json: &str) -> bool {
        match (instance_id, &self.own_ids) {
            (Some(id), _) => id == self.origin.instance_id(),
            (None, Some(ids)) => {
                let has = |id: Cow<'_, str>| ids.lock().unwrap_or_else(PoisonError::into_inner).has(&*id);
                id_of(json).is_some_and(has)
            }
            (None, None) => false,
        }
    }

    /// The numbers of subscriptions; see [`SubscriptionNumbers`] for how long the lock is held.
    pub(crate) fn numbers(&self) -> MutexGuard<'_, SubscriptionNumbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a live subscription. Returns the server subscriptions that it needs.
    pub(crate) fn add_subscription(
        &self,
        subscription: u32,
        patterns: &[String],
        options: &SubscribeOptions,
    ) -> Result<Vec<ServerSubscription>, BusError> {
        if options.no_echo && !self.config.wires.know_own() {
            let message = "messages of this wire do not say who has published them";
            return Err(BusError::at(ErrorKind::InvalidOptions, "noEcho", message));
        }
        self.live_queue().add(subscription, options)?;
        let by_channel = options.by == MatchBy::Channel;
        let mut router = self.router_mut();
        if options.local_only {
            router.add_local(subscription, patterns, by_channel);
            return Ok(Vec::new());
        }
        Ok(router.add(subscription, patterns, by_channel))
    }

    /// Until when a subscription waits for its confirmation; `u64::MAX` for ever. In hybrid mode it works without one.
    pub(crate) fn confirmation_deadline(&self, options: &SubscribeOptions) -> u64 {
        if options.when_ready && self.config.mode != Mode::Hybrid {
            return u64::MAX;
        }
        self.clock.now_ms().saturating_add(self.config.redis.command_timeout)
    }

    /// Removes a live subscription. Returns the server subscriptions that nobody needs any more.
    pub(crate) fn remove_subscription(&self, subscription: u32) -> Vec<ServerSubscription> {
        let unused = self.router_mut().remove(subscription);
        self.live_queue().remove(subscription);
        unused
    }

    /// Removes all live subscriptions and takes nothing more in. Returns the server subscriptions that there were.
    pub(crate) fn close_subscriptions(&self) -> Vec<ServerSubscription> {
        let unused = self.router_mut().clear();
        self.live_queue().close();
        unused
    }

    /// Adds an event that was received to the recent ones, where events are kept at all. The event is given as the JSON
    /// that handlers get.
    pub(crate) fn push_received(&self, json: &str) {
        self.push_recent(&Codec::OF_EVENT_JSON, json.as_bytes());
    }

    /// Adds an event that was published to the recent ones, where events are kept at all. The event is given as the
    /// message that was sent.
    pub(crate) fn push_published(&self, message: &[u8]) {
        self.push_recent(&self.config.codec, message);
    }

    fn push_recent(&self, codec: &Codec, message: &[u8]) {
        if self.config.persistence.is_none() {
            return;
        }
        let push = |codec: &Codec, text: &str| {
            self.recent.lock().unwrap_or_else(PoisonError::into_inner).push(codec, text);
        };
        if let Ok(text) = std::str::from_utf8(message) {
            return push(codec, text);
        }
        // What is no text is kept as what it says. Nothing is missing in what was published.
        let missing = || Missing { id: String::new(), timestamp_ms: 0 };
        if let Ok(read) = codec.read_message(message, b"", missing, None) {
            push(&Codec::OF_EVENT_JSON, &read.json);
        }
    }

    /// Tells the host of something that no call waits for.
    pub(crate) fn notice(&self, notice: Notice) {
        self.completions.notice(notice);
    }
}
