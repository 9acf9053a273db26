//! What has come in and waits for handlers.

use std::sync::Arc;

use oxbus_model::BusError;
use oxbus_model::delivery::{Deliveries, Delivery, Settlement, Tally};
use oxbus_model::filter::Filter;
use oxbus_model::histogram::Histogram;
use oxbus_model::metrics::{Calls, Series};
use oxbus_model::routing::Route;
use oxbus_model::stats::{RateWindow, Stats};
use oxbus_model::subscribe_options::SubscribeOptions;

use crate::arrivals::Arrivals;
use crate::clock::{self, Clock};
use crate::host::Notice;

/// The deliveries of a client and what is measured of them. Behind a lock that the reader of messages and
/// the host take in turns, so nothing that takes long is done under it.
pub(crate) struct Intake {
    clock: Clock,
    stats: Arc<Stats>,
    pub(crate) deliveries: Deliveries,
    pub(crate) latency: Histogram,
    pub(crate) handler_duration: Histogram,
    /// Handler calls by stream, group and event type.
    pub(crate) calls: Calls,
    pub(crate) received: RateWindow,
    /// False once the client drains: nothing more is taken in.
    open: bool,
}

impl Intake {
    pub(crate) fn new(clock: Clock, stats: Arc<Stats>) -> Self {
        let received = RateWindow::new(clock.now_ms());
        Intake {
            clock,
            stats,
            deliveries: Deliveries::new(),
            latency: Histogram::new(),
            handler_duration: Histogram::new(),
            calls: Calls::default(),
            received,
            open: true,
        }
    }

    /// Adds a subscription.
    pub(crate) fn add(&mut self, subscription: u32, options: &SubscribeOptions) -> Result<(), BusError> {
        let filter = options.filter.as_ref().map(Filter::parse).transpose()?;
        self.deliveries.add(subscription, options, filter);
        Ok(())
    }

    /// Removes a subscription and what waits for it.
    pub(crate) fn remove(&mut self, subscription: u32) {
        let tally = self.deliveries.remove(subscription);
        self.count(tally);
    }

    /// Takes events in, each with the subscriptions that it goes to. `taken` is told of each event how many have
    /// taken it.
    pub(crate) fn accept(&mut self, arrivals: &mut Arrivals, mut taken: impl FnMut(u32)) {
        if self.open && !arrivals.events.is_empty() {
            let now = self.clock.now_ms();
            self.stats.events_received.add(arrivals.events.len() as u64);
            self.received.add(arrivals.events.len() as u64, now);
            let mut tally = Tally::default();
            let mut from = 0;
            for (candidate, to) in &arrivals.events {
                let mut takers = 0;
                for &Route { subscription, pattern } in &arrivals.routes[from..*to] {
                    let offered = self.deliveries.offer(subscription, pattern, candidate, now);
                    takers += u32::from(offered.skipped == 0);
                    tally.add(offered);
                }
                taken(takers);
                from = *to;
            }
            self.count(tally);
        } else {
            // They were on their way when the client began to close.
            self.count(Tally { dropped: arrivals.routes.len() as u64, ..Tally::default() });
            arrivals.events.iter().for_each(|_| taken(0));
        }
        arrivals.events.clear();
        arrivals.routes.clear();
    }

    /// Whether handlers have something to do.
    pub(crate) fn has_ready(&self) -> bool {
        self.deliveries.has_ready(self.clock.now_ms())
    }

    /// Hands out events within `limit`, events and bytes. Circuits that changed are added to `notices`.
    pub(crate) fn take(&mut self, limit: (usize, usize), out: &mut Vec<Delivery>, notices: &mut Vec<Notice>) {
        let first = out.len();
        for change in self.deliveries.take(self.clock.now_ms(), limit, out) {
            notices.push(Notice::Circuit { subscription: change.subscription, state: change.state });
        }
        self.note_latency(&out[first..]);
    }

    /// Measures how long events took to their first call.
    pub(crate) fn note_latency(&mut self, deliveries: &[Delivery]) {
        let now = self.clock.wall_ms();
        for delivery in deliveries.iter().filter(|d| d.attempt == 1) {
            if let Some(published) = delivery.event.published_ms {
                // A publisher whose clock is ahead counts as no delay.
                self.latency.record(u64::try_from(now - published).unwrap_or(0).saturating_mul(1000));
            }
        }
    }

    /// Counts a handler call that has ended for what it was for.
    pub(crate) fn note_series(&mut self, series: Series, settlement: Settlement, microseconds: u64) {
        if settlement != Settlement::NotHandled {
            self.calls.record(series, microseconds, settlement == Settlement::Succeeded);
        }
    }

    /// Measures a handler call that has ended.
    pub(crate) fn note_call(&mut self, settlement: Settlement, microseconds: u64) {
        if settlement != Settlement::NotHandled {
            self.handler_duration.record(microseconds);
        }
        if let Settlement::TimedOut { .. } = settlement {
            self.stats.zombie_handlers.add(1);
        }
    }

    /// Ends a handler call. Returns the change of its circuit, if any.
    pub(crate) fn settle(
        &mut self,
        token: u32,
        settlement: Settlement,
        microseconds: u64,
        now_ms: u64,
    ) -> Option<Notice> {
        self.note_call(settlement, microseconds);
        if let Some(series) = self.deliveries.series(token) {
            self.note_series(series, settlement, microseconds);
        }
        let (tally, change) = self.deliveries.settle(token, settlement, now_ms, clock::random);
        self.count(tally);
        change.map(|c| Notice::Circuit { subscription: c.subscription, state: c.state })
    }

    /// Takes nothing more in and drops what waits. Calls that run go on.
    pub(crate) fn close(&mut self) {
        self.open = false;
        let tally = self.deliveries.clear();
        self.count(tally);
    }

    /// Counts.
    pub(crate) fn count(&self, tally: Tally) {
        let Tally {
            delivered,
            handler_errors,
            failed,
            retried,
            skipped,
            dropped,
            dead_lettered,
            recovered,
            renewed,
        } = tally;
        let counters = [
            (&self.stats.events_delivered, delivered),
            (&self.stats.handler_errors, handler_errors),
            (&self.stats.events_failed, failed),
            (&self.stats.events_retried, retried),
            (&self.stats.events_skipped, skipped),
            (&self.stats.events_dropped, dropped),
            (&self.stats.events_dead_lettered, dead_lettered),
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
