//! How many handler calls of a subscription may run, and whether its circuit breaker lets one start.

use std::sync::Arc;

use crate::breaker::{Breaker, BreakerState};
use crate::delivery::settlement::Settlement;
use crate::options::subscribe::SubscribeOptions;

/// The places for the handler calls of one subscription.
#[derive(Debug)]
pub(crate) struct HandlerSlots {
    /// Shared by subscriptions with the same options, as most of many are.
    options: Arc<SubscribeOptions>,
    /// Boxed, as few subscriptions have one and its window is large.
    breaker: Option<Box<Breaker>>,
    /// Calls that run, those that have timed out and keep their slot included.
    running: usize,
    paused: bool,
}

/// A handler call that has started.
pub(crate) struct Started {
    /// The breaker's epoch: the result of a call says nothing about a later one.
    pub(crate) epoch: u32,
    /// The state that the circuit breaker has changed to for this call.
    pub(crate) circuit: Option<BreakerState>,
}

impl HandlerSlots {
    pub(crate) fn new(options: Arc<SubscribeOptions>) -> Self {
        let breaker = options.circuit_breaker.clone().map(|options| Box::new(Breaker::new(options)));
        let paused = options.held;
        HandlerSlots { options, breaker, running: 0, paused }
    }

    pub(crate) fn options(&self) -> &SubscribeOptions {
        &self.options
    }

    pub(crate) fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Calls that run.
    pub(crate) fn running(&self) -> usize {
        self.running
    }

    /// Whether fewer calls run than may.
    pub(crate) fn has_free(&self) -> bool {
        self.running < self.options.concurrency
    }

    /// Whether neither a pause nor the circuit breaker keeps calls from starting.
    pub(crate) fn admits(&self, now: u64) -> bool {
        !self.paused && self.breaker.as_ref().is_none_or(|breaker| breaker.would_admit(now))
    }

    /// Whether a call may start now.
    pub(crate) fn may_start(&self, now: u64) -> bool {
        self.has_free() && self.admits(now)
    }

    /// A call starts.
    #[inline]
    pub(crate) fn start(&mut self, now: u64) -> Started {
        self.running += 1;
        let Some(breaker) = &mut self.breaker else { return Started { epoch: 0, circuit: None } };
        let before = breaker.state();
        breaker.admits(now);
        let after = breaker.state();
        Started { epoch: breaker.epoch(), circuit: (after != before).then_some(after) }
    }

    /// Tells the circuit breaker how a call of an epoch has ended. Returns the breaker's state if that changed.
    #[inline]
    pub(crate) fn record(&mut self, epoch: u32, settlement: Settlement, now: u64) -> Option<BreakerState> {
        let breaker = self.breaker.as_mut().filter(|breaker| breaker.epoch() == epoch)?;
        if settlement == Settlement::NotHandled {
            breaker.cancel();
            return None;
        }
        breaker.record(!settlement.is_failure(), now)
    }

    /// The slot of a call is free.
    pub(crate) fn release(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    /// While the circuit is open: when it admits a call again.
    pub(crate) fn circuit_admits_at(&self) -> Option<u64> {
        self.breaker.as_ref().and_then(|breaker| breaker.next_change_at())
    }

    /// How often a failed call is made again, at the most.
    pub(crate) fn max_retries(&self) -> u32 {
        if self.options.retry_on_error { self.options.max_retries } else { 0 }
    }

    /// The milliseconds until a call is made again that has ended like this; `None` where it must not be, whatever
    /// the number of its attempts. `attempt` and `random` are asked only for a delay that the options give.
    pub(crate) fn retry_delay(
        &self,
        settlement: Settlement,
        attempt: impl FnOnce() -> u32,
        random: impl FnOnce() -> f64,
    ) -> Option<u64> {
        match settlement {
            Settlement::RetryLater(ms) => Some(ms),
            Settlement::Failed { retryable: true } | Settlement::TimedOut { retryable: true } => {
                Some(self.options.retry.delay(attempt(), random()))
            }
            _ => None,
        }
    }
}
