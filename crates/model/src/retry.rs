//! How long a handler waits before its next attempt. For links and requests see [`backoff`](crate::backoff).
//!
//! Randomness comes in as an argument from `[0, 1)`, so that every delay is reproducible.

/// How a delay is spread, so that clients that failed together do not come back together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jitter {
    /// Exactly the computed delay.
    None,
    /// Anything from zero to the computed delay, equally likely.
    #[default]
    Full,
}

impl Jitter {
    /// `delay` spread by `random`; a `random` outside `[0, 1]` counts as the nearer end.
    pub(crate) fn spread(self, delay: u64, random: f64) -> u64 {
        match self {
            Jitter::None => delay,
            // Casts from f64 saturate, and take NaN as 0.
            Jitter::Full => ((delay as f64 * random.clamp(0.0, 1.0)) as u64).min(delay),
        }
    }
}

/// The delays between the attempts of a handler, in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// The delay before the first retry, before jitter. Default 1000.
    pub initial_delay: u64,
    /// The largest delay, before jitter. Default 10 000.
    pub max_delay: u64,
    /// What each delay is multiplied by to give the next. Default 2.
    pub multiplier: f64,
    /// How a delay is spread. Default [`Jitter::Full`].
    pub jitter: Jitter,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy { initial_delay: 1000, max_delay: 10_000, multiplier: 2.0, jitter: Jitter::Full }
    }
}

impl RetryPolicy {
    /// The milliseconds to wait before retry number `retry` (from 1; 0 counts as 1).
    ///
    /// `random` is from `[0, 1)`. Never more than `max_delay`, whatever the fields hold.
    pub fn delay(&self, retry: u32, random: f64) -> u64 {
        let steps = i32::try_from(retry.saturating_sub(1)).unwrap_or(i32::MAX);
        // A huge power is infinite and saturates in the cast; 0 × infinity is NaN and becomes 0.
        let grown = (self.initial_delay as f64 * self.multiplier.powi(steps)) as u64;
        self.jitter.spread(grown.min(self.max_delay), random)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALMOST_ONE: f64 = 1.0 - f64::EPSILON;

    #[test]
    fn without_jitter_the_delays_double_up_to_the_maximum() {
        let policy = RetryPolicy { jitter: Jitter::None, ..RetryPolicy::default() };
        let delays: Vec<u64> = (1..=6).map(|retry| policy.delay(retry, 0.5)).collect();
        assert_eq!(delays, [1000, 2000, 4000, 8000, 10_000, 10_000]);
        assert_eq!(policy.delay(u32::MAX, 0.5), 10_000);
    }

    #[test]
    fn full_jitter_spreads_from_zero_to_the_delay() {
        let policy = RetryPolicy::default();
        assert_eq!(
            [policy.delay(3, 0.0), policy.delay(3, 0.5), policy.delay(3, ALMOST_ONE)],
            [0, 2000, 3999]
        );
    }

    proptest! {
        #[test]
        fn a_delay_is_within_its_bounds(
            initial_delay: u64, max_delay: u64, multiplier: f64, retry: u32, random: f64, full: bool,
        ) {
            let jitter = if full { Jitter::Full } else { Jitter::None };
            let policy = RetryPolicy { initial_delay, max_delay, multiplier, jitter };
            prop_assert!(policy.delay(retry, random) <= max_delay);
        }
    }
}
