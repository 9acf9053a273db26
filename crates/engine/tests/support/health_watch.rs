//! Asks for the health report all the time: it must come in time, whatever a test does to the client.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use oxbus_engine::State;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::host::Inner;
use super::patience::PATIENCE;

/// A report is promised within this time.
const LIMIT: Duration = Duration::from_millis(1_000);

/// The pause between two reports.
const PAUSE: Duration = Duration::from_millis(100);

/// How often it is seen how late tasks come to run on this machine, which has others to serve.
const TICK: Duration = Duration::from_millis(10);

/// So many times a report is handed on before it is here, each time to a task or thread that may come late to run.
const HANDOVERS: u32 = 8;

/// The output of a future, and by how much a task that only sleeps was late at the most meanwhile.
async fn beside_a_sleeper<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let mut future = std::pin::pin!(future);
    let mut latest = Duration::ZERO;
    loop {
        let wake = Instant::now() + TICK;
        let output = tokio::select! {
            output = &mut future => Some(output),
            () = sleep_until(wake) => None,
        };
        latest = latest.max(Instant::now().saturating_duration_since(wake));
        if let Some(output) = output {
            return (output, latest);
        }
    }
}

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
        inner.dispatching.store(0, Ordering::Release);
        let asked = Instant::now();
        inner.client.health(ticket);
        let (answer, late) = beside_a_sleeper(timeout(PATIENCE, reply)).await;
        let took = asked.elapsed();
        // What the host itself takes: until it drains, and twice for what comes before the report.
        let waited = match &answer {
            Ok(Ok(Ok(report))) => report["eventLoop"]["blockedMs"].as_u64().unwrap_or(0),
            _ => 0,
        };
        let own = Duration::from_millis(waited + 2 * inner.dispatching.load(Ordering::Acquire));
        if blocked() == before && (took > LIMIT + HANDOVERS * late + own || answer.is_err()) {
            inner.fault(format!("the health report took {took:?}: {answer:?}"));
        }
    }
}
