//! When something that failed may be tried again.

/// The first wait after a failure, and the longest, in milliseconds.
const DELAYS: (u64, u64) = (100, 5000);

/// How many requests of a kind are on their way, and from when on the next may go after one has failed.
#[derive(Debug, Default)]
pub(super) struct Gate {
    busy: usize,
    delay: u64,
    at: u64,
}

impl Gate {
    /// Whether a request may go while fewer than `limit` are on their way.
    pub(super) fn open(&self, now: u64, limit: usize) -> bool {
        self.busy < limit && now >= self.at
    }

    /// A request goes.
    pub(super) fn sent(&mut self) {
        self.busy += 1;
    }

    /// A request was answered.
    pub(super) fn succeeded(&mut self) {
        self.busy = self.busy.saturating_sub(1);
        (self.delay, self.at) = (0, 0);
    }

    /// A request failed. Returns whether it is the first in a row.
    pub(super) fn failed(&mut self, now: u64) -> bool {
        self.busy = self.busy.saturating_sub(1);
        let first = self.delay == 0;
        self.delay = (self.delay * 2).clamp(DELAYS.0, DELAYS.1);
        self.at = now + self.delay;
        first
    }

    /// Whether requests are on their way.
    pub(super) fn is_busy(&self) -> bool {
        self.busy > 0
    }

    /// From when on the next request may go.
    pub(super) fn opens_at(&self) -> u64 {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_and_ends_with_a_success() {
        let mut gate = Gate::default();
        let waits: Vec<u64> = (0..8)
            .map(|_| {
                gate.sent();
                gate.failed(1000);
                gate.opens_at() - 1000
            })
            .collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert!(!gate.open(5999, 1) && gate.open(6000, 1));
        gate.sent();
        assert!(!gate.open(6000, 1) && gate.open(6000, 2));
        gate.succeeded();
        assert!(gate.open(0, 1));
    }
}
