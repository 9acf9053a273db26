//! Asks for the health report all the time: it must come in time, whatever a test does to the client.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use oxbus_engine::State;
use tokio::time::{Instant, sleep, timeout};

use super::host::Inner;
use super::patience::PATIENCE;

/// A report is promised within this time.
const LIMIT: Duration = Duration::from_millis(1_000);

/// The pause between two reports.
const PAUSE: Duration = Duration::from_millis(100);

/// Runs until it is aborted, or the client is closed.
pub(super) async fn run(inner: Arc<Inner>) {
    loop {
        sleep(PAUSE).await;
        match inner.client.state() {
            State::Idle => continue,
            State::Closed => return,
            _ => {}
        }
        let blocked = || inner.blocked.load(Ordering::Acquire);
        // The host answers from here on, unless the test blocks it meanwhile.
        let gate = inner.gate.lock().await;
        let before = blocked();
        drop(gate);
        let (ticket, reply) = inner.ticket();
        let asked = Instant::now();
        inner.client.health(ticket);
        let answer = timeout(PATIENCE, reply).await;
        let took = asked.elapsed();
        if blocked() == before && (took > LIMIT || answer.is_err()) {
            inner.fault(format!("the health report took {took:?}: {answer:?}"));
        }
    }
}
