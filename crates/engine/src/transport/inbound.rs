//! What a transport fills on the way up: events that it gives to subscriptions of its client, without the server.

use std::sync::RwLockReadGuard;

use oxbus_model::codec::wires::Wires;
use oxbus_model::delivery::InboundEvent;
use oxbus_model::observe::metrics::{TypeCache, Types};
use oxbus_model::routing::channel::Channels;
use oxbus_model::routing::router::{Route, Router};

use crate::receive::shapes::SharedShapes;

/// Events of one read, or of one batch of publishes, and where they go. Its memory is used again for the next.
#[derive(Default)]
pub(crate) struct InboundBatch {
    /// Each event, and where its routes end.
    pub(crate) events: Vec<(InboundEvent, usize)>,
    pub(crate) routes: Vec<Route>,
    /// The numbers of the types that came lately.
    pub(crate) types: TypeCache,
    /// How many subscriptions an event of a room was not for.
    pub(crate) left_out: u64,
}

/// Takes events of this client for its own subscriptions. Subscriptions cannot change while it lives.
pub(crate) struct OwnEvents<'a> {
    pub(crate) router: RwLockReadGuard<'a, Router>,
    pub(crate) channels: &'a Channels,
    pub(crate) wires: &'a Wires,
    pub(crate) types: &'a Types,
    pub(crate) shapes: &'a SharedShapes,
}
