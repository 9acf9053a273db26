//! Waiting until a client is ready.

use std::sync::Arc;
use std::time::Duration;

use oxbus_model::server_error::needs_a_person;
use oxbus_model::{BusError, ErrorKind};
use serde_json::Value;

use super::core::Core;
use crate::state::ClientState;
use crate::state::lifecycle::{State, is_fatal};

/// The timeout of a wait that ends only when the client is ready, is closed, or cannot become ready by itself.
pub const NO_LIMIT: u64 = u64::MAX;

/// Replies when the client is ready, or after `timeout` milliseconds (default: `connectTimeout`) with why it is not.
/// With `report_cause` that is the last failure of a connection, and one that a person has to mend is reported at
/// once; else it is `CONNECT_TIMEOUT`.
pub(super) fn reply_when_ready(core: &Arc<Core>, ticket: u32, timeout: Option<u64>, report_cause: bool) {
    let timeout = timeout.unwrap_or(core.state.config.redis.connect_timeout);
    let tasks = core.tasks.clone();
    let core = core.clone();
    tasks.spawn(async move {
        let state = &core.state;
        let ends_wait: fn(&BusError) -> bool = match (timeout, report_cause) {
            (NO_LIMIT, _) => |error| needs_a_person(error.kind),
            (_, true) => is_fatal,
            (_, false) => |_| false,
        };
        let all = async {
            ready(state, ends_wait).await?;
            core.groups.maintenance().streams_ensured().await;
            Ok(())
        };
        let result = match tokio::time::timeout(Duration::from_millis(timeout), all).await {
            Ok(result) => result,
            Err(_) => {
                let last = state.lifecycle.watch().borrow().clone();
                let late = |why: String| {
                    BusError::new(ErrorKind::ConnectTimeout, format!("not ready after {timeout} ms{why}"))
                };
                Err(match last.error {
                    Some(error) if report_cause => error,
                    Some(error) => late(format!(": {}", error.message)),
                    None if last.state == State::Ready => late(String::new()),
                    None => late(format!(": {} does not answer", state.config.redis.servers)),
                })
            }
        };
        state.completions.reply(ticket, result.map(|()| Value::Null));
    });
}

/// Waits until the client is ready. A failure of a connection that `ends_wait` says so of ends the wait.
async fn ready(state: &ClientState, ends_wait: fn(&BusError) -> bool) -> Result<(), BusError> {
    let mut watch = state.lifecycle.watch();
    loop {
        let change = watch.borrow_and_update().clone();
        match (change.state, change.error) {
            (State::Ready, _) => return Ok(()),
            (State::Draining | State::Closed, _) => {
                return Err(BusError::new(ErrorKind::Closed, "the client is closed"));
            }
            (_, Some(error)) if ends_wait(&error) => return Err(error),
            _ => {}
        }
        if watch.changed().await.is_err() {
            return Err(BusError::new(ErrorKind::Closed, "the client is gone"));
        }
    }
}
