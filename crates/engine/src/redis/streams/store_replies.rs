//! The answers of commands and scripts, read strictly: one of another form is a fault, never a guess.

use oxbus_model::stream_store::{
    ConsumerInfo, EntryId, Fields, GroupFacts, GroupInfo, Missed, PendingEntry, RegisteredStream, Response,
    StoredEntry, StreamInfo, TakeUpTask,
};
use oxbus_model::{BusError, ErrorKind};

use crate::redis::resp::value::RespValue;
use crate::redis::streams::trim_watch::Sight;

/// Of `ensure_group.lua`.
pub(crate) fn opened(reply: RespValue) -> Result<Response, BusError> {
    let [created, position, recreated, first, last] = reply.parts()?;
    let (created, recreated) = (created.count()? != 0, recreated.count()? != 0);
    let last = last.maybe(RespValue::id)?;
    let first = first.maybe(RespValue::id)?.or(last.map(EntryId::next));
    let entries = first.zip(last).map(|(first, last)| first..=last);
    Ok(Response::Ensured { created, position: position.id()?, recreated, entries })
}

/// Of `XINFO GROUPS`: where a group stands; `None` where it is not among them.
pub(crate) fn position_of(reply: RespValue, group: &str) -> Result<Option<EntryId>, BusError> {
    for row in reply.items()? {
        let mut fields = row.items()?.into_iter();
        let (mut name, mut position) = (None, None);
        while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
            match &*field.text()? {
                "name" => name = Some(value.text()?),
                "last-delivered-id" => position = Some(value.id()?),
                _ => {}
            }
        }
        if name.is_some_and(|name| name == group) {
            return Ok(position);
        }
    }
    Ok(None)
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
            foreign: false,
        })
    })
}

/// Of `list_expired.lua`.
pub(crate) fn expired(reply: RespValue) -> Result<Response, BusError> {
    let [entries, next_due_in, foreign_waits, time] = reply.parts()?;
    let entries = entries.all(|row| {
        let [id, consumer, idle, deliveries, foreign] = row.parts()?;
        let (id, consumer) = (id.id()?, consumer.text()?.into());
        let (idle, deliveries, foreign) = (idle.count()?, deliveries.small_count()?, foreign.count()? != 0);
        Ok(PendingEntry { id, consumer, idle, deliveries, foreign })
    })?;
    let (next_due_in, foreign_waits) = (next_due_in.maybe(RespValue::count)?, foreign_waits.count()? != 0);
    Ok(Response::Expired { entries, next_due_in, foreign_waits, time: time.count()? })
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
    let [
        time,
        _,
        lease,
        patterns,
        position,
        oldest_pending,
        version,
        outdated,
        skipped,
        tasks,
        new,
        last,
        format,
        foreign,
    ] = RespValue::Array(items).parts()?;
    Ok(GroupFacts {
        lease: lease.count()?,
        foreign_lease: foreign.count()?,
        taken_by: None,
        patterns: patterns.all(RespValue::text)?,
        version: version.count()?,
        outdated: outdated.count()? != 0,
        new_patterns: new.all(RespValue::text)?,
        last: last.maybe(RespValue::id)?,
        skipped: skipped.all(RespValue::text)?,
        take_up: tasks_of(tasks)?,
        position: position.id()?,
        oldest_pending: oldest_pending.maybe(RespValue::id)?,
        time: time.count()?,
        format: format.count()?,
    })
}

/// The tasks of a group: number and text in turn.
fn tasks_of(reply: RespValue) -> Result<Vec<TakeUpTask>, BusError> {
    let mut items = reply.items()?.into_iter();
    let mut tasks = Vec::new();
    while let Some(number) = items.next() {
        let text = items.next().unwrap_or(RespValue::Nil).text()?;
        // What is before the type has no blanks.
        let event_type = text.splitn(6, ' ').nth(5).unwrap_or_default().to_owned();
        let number = number.text()?.parse().unwrap_or_default();
        tasks.push(TakeUpTask { number, event_type });
    }
    Ok(tasks)
}

/// Of `skip.lua`.
pub(crate) fn skipped(reply: RespValue) -> Result<Response, BusError> {
    let [done, version, new_types, not_owned] = reply.parts()?;
    Ok(Response::Skipped {
        done: done.count()? != 0,
        version: version.count()?,
        new_types: new_types.all(RespValue::text)?,
        not_owned: not_owned.all(RespValue::id)?,
    })
}

/// Entries that a group had read past and a consumer has now.
#[derive(Default)]
pub(crate) struct TakenUp {
    pub(crate) entries: Vec<StoredEntry>,
    pub(crate) done: Vec<u64>,
    pub(crate) gone: Vec<(u64, Missed)>,
    /// Entries whose type no field tells. They were left where they are.
    pub(crate) unclear: Vec<StoredEntry>,
}

/// Of `take_up.lua`.
pub(crate) fn taken_up(reply: RespValue) -> Result<TakenUp, BusError> {
    let [taken, done, gone, unclear] = reply.parts()?;
    let entry = |entry: RespValue| {
        let [id, fields] = entry.parts()?;
        let (id, fields) = (id.id()?, fields_of(fields)?);
        Ok(StoredEntry { id, deliveries: 1, started: false, unhandled_since: None, due_in: None, fields })
    };
    let gone = gone.all(|gone| {
        let [number, count, from, to] = gone.parts()?;
        Ok((number.count()?, Missed { count: count.count()?, from: from.id()?, to: to.id()? }))
    })?;
    let (entries, done) = (taken.all(entry)?, done.all(RespValue::count)?);
    Ok(TakenUp { entries, done, gone, unclear: unclear.all(entry)? })
}

/// How many entries are lost, and between which ids.
fn missed_between(reply: RespValue) -> Result<Missed, BusError> {
    let [count, from, to] = reply.parts()?;
    Ok(Missed { count: count.count()?, from: from.id()?, to: to.id()? })
}

/// Of `find_missed.lua`: what was seen, and for each stream what its group has missed, with the number of all missed
/// entries that this client start has found.
pub(in crate::redis) fn missed(reply: RespValue) -> Result<(Sight, Vec<Option<Missed>>), BusError> {
    let mut items = reply.items()?.into_iter();
    let mut next = || items.next().unwrap_or(RespValue::Nil);
    let (margin, close, forgets) = (next().count()?, next().count()? != 0, next().count()? != 0);
    let time = next().count()?;
    let streams = items.map(|stream| stream.maybe(missed_between)).collect::<Result<_, _>>()?;
    Ok((Sight { margin, close, forgets, time }, streams))
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
    let [name, pending, last_delivered, lag, oldest_pending, consumers, lease, skipped, foreign_lease] =
        reply.parts()?;
    let mut counts = Vec::new();
    let mut skipped = skipped.items()?.into_iter();
    while let Some(event_type) = skipped.next() {
        counts.push((event_type.text()?, skipped.next().unwrap_or(RespValue::Nil).count()?));
    }
    let consumers = consumers.all(|consumer| {
        let [name, pending, idle, alive] = consumer.parts()?;
        let alive = alive.maybe(RespValue::count)?.map(|alive| alive != 0);
        Ok(ConsumerInfo { name: name.text()?, pending: pending.count()?, idle: idle.count()?, alive })
    })?;
    Ok(GroupInfo {
        name: name.text()?,
        consumers,
        pending: pending.count()?,
        last_delivered: last_delivered.id()?,
        lag: lag.maybe(RespValue::count)?,
        oldest_pending: oldest_pending.maybe(RespValue::id)?,
        lease: lease.maybe(RespValue::count)?,
        foreign_lease: foreign_lease.maybe(RespValue::count)?,
        skipped: counts,
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

/// Of `HGETALL` of a registry, as a response.
pub(crate) fn registered(reply: RespValue) -> Result<Response, BusError> {
    registry(reply).map(Response::Registered)
}

/// Of `HGETALL` of a registry.
pub(crate) fn registry(reply: RespValue) -> Result<Vec<RegisteredStream>, BusError> {
    let mut items = reply.items()?.into_iter();
    let mut streams = Vec::with_capacity(items.len() / 2);
    while let Some(name) = items.next() {
        let value = items.next().unwrap_or(RespValue::Nil).text()?;
        let (time, events) = value.split_once(' ').unwrap_or((&value, "[]"));
        // What another program has written there still names a stream.
        let events = serde_json::from_str(events).unwrap_or_default();
        streams.push(RegisteredStream { name: name.text()?, events, time: time.parse().unwrap_or_default() });
    }
    Ok(streams)
}

/// Of `SCAN`: where the next step begins, and the names.
pub(crate) fn scanned(reply: RespValue) -> Result<(u64, Vec<String>), BusError> {
    let [next, names] = reply.parts()?;
    let names = names.all(RespValue::bytes)?;
    // A stream whose name is not text is of another program, and no question could name it.
    let names = names.into_iter().filter_map(|name| String::from_utf8(name.into()).ok()).collect();
    Ok((next.count()?, names))
}
