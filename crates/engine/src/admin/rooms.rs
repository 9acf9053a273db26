//! `rooms.*`: who is in rooms.

use oxbus_model::BusError;
use oxbus_model::options::names::check_name;
use oxbus_model::presence;
use oxbus_model::stream_store::{Request, Response, keys};
use serde_json::Value;

use crate::admin::arguments::Arguments;
use crate::admin::context::Context;
use crate::admin::question::questions;
use crate::transport::store::unexpected;

questions! {
    "rooms.members" ["room"] => members;
}

/// `rooms.members`: who is in a room, over all clients.
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
