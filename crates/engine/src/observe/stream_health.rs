//! The part of the health report that is about streams.

use std::collections::BTreeMap;
use std::time::Duration;

use oxbus_model::stream_store::{Request, Response, StreamInfo};
use oxbus_model::{BusError, ErrorKind};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};

use crate::runtime::joined::{join_all, join_bounded};
use crate::state::ClientState;
use crate::transport::RETENTION_REFUSED;
use crate::transport::store::Store;

/// Pending entries of a group above which the report warns.
const MANY_PENDING: u64 = 100;

/// How many streams a node is asked for at once.
const STREAMS_AT_ONCE: usize = 16;

/// What the report says of the streams of a client's configuration.
#[derive(Default)]
pub(crate) struct StreamsReport {
    /// By name.
    pub(crate) report: Map<String, Value>,
    /// How many of them have a fault.
    pub(crate) faulty: usize,
    pub(crate) warnings: Vec<Value>,
}

/// Asks for the streams of the configuration, for at most `limit`.
pub(crate) async fn report(state: &ClientState, store: &dyn Store, limit: Duration) -> StreamsReport {
    let mut streams = StreamsReport::default();
    if state.config.no_address.is_some() {
        // Asking would connect to some server.
        return streams;
    }
    let names = state.config.streams.iter().map(|stream| stream.name.as_str());
    for (name, answer) in describe_all(store, names, limit).await {
        let trouble = state.groups.troubles().get(name).cloned();
        let trouble = trouble.or_else(|| state.groups.claims().stream_trouble(name).cloned());
        let trouble = trouble.or_else(|| disappeared(state, name, answer.as_ref().ok()?.as_ref()));
        streams.add(name, answer, trouble);
    }
    let untrimmed = state.groups.untrimmed();
    let refusals =
        untrimmed.values().map(|error| json!({ "code": RETENTION_REFUSED, "message": error.message }));
    streams.warnings.extend(refusals);
    drop(untrimmed);
    streams
}

/// What has disappeared of a stream that was there: itself, or a group.
fn disappeared(state: &ClientState, name: &str, facts: Option<&StreamInfo>) -> Option<BusError> {
    let is_there = |group: &str| facts.is_some_and(|facts| facts.groups.iter().any(|g| g.name == group));
    let lost = |group: &str| {
        BusError::new(ErrorKind::NoGroup, format!("group {group:?} of stream {name:?} has disappeared"))
    };
    let gone = state.groups.stream_found(name, facts.is_some());
    let configured = state.groups.known().iter().find(|(s, group)| s == name && !is_there(group)).cloned();
    if let Some((_, group)) = configured {
        // Whoever makes groups looks again.
        state.groups.report_missing();
        state.deadlines.notify_waiters();
        return Some(lost(&group));
    }
    let joined = state.groups.claims().groups_of_stream(name);
    if let Some(group) = joined.iter().find(|group| !is_there(group)) {
        return Some(lost(group));
    }
    gone.then(|| BusError::new(ErrorKind::NoStream, format!("stream {name:?} has disappeared")))
}

/// The facts of a stream; `None`: the stream does not exist.
pub(crate) type Described = Result<Option<StreamInfo>, BusError>;

/// Asks for streams, for at most `limit` in all: all nodes of a Cluster at once, so that none waits for another one that does not
/// answer. The answers are in the order of the names.
pub(crate) async fn describe_all<'a>(
    store: &dyn Store,
    names: impl Iterator<Item = &'a str>,
    limit: Duration,
) -> Vec<(&'a str, Described)> {
    let until = Instant::now() + limit;
    let mut nodes: BTreeMap<Option<String>, Vec<(usize, &str)>> = BTreeMap::new();
    for (place, name) in names.enumerate() {
        nodes.entry(store.node_of(name)).or_default().push((place, name));
    }
    let asked = nodes.into_iter().map(|(node, streams)| describe_those_of(store, node, streams, until));
    let asked: Vec<_> = asked.collect();
    let mut all: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
    all.sort_unstable_by_key(|(place, ..)| *place);
    all.into_iter().map(|(_, name, answer)| (name, answer)).collect()
}

/// Asks a node for its streams, some at a time. One that does not answer is named.
async fn describe_those_of<'a>(
    store: &dyn Store,
    node: Option<String>,
    streams: Vec<(usize, &'a str)>,
    until: Instant,
) -> Vec<(usize, &'a str, Described)> {
    let late = || {
        let of = node.as_ref().map(|node| format!("{node}: ")).unwrap_or_default();
        BusError::new(ErrorKind::CommandTimeout, format!("{of}no answer in time"))
    };
    let asked = streams.iter().map(|(_, name)| timeout_at(until, describe(store, name))).collect();
    let answers = join_bounded(STREAMS_AT_ONCE, asked).await.into_iter();
    let answers = answers.map(|answer| answer.unwrap_or_else(|_| Err(late())));
    streams.iter().zip(answers).map(|((place, name), answer)| (*place, *name, answer)).collect()
}

async fn describe(store: &dyn Store, name: &str) -> Described {
    match store.execute(Request::Describe { stream: name.into() }).await? {
        Response::Stream(facts) => Ok(facts),
        other => Err(BusError::new(ErrorKind::Internal, format!("an unexpected answer: {other:?}"))),
    }
}

impl StreamsReport {
    fn add(&mut self, name: &str, answer: Described, trouble: Option<BusError>) {
        let error = answer.as_ref().err().or(trouble.as_ref());
        self.faulty += usize::from(error.is_some());
        let facts = answer.as_ref().ok().and_then(Option::as_ref);
        let mut groups = Map::new();
        for group in facts.into_iter().flat_map(|facts| &facts.groups) {
            groups.insert(group.name.clone(), json!({ "pending": group.pending, "lag": group.lag }));
            // What was put off is in nobody's hands, and waits as it was asked to.
            let pending = group.pending.saturating_sub(group.delayed());
            if pending > MANY_PENDING {
                let message = format!("group {} of stream {name} has {pending} pending entries", group.name);
                self.warnings.push(json!({ "code": "MANY_PENDING", "message": message }));
            }
        }
        let lags = facts.into_iter().flat_map(|facts| &facts.groups).map(|group| group.lag);
        let mut report = json!({
            "length": facts.map_or(0, |facts| facts.length),
            "pending": facts.map_or(0, |facts| facts.groups.iter().map(|g| g.pending).sum::<u64>()),
            // Of the group that is furthest behind, where the server knows of all.
            "lag": lags.collect::<Option<Vec<u64>>>().filter(|_| answer.is_ok()).map(|lags| lags.into_iter().max().unwrap_or(0)),
            "groups": groups,
        });
        if let Some(error) = error {
            report["error"] = json!({ "code": error.kind.code(), "message": error.message });
        }
        self.report.insert(name.to_owned(), report);
    }
}
