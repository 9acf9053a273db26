//! What is told of live events that full queues drop.

use oxbus_model::delivery::DroppedEvents;

use crate::host::Notice;
use crate::state::ClientState;

/// The code of the warnings.
const EVENTS_DROPPED: &str = "EVENTS_DROPPED";

/// Subscriptions that a health report names, at the most.
const NAMED: usize = 10;

/// Characters of a message that name the patterns of a subscription, at the most.
const PATTERNS_SHOWN: usize = 200;

/// Announces the drops whose report is due. The lock of the live queue must not be held.
pub(crate) fn report(state: &ClientState) {
    let due = state.live_queue().deliveries.report_drops(state.clock.now_ms());
    for dropped in due {
        state.notice(Notice::Warning { code: EVENTS_DROPPED, message: message(state, dropped) });
    }
}

/// The warnings, code and message, about subscriptions that drop events, or did in the last 30 s.
pub(crate) fn warnings(state: &ClientState) -> Vec<(&'static str, String)> {
    let dropping = state.live_queue().deliveries.dropping(state.clock.now_ms());
    let mut warnings: Vec<_> =
        dropping.iter().take(NAMED).map(|dropped| (EVENTS_DROPPED, message(state, *dropped))).collect();
    if let Some(others) = dropping.get(NAMED..).filter(|others| !others.is_empty()) {
        let events: u64 = others.iter().map(|dropped| dropped.events).sum();
        let message = format!("{events} live events were dropped by {} other subscriptions", others.len());
        warnings.push((EVENTS_DROPPED, message));
    }
    warnings
}

fn message(state: &ClientState, DroppedEvents { subscription, events }: DroppedEvents) -> String {
    let router = state.router();
    let patterns: Vec<&str> = router.patterns_of(subscription).collect();
    let patterns: String = patterns.join(", ").chars().take(PATTERNS_SHOWN).collect();
    format!(
        "{events} live events for the subscription to {patterns} were dropped: its queue is full, as its handlers are \
         slower than events come"
    )
}
