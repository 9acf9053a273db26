//! How a client ends: it drains, or is closed at once.

use std::time::Duration;

use serde_json::Value;

use super::Client;
use crate::state::lifecycle::State;

/// How long [`Client::disconnect`] lets handlers and publishes finish, unless told otherwise.
pub const DRAIN_TIMEOUT: u64 = 10_000;

/// How long closed links may take to settle what they hold.
const SETTLING: Duration = Duration::from_secs(1);

impl Client {
    /// Drains and closes: nothing more is delivered, running handlers and publishes get `timeout`
    /// milliseconds (default [`DRAIN_TIMEOUT`]) to finish. The reply comes when all is closed: null, or what was not
    /// finished in that time, `{ publishes, settled }`. It is null as well where another call closes the client.
    pub fn disconnect(&self, ticket: u32, timeout: Option<u64>) {
        let core = self.core.clone();
        let _log = self.core.tasks.log();
        let first = core.state.lifecycle.drain();
        if first {
            core.stop_deliveries();
        }
        self.core.tasks.spawn(async move {
            let limit = Duration::from_millis(timeout.unwrap_or(DRAIN_TIMEOUT));
            let mut unfinished = Value::Null;
            if first {
                // Past the limit what is left is aborted by closing.
                if tokio::time::timeout(limit, core.finish()).await.is_err() {
                    unfinished = core.unfinished();
                }
                core.close();
                // Settling what is left takes no I/O.
                let _ = tokio::time::timeout(SETTLING, core.transport.ended()).await;
            } else {
                let mut watch = core.state.lifecycle.watch();
                // The sender lives in `core`, so this ends with the state.
                let _ = watch.wait_for(|change| change.state == State::Closed).await;
            }
            core.state.completions.reply(ticket, Ok(unfinished));
        });
    }

    /// Closes at once, without draining. Idempotent.
    pub fn destroy(&self) {
        self.core.close();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.core.close();
    }
}
