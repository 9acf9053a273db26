//! What administration works on, and the requests that several of its methods make.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxbus_model::config::{Config, StreamConfig};
use oxbus_model::routing::overlap;
use oxbus_model::stream_store::{EntryId, RegisteredStream, Request, Response, StreamInfo, keys};
use oxbus_model::{BusError, ErrorKind};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::admin::effect::Effect;
use crate::receive::shapes::SharedShapes;
use crate::runtime::joined::try_join_bounded;
use crate::state::recent_events::RecentEvents;
use crate::transport::store::{Store, unexpected};

/// The bytes of the events in one answer at the most.
pub(super) const MAX_ANSWER_BYTES: usize = 64 << 20;

/// How many streams are asked about at once, so that those on one node of a Cluster do not wait for those on another one.
pub(super) const AT_ONCE: usize = 16;

/// What administration works on.
pub(crate) struct Context {
    pub(super) store: Arc<dyn Store>,
    pub(super) config: Config,
    /// The consumer that claims what is recovered.
    pub(super) consumer: Arc<str>,
    pub(super) recent: Arc<Mutex<RecentEvents>>,
    /// For events that the host builds by shapes.
    pub(super) shapes: Arc<SharedShapes>,
    /// The registered streams, as they were when they were first asked for.
    registered: OnceCell<Vec<RegisteredStream>>,
    /// Lets the client do something.
    act: Box<dyn Fn(Effect) + Send + Sync>,
}

impl Context {
    /// A context of a client with its store, its configuration, the id of its start, its own recent events and its shapes;
    /// `act` is what the client does while a question is answered.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        config: &Config,
        instance_id: &str,
        (recent, shapes): (Arc<Mutex<RecentEvents>>, Arc<SharedShapes>),
        act: impl Fn(Effect) + Send + Sync + 'static,
    ) -> Context {
        let consumer = format!("{}-{instance_id}", config.service_name).into();
        let (registered, act) = (OnceCell::new(), Box::new(act));
        Context { store, config: config.clone(), consumer, recent, shapes, registered, act }
    }

    /// Lets the client do something at once.
    pub(super) fn push_effect(&self, effect: Effect) {
        (self.act)(effect);
    }

    pub(super) fn recent(&self) -> MutexGuard<'_, RecentEvents> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn configured(&self, stream: &str) -> Option<&StreamConfig> {
        self.config.streams.iter().find(|config| config.name == stream)
    }

    /// The registered streams, those first that were registered last.
    pub(super) async fn registered(&self) -> Result<&[RegisteredStream], BusError> {
        let ask = || async {
            let key = keys::registry(&self.config.channel_prefix).into();
            match self.store.execute(Request::ListRegistered { key }).await? {
                Response::Registered(mut streams) => {
                    streams.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| a.name.cmp(&b.name)));
                    Ok(streams)
                }
                _ => Err(unexpected()),
            }
        };
        self.registered.get_or_try_init(ask).await.map(Vec::as_slice)
    }

    /// Whether the streams of others are known too: an observer, and a client without streams of its own, has none to
    /// ask about otherwise.
    fn knows_registered(&self) -> bool {
        self.config.observe || self.config.streams.is_empty()
    }

    /// The streams that a question without a stream is about, and their patterns: those of the configuration, and to a
    /// client that knows them the registered ones.
    async fn known(&self) -> Result<Vec<(Arc<str>, &[String])>, BusError> {
        let configured = self.config.streams.iter().map(|stream| (&stream.name, &stream.events));
        let registered = if self.knows_registered() { self.registered().await? } else { &[] };
        let found = registered.iter().map(|stream| (&stream.name, &stream.events));
        let found = found.filter(|(name, _)| self.configured(name).is_none());
        Ok(configured.chain(found).map(|(name, events)| (name.as_str().into(), events.as_slice())).collect())
    }

    /// The known streams that may store events whose type matches a pattern.
    pub(super) async fn storing(&self, wanted: Option<&str>) -> Result<Vec<Arc<str>>, BusError> {
        let may_store = |events: &[String]| {
            wanted.is_none_or(|w| events.iter().any(|p| overlap::overlap(p.as_bytes(), w.as_bytes())))
        };
        let known = self.known().await?.into_iter();
        Ok(known.filter(|(_, events)| may_store(events)).map(|(name, _)| name).collect())
    }

    /// The names of the known streams.
    pub(super) async fn names(&self) -> Result<Vec<Arc<str>>, BusError> {
        self.storing(None).await
    }

    /// Whether a stream that does not exist counts as an empty one: it is configured, or was found in the registry.
    fn may_be_missing(&self, stream: &str) -> bool {
        let registered = || self.registered.get().is_some_and(|all| all.iter().any(|one| one.name == stream));
        self.configured(stream).is_some() || (self.knows_registered() && registered())
    }

    /// The stream of a stream's dead letters.
    pub(super) fn dead_letters_of(&self, stream: &str) -> Arc<str> {
        self.config.dead_letter.names.of(stream).into()
    }

    pub(super) async fn describe(&self, stream: &str) -> Result<Option<StreamInfo>, BusError> {
        match self.store.execute(Request::Describe { stream: stream.into() }).await? {
            Response::Stream(facts) => Ok(facts),
            _ => Err(unexpected()),
        }
    }

    /// As [`Context::describe`], for several streams at once. The first error ends it.
    pub(super) async fn describe_each(
        &self,
        streams: &[Arc<str>],
    ) -> Result<Vec<Option<StreamInfo>>, BusError> {
        let asked = streams.iter().map(|stream| self.describe(stream)).collect();
        try_join_bounded(AT_ONCE, asked).await
    }

    /// As [`Context::facts`], for several streams at once. The first error ends it.
    pub(super) async fn facts_of_each(&self, streams: &[Arc<str>]) -> Result<Vec<StreamInfo>, BusError> {
        let asked = streams.iter().map(|stream| self.facts(stream)).collect();
        try_join_bounded(AT_ONCE, asked).await
    }

    /// What there is to know of a stream; one that is known and not made yet is empty.
    pub(super) async fn facts(&self, stream: &str) -> Result<StreamInfo, BusError> {
        match self.describe(stream).await? {
            Some(facts) => Ok(facts),
            None if self.may_be_missing(stream) => Ok(StreamInfo::default()),
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

    /// The time by which the entries of a stream get their ids, Unix milliseconds.
    pub(super) async fn time_of(&self, stream: &str) -> Result<u64, BusError> {
        match self.store.execute(Request::TimeOfStream { stream: stream.into() }).await? {
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
