//! From what a transport reports of its subscriber's connection to the gaps that a client tells of.

use std::sync::{Arc, Mutex, PoisonError};

use oxbus_model::routing::router::ServerSubscription;

use super::continuity::Continuity;
use super::missed_interval::Gap;
use super::recovery::Recovery;
use crate::receive::seen::SeenMessages;
use crate::runtime::clock::wall_ms;
use crate::state::ClientState;
use crate::transport::events::ContinuityChange;
use crate::transport::store::Store;

/// Patterns that a `gap` names at the most.
const MAX_PATTERNS: usize = 1_000;

/// What the live subscriptions of a client have missed.
pub(crate) struct Gaps {
    state: Arc<ClientState>,
    /// `None` where nothing is stored, and so nothing that was missed can be read.
    recovery: Option<Arc<Recovery>>,
    connection: Mutex<SubscriberConnection>,
}

/// What is known of the connection of the subscriber.
struct SubscriberConnection {
    /// Since when live messages may have been missed, Unix milliseconds.
    gap_from: Option<i64>,
    /// How far what came is complete, where what was missed can be read from streams.
    continuity: Option<Continuity>,
}

impl Gaps {
    /// Gaps are filled from `store`.
    pub(crate) fn new(state: Arc<ClientState>, store: Arc<dyn Store>) -> Gaps {
        let recovery = Recovery::new(state.clone(), store);
        let continuity = recovery.clone().map(Continuity::new);
        Gaps { state, recovery, connection: Mutex::new(SubscriberConnection { gap_from: None, continuity }) }
    }

    /// What records the messages that come, where what was missed can be read.
    pub(crate) fn seen(&self) -> Option<&SeenMessages> {
        self.recovery.as_ref().map(|recovery| &recovery.seen)
    }

    /// The connection has changed.
    pub(crate) fn changed(&self, change: ContinuityChange<'_>) {
        // Each change is a few assignments, and what one has left out makes a gap larger, not smaller.
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let SubscriberConnection { gap_from, continuity } = &mut *connection;
        let established = continuity.iter_mut();
        match change {
            ContinuityChange::Opened { now } => established.for_each(|it| it.opened(now)),
            ContinuityChange::Heartbeat { sent, now } => established.for_each(|it| it.heartbeat(sent, now)),
            ContinuityChange::Established { server_subscription, now } => {
                established.for_each(|it| it.confirmed(server_subscription, now));
            }
            ContinuityChange::Ended { server_subscription } => {
                established.for_each(|it| it.ended(server_subscription));
            }
            ContinuityChange::Interrupted { server_subscriptions, last_read, last_read_unix } => {
                // With lanes there are several connections.
                *gap_from = Some(gap_from.map_or(last_read_unix, |from| from.min(last_read_unix)));
                if let Some(continuity) = continuity {
                    continuity.interrupted(server_subscriptions, last_read);
                }
            }
            ContinuityChange::Resumed { wanted } => {
                let Some(from) = gap_from.take() else { return };
                match (self.gap(from, wanted.iter().copied()), continuity) {
                    (Some(gap), Some(continuity)) => continuity.resumed(gap),
                    (Some(gap), None) => self.state.notice(gap.notice(0, false)),
                    // Where everything was unsubscribed meanwhile, nobody has missed anything.
                    (None, continuity) => continuity.iter_mut().for_each(Continuity::forget),
                }
            }
            ContinuityChange::Regained { server_subscription, since, since_unix, now } => {
                match (self.gap(since_unix, [server_subscription]), continuity) {
                    (Some(gap), Some(continuity)) => {
                        continuity.regained(server_subscription.clone(), since, now, gap);
                    }
                    (Some(gap), None) => self.state.notice(gap.notice(0, false)),
                    (None, _) => {}
                }
            }
        }
    }

    fn gap<'a>(
        &self,
        from: i64,
        server_subscriptions: impl IntoIterator<Item = &'a ServerSubscription>,
    ) -> Option<Gap> {
        let router = self.state.router();
        let mut patterns: Vec<String> = Vec::new();
        for server_subscription in server_subscriptions {
            patterns.extend(router.patterns(server_subscription).map(str::to_owned));
            if patterns.len() > MAX_PATTERNS {
                break;
            }
        }
        drop(router);
        patterns.sort();
        patterns.dedup();
        patterns.truncate(MAX_PATTERNS);
        (!patterns.is_empty()).then(|| Gap { from, to: wall_ms(), patterns })
    }
}
