//! How long a link waits before it connects again, and a request of the store before it is sent again.
//!
//! Randomness comes in as an argument from `[0, 1)`, so that every delay is reproducible.

use crate::retry::Jitter;

/// The delays of a reconnecting link: full jitter under a ceiling that doubles up to a cap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The ceiling of the first delay, in milliseconds.
    pub base: u64,
    /// The highest ceiling, in milliseconds.
    pub cap: u64,
    attempt: u32,
}

impl Backoff {
    /// The delays before a link connects again.
    pub fn of_reconnecting() -> Self {
        Backoff::new(50, 5000)
    }

    /// The pauses after a panic of a link: a fault that comes back with every connection must not become a storm of them.
    pub fn of_panics() -> Self {
        Backoff::of_reconnecting()
    }

    /// A backoff that has not failed yet.
    pub fn new(base: u64, cap: u64) -> Self {
        Backoff { base, cap, attempt: 0 }
    }

    /// Counts one more failed attempt and gives the milliseconds to wait after it.
    pub fn next(&mut self, random: f64) -> u64 {
        let factor = 1_u64.checked_shl(self.attempt).unwrap_or(u64::MAX);
        self.attempt = self.attempt.saturating_add(1);
        Jitter::Full.spread(self.base.saturating_mul(factor).min(self.cap), random)
    }

    /// Starts over, after a connection that worked.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }

    /// The attempts that failed since the last success.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALMOST_ONE: f64 = 1.0 - f64::EPSILON;

    #[test]
    fn a_backoff_doubles_its_ceiling_and_starts_over_when_reset() {
        let mut backoff = Backoff::of_reconnecting();
        let delays: Vec<u64> = (0..9).map(|_| backoff.next(0.5)).collect();
        assert_eq!(delays, [25, 50, 100, 200, 400, 800, 1600, 2500, 2500]);
        assert_eq!(backoff.attempt(), 9);
        backoff.reset();
        assert_eq!((backoff.attempt(), backoff.next(0.5)), (0, 25));
    }

    #[test]
    fn a_backoff_never_overflows() {
        let mut backoff = Backoff { attempt: u32::MAX, ..Backoff::of_reconnecting() };
        assert!(backoff.next(ALMOST_ONE) < 5000);
        assert_eq!(backoff.attempt(), u32::MAX);
    }

    proptest! {
        #[test]
        fn a_backoff_stays_under_its_ceiling(randoms in prop::collection::vec(0.0..1.0, 1..200)) {
            let mut backoff = Backoff::of_reconnecting();
            for (attempt, random) in randoms.into_iter().enumerate() {
                let ceiling = 50 * 2_u64.pow(attempt.min(20) as u32);
                prop_assert!(backoff.next(random) <= ceiling.min(5000));
            }
        }
    }
}
