//! What comes in: messages are read, routed to subscriptions and wait there for handlers.

use std::sync::Arc;

use oxbus_model::BusError;
use oxbus_model::channel::Channels;
use oxbus_model::delivery::{Candidate, Deliveries, Delivery, LiveEvent, Settlement, Tally};
use oxbus_model::envelope::{self, Missing};
use oxbus_model::filter::Filter;
use oxbus_model::histogram::Histogram;
use oxbus_model::routing::{Route, Router, Wire, WireRef};
use oxbus_model::stats::{RateWindow, Stats};
use oxbus_model::subscribe_options::{MatchBy, SubscribeOptions};

use crate::clock::{self, Clock};
use crate::encoder::new_id;
use crate::host::Notice;

/// The receiving half of a client. Behind one lock: a message touches all of it.
pub(crate) struct Intake {
    clock: Clock,
    channels: Channels,
    instance_id: Arc<str>,
    stats: Arc<Stats>,
    pub(crate) router: Router,
    pub(crate) deliveries: Deliveries,
    pub(crate) latency: Histogram,
    pub(crate) handler_duration: Histogram,
    pub(crate) received: RateWindow,
    /// False once the client drains: nothing more is taken in.
    open: bool,
    routes: Vec<Route>,
}

impl Intake {
    pub(crate) fn new(clock: Clock, channels: Channels, instance_id: Arc<str>, stats: Arc<Stats>) -> Self {
        Intake {
            clock,
            instance_id,
            stats,
            router: Router::new(channels.clone()),
            channels,
            deliveries: Deliveries::new(),
            latency: Histogram::new(),
            handler_duration: Histogram::new(),
            received: RateWindow::new(clock.now_ms()),
            open: true,
            routes: Vec::new(),
        }
    }

    /// Adds a subscription. Returns the wire subscriptions that it needs.
    pub(crate) fn add(
        &mut self,
        subscription: u32,
        patterns: &[String],
        options: &SubscribeOptions,
    ) -> Result<Vec<Wire>, BusError> {
        let filter = options.filter.as_ref().map(Filter::parse).transpose()?;
        self.deliveries.add(subscription, options, filter);
        Ok(self.router.add(subscription, patterns, options.by == MatchBy::Channel))
    }

    /// Removes a subscription. Returns the wire subscriptions that nobody needs any more.
    pub(crate) fn remove(&mut self, subscription: u32) -> Vec<Wire> {
        let tally = self.deliveries.remove(subscription);
        self.count(tally);
        self.router.remove(subscription)
    }

    /// Takes a message in that came on `channel` for `wire`.
    pub(crate) fn message(&mut self, wire: WireRef<'_>, channel: &[u8], payload: &[u8]) {
        if !self.open || !self.router.concerns(wire, channel) {
            return;
        }
        let Ok(decoded) = envelope::read(payload, missing) else {
            self.stats.events_foreign.add(1);
            return;
        };
        self.routes.clear();
        self.router.route(wire, channel, &decoded.event_type, &mut self.routes);
        if self.routes.is_empty() {
            return;
        }
        let now = self.clock.now_ms();
        self.stats.events_received.add(1);
        self.received.add(1, now);
        let usual = self.channels.name_of(channel) == Some(decoded.event_type.as_bytes());
        let candidate = Candidate::new(LiveEvent {
            channel: (!usual).then(|| String::from_utf8_lossy(channel).into()),
            published_ms: decoded.published_ms,
            key: decoded.key.as_deref().map(Arc::from),
            own: decoded.instance_id.as_deref() == Some(&*self.instance_id),
            parts: decoded.parts,
            json: decoded.json.into_owned().into_boxed_str(),
        });
        let mut tally = Tally::default();
        for Route { subscription, pattern } in &self.routes {
            tally.add(self.deliveries.offer(*subscription, *pattern, &candidate, now));
        }
        self.count(tally);
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
        let now = clock::wall_ms();
        for delivery in out.iter().skip(first).filter(|d| d.attempt == 1) {
            if let Some(published) = delivery.event.published_ms {
                // A publisher whose clock is ahead counts as no delay.
                self.latency.record(u64::try_from(now - published).unwrap_or(0).saturating_mul(1000));
            }
        }
    }

    /// Ends a handler call. Returns the change of its circuit, if any.
    pub(crate) fn settle(&mut self, token: u32, settlement: Settlement, microseconds: u64) -> Option<Notice> {
        if settlement != Settlement::NotHandled {
            self.handler_duration.record(microseconds);
        }
        if let Settlement::TimedOut { .. } = settlement {
            self.stats.zombie_handlers.add(1);
        }
        let (tally, change) = self.deliveries.settle(token, settlement, self.clock.now_ms(), clock::random);
        self.count(tally);
        change.map(|c| Notice::Circuit { subscription: c.subscription, state: c.state })
    }

    /// Takes nothing more in; what waits is dropped and counted. Calls that run go on.
    pub(crate) fn close(&mut self) -> Vec<Wire> {
        self.open = false;
        let subscriptions: Vec<u32> = self.router.subscriptions().collect();
        subscriptions.into_iter().flat_map(|s| self.remove(s)).collect()
    }

    fn count(&self, tally: Tally) {
        let Tally { delivered, handler_errors, failed, retried, skipped, dropped } = tally;
        let counters = [
            (&self.stats.events_delivered, delivered),
            (&self.stats.handler_errors, handler_errors),
            (&self.stats.events_failed, failed),
            (&self.stats.events_retried, retried),
            (&self.stats.events_skipped, skipped),
            (&self.stats.events_dropped, dropped),
        ];
        for (counter, n) in counters {
            if n > 0 {
                counter.add(n);
            }
        }
    }
}

fn missing() -> Missing {
    Missing { id: new_id(), timestamp_ms: clock::wall_ms() }
}
