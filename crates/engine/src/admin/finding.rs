//! `streams.list`: the streams of the configuration, of the registry, and of the whole store.

use std::collections::BTreeSet;

use oxbus_model::stream_store::{Request, Response, ScanCursor};
use oxbus_model::{BusError, ErrorKind};
use serde_json::Value;

use crate::admin::arguments::Arguments;
use crate::admin::context::{AT_ONCE, Context};
use crate::admin::effect::Effect;
use crate::admin::question::questions;
use crate::admin::streams::describe;
use crate::runtime::joined::try_join_bounded;
use crate::transport::store::unexpected;

questions! {
    "streams.list" ["scan", "limit"] => list;
}

/// How many streams that are not configured are listed unless it is said.
const LIMIT: usize = 1_000;
/// The steps of one scan at the most. A step looks at about 1000 keys, in a Cluster at as many of each node.
const MAX_STEPS: usize = 1_000;

/// `streams.list`: the configured streams; to an observer also the registered ones that exist. With `scan`, the
/// registered ones and all others that the store has, by name, `limit` at the most.
async fn list(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let (scan, limit) = (args.flag("scan")?, args.limit_or("limit", LIMIT)?);
    args.finish()?;
    let configured = context.config.streams.iter().map(|config| describe(context, &config.name)).collect();
    let configured = try_join_bounded(AT_ONCE, configured).await?;
    let mut found = Found { context, limit, names: BTreeSet::new(), stopped: None };
    if scan || context.config.observe {
        found.add_registered().await?;
    }
    if scan && found.stopped.is_none() {
        found.scan().await?;
    }
    let others =
        try_join_bounded(AT_ONCE, found.names.iter().map(|name| look(context, name)).collect()).await?;
    let streams: Vec<Value> = configured.into_iter().chain(others).flatten().collect();
    if let Some(why) = found.stopped {
        let message = format!("streams.list() does not list all streams: {why}");
        context.push_effect(Effect::Warning { code: "STREAMS_NOT_LISTED", message });
    }
    Ok(streams.into())
}

/// A stream that was found; `None` where the key has become something else meanwhile.
async fn look(context: &Context, name: &str) -> Result<Option<Value>, BusError> {
    match describe(context, name).await {
        Err(error) if error.kind == ErrorKind::WrongType => Ok(None),
        answer => answer,
    }
}

/// The names of streams that are not configured.
struct Found<'a> {
    context: &'a Context,
    limit: usize,
    names: BTreeSet<String>,
    /// Why the search ended before all streams were found.
    stopped: Option<String>,
}

impl Found<'_> {
    /// Adds the registered streams, those first that were registered last.
    async fn add_registered(&mut self) -> Result<(), BusError> {
        for stream in self.context.registered().await? {
            self.add(&stream.name);
        }
        Ok(())
    }

    /// Adds what the store has, a bounded number of steps long.
    async fn scan(&mut self) -> Result<(), BusError> {
        let mut cursor = ScanCursor::default();
        for _ in 0..MAX_STEPS {
            let (next, names) = match self.context.store.execute(Request::ScanStreams { cursor }).await? {
                Response::Scanned { next, names } => (next, names),
                _ => return Err(unexpected()),
            };
            for name in &names {
                if !self.is_ours(name) {
                    self.add(name);
                }
            }
            match next {
                Some(next) if self.stopped.is_none() => cursor = next,
                _ => return Ok(()),
            }
        }
        self.stopped = Some(format!("the store has more keys than {MAX_STEPS} steps of a scan look at"));
        Ok(())
    }

    /// Adds a stream, unless there is no room for it.
    fn add(&mut self, name: &str) {
        if self.context.configured(name).is_some() || self.names.contains(name) {
            return;
        }
        if self.names.len() < self.limit {
            self.names.insert(name.to_owned());
        } else {
            let limit = self.limit;
            self.stopped = Some(format!("there are more than the limit of {limit} that are not configured"));
        }
    }

    /// Whether a stream is kept beside another one, or by the bus itself: dead letters and the history.
    fn is_ours(&self, name: &str) -> bool {
        let config = &self.context.config;
        config.dead_letter.names.name_in(name).is_some() || *name == config.keys.history
    }
}
