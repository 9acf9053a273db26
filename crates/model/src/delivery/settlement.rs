//! How handler calls end, and what that changes.

use crate::breaker::BreakerState;

/// How a handler call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It returned, or its promise resolved.
    Succeeded,
    /// It threw or rejected. `retryable` is what the handler's side says of the error.
    Failed {
        /// Whether the error may be tried again.
        retryable: bool,
    },
    /// It asked to be called again after so many milliseconds.
    RetryLater(u64),
    /// It did not end in time. It counts as failed; it may still run.
    TimedOut {
        /// Whether the call may be tried again.
        retryable: bool,
    },
    /// The event did not reach a handler.
    NotHandled,
}

impl Settlement {
    /// Whether a handler had the event and did not succeed.
    pub(crate) fn is_failure(self) -> bool {
        !matches!(self, Settlement::Succeeded | Settlement::NotHandled)
    }
}

/// What a call changed, for the counters and the events of the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Events that a handler has handled with success, those of a batch one by one.
    pub delivered: u64,
    /// Handler calls that failed.
    pub handler_errors: u64,
    /// Events given up.
    pub failed: u64,
    /// Retries scheduled.
    pub retried: u64,
    /// Events that a subscription did not want: its filter, or its own echo.
    pub skipped: u64,
    /// Events dropped: queue full, circuit open, subscription gone.
    pub dropped: u64,
    /// Stored events moved to the dead letters.
    pub dead_lettered: u64,
    /// Dead letters that had to go, as there were as many as are kept.
    pub letters_dropped: u64,
    /// Stored events taken over from other consumers.
    pub recovered: u64,
    /// Claims renewed.
    pub renewed: u64,
}

impl DeliveryCounts {
    /// Adds other counts.
    pub fn add(&mut self, other: DeliveryCounts) {
        self.delivered += other.delivered;
        self.handler_errors += other.handler_errors;
        self.failed += other.failed;
        self.retried += other.retried;
        self.skipped += other.skipped;
        self.dropped += other.dropped;
        self.dead_lettered += other.dead_lettered;
        self.letters_dropped += other.letters_dropped;
        self.recovered += other.recovered;
        self.renewed += other.renewed;
    }
}

/// A change of a subscription's circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitChange {
    /// The subscription.
    pub subscription: u32,
    /// Its new state.
    pub state: BreakerState,
}
