//! What administration works on, and the requests that several of its methods make.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxbus_model::config::{Config, StreamConfig};
use oxbus_model::routing::overlap;
use oxbus_model::stream_store::{EntryId, Request, Response, StreamInfo, keys};
use oxbus_model::{BusError, ErrorKind};
use serde_json::Value;

use crate::state::recent_events::RecentEvents;
use crate::transport::store::{Store, unexpected};

/// The bytes of the events in one answer at the most.
pub(super) const MAX_ANSWER_BYTES: usize = 64 << 20;

/// What administration works on.
pub(crate) struct Context {
    pub(super) store: Arc<dyn Store>,
    pub(super) config: Config,
    /// The consumer that claims what is recovered.
    pub(super) consumer: Arc<str>,
    pub(super) recent: Arc<Mutex<RecentEvents>>,
}

impl Context {
    /// A context of a client with its store, its configuration, the id of its start and its own recent events.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        config: &Config,
        instance_id: &str,
        recent: Arc<Mutex<RecentEvents>>,
    ) -> Context {
        let consumer = format!("{}-{instance_id}", config.service_name).into();
        Context { store, config: config.clone(), consumer, recent }
    }

    pub(super) fn recent(&self) -> MutexGuard<'_, RecentEvents> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn configured(&self, stream: &str) -> Option<&StreamConfig> {
        self.config.streams.iter().find(|config| config.name == stream)
    }

    /// The configured streams that may store events whose type matches a pattern.
    pub(super) fn storing(&self, wanted: Option<&str>) -> impl Iterator<Item = Arc<str>> {
        let may_store = move |events: &[String]| {
            wanted.is_none_or(|w| events.iter().any(|p| overlap::overlap(p.as_bytes(), w.as_bytes())))
        };
        let streams = self.config.streams.iter().filter(move |config| may_store(&config.events));
        streams.map(|config| Arc::from(config.name.as_str()))
    }

    /// The names of the configured streams.
    pub(super) fn names(&self) -> impl Iterator<Item = Arc<str>> {
        self.config.streams.iter().map(|config| Arc::from(config.name.as_str()))
    }

    /// The stream of a stream's dead letters.
    pub(super) fn dead_letters_of(&self, stream: &str) -> Arc<str> {
        keys::dead_letters(stream, &self.config.dead_letter.suffix).into()
    }

    pub(super) async fn describe(&self, stream: &str) -> Result<Option<StreamInfo>, BusError> {
        match self.store.execute(Request::Describe { stream: stream.into() }).await? {
            Response::Stream(facts) => Ok(facts),
            _ => Err(unexpected()),
        }
    }

    /// What there is to know of a stream; one that is configured and not made yet is empty.
    pub(super) async fn facts(&self, stream: &str) -> Result<StreamInfo, BusError> {
        match self.describe(stream).await? {
            Some(facts) => Ok(facts),
            None if self.configured(stream).is_some() => Ok(StreamInfo::default()),
            None => Err(no_stream(stream)),
        }
    }

    /// Fails unless a stream is configured or exists.
    pub(super) async fn check(&self, stream: &str) -> Result<(), BusError> {
        if self.configured(stream).is_none() {
            self.facts(stream).await?;
        }
        Ok(())
    }

    /// `error`, or that there is no such stream, which a store does not tell from a missing group.
    pub(super) async fn clarify(&self, stream: &str, error: BusError) -> BusError {
        if error.kind != ErrorKind::NoGroup {
            return error;
        }
        match self.describe(stream).await {
            Ok(None) => self.facts(stream).await.err().unwrap_or(error),
            _ => error,
        }
    }

    pub(super) async fn count(&self, request: Request) -> Result<u64, BusError> {
        match self.store.execute(request).await? {
            Response::Count(count) => Ok(count),
            _ => Err(unexpected()),
        }
    }

    /// The store's time, Unix milliseconds.
    pub(super) async fn time(&self) -> Result<u64, BusError> {
        match self.store.execute(Request::Time).await? {
            Response::Time(ms) => Ok(ms),
            _ => Err(unexpected()),
        }
    }
}

pub(super) fn no_stream(stream: &str) -> BusError {
    BusError::new(ErrorKind::NoStream, format!("there is no stream {stream:?}"))
}

/// No one of these streams has the group.
pub(super) fn no_group(group: &str, streams: &[impl AsRef<str>]) -> BusError {
    let names: Vec<String> = streams.iter().map(|stream| format!("{:?}", stream.as_ref())).collect();
    let streams = if names.len() == 1 { "stream" } else { "streams" };
    let message = format!("there is no group {group:?} of the {streams} {}", names.join(", "));
    BusError::new(ErrorKind::NoGroup, message)
}

pub(super) fn text_of(id: EntryId) -> Value {
    id.to_string().into()
}

/// There is no configured stream for a pattern.
pub(super) fn not_stored(wanted: &str) -> BusError {
    BusError::new(ErrorKind::NoStream, format!("no configured stream stores what {wanted:?} matches"))
}
