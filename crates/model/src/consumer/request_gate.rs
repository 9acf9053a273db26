//! When a request that failed may be tried again.

use crate::backoff::Backoff;

/// The ceilings of the waits after a failure, the first and the highest, in milliseconds.
const DELAYS: (u64, u64) = (100, 5000);

/// How many requests of a kind are on their way, and from when on the next may go after one has failed.
#[derive(Debug)]
pub(super) struct RequestGate {
    in_flight: usize,
    backoff: Backoff,
    at: u64,
}

impl Default for RequestGate {
    fn default() -> Self {
        RequestGate { in_flight: 0, backoff: Backoff::new(DELAYS.0, DELAYS.1), at: 0 }
    }
}

impl RequestGate {
    /// Whether a request may go while fewer than `limit` are on their way.
    pub(super) fn is_open(&self, now: u64, limit: usize) -> bool {
        self.in_flight < limit && now >= self.at
    }

    /// A request goes.
    pub(super) fn sent(&mut self) {
        self.in_flight += 1;
    }

    /// A request was answered.
    pub(super) fn succeeded(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.open();
    }

    /// A request failed; `random` from `[0, 1)` spreads the wait. Returns whether it is the first failure in a row.
    pub(super) fn failed(&mut self, now: u64, random: f64) -> bool {
        self.in_flight = self.in_flight.saturating_sub(1);
        let first = self.backoff.attempt() == 0;
        self.at = now + self.backoff.next(random);
        first
    }

    /// What has made requests fail may be over: the next one need not wait.
    pub(super) fn open(&mut self) {
        self.backoff.reset();
        self.at = 0;
    }

    /// Whether the last request failed, and the next one waits for its time, or is on its way.
    pub(super) fn has_failed(&self) -> bool {
        self.backoff.attempt() > 0
    }

    /// Whether requests are on their way.
    pub(super) fn has_in_flight(&self) -> bool {
        self.in_flight > 0
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
        let mut gate = RequestGate::default();
        let waits: Vec<u64> = (0..8)
            .map(|_| {
                gate.sent();
                gate.failed(1000, 1.0);
                gate.opens_at() - 1000
            })
            .collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert!(!gate.is_open(5999, 1) && gate.is_open(6000, 1));
        gate.sent();
        assert!(!gate.is_open(6000, 1) && gate.is_open(6000, 2));
        assert!(gate.has_failed());
        gate.succeeded();
        assert!(gate.is_open(0, 1) && !gate.has_failed());
    }

    #[test]
    fn what_is_on_its_way_counts_though_the_wait_is_over() {
        let mut gate = RequestGate::default();
        gate.sent();
        gate.failed(1000, 1.0);
        gate.sent();
        gate.open();
        assert!(!gate.is_open(1000, 1) && gate.is_open(1000, 2));
    }

    #[test]
    fn the_wait_is_spread() {
        let mut gate = RequestGate::default();
        let firsts: Vec<bool> = (0..2).map(|_| gate.failed(1000, 0.25)).collect();
        assert_eq!((firsts, gate.opens_at()), (vec![true, false], 1050));
    }
}
