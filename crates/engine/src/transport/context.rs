//! What a transport is made with.

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

use oxbus_model::codec::new_event::Origin;
use oxbus_model::config::Config;
use oxbus_model::observe::metrics::Types;
use oxbus_model::routing::channel::Channels;
use oxbus_model::topology::lane_reconciler::LaneStatus;
use oxbus_model::topology::lanes::Lanes;

use crate::observe::event_samples::EventSamples;
use crate::publish::unstored_types::UnstoredTypes;
use crate::receive::recent_ids::RecentIds;
use crate::receive::shapes::SharedShapes;
use crate::runtime::clock::Clock;
use crate::transport::events::TransportEvents;

/// What a transport knows of its client, and whom it reports to.
pub(crate) struct TransportContext {
    /// The configuration of the client.
    pub(crate) config: Arc<Config>,
    /// The clock of the client.
    pub(crate) clock: Clock,
    /// The names of channels.
    pub(crate) channels: Channels,
    /// The lanes of live events; `None` unless they go by sharded pub/sub.
    pub(crate) lanes: Option<Arc<Lanes>>,
    /// Where these are subscribed.
    pub(crate) lane_status: Arc<Mutex<LaneStatus>>,
    /// The service and the instance that publish.
    pub(crate) origin: Origin,
    /// Event types and their numbers.
    pub(crate) types: Arc<Types>,
    /// Types that are published and stored nowhere.
    pub(crate) unstored: Arc<UnstoredTypes>,
    /// Which objects the events have that the client receives.
    pub(crate) shapes: Arc<SharedShapes>,
    /// The ids of what the client published lately, where messages do not say that they are its own.
    pub(crate) own_ids: Option<Arc<Mutex<RecentIds>>>,
    /// Logs some of the events.
    pub(crate) samples: Arc<EventSamples>,
    /// The most replicas that a publish has waited for.
    pub(crate) most_replicas: Arc<AtomicU32>,
    /// Where everything is reported.
    pub(crate) events: Arc<dyn TransportEvents>,
}
