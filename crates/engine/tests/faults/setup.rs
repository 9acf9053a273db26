//! What several scenarios need: short settings, times, and judging outcomes.

use std::future::Future;
use std::time::Duration;

use oxbus_engine::host::Notice;
use oxbus_model::{BusError, ErrorKind, Outcome};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Bus, PATIENCE, Receipt};

/// How much longer than promised something may take on a machine that has more to do than it can. What a test is to tell apart
/// differs by more: what ends at once is given a timeout of many seconds, so that an end by that shows.
pub const SLACK: Duration = Duration::from_secs(5);

/// A timeout, in milliseconds, of what has to end long before it.
pub const FAR: u64 = 30_000;

/// `normal`, or `long` with `OXBUS_SOAK=1`.
pub fn soak<T>(normal: T, long: T) -> T {
    if std::env::var("OXBUS_SOAK").is_ok_and(|on| on == "1") { long } else { normal }
}

/// Seconds.
pub fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Milliseconds.
pub fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A configuration that finds faults within about a second.
pub fn hasty(url: &str) -> Value {
    json!({ "redis": { "url": url, "connectTimeout": 1000, "commandTimeout": 1000, "heartbeat": 300 } })
}

/// A connected client with a configuration of its own. How long its attempts may take is not tried here.
pub async fn ready(config: Value) -> Bus {
    let bus = Bus::with_config(config);
    bus.connect_within(Some(PATIENCE.as_secs() * 1_000)).await.expect("a connection");
    bus
}

/// The output of a future, and how long it took.
pub async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let started = Instant::now();
    (future.await, started.elapsed())
}

/// Fails unless `took` is at least `least` and not more than `most`, but for [`SLACK`].
#[track_caller]
pub fn assert_between(took: Duration, least: u64, most: u64) {
    // Clocks of milliseconds may be a tick apart.
    assert!(took + millis(5) >= millis(least), "after {took:?}, before {least} ms");
    assert!(took <= millis(most) + SLACK, "after {took:?}, later than {most} ms");
}

/// The error of a publish, which must have failed with this outcome.
#[track_caller]
pub fn failed(result: &Result<Receipt, BusError>, outcome: Outcome) -> &BusError {
    match result {
        Err(error) if error.outcome == Some(outcome) => error,
        other => panic!("expected {outcome:?}, got {other:?}"),
    }
}

/// Whether a notice is an error of this kind that no call waited for.
pub fn is_error(notice: &Notice, kind: ErrorKind) -> bool {
    matches!(notice, Notice::Error(error) if error.kind == kind)
}

/// Whether a notice tells of a gap.
pub fn is_gap(notice: &Notice) -> bool {
    matches!(notice, Notice::Gap { .. })
}

/// How many of the notices from number `mark` on are gaps.
pub fn gaps_since(bus: &Bus, mark: usize) -> usize {
    bus.notices.all().iter().skip(mark).filter(|notice| is_gap(notice)).count()
}

/// The errors of the attempts to connect that failed, from notice number `mark` on.
pub fn attempts_since(bus: &Bus, mark: usize) -> Vec<ErrorKind> {
    let kind = |notice: Notice| match notice {
        Notice::Reconnecting { error, .. } => Some(error.kind),
        _ => None,
    };
    bus.notices.all().into_iter().skip(mark).filter_map(kind).collect()
}
