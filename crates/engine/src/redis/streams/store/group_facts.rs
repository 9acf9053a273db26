//! The facts of a group: synchronizing them, and what the group has read past.

use std::sync::Arc;

use oxbus_model::BusError;
use oxbus_model::stream_store::skipped::{MAX_TYPES, TOLD_WITHIN};
use oxbus_model::stream_store::{ConsumerId, EntryId, FACTS_FORMAT, Request, Response, StoredEntry, keys};
use redis::{Cmd, cmd};

use crate::redis::scripts::list;
use crate::redis::streams::store::call::StoreCall;
use crate::redis::streams::store_replies::{self, TakenUp};

/// How often one request has the script go on behind entries whose type no field tells.
const ROUNDS: usize = 10;

/// Executes a [`Request::Heartbeat`].
pub(super) async fn synchronize(call: &StoreCall, heartbeat: Request) -> Result<Response, BusError> {
    let Request::Heartbeat {
        member,
        instance,
        alive,
        alive_key,
        lease,
        foreign_lease,
        patterns,
        mark,
        version,
        take_up,
    } = heartbeat
    else {
        return Ok(Response::Done);
    };
    let ConsumerId { stream, group, consumer, .. } = &member;
    let home = call.home(stream);
    let keys = [
        &**stream,
        &keys::facts(&home, group),
        &keys::patterns(&home, group),
        &keys::consumers(&home, group),
        &keys::skipped(&home, group),
        &keys::tasks(&home, group),
    ];
    let mark = mark.map(|id| id.to_string()).unwrap_or_default();
    let arguments = |c: &mut Cmd| {
        c.arg(&**group).arg(&**consumer).arg(&*instance).arg(alive).arg(lease).arg(&mark);
        c.arg(version).arg(take_up.len()).arg(&*alive_key).arg(FACTS_FORMAT).arg(foreign_lease);
        for (event_type, from) in &take_up {
            c.arg(event_type).arg(from.to_string());
        }
        c.arg(&patterns);
    };
    Ok(Response::Facts(store_replies::facts(call.run(&list::HEARTBEAT, &keys, arguments).await?)?))
}

/// Executes a [`Request::KeepAlive`]. The first command works on a server that is out of memory.
pub(super) async fn keep_alive(call: &StoreCall, key: &str, ttl: u64) -> Result<Response, BusError> {
    let known = call.ask(cmd("PEXPIRE").arg(key).arg(ttl)).await?.count()?;
    if known == 0 {
        call.ask(cmd("SET").arg(key).arg("").arg("PX").arg(ttl)).await?;
    }
    Ok(Response::Count(known))
}

/// Executes a [`Request::Skip`].
pub(super) async fn skip(
    call: &StoreCall,
    member: &ConsumerId,
    version: u64,
    mut entries: Vec<(EntryId, Arc<str>)>,
) -> Result<Response, BusError> {
    entries.sort_unstable_by_key(|(id, _)| *id);
    let ConsumerId { stream, group, consumer, instance } = member;
    let home = call.home(stream);
    let keys =
        [&**stream, &keys::facts(&home, group), &keys::consumers(&home, group), &keys::skipped(&home, group)];
    let arguments = |c: &mut Cmd| {
        c.arg(&**group).arg(&**consumer).arg(&**instance).arg(version).arg(MAX_TYPES);
        for (id, event_type) in &entries {
            c.arg(id.to_string()).arg(&**event_type);
        }
    };
    store_replies::skipped(call.run(&list::SKIP, &keys, arguments).await?)
}

/// Executes a [`Request::TakeUp`]. Where the script comes to entries whose type no field tells, it is given what the codec reads in
/// them, and goes on.
pub(super) async fn take_up(
    call: &StoreCall,
    member: &ConsumerId,
    (told, tasks): (&[u64], &[u64]),
    limit: usize,
) -> Result<Response, BusError> {
    let ConsumerId { stream, group, consumer, instance } = member;
    let home = call.home(stream);
    let keys = [&**stream, &keys::consumers(&home, group), &keys::tasks(&home, group)];
    let type_fields = call.codec().type_fields();
    let mut taken = TakenUp::default();
    let mut types: Vec<(String, String)> = Vec::new();
    for _ in 0..ROUNDS {
        let left: Vec<&u64> = tasks.iter().filter(|task| !taken.done.contains(task)).collect();
        let arguments = |c: &mut Cmd| {
            c.arg(&**group).arg(&**consumer).arg(&**instance).arg(limit.saturating_sub(taken.entries.len()));
            c.arg(call.names.only_group).arg(TOLD_WITHIN);
            c.arg(type_fields.len()).arg(&type_fields);
            c.arg(types.len());
            types.iter().for_each(|(id, _)| _ = c.arg(id));
            c.arg(types.len());
            types.iter().for_each(|(_, event_type)| _ = c.arg(event_type));
            c.arg(told.len()).arg(told).arg(left.len()).arg(&left);
        };
        let answer = call.run(&list::TAKE_UP, &keys, arguments).await.and_then(store_replies::taken_up);
        let more = match answer {
            Ok(more) => more,
            // What was taken is this consumer's, and must reach it. The rest is asked for again.
            Err(_) if !taken.entries.is_empty() => TakenUp::default(),
            Err(error) => return Err(error),
        };
        taken.entries.extend(more.entries);
        taken.done.extend(more.done);
        taken.gone.extend(more.gone);
        if more.unclear.is_empty() {
            break;
        }
        types =
            more.unclear.iter().map(|entry| (entry.id.to_string(), type_of(call, stream, entry))).collect();
    }
    let TakenUp { entries, done, gone, .. } = taken;
    Ok(Response::TakenUp { entries, done, gone })
}

/// The type of an entry as the codec reads it; empty where it is no event.
fn type_of(call: &StoreCall, stream: &str, entry: &StoredEntry) -> String {
    let fields = entry.fields.iter().map(|(name, value)| (&**name, &**value));
    let read = call.codec().read_entry(fields, (stream, entry.id), None);
    read.map(|read| read.event.event_type.into_owned()).unwrap_or_default()
}
