//! Reads a `retry` object, of a configuration or of a subscription.

use crate::error::BusError;
use crate::options::reader::Reader;
use crate::retry::{Jitter, RetryPolicy};

/// One day: longer delays belong into a scheduler.
const MAX_DELAY: u64 = 86_400_000;

/// Reads `retry`: `initialDelay` and `maxDelay` 0–86 400 000, `multiplier` 1–100, `jitter` `'full'`
/// or `'none'`. What it leaves out is as in `base`, but that one limit given alone moves the other.
pub(crate) fn read_retry(r: &mut Reader, base: &RetryPolicy) -> Result<RetryPolicy, BusError> {
    let Some(mut r) = r.object("retry")? else { return Ok(base.clone()) };
    let initial = r.integer("initialDelay", 0..=MAX_DELAY)?;
    let max = r.integer("maxDelay", 0..=MAX_DELAY)?;
    let (initial_delay, max_delay) = match (initial, max) {
        (Some(initial), Some(max)) if initial > max => {
            return Err(r.error("maxDelay", format_args!("must not be less than initialDelay ({initial})")));
        }
        (Some(initial), max) => (initial, max.unwrap_or(base.max_delay.max(initial))),
        (None, Some(max)) => (base.initial_delay.min(max), max),
        (None, None) => (base.initial_delay, base.max_delay),
    };
    let policy = RetryPolicy {
        initial_delay,
        max_delay,
        multiplier: r.number("multiplier", 1.0..=100.0)?.unwrap_or(base.multiplier),
        jitter: r.choice("jitter", &[("full", Jitter::Full), ("none", Jitter::None)])?.unwrap_or(base.jitter),
    };
    r.finish()?;
    Ok(policy)
}
