//! What the client has counted, for Prometheus.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oxbus_model::observe::metrics::{Durations, MAX_NAMES, OTHER, Table};
use oxbus_model::observe::prometheus::{Kind, Page};
use oxbus_model::observe::stats::{LinkMode, Snapshot};
use oxbus_model::stream_store::{StreamInfo, keys};

use crate::observe::stream_health::{Described, describe_all};
use crate::state::ClientState;
use crate::state::lifecycle::State;

/// How old what is known of streams may be before they are asked for again, in milliseconds.
const INTERVAL: u64 = 10_000;

/// How long that may take.
const LIMIT: Duration = Duration::from_millis(700);

/// What is counted beside the [`Stats`](oxbus_model::observe::stats::Stats).
#[derive(Default)]
pub(crate) struct Metrics {
    /// Publishes that have succeeded: by the row, which is 0 for live events and else one more than the index of the stream,
    /// and by the number of the type.
    published: Mutex<Table<u64>>,
    /// When streams were asked for last; held while they are, so that those who come meanwhile share the answer.
    asked: tokio::sync::Mutex<Option<u64>>,
    streams: Mutex<BTreeMap<String, StreamGauges>>,
}

/// What a stream was like when it was asked for last.
#[derive(Default)]
struct StreamGauges {
    length: u64,
    letters: u64,
    /// By group: pending entries, and those not read, where the server knows.
    groups: BTreeMap<String, (u64, Option<u64>)>,
}

impl Metrics {
    /// Counts publishes that have succeeded: (row, number of the type).
    pub(crate) fn published(&self, events: impl IntoIterator<Item = (u16, u16)>) {
        let mut published = lock(&self.published);
        events.into_iter().for_each(|(row, number)| *published.at(row, number) += 1);
    }
}

impl StreamGauges {
    fn set(&mut self, facts: StreamInfo) {
        self.length = facts.length;
        self.groups.clear();
        for group in facts.groups {
            let known = self.groups.len() < MAX_NAMES;
            let name = if known { group.name } else { OTHER.to_owned() };
            let (pending, lag) = self.groups.entry(name).or_insert((0, Some(0)));
            *pending += group.pending;
            *lag = lag.zip(group.lag).map(|(sum, more)| sum + more);
        }
    }
}

impl ClientState {
    /// Asks for what streams are like, unless that was done lately. Ends within [`LIMIT`]; what is not answered
    /// stays as it was.
    pub(crate) async fn refresh_gauges(&self) {
        let mut asked = self.metrics.asked.lock().await;
        let now = self.clock.now_ms();
        let due = asked.is_none_or(|at| now.saturating_sub(at) >= INTERVAL);
        if !due || !matches!(self.lifecycle.state(), State::Ready | State::Reconnecting) {
            return;
        }
        *asked = Some(now);
        let names = || self.config.streams.iter().map(|stream| stream.name.as_str());
        let letters: Vec<String> =
            names().map(|name| keys::dead_letters(name, &self.config.dead_letter.suffix)).collect();
        let all = names().chain(letters.iter().map(String::as_str));
        let mut answers = describe_all(self, all, LIMIT).await.into_iter();
        let own: Vec<Described> = answers.by_ref().take(letters.len()).map(|(_, answer)| answer).collect();
        let mut streams = lock(&self.metrics.streams);
        for ((name, facts), (_, letters)) in names().zip(own).zip(answers) {
            let gauges = streams.entry(name.to_owned()).or_default();
            if let Ok(facts) = facts {
                gauges.set(facts.unwrap_or_default());
            }
            if let Ok(letters) = letters {
                gauges.letters = letters.map_or(0, |facts| facts.length);
            }
        }
    }

    /// All metrics in the text format of Prometheus.
    pub(crate) fn metrics_text(&self, snapshot: &Snapshot) -> String {
        let mut page = Page::default();
        let types = self.types.names();
        let type_of = |number: usize| types.get(number).map_or(OTHER, |name| &**name);
        self.write_published(&mut page, type_of);
        self.write_calls(&mut page, type_of);
        self.write_connections(&mut page);
        self.write_streams(&mut page);
        self.write_counters(&mut page);
        write_gauges(&mut page, snapshot);
        page.finish()
    }

    fn write_published<'a>(&self, page: &mut Page, type_of: impl Fn(usize) -> &'a str) {
        const NAME: &str = "eventbus_messages_published_total";
        page.family(
            NAME,
            Kind::Counter,
            "Publishes that have succeeded; the stream is empty for events that none stores",
        );
        for (row, number, count) in lock(&self.metrics.published).iter().filter(|(_, _, count)| **count > 0) {
            let stream = row.checked_sub(1).and_then(|index| self.config.streams.get(index));
            let stream = stream.map_or("", |stream| &stream.name);
            page.sample(NAME, &[("stream", stream), ("event_type", type_of(number))], count);
        }
    }

    fn write_calls<'a>(&self, page: &mut Page, type_of: impl Fn(usize) -> &'a str) {
        const CONSUMED: &str = "eventbus_messages_consumed_total";
        const DURATION: &str = "eventbus_message_processing_duration_ms";
        let consumers = self.groups.claims().consumers();
        let intake = self.intake();
        page.family(
            CONSUMED,
            Kind::Counter,
            "Events handled with success; stream and group are empty for live ones",
        );
        for (number, count) in intake.measures.calls.consumed() {
            let Some((stream, group)) = consumers.get(number) else { continue };
            page.sample(CONSUMED, &[("stream", stream), ("consumer_group", group)], count);
        }
        // Those of several groups of a stream are one series.
        let mut durations: BTreeMap<(&Arc<str>, &str), Durations> = BTreeMap::new();
        for (consumer, number, some) in intake.measures.calls.durations() {
            let Some((stream, _)) = consumers.get(consumer) else { continue };
            durations.entry((stream, type_of(number))).or_default().add(some);
        }
        page.family(DURATION, Kind::Histogram, "Handler calls, failed ones included, in milliseconds");
        for ((stream, event_type), durations) in &durations {
            page.durations(DURATION, &[("stream", stream), ("event_type", event_type)], durations);
        }
        page.quantiles(
            "oxbus_event_latency_seconds",
            "From publish to the first handler call",
            &intake.measures.latency,
        );
        page.quantiles(
            "oxbus_handler_duration_seconds",
            "All handler calls",
            &intake.measures.handler_duration,
        );
    }

    fn write_connections(&self, page: &mut Page) {
        const NAME: &str = "eventbus_active_connections";
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        let links = self.lifecycle.links();
        for (id, link) in &links {
            *kinds.entry(id.kind()).or_default() += usize::from(link.up);
        }
        page.family(NAME, Kind::Gauge, "Connections that are up");
        kinds.iter().for_each(|(kind, count)| page.sample(NAME, &[("connection_type", kind)], count));
    }

    fn write_streams(&self, page: &mut Page) {
        const LENGTH: &str = "eventbus_stream_length";
        let streams = lock(&self.metrics.streams);
        page.family(LENGTH, Kind::Gauge, "Entries of the stream");
        streams.iter().for_each(|(name, stream)| page.sample(LENGTH, &[("stream", name)], stream.length));
        page.family("oxbus_dead_letters", Kind::Gauge, "Dead letters of the stream");
        streams.iter().for_each(|(name, stream)| {
            page.sample("oxbus_dead_letters", &[("stream", name)], stream.letters);
        });
        let mut of_groups = |family: &str, help: &str, value: fn(&(u64, Option<u64>)) -> Option<u64>| {
            page.family(family, Kind::Gauge, help);
            for (name, stream) in &*streams {
                for (group, known) in &stream.groups {
                    let Some(value) = value(known) else { continue };
                    page.sample(family, &[("stream", name), ("consumer_group", group)], value);
                }
            }
        };
        let pending = "Entries that were handed out to the group and not acknowledged";
        of_groups("oxbus_group_pending", pending, |(pending, _)| Some(*pending));
        of_groups(
            "oxbus_group_lag",
            "Entries that the group has not read, where the server knows",
            |(_, lag)| *lag,
        );
    }

    fn write_counters(&self, page: &mut Page) {
        self.stats.each(|name, help, value| {
            // This one goes down as well.
            let gauge = name == "zombie_handlers";
            let name = if gauge { format!("oxbus_{name}") } else { format!("oxbus_{name}_total") };
            page.single(&name, if gauge { Kind::Gauge } else { Kind::Counter }, help, value);
        });
    }
}

fn write_gauges(page: &mut Page, snapshot: &Snapshot) {
    for (name, help, value) in [
        ("oxbus_active_subscriptions", "Subscriptions", snapshot.active_subscriptions),
        (
            "oxbus_pattern_subscriptions",
            "Patterns of subscriptions that are globs",
            snapshot.pattern_subscriptions,
        ),
        ("oxbus_publishes_in_flight", "Publishes without an answer", snapshot.in_flight),
        ("oxbus_queued_bytes", "Bytes of events that wait", snapshot.memory),
    ] {
        page.single(name, Kind::Gauge, help, value);
    }
    let uptime = snapshot.uptime as f64 / 1000.0;
    page.single("oxbus_uptime_seconds", Kind::Gauge, "Since the client was made", uptime);
    page.family("oxbus_mode", Kind::Gauge, "1 for the mode in which events travel now");
    for mode in [LinkMode::Memory, LinkMode::RedisOnly, LinkMode::LocalOnly, LinkMode::Hybrid] {
        page.sample("oxbus_mode", &[("mode", mode.as_str())], u8::from(mode == snapshot.mode));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is counted stays a number, whatever happened meanwhile.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
