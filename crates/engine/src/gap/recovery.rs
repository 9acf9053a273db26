//! What is needed to read from streams what live subscriptions have missed.

use std::sync::Arc;

use oxbus_model::routing::stream_routing::StreamRouting;

use crate::receive::seen::SeenMessages;
use crate::state::ClientState;
use crate::state::lifecycle::State;
use crate::transport::store::Store;

/// The streams of a client, and which messages have come.
pub(super) struct Recovery {
    pub(super) shared: Arc<ClientState>,
    pub(super) store: Arc<dyn Store>,
    pub(super) storage: StreamRouting,
    pub(super) seen: SeenMessages,
    /// Whether events are published some time after they are stored, and not in the same step.
    pub(super) published_late: bool,
}

impl Recovery {
    /// `None` where nothing is stored.
    pub(super) fn new(shared: Arc<ClientState>, store: Arc<dyn Store>) -> Option<Arc<Recovery>> {
        let storage = StreamRouting::new(&shared.config.streams);
        if storage.is_empty() {
            return None;
        }
        let published_late = shared.config.redis.servers.lanes().is_some();
        let seen = SeenMessages::new(StreamRouting::new(&shared.config.streams), published_late);
        Some(Arc::new(Recovery { shared, store, storage, seen, published_late }))
    }

    /// Whether the client closes, so that nobody waits for what is recovered.
    pub(super) fn is_closing(&self) -> bool {
        matches!(self.shared.lifecycle.state(), State::Draining | State::Closed)
    }
}
