//! How long the host does not answer a wake: its event loop is busy with something else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// From how long on the host is warned that it did not answer, in milliseconds.
pub(crate) const BLOCKED: u64 = 1_000;

/// The code of the warning.
pub(crate) const EVENT_LOOP_BLOCKED: &str = "EVENT_LOOP_BLOCKED";

/// The message of the warning.
pub(crate) fn message(ms: u64) -> String {
    format!("the event loop left what waited for it for {ms} ms: something blocks it")
}

/// Whether the host has been woken, and since when.
pub(crate) struct Wakes {
    /// In real time, also where a client has virtual time: event loops are blocked in real time.
    start: Instant,
    /// Milliseconds since `start`, and 1; 0: the host has not been woken since it answered.
    since: AtomicU64,
}

impl Wakes {
    pub(crate) fn new() -> Self {
        Wakes { start: Instant::now(), since: AtomicU64::new(0) }
    }

    /// Milliseconds since the client was made.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether the host has to be woken: it has not been since it answered.
    pub(crate) fn begin(&self) -> bool {
        // Whoever wakes the host has first stored, under a lock, what the host is to take. The host calls `end` before
        // it takes that lock: a caller that still finds the host woken here has stored before the host looks.
        self.since.load(Ordering::Acquire) == 0
            && self.since.compare_exchange(0, self.now_ms() + 1, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The host answers; how long that took, if it had been woken.
    pub(crate) fn end(&self) -> Option<u64> {
        let since = self.since.swap(0, Ordering::AcqRel);
        since.checked_sub(1).map(|since| self.now_ms().saturating_sub(since))
    }

    /// For how long the host has not answered.
    pub(crate) fn waiting_ms(&self) -> u64 {
        let since = self.since.load(Ordering::Acquire).checked_sub(1);
        since.map_or(0, |since| self.now_ms().saturating_sub(since))
    }
}

/// The longest waits of the last time.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    /// When the window began.
    window: u64,
    longest: u64,
    /// In the window before.
    before: u64,
}

impl Waits {
    /// The length of a window, in milliseconds. The longest wait is that of the last full window and the current one.
    const WINDOW: u64 = 30_000;

    /// Records a wait that ended at `now_ms`.
    pub(crate) fn record(&mut self, wait_ms: u64, now_ms: u64) {
        self.turn(now_ms);
        self.longest = self.longest.max(wait_ms);
    }

    /// The longest that ended in the last 30 to 60 s.
    pub(crate) fn longest(&mut self, now_ms: u64) -> u64 {
        self.turn(now_ms);
        self.longest.max(self.before)
    }

    fn turn(&mut self, now_ms: u64) {
        let age = now_ms.saturating_sub(self.window);
        if age >= Self::WINDOW {
            self.before = if age < 2 * Self::WINDOW { self.longest } else { 0 };
            self.longest = 0;
            self.window = now_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_woken_once_until_it_answers() {
        let wakes = Wakes::new();
        assert_eq!((wakes.end(), wakes.waiting_ms()), (None, 0));
        assert!(wakes.begin());
        assert!(!wakes.begin());
        assert!(wakes.end().is_some());
        assert_eq!(wakes.end(), None);
        assert!(wakes.begin());
    }

    #[test]
    fn a_wait_is_told_for_half_a_minute_at_least_and_a_minute_at_most() {
        let mut waits = Waits::default();
        assert_eq!(waits.longest(5), 0);
        for ended in [10, 29_000, 31_000, 59_000] {
            let mut waits = Waits::default();
            waits.record(700, ended);
            waits.record(3, ended + 1);
            assert_eq!(waits.longest(ended + 29_999), 700, "{ended}");
            assert_eq!(waits.longest(ended + 60_001), 0, "{ended}");
        }
        waits.record(1, 100);
        assert_eq!(waits.longest(1_000_000), 0);
    }
}
