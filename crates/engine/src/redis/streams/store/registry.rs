//! The requests that find streams: the registry, and steps through all keys.

use oxbus_model::stream_store::registry::{MAX_REGISTERED, kept_patterns};
use oxbus_model::stream_store::{RegisteredStream, Response};
use oxbus_model::{BusError, ErrorKind};
use redis::{Cmd, cmd};

use super::{CHUNK, Call};
use crate::redis::resp::value::RespValue;
use crate::redis::scripts::list;

/// The keys that one step of a scan looks at, about.
const SCANNED: usize = 1_000;

/// Whether there is a stream of that name.
pub(super) async fn exists(call: &Call, stream: &str) -> Result<Response, BusError> {
    match &*call.ask(cmd("TYPE").arg(stream)).await?.text()? {
        "none" => Ok(Response::Count(0)),
        "stream" => Ok(Response::Count(1)),
        other => {
            Err(BusError::new(ErrorKind::WrongType, format!("the key {stream:?} is not a stream: {other}")))
        }
    }
}

/// Registers streams with their patterns.
pub(super) async fn register(
    call: &Call,
    key: &str,
    streams: &[(String, Vec<String>)],
) -> Result<Response, BusError> {
    for streams in streams.chunks(CHUNK) {
        let arguments = |c: &mut Cmd| {
            c.arg(MAX_REGISTERED);
            for (name, events) in streams {
                // Texts can always be written.
                c.arg(name).arg(serde_json::to_string(kept_patterns(events)).unwrap_or_default());
            }
        };
        call.run(&list::REGISTER_STREAMS, &[key], arguments).await?;
    }
    Ok(Response::Done)
}

/// The registered streams.
pub(super) async fn registered(call: &Call, key: &str) -> Result<Response, BusError> {
    let mut items = call.ask(cmd("HGETALL").arg(key)).await?.items()?.into_iter();
    let mut streams = Vec::with_capacity(items.len() / 2);
    while let Some(name) = items.next() {
        let value = items.next().unwrap_or(RespValue::Nil).text()?;
        let (time, events) = value.split_once(' ').unwrap_or((&value, "[]"));
        // What another program has written there still names a stream.
        let events = serde_json::from_str(events).unwrap_or_default();
        streams.push(RegisteredStream { name: name.text()?, events, time: time.parse().unwrap_or_default() });
    }
    Ok(Response::Registered(streams))
}

/// One step through all keys.
pub(super) async fn scan(call: &Call, cursor: u64) -> Result<Response, BusError> {
    let mut command = cmd("SCAN");
    command.arg(cursor).arg("COUNT").arg(SCANNED).arg("TYPE").arg("stream");
    let [next, names] = call.ask(&command).await?.parts()?;
    let names = names.all(RespValue::bytes)?;
    // A stream whose name is not text is of another program, and no question could name it.
    let names = names.into_iter().filter_map(|name| String::from_utf8(name.into()).ok()).collect();
    Ok(Response::Scanned { next: next.count()?, names })
}
