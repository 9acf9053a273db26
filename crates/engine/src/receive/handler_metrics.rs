//! What is counted and measured of handler calls, live and durable ones: all that a delivery pays for statistics.

use std::sync::Arc;

use oxbus_model::delivery::{Delivery, DeliveryCounts, Settlement};
use oxbus_model::observe::histogram::Histogram;
use oxbus_model::observe::metrics::{Calls, LIVE, MetricKey};
use oxbus_model::observe::stats::{RateWindow, Stats};

use crate::runtime::clock::Clock;

/// The counters of a client that its deliveries change, and their durations.
pub(crate) struct HandlerMetrics {
    clock: Clock,
    stats: Arc<Stats>,
    /// From publish to the first call.
    pub(crate) latency: Histogram,
    pub(crate) handler_duration: Histogram,
    /// Handler calls by stream, group and event type.
    pub(crate) calls: Calls,
    /// Live events handled with success, each once for each subscription.
    pub(crate) consumed: u64,
    pub(crate) received: RateWindow,
}

impl HandlerMetrics {
    pub(crate) fn new(clock: Clock, stats: Arc<Stats>) -> Self {
        let received = RateWindow::new(clock.now_ms());
        HandlerMetrics {
            clock,
            stats,
            latency: Histogram::new(),
            handler_duration: Histogram::new(),
            calls: Calls::default(),
            consumed: 0,
            received,
        }
    }

    /// Events have come in.
    pub(crate) fn received(&mut self, events: usize, now_ms: u64) {
        self.stats.events_received.add(events as u64);
        self.received.add(events as u64, now_ms);
    }

    /// Measures how long events took from their publish to their first handler call.
    pub(crate) fn handed_out(&mut self, deliveries: &[Delivery]) {
        let now = self.clock.wall_ms();
        for delivery in deliveries.iter().filter(|d| d.attempt == 1) {
            if let Some(published) = delivery.event.published_ms {
                // A publisher whose clock is ahead counts as no delay.
                self.latency.record(u64::try_from(now - published).unwrap_or(0).saturating_mul(1000));
            }
        }
    }

    /// Measures a handler call that has ended after `microseconds`; `keys` has one key for each of its events.
    pub(crate) fn ended(
        &mut self,
        keys: impl IntoIterator<Item = MetricKey>,
        settlement: Settlement,
        microseconds: u64,
    ) {
        if settlement == Settlement::NotHandled {
            return;
        }
        self.handler_duration.record(microseconds);
        for key in keys {
            self.calls.record(key, microseconds);
            self.consumed += u64::from(key.consumer == LIVE && settlement == Settlement::Succeeded);
        }
        if let Settlement::TimedOut { .. } = settlement {
            self.stats.zombie_handlers.add(1);
        }
    }

    /// Adds to the counters of the client.
    pub(crate) fn count(&self, counts: DeliveryCounts) {
        let DeliveryCounts {
            delivered,
            handler_errors,
            failed,
            retried,
            skipped,
            dropped,
            dead_lettered,
            letters_dropped,
            recovered,
            renewed,
        } = counts;
        let counters = [
            (&self.stats.events_delivered, delivered),
            (&self.stats.handler_errors, handler_errors),
            (&self.stats.events_failed, failed),
            (&self.stats.events_retried, retried),
            (&self.stats.events_skipped, skipped),
            (&self.stats.events_dropped, dropped),
            (&self.stats.events_dead_lettered, dead_lettered),
            (&self.stats.dead_letters_dropped, letters_dropped),
            (&self.stats.messages_recovered, recovered),
            (&self.stats.claims_renewed, renewed),
        ];
        for (counter, n) in counters {
            if n > 0 {
                counter.add(n);
            }
        }
    }
}
