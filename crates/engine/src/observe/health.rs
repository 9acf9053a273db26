//! The health report.

use std::time::Duration;

use oxbus_model::observe::stats::LinkMode;
use serde_json::{Map, Value, json};
use tracing::{Instrument, debug, debug_span};

use crate::host::event_loop;
use crate::host::event_loop::EVENT_LOOP_BLOCKED;
use crate::observe::link_mode::{LOCAL_ONLY, is_local_only, link_mode};
use crate::observe::stream_health;
use crate::receive::dropped;
use crate::state::ClientState;
use crate::state::lifecycle::State;
use crate::transport::{NO_ANSWER, Transport};

/// How long the probes may take, in milliseconds: the report is promised within a second.
const PROBE_LIMIT: u64 = 700;

/// How much longer than a heartbeat the last answer on a link may be ago, in milliseconds, until it counts as stale. A
/// reader that waits for entries gets an answer every heartbeat, or every 5 s if that is less; the other links are probed.
const STALE: u64 = 1_000;

/// Probes the links and reports. Never fails.
pub(crate) async fn report(state: &ClientState, transport: &dyn Transport) -> Value {
    ask(state, transport).instrument(debug_span!("health")).await
}

async fn ask(state: &ClientState, transport: &dyn Transport) -> Value {
    let (limit, store) = (Duration::from_millis(PROBE_LIMIT), transport.store());
    let (probe, streams) =
        tokio::join!(transport.probe(PROBE_LIMIT), stream_health::report(state, &*store, limit));
    let now = state.clock.now_ms();
    let stale_after = state.config.redis.heartbeat.saturating_add(STALE);
    let mut warnings: Vec<Value> =
        probe.warnings.iter().map(|(code, message)| json!({ "code": code, "message": message })).collect();
    warnings.extend(streams.warnings);
    let links = state.lifecycle.links();
    let mut connections = Map::new();
    let (mut usable, mut faulty) = (0, streams.faulty);
    for (id, link) in &links {
        let age = link.last_ok.map(|at| now.saturating_sub(at));
        let asked = probe.asked.iter().find(|(asked, _)| asked == id).map(|(_, answered)| *answered);
        let well = link.up && asked.unwrap_or(true) && age.is_some_and(|age| age <= stale_after);
        // Only links that have answered *this* probe count as usable: a recent reply on another link proves nothing now.
        usable += usize::from(well && asked.is_some());
        faulty += usize::from(!well || !link.refused.is_empty());
        let connection = json!({
            "status": if well { "up" } else if link.up { "stale" } else { "down" },
            "lastRoundTripAge": age,
            "error": link.error.as_ref().map(|e| json!({ "code": e.kind.code(), "message": e.message })),
            "refused": link.refused,
        });
        connections.insert(id.to_string(), connection);
    }
    // An address that was forgotten is seen by whoever reads the report, not only by whoever reads the log.
    let configured = state.config.notices.iter();
    warnings.extend(
        configured
            .filter(|notice| notice.is_fallback())
            .map(|notice| json!({ "code": notice.code, "message": notice.message })),
    );
    if let Some(error) = &state.config.no_address {
        warnings.push(json!({ "code": "NO_ADDRESS", "message": error.message }));
    }
    if let Some(error) = &probe.error
        && matches!(state.lifecycle.state(), State::Ready | State::Reconnecting)
    {
        faulty += 1;
        warnings.push(json!({ "code": NO_ANSWER, "message": error.message }));
    }
    if let Some(error) = &probe.refuses_writes {
        faulty += 1;
        warnings.push(json!({ "code": "WRITES_REFUSED", "message": error.message }));
    }
    if is_local_only(state)
        && let Some((link, why)) = state.lifecycle.fault()
    {
        let message = format!("events stay in this client: {link}: {why}");
        warnings.push(json!({ "code": LOCAL_ONLY, "message": message }));
    }
    let dropped = dropped::warnings(state).into_iter();
    warnings.extend(dropped.map(|(code, message)| json!({ "code": code, "message": message })));
    let blocked = state.completions.blocked_ms();
    if blocked >= event_loop::BLOCKED {
        warnings.push(json!({ "code": EVENT_LOOP_BLOCKED, "message": event_loop::message(blocked) }));
    }
    // In hybrid mode this client's own handlers are reached all the same.
    let open = !matches!(state.lifecycle.state(), State::Idle | State::Draining | State::Closed);
    let works_alone = open && link_mode(state) == LinkMode::LocalOnly;
    let status = match (usable, faulty) {
        (0, _) if !works_alone => "unhealthy",
        (1.., 0) => "healthy",
        _ => "degraded",
    };
    debug!(status, latency = probe.latency, warnings = warnings.len(), "the links were probed");
    json!({
        "status": status,
        "state": state.lifecycle.state().as_str(),
        "mode": link_mode(state),
        "latency": probe.latency,
        "redis": probe.server,
        "connections": connections,
        "streams": streams.report,
        "eventLoop": { "blockedMs": blocked },
        "warnings": warnings,
    })
}
