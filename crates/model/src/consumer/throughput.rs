//! How fast entries are settled, to know how many to read ahead.

/// The time over which settled entries are counted, in milliseconds.
const WIDTH: u64 = 100;

/// Entries settled in about the last 100 ms.
#[derive(Debug, Default)]
pub(super) struct Throughput {
    bucket: u64,
    current: usize,
    previous: usize,
}

impl Throughput {
    /// Counts a settled entry.
    pub(super) fn count(&mut self, now: u64) {
        let bucket = now / WIDTH;
        if bucket != self.bucket {
            self.previous = if bucket == self.bucket + 1 { self.current } else { 0 };
            self.current = 0;
            self.bucket = bucket;
        }
        self.current += 1;
    }

    /// How many were settled in 100 ms: the more of this interval and the one before.
    pub(super) fn entries(&self, now: u64) -> usize {
        match (now / WIDTH).saturating_sub(self.bucket) {
            0 => self.current.max(self.previous),
            1 => self.current,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_last_intervals() {
        let mut throughput = Throughput::default();
        (0..50).for_each(|_| throughput.count(1010));
        assert_eq!(
            (throughput.entries(1020), throughput.entries(1110), throughput.entries(1200)),
            (50, 50, 0)
        );
        (0..60).for_each(|_| throughput.count(1110));
        assert_eq!(throughput.entries(1110), 60);
        throughput.count(5000);
        assert_eq!(throughput.entries(5000), 1);
    }
}
