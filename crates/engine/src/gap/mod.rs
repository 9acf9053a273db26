//! What live subscriptions have missed while their connection was down, read from the streams that store it.
//!
//! What comes is recorded, as far as it is stored; when a connection has broken and its subscriptions are
//! confirmed again, the streams are read from shortly before the last good heartbeat on, and what has not
//! come is delivered. Each message is delivered once, from the stream or from the connection.
//!
//! # Layout
//!
//! - this file: [`Recovery`], and [`MissedInterval`]s; `seen`: which messages have come
//! - `gaps`: what a transport reports of its subscriber's connection, and the gaps that follow from it
//! - `continuity`: how far a connection is known to be complete; `filling`: from a hole to what fills it

mod continuity;
mod filling;
mod gaps;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use oxbus_model::routing::router::ServerSubscription;
use oxbus_model::routing::stream_routing::StreamRouting;

use crate::host::Notice;
use crate::runtime::panics::catch_panic;
use crate::state::ClientState;
use crate::state::lifecycle::State;
use crate::transport::store::Store;

pub(crate) use gaps::Gaps;

use crate::receive::seen::SeenMessages;
use filling::{Filling, PATIENCE};

/// Fills holes.
pub(crate) struct Recovery {
    shared: Arc<ClientState>,
    store: Arc<dyn Store>,
    storage: StreamRouting,
    seen: SeenMessages,
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
        self.0.seen.lock().close(now);
    }
}

impl Recovery {
    /// `None` where nothing is stored.
    pub(crate) fn new(shared: Arc<ClientState>, store: Arc<dyn Store>) -> Option<Arc<Recovery>> {
        let storage = StreamRouting::new(&shared.config.streams);
        if storage.is_empty() {
            return None;
        }
        let seen = SeenMessages::new(StreamRouting::new(&shared.config.streams));
        Some(Arc::new(Recovery { shared, store, storage, seen }))
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

    fn keep(self: &Arc<Self>) -> Kept {
        self.seen.lock().open();
        Kept(self.clone())
    }
}
