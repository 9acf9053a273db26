//! The answers of commands and scripts, read strictly: one of another form is a fault, never a guess.

use oxbus_model::stream_store::{
    EntryId, Fields, GroupFacts, GroupInfo, Missed, PendingEntry, RegisteredStream, Response, StoredEntry,
    StreamInfo,
};
use oxbus_model::{BusError, ErrorKind};

use crate::redis::resp::value::RespValue;

/// Of `open.lua`.
pub(crate) fn opened(reply: RespValue) -> Result<Response, BusError> {
    let [created, position, recreated] = reply.parts()?;
    let (created, recreated) = (created.count()? != 0, recreated.count()? != 0);
    Ok(Response::Ensured { created, position: position.id()?, recreated })
}

/// Of `claim.lua` and `own.lua`.
pub(crate) fn claimed(reply: RespValue) -> Result<(Vec<StoredEntry>, Vec<EntryId>), BusError> {
    let [entries, deleted] = reply.parts()?;
    let entries = entries.all(|entry| {
        let [id, deliveries, started, unhandled_since, due_in, fields] = entry.parts()?;
        Ok(StoredEntry {
            id: id.id()?,
            deliveries: deliveries.small_count()?,
            started: started.count()? != 0,
            unhandled_since: unhandled_since.maybe(RespValue::count)?,
            due_in: due_in.maybe(RespValue::count)?,
            fields: fields_of(fields)?,
        })
    })?;
    Ok((entries, deleted.all(RespValue::id)?))
}

/// Of `XRANGE`.
pub(crate) fn entries(reply: RespValue) -> Result<Vec<StoredEntry>, BusError> {
    reply.all(|entry| {
        let [id, fields] = entry.parts()?;
        let fields = fields_of(fields)?;
        Ok(StoredEntry {
            id: id.id()?,
            deliveries: 0,
            started: false,
            unhandled_since: None,
            due_in: None,
            fields,
        })
    })
}

fn fields_of(reply: RespValue) -> Result<Fields, BusError> {
    let mut items = reply.items()?.into_iter();
    let mut fields = Fields::with_capacity(items.len() / 2);
    while let Some(name) = items.next() {
        let value = items.next().unwrap_or(RespValue::Nil);
        fields.push((name.bytes()?, value.bytes()?));
    }
    Ok(fields)
}

/// Of `XPENDING` with a range.
pub(crate) fn pending(reply: RespValue) -> Result<Vec<PendingEntry>, BusError> {
    reply.all(|row| {
        let [id, consumer, idle, deliveries] = row.parts()?;
        Ok(PendingEntry {
            id: id.id()?,
            consumer: consumer.text()?.into(),
            idle: idle.count()?,
            deliveries: deliveries.small_count()?,
        })
    })
}

/// Of `list_expired.lua`.
pub(crate) fn expired(reply: RespValue) -> Result<Response, BusError> {
    let [entries, next_due_in] = reply.parts()?;
    Ok(Response::Expired { entries: pending(entries)?, next_due_in: next_due_in.maybe(RespValue::count)? })
}

/// Of `beat.lua`.
pub(crate) fn facts(reply: RespValue) -> Result<GroupFacts, BusError> {
    let items = reply.items()?;
    if items.len() == 2 {
        let [time, taken_by] = RespValue::Array(items).parts()?;
        return Ok(GroupFacts {
            time: time.count()?,
            taken_by: Some(taken_by.text()?),
            ..GroupFacts::default()
        });
    }
    let [time, _, lease, patterns, position, oldest_pending, missed] = RespValue::Array(items).parts()?;
    let missed = missed.maybe(|missed| {
        let [count, from, to] = missed.parts()?;
        Ok(Missed { count: count.count()?, from: from.id()?, to: to.id()? })
    })?;
    Ok(GroupFacts {
        lease: lease.count()?,
        taken_by: None,
        patterns: patterns.all(RespValue::text)?,
        position: position.id()?,
        oldest_pending: oldest_pending.maybe(RespValue::id)?,
        missed,
        time: time.count()?,
    })
}

/// Of `describe.lua`.
pub(crate) fn stream(reply: RespValue) -> Result<Option<StreamInfo>, BusError> {
    reply.maybe(|reply| {
        let [length, first, last, last_generated, added, groups] = reply.parts()?;
        Ok(StreamInfo {
            length: length.count()?,
            first: first.maybe(RespValue::id)?,
            last: last.maybe(RespValue::id)?,
            last_generated: last_generated.id()?,
            added: added.maybe(RespValue::count)?,
            groups: groups.all(group)?,
        })
    })
}

fn group(reply: RespValue) -> Result<GroupInfo, BusError> {
    let [name, pending, last_delivered, lag, oldest_pending, consumers, lease] = reply.parts()?;
    let consumers = consumers.all(|consumer| {
        let [name, pending, idle] = consumer.parts()?;
        Ok((name.text()?, pending.count()?, idle.count()?))
    })?;
    Ok(GroupInfo {
        name: name.text()?,
        consumers,
        pending: pending.count()?,
        last_delivered: last_delivered.id()?,
        lag: lag.maybe(RespValue::count)?,
        oldest_pending: oldest_pending.maybe(RespValue::id)?,
        lease: lease.maybe(RespValue::count)?,
    })
}

/// The names of groups, of `XINFO GROUPS`.
pub(crate) fn group_names(reply: RespValue) -> Result<Vec<Box<[u8]>>, BusError> {
    reply.all(|group| {
        let mut items = group.items()?.into_iter();
        while let Some(name) = items.next() {
            let value = items.next().unwrap_or(RespValue::Nil);
            if name.bytes()?[..] == *b"name" {
                return value.bytes();
            }
        }
        Err(RespValue::Nil.unexpected("the name of a group"))
    })
}

/// Of `TIME`, in milliseconds.
pub(crate) fn time(reply: RespValue) -> Result<u64, BusError> {
    let [seconds, micros] = reply.parts()?;
    Ok(seconds.count()?.saturating_mul(1_000).saturating_add(micros.count()? / 1_000))
}

/// Of `TYPE`: whether there is a stream of that name. A key of another type is an error.
pub(crate) fn exists(stream: &str, reply: RespValue) -> Result<Response, BusError> {
    match &*reply.text()? {
        "none" => Ok(Response::Count(0)),
        "stream" => Ok(Response::Count(1)),
        other => {
            Err(BusError::new(ErrorKind::WrongType, format!("the key {stream:?} is not a stream: {other}")))
        }
    }
}

/// Of `HGETALL` of the registry.
pub(crate) fn registered(reply: RespValue) -> Result<Response, BusError> {
    let mut items = reply.items()?.into_iter();
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

/// Of `SCAN`.
pub(crate) fn scanned(reply: RespValue) -> Result<Response, BusError> {
    let [next, names] = reply.parts()?;
    let names = names.all(RespValue::bytes)?;
    // A stream whose name is not text is of another program, and no question could name it.
    let names = names.into_iter().filter_map(|name| String::from_utf8(name.into()).ok()).collect();
    Ok(Response::Scanned { next: next.count()?, names })
}
