//! Waiting on a condition with a deadline.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// Between two looks at a condition.
const POLL: Duration = Duration::from_millis(5);

/// Returns as soon as `condition` is true.
///
/// # Panics
/// When it is not true within `deadline`, also when a single look at it takes longer than that;
/// the message names `what`.
#[track_caller]
pub fn eventually<F, Fut>(deadline: Duration, what: &str, mut condition: F) -> impl Future<Output = ()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    eventually_some(deadline, what, move || {
        let look = condition();
        async move { look.await.then_some(()) }
    })
}

/// Returns the first `Some` that `look` gives.
///
/// # Panics
/// As [`eventually`] does.
#[track_caller]
pub fn eventually_some<T, F, Fut>(deadline: Duration, what: &str, mut look: F) -> impl Future<Output = T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    // Taken here and not in the future, where the caller would be the executor.
    let caller = std::panic::Location::caller();
    async move {
        let end = Instant::now() + deadline;
        while let Ok(found) = timeout_at(end, look()).await {
            if let Some(value) = found {
                return value;
            }
            if Instant::now() >= end {
                break;
            }
            sleep(POLL).await;
        }
        panic!("not within {deadline:?}: {what} (waited for at {caller})");
    }
}
