//! Live events that have come in and wait for handlers.

use std::sync::Arc;

use oxbus_model::BusError;
use oxbus_model::delivery::{Deliveries, Delivery, DeliveryCounts, Settlement};
use oxbus_model::filter::Filter;
use oxbus_model::observe::stats::Stats;
use oxbus_model::options::subscribe::SubscribeOptions;
use oxbus_model::routing::router::Route;

use crate::host::Notice;
use crate::receive::handler_metrics::HandlerMetrics;
use crate::runtime::clock;
use crate::runtime::clock::Clock;
use crate::transport::inbound::InboundBatch;

/// The deliveries of a client and what is measured of them. Behind a lock that the reader of messages and
/// the host take in turns, so nothing that takes long is done under it.
pub(crate) struct LiveQueue {
    clock: Clock,
    pub(crate) deliveries: Deliveries,
    pub(crate) metrics: HandlerMetrics,
    /// False once the client drains: nothing more is taken in.
    open: bool,
}

impl LiveQueue {
    pub(crate) fn new(clock: Clock, stats: Arc<Stats>) -> Self {
        let metrics = HandlerMetrics::new(clock.clone(), stats);
        LiveQueue { clock, deliveries: Deliveries::new(), metrics, open: true }
    }

    /// Adds a subscription.
    pub(crate) fn add(&mut self, subscription: u32, options: &SubscribeOptions) -> Result<(), BusError> {
        let filter = options.filter.as_ref().map(Filter::parse).transpose()?;
        self.deliveries.add(subscription, options, filter);
        Ok(())
    }

    /// Removes a subscription and what waits for it.
    pub(crate) fn remove(&mut self, subscription: u32) {
        let counts = self.deliveries.remove(subscription);
        self.metrics.count(counts);
    }

    /// Takes events in, each with the subscriptions that it goes to. `taken` is told of each event how many have
    /// taken it.
    pub(crate) fn accept(&mut self, batch: &mut InboundBatch, mut taken: impl FnMut(u32)) {
        if self.open && !batch.events.is_empty() {
            let now = self.clock.now_ms();
            self.metrics.received(batch.events.len(), now);
            let mut counts = DeliveryCounts::default();
            let mut from = 0;
            for (inbound, to) in &batch.events {
                let mut takers = 0;
                for &Route { subscription, pattern } in &batch.routes[from..*to] {
                    let offered = self.deliveries.offer(subscription, pattern, inbound, now);
                    takers += u32::from(offered.skipped == 0);
                    counts.add(offered);
                }
                taken(takers);
                from = *to;
            }
            self.metrics.count(counts);
        } else {
            // They were on their way when the client began to close.
            self.metrics
                .count(DeliveryCounts { dropped: batch.routes.len() as u64, ..DeliveryCounts::default() });
            batch.events.iter().for_each(|_| taken(0));
        }
        batch.events.clear();
        batch.routes.clear();
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
        self.metrics.handed_out(&out[first..]);
    }

    /// Ends a handler call. Returns the change of its circuit, if any.
    pub(crate) fn settle(
        &mut self,
        token: u32,
        settlement: Settlement,
        microseconds: u64,
        now_ms: u64,
    ) -> Option<Notice> {
        let (counts, change) = self.deliveries.settle(token, settlement, now_ms, clock::random);
        self.metrics.ended(self.deliveries.take_ended(), settlement, microseconds);
        self.metrics.count(counts);
        change.map(|c| Notice::Circuit { subscription: c.subscription, state: c.state })
    }

    /// Takes nothing more in and drops what waits. Calls that run go on.
    pub(crate) fn close(&mut self) {
        self.open = false;
        let counts = self.deliveries.clear();
        self.metrics.count(counts);
    }
}
