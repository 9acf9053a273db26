//! The circuit breaker of a subscription: no attempt starts while too many fail.

use crate::sliding_window::SlidingWindow;

/// When a [`Breaker`] opens and closes.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerOptions {
    /// The share of failed calls in the window, in percent, at which it opens. Default 50.
    pub error_threshold_percentage: f64,
    /// The milliseconds it stays open before one call may try. Default 60 000.
    pub reset_timeout: u64,
    /// Fewer calls than this in the window never open it. Default 10.
    pub minimum_calls: u32,
    /// The milliseconds over which calls are counted, to a tenth. Default 10 000.
    pub window: u64,
}

impl Default for BreakerOptions {
    fn default() -> Self {
        BreakerOptions {
            error_threshold_percentage: 50.0,
            reset_timeout: 60_000,
            minimum_calls: 10,
            window: 10_000,
        }
    }
}

/// Whether calls may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls start, and their results are counted.
    Closed,
    /// No call starts.
    Open,
    /// One call may start, or runs; its result decides.
    HalfOpen,
}

impl BreakerState {
    /// The name used in JavaScript.
    pub fn as_str(self) -> &'static str {
        match self {
            BreakerState::Closed => "closed",
            BreakerState::Open => "open",
            BreakerState::HalfOpen => "half-open",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    Open { until: u64 },
    HalfOpen { running: bool },
}

/// Decides per call whether it may start. Time comes in as milliseconds of any monotonic clock.
#[derive(Clone, Debug)]
pub struct Breaker {
    options: BreakerOptions,
    /// The calls of the window, and those that failed.
    window: SlidingWindow<2>,
    phase: Phase,
    epoch: u32,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(options: BreakerOptions) -> Self {
        let window = SlidingWindow::new(options.window);
        Breaker { options, window, phase: Phase::Closed, epoch: 0 }
    }

    /// Whether a call may start now. A half-open breaker admits one, then none until that one is
    /// [recorded](Breaker::record) or [cancelled](Breaker::cancel).
    ///
    /// An open breaker whose time is over becomes half-open here.
    pub fn admits(&mut self, now_ms: u64) -> bool {
        match self.phase {
            Phase::Closed => true,
            Phase::Open { until } if now_ms < until => false,
            Phase::HalfOpen { running: true } => false,
            Phase::Open { .. } | Phase::HalfOpen { running: false } => {
                self.phase = Phase::HalfOpen { running: true };
                true
            }
        }
    }

    /// Whether [`admits`](Breaker::admits) would say yes, without admitting anything.
    pub fn would_admit(&self, now_ms: u64) -> bool {
        match self.phase {
            Phase::Closed | Phase::HalfOpen { running: false } => true,
            Phase::Open { until } => now_ms >= until,
            Phase::HalfOpen { running: true } => false,
        }
    }

    /// Counts the result of a call, and gives the new state when it changed.
    ///
    /// While the breaker is open, late results change nothing. While it is half-open, a late result
    /// would be taken for that of the one call: hand in only results of the current
    /// [epoch](Breaker::epoch).
    pub fn record(&mut self, ok: bool, now_ms: u64) -> Option<BreakerState> {
        match self.phase {
            Phase::Closed => {
                self.window.add([1, u64::from(!ok)], now_ms);
                (!ok && self.tripped()).then(|| self.open(now_ms))
            }
            Phase::HalfOpen { running: true } if ok => {
                self.window.clear();
                self.phase = Phase::Closed;
                Some(BreakerState::Closed)
            }
            Phase::HalfOpen { running: true } => Some(self.open(now_ms)),
            Phase::Open { .. } | Phase::HalfOpen { running: false } => None,
        }
    }

    /// Takes back an admission whose call was never run, so that another may be admitted.
    pub fn cancel(&mut self) {
        if let Phase::HalfOpen { running } = &mut self.phase {
            *running = false;
        }
    }

    /// The state as of the last call of [`admits`](Breaker::admits) or [`record`](Breaker::record).
    pub fn state(&self) -> BreakerState {
        match self.phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Open { .. } => BreakerState::Open,
            Phase::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// A number that changes whenever the breaker opens. A call whose epoch at its start is not the
    /// current one says nothing about the handler as it is now.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// While open: when a call is admitted again. Otherwise nothing changes by time alone.
    pub fn next_change_at(&self) -> Option<u64> {
        match self.phase {
            Phase::Open { until } => Some(until),
            Phase::Closed | Phase::HalfOpen { .. } => None,
        }
    }

    fn tripped(&self) -> bool {
        let [calls, failures] = self.window.totals();
        calls >= u64::from(self.options.minimum_calls)
            && failures as f64 * 100.0 >= calls as f64 * self.options.error_threshold_percentage
    }

    fn open(&mut self, now_ms: u64) -> BreakerState {
        self.window.clear();
        self.epoch = self.epoch.wrapping_add(1);
        self.phase = Phase::Open { until: now_ms.saturating_add(self.options.reset_timeout) };
        BreakerState::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened_at(now: u64) -> Breaker {
        let mut breaker = Breaker::new(BreakerOptions::default());
        for _ in 0..9 {
            assert_eq!(breaker.record(false, now), None);
        }
        assert_eq!(breaker.record(false, now), Some(BreakerState::Open));
        breaker
    }

    #[test]
    fn it_opens_at_the_threshold_and_not_below() {
        let mut breaker = Breaker::new(BreakerOptions::default());
        for n in 0..20 {
            assert_eq!(breaker.record(n % 5 < 3, 0), None, "40 % of {n}");
        }
        for _ in 0..3 {
            assert_eq!(breaker.record(false, 0), None);
        }
        assert_eq!(breaker.record(false, 0), Some(BreakerState::Open), "12 of 24");
    }

    #[test]
    fn too_few_calls_never_open_it() {
        let mut breaker = Breaker::new(BreakerOptions::default());
        for _ in 0..9 {
            assert_eq!(breaker.record(false, 0), None);
        }
        assert!(breaker.admits(0));
    }

    #[test]
    fn calls_that_left_the_window_do_not_count() {
        let mut breaker = Breaker::new(BreakerOptions::default());
        for _ in 0..9 {
            breaker.record(false, 0);
        }
        for _ in 0..9 {
            assert_eq!(breaker.record(false, 10_000), None);
        }
        assert_eq!(breaker.record(false, 19_999), Some(BreakerState::Open));
    }

    #[test]
    fn an_open_breaker_admits_one_call_after_its_time() {
        let mut breaker = opened_at(5);
        assert_eq!(breaker.next_change_at(), Some(60_005));
        assert!(!breaker.admits(60_004));
        assert_eq!(breaker.record(true, 60_004), None, "a late result");
        assert!(breaker.admits(60_005));
        assert_eq!((breaker.state(), breaker.next_change_at()), (BreakerState::HalfOpen, None));
        assert!(!breaker.admits(u64::MAX));
    }

    #[test]
    fn the_one_call_decides() {
        let mut breaker = opened_at(0);
        assert!(breaker.admits(60_000));
        assert_eq!(breaker.record(false, 60_001), Some(BreakerState::Open));
        assert_eq!(breaker.next_change_at(), Some(120_001));
        assert!(breaker.admits(120_001));
        assert_eq!(breaker.record(true, 120_002), Some(BreakerState::Closed));
        assert!(breaker.admits(120_002) && breaker.admits(120_002));
        assert_eq!(breaker.record(false, 120_002), None, "the window starts anew");
    }

    #[test]
    fn a_cancelled_call_lets_another_try() {
        let mut breaker = opened_at(0);
        assert!(breaker.admits(60_000));
        breaker.cancel();
        assert_eq!(breaker.record(true, 60_000), None, "nothing runs");
        assert!(breaker.admits(60_000));
        assert!(!breaker.admits(60_000));
    }

    #[test]
    fn the_epoch_tells_late_results_apart() {
        let mut breaker = opened_at(0);
        assert_eq!(breaker.epoch(), 1);
        assert!(breaker.admits(60_000));
        assert_eq!(breaker.epoch(), 1, "half-open belongs to the epoch of its opening");
        breaker.record(false, 60_000);
        assert_eq!(breaker.epoch(), 2);
    }

    #[test]
    fn a_reset_timeout_beyond_the_clock_keeps_it_open() {
        let options =
            BreakerOptions { reset_timeout: u64::MAX, minimum_calls: 0, window: 0, ..Default::default() };
        let mut breaker = Breaker::new(options);
        assert_eq!(breaker.record(false, 7), Some(BreakerState::Open));
        assert!(!breaker.admits(u64::MAX - 1));
    }
}
