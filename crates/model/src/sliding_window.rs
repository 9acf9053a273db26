//! Sums over the last while, in constant memory.

const BUCKETS: usize = 10;

/// The sums of `N` numbers over a window of time that moves on in tenths of it. Time is milliseconds of any monotonic
/// clock.
///
/// The window covers the bucket that the time is in and the nine before it.
#[derive(Clone, Debug)]
pub(crate) struct SlidingWindow<const N: usize> {
    buckets: [[u64; N]; BUCKETS],
    /// The milliseconds of a bucket.
    width: u64,
    /// The number of the newest bucket: its time divided by the width.
    newest: u64,
    totals: [u64; N],
}

impl<const N: usize> SlidingWindow<N> {
    /// A window of `ms` milliseconds, at least 10, without anything in it.
    pub(crate) fn new(ms: u64) -> Self {
        let width = (ms / BUCKETS as u64).max(1);
        SlidingWindow { buckets: [[0; N]; BUCKETS], width, newest: 0, totals: [0; N] }
    }

    /// Adds numbers now.
    pub(crate) fn add(&mut self, numbers: [u64; N], now_ms: u64) {
        let number = now_ms / self.width;
        // A clock that went back counts into the newest bucket.
        while self.newest < number {
            if number - self.newest > BUCKETS as u64 {
                self.clear();
                self.newest = number;
                break;
            }
            self.newest += 1;
            let oldest = std::mem::replace(&mut self.buckets[index(self.newest)], [0; N]);
            self.totals.iter_mut().zip(oldest).for_each(|(total, n)| *total -= n);
        }
        let bucket = &mut self.buckets[index(self.newest)];
        bucket.iter_mut().zip(numbers).for_each(|(sum, n)| *sum += n);
        self.totals.iter_mut().zip(numbers).for_each(|(total, n)| *total += n);
    }

    /// The sums of the window as it was when numbers were added last.
    pub(crate) fn totals(&self) -> [u64; N] {
        self.totals
    }

    /// The sums of the window as it is now.
    pub(crate) fn totals_at(&self, now_ms: u64) -> [u64; N] {
        let mut totals = self.totals;
        let passed = (now_ms / self.width).saturating_sub(self.newest).min(BUCKETS as u64);
        for bucket in self.newest + 1..=self.newest + passed {
            totals.iter_mut().zip(self.buckets[index(bucket)]).for_each(|(total, n)| *total -= n);
        }
        totals
    }

    /// When the window as it is now has begun.
    pub(crate) fn begin(&self, now_ms: u64) -> u64 {
        (now_ms / self.width).saturating_sub(BUCKETS as u64 - 1) * self.width
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.buckets = [[0; N]; BUCKETS];
        self.totals = [0; N];
    }
}

fn index(number: u64) -> usize {
    (number % BUCKETS as u64) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_window_counts_what_its_buckets_cover(calls in prop::collection::vec((0_u64..400, any::<bool>()), 0..300)) {
            let mut window = SlidingWindow::new(1000);
            let mut seen: Vec<(u64, bool)> = Vec::new();
            let mut now = 0;
            for (step, ok) in calls {
                now += step * step / 100;
                let current = |seen: &[(u64, bool)]| {
                    let current = seen.iter().filter(|(bucket, _)| bucket + 10 > now / 100);
                    let failed = current.clone().filter(|(_, ok)| !ok).count() as u64;
                    [current.count() as u64, failed]
                };
                prop_assert_eq!(window.totals_at(now), current(&seen));
                window.add([1, u64::from(!ok)], now);
                seen.push((now / 100, ok));
                prop_assert_eq!(window.totals(), current(&seen));
                prop_assert_eq!(window.totals_at(now), current(&seen));
            }
        }
    }
}
