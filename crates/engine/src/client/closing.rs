//! How a client ends: what runs is finished, within a time, and the connections are closed.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::core::Core;
use crate::state::lifecycle::State;

/// How long [`Client::disconnect`](super::Client::disconnect) lets handlers and publishes finish, unless told otherwise.
pub const DRAIN_TIMEOUT: u64 = 10_000;

/// How long closed links may take to settle what they hold.
const SETTLING: Duration = Duration::from_secs(1);

/// Finishes what runs, within `limit` milliseconds, and closes. What was not finished, or null.
pub(super) async fn close_drained(core: &Core, limit: u64) -> Value {
    let finished = timeout(Duration::from_millis(limit), core.finish()).await;
    // Past the limit what is left is aborted by closing.
    let unfinished = finished.map_or_else(|_| core.unfinished(), |()| Value::Null);
    core.close();
    // Settling what is left takes no I/O.
    let _ = timeout(SETTLING, core.transport.ended()).await;
    unfinished
}

/// Waits for another call that closes the client.
pub(super) async fn wait_until_closed(core: &Core) -> Value {
    let mut watch = core.state.lifecycle.watch();
    // The sender lives in `core`, so this ends with the state.
    let _ = watch.wait_for(|change| change.state == State::Closed).await;
    Value::Null
}
