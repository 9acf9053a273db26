//! `streams.*`: looks at streams and groups, and changes them.

use oxbus_model::stream_store::{EntryId, GroupInfo, PendingEntry, Request, Response, StreamInfo};
use oxbus_model::{BusError, ErrorKind};
use serde_json::{Value, json};

use crate::admin::arguments::Arguments;
use crate::admin::context::{Context, text_of};
use crate::transport::store::unexpected;

/// `streams.info {name}`: a stream with its groups.
pub(super) async fn info(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let name = args.needed("name")?;
    args.finish()?;
    describe(context, &name).await
}

/// `streams.list`: all configured streams.
pub(super) async fn list(context: &Context, args: Arguments) -> Result<Value, BusError> {
    args.finish()?;
    let mut streams = Vec::new();
    for config in &context.config.streams {
        streams.push(describe(context, &config.name).await?);
    }
    Ok(streams.into())
}

async fn describe(context: &Context, name: &str) -> Result<Value, BusError> {
    let dead_letters = context.dead_letters_of(name);
    let (facts, dead_letters, now) =
        tokio::join!(context.facts(name), context.describe(&dead_letters), context.time());
    let StreamInfo { length, first, last, groups, .. } = facts?;
    let now = now?;
    let groups: Vec<Value> = groups.into_iter().map(|group| group_value(group, now)).collect();
    Ok(json!({
        "name": name,
        "length": length,
        "firstId": first.map(text_of),
        "lastId": last.map(text_of),
        "deadLetters": dead_letters?.map_or(0, |facts| facts.length),
        "groups": groups,
    }))
}

fn group_value(group: GroupInfo, now: u64) -> Value {
    let consumers: Vec<Value> = group
        .consumers
        .into_iter()
        .map(|(name, pending, idle)| json!({ "name": name, "pending": pending, "idle": idle }))
        .collect();
    json!({
        "name": group.name,
        "consumers": consumers,
        "pending": group.pending,
        "lag": group.lag,
        "oldestPendingAge": group.oldest_pending.map(|id| now.saturating_sub(id.ms)),
        "lastDeliveredId": text_of(group.last_delivered),
    })
}

/// `streams.pending {name, group, limit}`: the oldest pending entries of a group.
pub(super) async fn pending(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let (name, group, limit) = (args.needed("name")?, args.needed("group")?, args.limit("limit")?);
    args.finish()?;
    let request = Request::Pending {
        stream: name.as_str().into(),
        group: group.into(),
        from: EntryId::MIN,
        limit,
        min_idle: 0,
        consumer: None,
    };
    match context.store.execute(request).await {
        Ok(Response::Pending(entries)) => Ok(entries.into_iter().map(pending_value).collect()),
        Ok(_) => Err(unexpected()),
        Err(error) => Err(context.clarify(&name, error).await),
    }
}

fn pending_value(entry: PendingEntry) -> Value {
    json!({
        "id": entry.id.to_string(),
        "consumer": &*entry.consumer,
        "idle": entry.idle,
        "deliveryCount": entry.deliveries,
    })
}

/// `streams.trim {name, maxLength | minId | before}`: removes the oldest entries, read or not. Returns how many.
pub(super) async fn trim(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let name = args.needed("name")?;
    let max_len = args.count("maxLength", 0)?;
    let min_id = args.entry("minId")?;
    let before = args.time("before")?;
    if [max_len.is_some(), min_id.is_some(), before.is_some()].iter().filter(|given| **given).count() != 1 {
        let message = "give exactly one of maxLength, minId and before";
        return Err(BusError::new(ErrorKind::InvalidOptions, message));
    }
    args.finish()?;
    context.check(&name).await?;
    let min_id = min_id.or(before.map(|time| time.first()));
    Ok(context.count(Request::Trim { stream: name.into(), max_len, min_id }).await?.into())
}

/// `streams.setPosition {name, group, id}`: where a group goes on; `'new'`, `'beginning'`, behind an entry,
/// or at a time.
pub(super) async fn set_position(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let (name, group, to) = (args.needed("name")?, args.needed("group")?, args.position("id")?);
    args.finish()?;
    let request = Request::SetPosition { stream: name.as_str().into(), group: group.into(), to };
    match context.store.execute(request).await {
        Ok(Response::Done) => Ok(Value::Null),
        Ok(_) => Err(unexpected()),
        Err(error) => Err(context.clarify(&name, error).await),
    }
}

/// `streams.removeGroup {name, group}`: whether there was one.
pub(super) async fn remove_group(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let (name, group) = (args.needed("name")?, args.needed("group")?);
    args.finish()?;
    context.check(&name).await?;
    let request = Request::RemoveGroup { stream: name.into(), group: group.into() };
    match context.count(request).await {
        Ok(removed) => Ok((removed > 0).into()),
        Err(error) if error.kind == ErrorKind::NoGroup => Ok(false.into()),
        Err(error) => Err(error),
    }
}
