//! What a client has done so far: `getStats()`.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::observe::histogram::{Histogram, Quantiles};
use crate::sliding_window::SlidingWindow;

/// A number counted from any thread. All but `zombie_handlers` only grow.
///
/// Relaxed: each counter is exact, but two of them read together may be of different moments.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Counts `n` back, of what is over again; not below zero.
    pub fn subtract(&self, n: u64) {
        // Never fails: the closure always gives a value.
        let _ =
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |value| Some(value.saturating_sub(n)));
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The counters of a client, shared by all its parts.
        #[derive(Debug, Default)]
        pub struct Stats { $($(#[doc = $doc])+ pub $name: Counter,)+ }

        /// The counters of a [`Stats`] at one moment.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "camelCase")]
        pub struct Counts { $($(#[doc = $doc])+ pub $name: u64,)+ }

        impl Stats {
            /// The counters now.
            pub fn counts(&self) -> Counts {
                Counts { $($name: self.$name.get(),)+ }
            }

            /// Gives each counter with its name and what it counts.
            pub fn each(&self, mut to: impl FnMut(&'static str, &'static str, u64)) {
                $(to(stringify!($name), concat!($($doc),+).trim(), self.$name.get());)+
            }
        }
    };
}

counters! {
    /// Publishes that were accepted.
    events_published,
    /// Events that came in for at least one subscription, before filters and queues. Foreign messages and those
    /// that no subscription wants are not among them; one that the server sends for two overlapping server
    /// subscriptions counts twice.
    events_received,
    /// Events that a handler has handled with success, those of a batch one by one. An event counts once for each
    /// subscription that has handled it.
    events_delivered,
    /// Events whose handler failed and was not tried again, once for each subscription.
    events_failed,
    /// Retries of a handler.
    events_retried,
    /// Events moved to a dead-letter stream.
    events_dead_lettered,
    /// Dead letters that had to go for new ones, as there were as many as are kept.
    dead_letters_dropped,
    /// Live events given up before a handler took them: the queue was full, the circuit open, or the subscription gone.
    events_dropped,
    /// Stored events that were gone before they were handled.
    events_lost,
    /// Events not handed to a handler on purpose: by the filter, or as an echo.
    events_skipped,
    /// Messages that are not events, each once.
    events_foreign,
    /// Entries taken over from a consumer that stopped.
    messages_recovered,
    /// Renewals of the claim on an entry in work.
    claims_renewed,
    /// Handler calls that threw, rejected or timed out, retried or not.
    handler_errors,
    /// Handler calls that still run after their timeout, now.
    zombie_handlers,
    /// Established connections that were lost, counted at the loss.
    reconnections,
}

/// The time that a [`RateWindow`] covers, in milliseconds: the current second and the nine before it.
const WINDOW: u64 = 10_000;

/// How many events per second there were in the last ten seconds. Time is milliseconds of any
/// monotonic clock.
#[derive(Clone, Debug)]
pub struct RateWindow {
    start_ms: u64,
    events: SlidingWindow<1>,
}

impl RateWindow {
    /// A window that starts now, so that a young client's rate is not diluted.
    pub fn new(now_ms: u64) -> Self {
        RateWindow { start_ms: now_ms, events: SlidingWindow::new(WINDOW) }
    }

    /// Counts `n` events now.
    pub fn add(&mut self, n: u64, now_ms: u64) {
        self.events.add([n], now_ms);
    }

    /// Events per second: those of this second and the nine before it, by the time they cover, which
    /// counts as one second at least.
    pub fn per_second(&self, now_ms: u64) -> f64 {
        let [events] = self.events.totals_at(now_ms);
        let covered = now_ms.saturating_sub(self.start_ms.max(self.events.begin(now_ms)));
        events as f64 * 1000.0 / covered.max(1000) as f64
    }
}

/// How events travel at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkMode {
    /// Inside the process, by configuration.
    Memory,
    /// Through Redis only, by configuration.
    RedisOnly,
    /// Hybrid, but only inside this client: a link is down or a subscription not confirmed.
    LocalOnly,
    /// Hybrid, and all is well.
    Hybrid,
}

impl LinkMode {
    /// The name in JavaScript.
    pub fn as_str(self) -> &'static str {
        match self {
            LinkMode::Memory => "memory",
            LinkMode::RedisOnly => "redis-only",
            LinkMode::LocalOnly => "local-only",
            LinkMode::Hybrid => "hybrid",
        }
    }
}

/// What a [`Snapshot`] needs and the counters do not know.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// Subscriptions that exist.
    pub active_subscriptions: u64,
    /// Those of them with a glob pattern.
    pub pattern_subscriptions: u64,
    /// Publishes without an answer yet.
    pub in_flight: u64,
    /// Events received per second: [`RateWindow::per_second`].
    pub messages_per_second: f64,
    /// From publish to handler.
    pub latency: &'a Histogram,
    /// Of handler calls.
    pub handler_duration: &'a Histogram,
    /// How events travel.
    pub mode: LinkMode,
    /// Milliseconds since the client was made.
    pub uptime: u64,
    /// Bytes of event data held in queues.
    pub memory: u64,
}

/// What `getStats()` returns, with the names of JavaScript.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The counters.
    #[serde(flatten)]
    pub counts: Counts,
    /// [`Parts::active_subscriptions`].
    pub active_subscriptions: u64,
    /// [`Parts::pattern_subscriptions`].
    pub pattern_subscriptions: u64,
    /// [`Parts::in_flight`].
    pub in_flight: u64,
    /// Failed events by delivered and failed ones, from 0 to 1; 0 when there were none.
    pub error_rate: f64,
    /// [`Parts::messages_per_second`].
    pub messages_per_second: f64,
    /// The mean of `latency`, in milliseconds.
    pub average_latency: f64,
    /// From publish to handler, in milliseconds.
    pub latency: Quantiles,
    /// Of handler calls, in milliseconds.
    pub handler_duration: Quantiles,
    /// How events travel.
    pub mode: LinkMode,
    /// Milliseconds since the client was made.
    pub uptime: u64,
    /// [`Parts::memory`].
    pub memory: u64,
}

impl Snapshot {
    /// The statistics at this moment.
    pub fn new(stats: &Stats, parts: Parts<'_>) -> Snapshot {
        let counts = stats.counts();
        let finished = counts.events_delivered + counts.events_failed;
        Snapshot {
            active_subscriptions: parts.active_subscriptions,
            pattern_subscriptions: parts.pattern_subscriptions,
            in_flight: parts.in_flight,
            error_rate: if finished == 0 { 0.0 } else { counts.events_failed as f64 / finished as f64 },
            messages_per_second: parts.messages_per_second,
            average_latency: parts.latency.mean(),
            latency: parts.latency.quantiles(),
            handler_duration: parts.handler_duration.quantiles(),
            mode: parts.mode,
            uptime: parts.uptime,
            memory: parts.memory,
            counts,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_rate_covers_ten_seconds() {
        let mut rate = RateWindow::new(0);
        for second in 0..30 {
            rate.add(100, second * 1000 + 500);
        }
        assert_eq!(rate.per_second(29_999).round(), 100.0);
        assert_eq!(rate.per_second(34_999).round(), 50.0);
        assert_eq!(rate.per_second(39_000), 0.0);
    }

    #[test]
    fn a_young_client_is_measured_by_its_age() {
        let mut rate = RateWindow::new(5_000);
        assert_eq!(rate.per_second(5_000), 0.0);
        rate.add(100, 5_100);
        assert_eq!(rate.per_second(5_200), 100.0, "a second at least");
        assert_eq!(rate.per_second(7_000), 50.0);
    }

    fn snapshot(stats: &Stats) -> Value {
        let (latency, handler_duration) = (&mut Histogram::new(), Histogram::new());
        latency.record(1500);
        let parts = Parts {
            active_subscriptions: 2,
            pattern_subscriptions: 1,
            in_flight: 3,
            messages_per_second: 4.5,
            latency,
            handler_duration: &handler_duration,
            mode: LinkMode::RedisOnly,
            uptime: 10,
            memory: 20,
        };
        serde_json::to_value(Snapshot::new(stats, parts)).unwrap()
    }

    #[test]
    fn a_snapshot_has_the_names_of_the_contract() {
        let stats = Stats::default();
        stats.events_delivered.add(3);
        stats.events_failed.add(1);
        let ms = 1.5;
        assert_eq!(
            snapshot(&stats),
            json!({
                "eventsPublished": 0, "eventsReceived": 0, "eventsDelivered": 3, "eventsFailed": 1,
                "eventsRetried": 0, "eventsDeadLettered": 0, "deadLettersDropped": 0, "eventsDropped": 0, "eventsLost": 0,
                "eventsSkipped": 0, "eventsForeign": 0, "messagesRecovered": 0, "claimsRenewed": 0,
                "handlerErrors": 0, "zombieHandlers": 0, "reconnections": 0,
                "activeSubscriptions": 2, "patternSubscriptions": 1, "inFlight": 3, "errorRate": 0.25,
                "messagesPerSecond": 4.5, "averageLatency": ms,
                "latency": { "p50": ms, "p95": ms, "p99": ms, "max": ms },
                "handlerDuration": { "p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0 },
                "mode": "redis-only", "uptime": 10, "memory": 20,
            })
        );
    }

    #[test]
    fn each_counter_has_a_name_and_a_meaning() {
        let stats = Stats::default();
        stats.events_lost.add(4);
        let mut all = Vec::new();
        stats.each(|name, help, value| all.push((name, help, value)));
        assert_eq!(all.len(), serde_json::to_value(stats.counts()).unwrap().as_object().unwrap().len());
        assert!(all.contains(&("events_lost", "Stored events that were gone before they were handled.", 4)));
    }

    #[test]
    fn a_counter_goes_back_to_zero_and_not_below() {
        let counter = Counter::default();
        counter.add(2);
        counter.subtract(1);
        assert_eq!(counter.get(), 1);
        counter.subtract(2);
        assert_eq!(counter.get(), 0);
    }

    #[test]
    fn nothing_handled_is_no_error() {
        assert_eq!(snapshot(&Stats::default())["errorRate"], json!(0.0));
    }

    #[test]
    fn modes_have_their_names() {
        let modes = [LinkMode::Memory, LinkMode::RedisOnly, LinkMode::LocalOnly, LinkMode::Hybrid];
        assert_eq!(json!(modes), json!(["memory", "redis-only", "local-only", "hybrid"]));
        assert_eq!(json!(modes), json!(modes.map(LinkMode::as_str)));
    }

    proptest! {
        #[test]
        fn a_window_holds_what_its_seconds_hold(steps in prop::collection::vec((0_u64..4000, 0_u64..100), 1..100)) {
            let mut rate = RateWindow::new(0);
            let (mut now, mut seen) = (0, Vec::new());
            for (step, n) in steps {
                now += step;
                rate.add(n, now);
                seen.push((now, n));
            }
            let first = (now / 1000).saturating_sub(9) * 1000;
            let events: u64 = seen.iter().filter(|(at, _)| *at >= first).map(|(_, n)| n).sum();
            let expected = events as f64 * 1000.0 / (now - first).max(1000) as f64;
            prop_assert!((rate.per_second(now) - expected).abs() < 1e-9);
        }
    }
}
