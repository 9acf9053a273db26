//! Intervals in which messages may have been missed, and the gaps that are reported of them.

use std::collections::HashMap;
use std::sync::Arc;

use oxbus_model::routing::router::ServerSubscription;

use crate::gap::recovery::Recovery;
use crate::host::Notice;

/// How far an interval reaches back behind the last heartbeat, in milliseconds.
pub(super) const REACH: u64 = 1_000;

/// When subscriptions have heard nothing. Times are on the client's clock.
pub(super) struct MissedInterval {
    /// Since when messages may be missing.
    pub(super) from: u64,
    /// When the last bytes came: what was stored later has not been seen.
    pub(super) last_read: u64,
    /// The server subscriptions, each with the time when it was confirmed; 0 for long ago.
    pub(super) server_subscriptions: HashMap<ServerSubscription, u64>,
    /// Nothing that came is forgotten meanwhile.
    pub(super) _guard: RetentionGuard,
}

/// A gap, as it is reported. Times are Unix milliseconds.
pub(super) struct Gap {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) patterns: Vec<String>,
}

impl Gap {
    /// The notice of it: how many events were recovered, and whether nothing else can have been missed.
    pub(super) fn notice(self, recovered: u64, complete: bool) -> Notice {
        let Gap { from, to, patterns } = self;
        Notice::Gap { from, to, patterns, recovered, complete }
    }
}

/// While it lives, no message that came is forgotten.
pub(super) struct RetentionGuard(Arc<Recovery>);

impl RetentionGuard {
    pub(super) fn new(recovery: &Arc<Recovery>) -> RetentionGuard {
        recovery.seen.lock().open();
        RetentionGuard(recovery.clone())
    }
}

impl Drop for RetentionGuard {
    fn drop(&mut self) {
        let now = self.0.shared.clock.now_ms();
        self.0.seen.lock().close(now);
    }
}
