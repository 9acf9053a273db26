//! What the client has counted, for Prometheus.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use oxbus_model::observe::metrics::{Durations, OTHER};
use oxbus_model::observe::prometheus::{Kind, Page};
use oxbus_model::observe::stats::{LinkMode, Snapshot};

use crate::observe::stream_gauges::{GroupGauge, StreamGauges};
use crate::publish::publish_counts::stream_of;
use crate::state::ClientState;
use crate::transport::link_id::LinkId;

/// All metrics in the text format of Prometheus.
pub(crate) fn text(state: &ClientState, gauges: &StreamGauges, snapshot: &Snapshot) -> String {
    let mut page = Page::default();
    let types = state.types.names();
    let type_of = |number: usize| types.get(number).map_or(OTHER, |name| &**name);
    write_published(&mut page, state, type_of);
    write_calls(&mut page, state, type_of);
    write_connections(&mut page, state);
    write_streams(&mut page, gauges);
    write_counters(&mut page, state);
    write_gauges(&mut page, snapshot);
    page.finish()
}

fn write_published<'a>(page: &mut Page, state: &ClientState, type_of: impl Fn(usize) -> &'a str) {
    const NAME: &str = "eventbus_messages_published_total";
    page.family(
        NAME,
        Kind::Counter,
        "Publishes that have succeeded; the stream is empty for events that none stores",
    );
    for (row, number, count) in state.publishes.table().iter().filter(|(_, _, count)| **count > 0) {
        let stream = stream_of(row).and_then(|index| state.config.streams.get(index));
        let stream = stream.map_or("", |stream| &stream.name);
        page.sample(NAME, &[("stream", stream), ("event_type", type_of(number))], count);
    }
}

fn write_calls<'a>(page: &mut Page, state: &ClientState, type_of: impl Fn(usize) -> &'a str) {
    const CONSUMED: &str = "eventbus_messages_consumed_total";
    const DURATION: &str = "eventbus_message_processing_duration_ms";
    let claims = state.groups.claims();
    let (consumers, mut consumed) = (claims.consumers(), claims.consumed().to_vec());
    drop(claims);
    let queue = state.live_queue();
    page.family(
        CONSUMED,
        Kind::Counter,
        "Events handled with success: a stored one once for each group; a live one, without stream and group, once for \
         each subscription",
    );
    // The number of live events is the first.
    match consumed.first_mut() {
        Some(live) => *live = queue.metrics.consumed,
        None => consumed.push(queue.metrics.consumed),
    }
    for ((stream, group), count) in consumers.iter().zip(consumed).filter(|(_, count)| *count > 0) {
        page.sample(CONSUMED, &[("stream", stream), ("consumer_group", group)], count);
    }
    // The handler calls of all groups of a stream are one series.
    let mut durations: BTreeMap<(&Arc<str>, &str), Durations> = BTreeMap::new();
    for (consumer, number, some) in queue.metrics.calls.durations() {
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
        &queue.metrics.latency,
    );
    page.quantiles("oxbus_handler_duration_seconds", "All handler calls", &queue.metrics.handler_duration);
}

fn write_connections(page: &mut Page, state: &ClientState) {
    const NAME: &str = "eventbus_active_connections";
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let links = state.lifecycle.links();
    // With lanes the subscriber is all links of lanes together.
    let has_lanes = state.config.redis.servers.lanes().is_some();
    for (id, link) in links.iter().filter(|(id, _)| !has_lanes || **id != LinkId::Subscriber) {
        *kinds.entry(id.kind()).or_default() += usize::from(link.up);
    }
    page.family(NAME, Kind::Gauge, "Connections that are up");
    kinds.iter().for_each(|(kind, count)| page.sample(NAME, &[("connection_type", kind)], count));
    if has_lanes {
        write_lanes(page, state);
    }
}

fn write_lanes(page: &mut Page, state: &ClientState) {
    const SUBSCRIBED: &str = "oxbus_lanes_subscribed";
    const MISSING: &str = "oxbus_lanes_missing";
    let status = state.lane_status.lock().unwrap_or_else(PoisonError::into_inner).clone();
    page.family(SUBSCRIBED, Kind::Gauge, "Lanes of live events that are subscribed at the node");
    for (node, count) in &status.subscribed {
        page.sample(SUBSCRIBED, &[("node", &node.to_string())], count);
    }
    page.family(MISSING, Kind::Gauge, "Lanes of live events that are wanted and not subscribed");
    page.sample(MISSING, &[], status.missing.len());
}

fn write_streams(page: &mut Page, gauges: &StreamGauges) {
    const LENGTH: &str = "eventbus_stream_length";
    let streams = gauges.streams();
    page.family(LENGTH, Kind::Gauge, "Entries of the stream");
    streams.iter().for_each(|(name, stream)| page.sample(LENGTH, &[("stream", name)], stream.length));
    page.family("oxbus_dead_letters", Kind::Gauge, "Dead letters of the stream");
    streams.iter().for_each(|(name, stream)| {
        page.sample("oxbus_dead_letters", &[("stream", name)], stream.dead_letters);
    });
    let mut of_groups = |family: &str, help: &str, value: fn(&GroupGauge) -> Option<u64>| {
        page.family(family, Kind::Gauge, help);
        for (name, stream) in &*streams {
            for (group, known) in &stream.groups {
                let Some(value) = value(known) else { continue };
                page.sample(family, &[("stream", name), ("consumer_group", group)], value);
            }
        }
    };
    let pending = "Entries that were handed out to the group and not acknowledged";
    of_groups("oxbus_group_pending", pending, |group| Some(group.pending));
    let delayed = "Pending entries that wait for a retry and that no client holds until they are due";
    of_groups("oxbus_group_delayed", delayed, |group| Some(group.delayed));
    of_groups("oxbus_group_lag", "Entries that the group has not read, where the server knows", |group| {
        group.lag
    });
    let backlog = "Entries that wait for a consumer: not read, or pending and no living consumer's";
    of_groups("oxbus_group_backlog", backlog, |group| group.backlog);
    let waiting = "Consumers that live and have no pending entry";
    of_groups("oxbus_group_waiting_consumers", waiting, |group| Some(group.waiting));
}

fn write_counters(page: &mut Page, state: &ClientState) {
    state.stats.each(|name, help, value| {
        // The number of handlers that have timed out and still run goes down as well.
        let gauge = name == "zombie_handlers";
        let name = if gauge { format!("oxbus_{name}") } else { format!("oxbus_{name}_total") };
        page.single(&name, if gauge { Kind::Gauge } else { Kind::Counter }, help, value);
    });
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
