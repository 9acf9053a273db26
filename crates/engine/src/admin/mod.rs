//! Administration: streams, dead letters, history and replay, written once over a [`Store`](crate::transport::store::Store).
//!
//! Every event in an answer is JSON text, not a tree: the host reads it as it was written.
//!
//! # Layout
//!
//! - this file: the methods by name
//! - `context`: what they work on, and the requests that several of them make; `arguments`: what callers give
//! - `streams`, `overdue`, `dead_letters`, `history`, `replay`: the methods
//! - `merged_range`: the entries of several streams in the order of their ids

mod arguments;
mod context;
mod dead_letters;
mod history;
pub(crate) mod merged_range;
mod overdue;
mod replay;
mod streams;
#[cfg(test)]
mod tests;

use oxbus_model::options::names::check_name;
use oxbus_model::presence;
use oxbus_model::stream_store::{Request, Response, keys};
use oxbus_model::{BusError, ErrorKind};
use serde_json::Value;

use crate::transport::store::unexpected;

use arguments::Arguments;
pub(crate) use context::Context;

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
