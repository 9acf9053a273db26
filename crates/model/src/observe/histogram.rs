//! Durations in constant memory: quantiles to two significant digits, mean and maximum exactly.

use serde::Serialize;

/// The longest duration told apart, one hour in microseconds. Longer ones count as this long.
const LONGEST: u64 = 3_600_000_000;

/// The durations of all calls so far. A plain value: record in batches, under the lock of the owner.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: hdrhistogram::Histogram<u64>,
    count: u64,
    sum: u64,
    max: u64,
}

/// The spread of durations, in milliseconds; all zero when there were none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// Half of all took at most this long.
    pub p50: f64,
    /// 95 of 100 took at most this long.
    pub p95: f64,
    /// 99 of 100 took at most this long.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram::new()
    }
}

impl Histogram {
    /// An empty histogram; it always takes 26 KiB.
    pub fn new() -> Self {
        #[expect(clippy::expect_used, reason = "the bounds are constants, and a test makes one")]
        let counts = hdrhistogram::Histogram::new_with_bounds(1, LONGEST, 2).expect("valid bounds");
        Histogram { counts, count: 0, sum: 0, max: 0 }
    }

    /// Counts one duration, in microseconds; at most one hour is counted of it.
    pub fn record(&mut self, microseconds: u64) {
        let value = microseconds.min(LONGEST);
        self.counts.saturating_record(value);
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
        self.max = self.max.max(value);
    }

    /// How many durations were recorded.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The sum of all durations in milliseconds.
    pub fn sum(&self) -> f64 {
        self.sum as f64 / 1000.0
    }

    /// The mean in milliseconds, 0 when there were none.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 / 1000.0 }
    }

    /// The spread of all durations so far.
    pub fn quantiles(&self) -> Quantiles {
        // The upper edge of a bucket can lie above everything that was recorded.
        let at = |quantile| milliseconds(self.counts.value_at_quantile(quantile).min(self.max));
        Quantiles { p50: at(0.50), p95: at(0.95), p99: at(0.99), max: milliseconds(self.max) }
    }
}

fn milliseconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn empty_is_all_zero() {
        let histogram = Histogram::new();
        assert_eq!((histogram.count(), histogram.mean()), (0, 0.0));
        assert_eq!(histogram.quantiles(), Quantiles::default());
    }

    #[test]
    fn quantiles_are_milliseconds() {
        let mut histogram = Histogram::new();
        (1..=1000).for_each(|n| histogram.record(n * 1000));
        let Quantiles { p50, p95, p99, max } = histogram.quantiles();
        assert!(
            (495.0..=505.0).contains(&p50)
                && (940.0..=960.0).contains(&p95)
                && (980.0..=1000.0).contains(&p99)
        );
        assert_eq!((max, histogram.mean()), (1000.0, 500.5));
    }

    #[test]
    fn memory_does_not_grow_and_values_saturate() {
        let mut histogram = Histogram::new();
        let buckets = histogram.counts.distinct_values();
        for microseconds in [0, 1, LONGEST, u64::MAX] {
            histogram.record(microseconds);
        }
        assert_eq!(histogram.counts.distinct_values(), buckets);
        assert!(buckets * 8 <= 26 * 1024, "{buckets} buckets");
        assert_eq!(histogram.quantiles().max, 3_600_000.0);
    }

    proptest! {
        #[test]
        fn quantiles_are_in_order_and_close(mut values in prop::collection::vec(0..=LONGEST, 1..200)) {
            let mut histogram = Histogram::new();
            values.iter().for_each(|value| histogram.record(*value));
            values.sort_unstable();
            let Quantiles { p50, p95, p99, max } = histogram.quantiles();
            prop_assert!(p50 <= p95 && p95 <= p99 && p99 <= max);
            let median = values[(values.len() - 1) / 2] as f64 / 1000.0;
            prop_assert!((p50 - median).abs() <= median * 0.01 + 0.001, "{} for {}", p50, median);
        }
    }
}
