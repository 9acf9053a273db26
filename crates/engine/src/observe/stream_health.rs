//! The part of the health report that is about streams.

use std::time::Duration;

use oxbus_model::stream_store::{Request, Response, StreamInfo};
use oxbus_model::{BusError, ErrorKind};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};

use crate::state::ClientState;

/// Pending entries of a group above which the report warns.
const MANY_PENDING: u64 = 100;

/// The streams of a client's configuration.
#[derive(Default)]
pub(crate) struct Streams {
    /// By name.
    pub(crate) report: Map<String, Value>,
    /// How many have a fault.
    pub(crate) faulty: usize,
    pub(crate) warnings: Vec<Value>,
}

/// Asks for the streams of the configuration, for at most `limit`.
pub(crate) async fn report(shared: &ClientState, limit: Duration) -> Streams {
    let mut streams = Streams::default();
    let names = shared.config.streams.iter().map(|stream| stream.name.as_str());
    for (name, answer) in describe_all(shared, names, limit).await {
        let trouble = shared.groups.chores().troubles.get(name).cloned();
        let trouble = trouble.or_else(|| shared.groups.claims().stream_trouble(name).cloned());
        streams.add(name, answer, trouble);
    }
    streams
}

/// What is known of a stream; `None`: it is not there.
pub(crate) type Described = Result<Option<StreamInfo>, BusError>;

/// Asks for streams, for at most `limit` in all.
pub(crate) async fn describe_all<'a>(
    shared: &ClientState,
    names: impl Iterator<Item = &'a str>,
    limit: Duration,
) -> Vec<(&'a str, Described)> {
    let until = Instant::now() + limit;
    let mut all = Vec::new();
    for name in names {
        let answer = timeout_at(until, describe(shared, name)).await;
        let late = || BusError::new(ErrorKind::CommandTimeout, "no answer in time");
        all.push((name, answer.unwrap_or_else(|_| Err(late()))));
    }
    all
}

async fn describe(shared: &ClientState, name: &str) -> Described {
    match shared.ask_store(Request::Describe { stream: name.into() }).await? {
        Response::Stream(facts) => Ok(facts),
        other => Err(BusError::new(ErrorKind::Internal, format!("an unexpected answer: {other:?}"))),
    }
}

impl Streams {
    fn add(&mut self, name: &str, answer: Described, trouble: Option<BusError>) {
        let error = answer.as_ref().err().or(trouble.as_ref());
        self.faulty += usize::from(error.is_some());
        let facts = answer.as_ref().ok().and_then(Option::as_ref);
        let mut groups = Map::new();
        for group in facts.into_iter().flat_map(|facts| &facts.groups) {
            groups.insert(group.name.clone(), json!({ "pending": group.pending, "lag": group.lag }));
            if group.pending > MANY_PENDING {
                let message =
                    format!("group {} of stream {name} has {} pending entries", group.name, group.pending);
                self.warnings.push(json!({ "code": "MANY_PENDING", "message": message }));
            }
        }
        let lags = facts.into_iter().flat_map(|facts| &facts.groups).map(|group| group.lag);
        let mut report = json!({
            "length": facts.map_or(0, |facts| facts.length),
            "pending": facts.map_or(0, |facts| facts.groups.iter().map(|g| g.pending).sum::<u64>()),
            // Of the group that is furthest behind, where the server knows of all.
            "lag": lags.collect::<Option<Vec<u64>>>().map(|lags| lags.into_iter().max().unwrap_or(0)),
            "groups": groups,
        });
        if let Some(error) = error {
            report["error"] = json!({ "code": error.kind.code(), "message": error.message });
        }
        self.report.insert(name.to_owned(), report);
    }
}
