//! Administration: streams, dead letters, history and replay, written once over a [`Store`].
//!
//! Every event in an answer is JSON text, not a tree: the host reads it as it was written.
//!
//! # Layout
//!
//! - this file: [`Context`], the methods by name, and the requests that several of them make
//! - `arguments`: what callers give
//! - `streams`, `overdue`, `letters`, `history`, `replay`: the methods

mod arguments;
mod dead_letters;
mod history;
pub(crate) mod merged_range;
mod overdue;
mod replay;
mod streams;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxbus_model::config::{Config, StreamConfig};
use oxbus_model::options::names::check_name;
use oxbus_model::presence;
use oxbus_model::stream_store::{EntryId, Request, Response, StreamInfo, keys};
use oxbus_model::{BusError, ErrorKind};
use serde_json::Value;

use crate::state::recent_events::RecentEvents;
use crate::transport::store::{Store, unexpected};

use arguments::Arguments;

/// The bytes of the events in one answer at the most.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// What administration works on.
pub(crate) struct Context {
    store: Arc<dyn Store>,
    config: Config,
    /// The consumer that claims what is recovered.
    consumer: Arc<str>,
    recent: Arc<Mutex<RecentEvents>>,
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
}

/// Calls a method with its arguments, one object.
///
/// # Errors
/// `INVALID_OPTIONS` with the path of the bad argument, `NO_STREAM`, `NO_GROUP`, and those of the store.
pub(crate) async fn call(context: &Context, method: &str, args: Value) -> Result<Value, BusError> {
    let args = Arguments::of(args)?;
    match method {
        "streams.info" => streams::info(context, args).await,
        "streams.list" => streams::list(context, args).await,
        "streams.pending" => streams::pending(context, args).await,
        "streams.recover" => overdue::recover(context, args).await,
        "streams.trim" => streams::trim(context, args).await,
        "streams.setPosition" => streams::set_position(context, args).await,
        "streams.removeGroup" => streams::remove_group(context, args).await,
        "deadLetters.list" => dead_letters::list(context, args).await,
        "deadLetters.get" => dead_letters::get(context, args).await,
        "deadLetters.replay" => dead_letters::replay(context, args).await,
        "deadLetters.replayAll" => dead_letters::replay_all(context, args).await,
        "deadLetters.remove" => dead_letters::remove(context, args).await,
        "deadLetters.purge" => dead_letters::purge(context, args).await,
        "deadLetters.count" => dead_letters::count(context, args).await,
        "getEvent" => history::event(context, args).await,
        "getHistory" => history::history(context, args).await,
        "rooms.members" => members(context, args).await,
        "replay.page" => replay::page(context, args).await,
        "replay.group" => replay::group(context, args).await,
        _ => Err(BusError::new(ErrorKind::Internal, format!("there is no method {method:?}"))),
    }
}

/// Who is in a room, over all clients.
async fn members(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let room = args.text("room")?;
    args.finish()?;
    check_name("room", &room)?;
    let key = keys::presence(&context.config.channel_prefix, &room).into();
    match context.store.execute(Request::ListPresence { key }).await? {
        Response::Names(entries) => Ok(presence::members(&entries).into()),
        _ => Err(unexpected()),
    }
}

impl Context {
    fn recent(&self) -> MutexGuard<'_, RecentEvents> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn configured(&self, stream: &str) -> Option<&StreamConfig> {
        self.config.streams.iter().find(|config| config.name == stream)
    }

    /// The names of the configured streams.
    fn names(&self) -> impl Iterator<Item = Arc<str>> {
        self.config.streams.iter().map(|config| Arc::from(config.name.as_str()))
    }

    /// The stream of a stream's dead letters.
    fn letters_of(&self, stream: &str) -> Arc<str> {
        keys::dead_letters(stream, &self.config.dead_letter.suffix).into()
    }

    async fn describe(&self, stream: &str) -> Result<Option<StreamInfo>, BusError> {
        match self.store.execute(Request::Describe { stream: stream.into() }).await? {
            Response::Stream(facts) => Ok(facts),
            _ => Err(unexpected()),
        }
    }

    /// What there is to know of a stream; one that is configured and not made yet is empty.
    async fn facts(&self, stream: &str) -> Result<StreamInfo, BusError> {
        match self.describe(stream).await? {
            Some(facts) => Ok(facts),
            None if self.configured(stream).is_some() => Ok(StreamInfo::default()),
            None => Err(no_stream(stream)),
        }
    }

    /// Fails unless a stream is configured or exists.
    async fn check(&self, stream: &str) -> Result<(), BusError> {
        if self.configured(stream).is_none() {
            self.facts(stream).await?;
        }
        Ok(())
    }

    /// `error`, or that there is no such stream, which a store does not tell from a missing group.
    async fn explain(&self, stream: &str, error: BusError) -> BusError {
        if error.kind != ErrorKind::NoGroup {
            return error;
        }
        match self.describe(stream).await {
            Ok(None) => self.facts(stream).await.err().unwrap_or(error),
            _ => error,
        }
    }

    async fn count(&self, request: Request) -> Result<u64, BusError> {
        match self.store.execute(request).await? {
            Response::Count(count) => Ok(count),
            _ => Err(unexpected()),
        }
    }

    /// The store's time, Unix milliseconds.
    async fn time(&self) -> Result<u64, BusError> {
        match self.store.execute(Request::Time).await? {
            Response::Time(ms) => Ok(ms),
            _ => Err(unexpected()),
        }
    }
}

fn no_stream(stream: &str) -> BusError {
    BusError::new(ErrorKind::NoStream, format!("there is no stream {stream:?}"))
}

/// No one of these streams has the group.
fn no_group(group: &str, streams: &[impl AsRef<str>]) -> BusError {
    let names: Vec<String> = streams.iter().map(|stream| format!("{:?}", stream.as_ref())).collect();
    let streams = if names.len() == 1 { "stream" } else { "streams" };
    let message = format!("there is no group {group:?} of the {streams} {}", names.join(", "));
    BusError::new(ErrorKind::NoGroup, message)
}

fn text_of(id: EntryId) -> Value {
    id.to_string().into()
}
