//! The part of the health report that is about streams.

use std::time::Duration;

use oxbus_model::store::{Request, Response, StreamFacts};
use oxbus_model::{BusError, ErrorKind};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use crate::shared::Shared;

/// Pending entries of a group above which the report warns.
const MANY_PENDING: u64 = 100;

/// The streams of a client's configuration.
#[derive(Default)]
pub(super) struct Streams {
    /// By name.
    pub(super) report: Map<String, Value>,
    /// How many have a fault.
    pub(super) faulty: usize,
    pub(super) warnings: Vec<Value>,
}

/// Asks for the streams of the configuration, for at most `limit`.
pub(super) async fn report(shared: &Shared, limit: Duration) -> Streams {
    let mut streams = Streams::default();
    let names: Vec<&str> = shared.config.streams.iter().map(|stream| stream.name.as_str()).collect();
    let ask = async |name: &str| match timeout(limit, describe(shared, name)).await {
        Ok(answer) => answer,
        Err(_) => Err(BusError::new(ErrorKind::CommandTimeout, "no answer in time")),
    };
    let mut left = limit;
    for name in names {
        let started = std::time::Instant::now();
        let answer = if left.is_zero() {
            Err(BusError::new(ErrorKind::CommandTimeout, "no time left to ask"))
        } else {
            ask(name).await
        };
        left = left.saturating_sub(started.elapsed());
        let trouble = shared.groups.chores().troubles.get(name).cloned();
        let trouble = trouble.or_else(|| shared.groups.claims().stream_trouble(name).cloned());
        streams.add(name, answer, trouble);
    }
    streams
}

async fn describe(shared: &Shared, name: &str) -> Result<Option<StreamFacts>, BusError> {
    match shared.ask_store(Request::Describe { stream: name.into() }).await? {
        Response::Stream(facts) => Ok(facts),
        other => Err(BusError::new(ErrorKind::Internal, format!("an unexpected answer: {other:?}"))),
    }
}

impl Streams {
    fn add(&mut self, name: &str, answer: Result<Option<StreamFacts>, BusError>, trouble: Option<BusError>) {
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
