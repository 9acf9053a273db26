//! What live subscriptions have missed while their connection was down, read from the streams that store it.
//!
//! What comes is recorded, as far as it is stored; when a connection has broken and its subscriptions are
//! confirmed again, the streams are read from shortly before the last good heartbeat on, and what has not
//! come is delivered. Each message is delivered once, from the stream or from the connection.
//!
//! # Layout
//!
//! - this file: [`Recovery`], and [`MissedInterval`]s; `seen`: which messages have come
//! - `continuity`: how far a connection is known to be complete; `filling`: from a hole to what fills it

mod continuity;
mod filling;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxbus_model::codec::decoded::Decoded;
use oxbus_model::codec::event_json::id_of;
use oxbus_model::routing::router::{ServerSubscription, ServerSubscriptionRef};
use oxbus_model::routing::stream_routing::StreamRouting;

use crate::host::Notice;
use crate::runtime::panics::catch_panic;
use crate::state::ClientState;
use crate::state::lifecycle::State;
use crate::transport::store::Store;

pub(crate) use continuity::{Continuity, HEARTBEAT};

use crate::receive::seen::Seen;
use filling::{Filling, PATIENCE};

/// Fills holes. The subscriber tells it what comes and what breaks.
pub(crate) struct Recovery {
    shared: Arc<ClientState>,
    store: Arc<dyn Store>,
    storage: StreamRouting,
    hasher: RandomState,
    seen: Mutex<Seen>,
}

/// Subscriptions that have heard nothing for a while. Times are on the client's clock.
pub(crate) struct MissedInterval {
    /// Since when messages may be missing.
    from: u64,
    /// When the last bytes came: what was stored later has not been seen.
    last_read: u64,
    /// The server subscriptions, each with the time when it was confirmed; 0 for long ago.
    server_subscriptions: HashMap<ServerSubscription, u64>,
    /// Nothing that came is forgotten meanwhile.
    _kept: Kept,
}

/// A gap, as it is reported. Times are Unix milliseconds.
pub(crate) struct Gap {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) patterns: Vec<String>,
}

impl Gap {
    /// What is said of it.
    pub(crate) fn notice(self, recovered: u64, complete: bool) -> Notice {
        let Gap { from, to, patterns } = self;
        Notice::Gap { from, to, patterns, recovered, complete }
    }
}

/// While it lives nothing that came is forgotten.
struct Kept(Arc<Recovery>);

impl Drop for Kept {
    fn drop(&mut self) {
        let now = self.0.shared.clock.now_ms();
        self.0.seen().close(now);
    }
}

impl Recovery {
    /// `None` where nothing is stored.
    pub(crate) fn new(shared: Arc<ClientState>, store: Arc<dyn Store>) -> Option<Arc<Recovery>> {
        let storage = StreamRouting::new(&shared.config.streams);
        if storage.is_empty() {
            return None;
        }
        let (hasher, seen) = (RandomState::new(), Mutex::default());
        Some(Arc::new(Recovery { shared, store, storage, hasher, seen }))
    }

    /// A message has come for `server_subscription`, on the channel of its type. False when it was delivered already.
    pub(crate) fn came(&self, server_subscription: ServerSubscriptionRef<'_>, message: &Decoded<'_>) -> bool {
        if self.storage.destination_of(&message.event_type).is_none() {
            return true;
        }
        let id = match &message.parts {
            Some(parts) => Some(parts.id.of(&message.json).into()),
            None => id_of(&message.json),
        };
        id.is_none_or(|id| self.seen().came(self.hash(server_subscription, &id)))
    }

    /// Fills a hole and then reports the gap. The subscriptions were asked for again at `reopened`, and are
    /// confirmed.
    pub(crate) fn fill(self: &Arc<Self>, hole: MissedInterval, reopened: u64, gap: Gap) {
        let recovery = self.clone();
        let deadline = self.shared.clock.now_ms().saturating_add(PATIENCE);
        tokio::spawn(async move {
            let mut filling = Filling::new(&recovery, &hole, reopened, deadline);
            let filled = catch_panic("recovery", filling.run()).await;
            let (recovered, complete) = filling.result();
            let shared = &recovery.shared;
            if let Err(fault) = filled {
                shared.notice(Notice::Error(fault));
            }
            if !recovery.is_closing() {
                shared.notice(gap.notice(recovered, complete));
            }
        });
    }

    fn is_closing(&self) -> bool {
        matches!(self.shared.lifecycle.state(), State::Draining | State::Closed)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stands for a message of this id that comes for this server subscription.
    fn hash(&self, server_subscription: ServerSubscriptionRef<'_>, id: &str) -> u64 {
        let (kind, name) = match server_subscription {
            ServerSubscriptionRef::Channel(name) => (0u8, name),
            ServerSubscriptionRef::Pattern(name) => (1, name),
        };
        // With a key of this client's own, so that nobody can make up an event that passes for another.
        self.hasher.hash_one((kind, name, id))
    }

    fn keep(self: &Arc<Self>) -> Kept {
        self.seen().open();
        Kept(self.clone())
    }
}
