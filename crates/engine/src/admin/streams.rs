//! `streams.*`: looks at streams and groups, and changes them.

use oxbus_model::stream_store::{
    ConsumerInfo, DELAYED, EntryId, GroupInfo, PendingEntry, Request, Response, StreamInfo,
};
use oxbus_model::{BusError, ErrorKind};
use serde_json::{Map, Value, json};

use crate::admin::arguments::Arguments;
use crate::admin::context::{Context, no_stream, text_of};
use crate::admin::effect::Effect;
use crate::admin::question::questions;
use crate::transport::store::unexpected;

questions! {
    "streams.info" ["name"] => info;
    "streams.exists" ["name"] => exists;
    "streams.pending" ["name", "group", "limit"] => pending;
    "streams.trim" ["name", "maxLength", "minId", "before"] => trim;
    "streams.setPosition" ["name", "group", "id"] => set_position;
    "streams.removeGroup" ["name", "group"] => remove_group;
}

/// `streams.info`: a stream with its groups.
async fn info(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let name = args.needed("name")?;
    args.finish()?;
    describe(context, &name).await?.ok_or_else(|| no_stream(&name))
}

/// `streams.exists`: whether there is such a stream, configured or not.
async fn exists(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let stream = args.needed("name")?.into();
    args.finish()?;
    Ok((context.count(Request::Exists { stream }).await? > 0).into())
}

/// A stream with its groups, as the host gets it. One that is configured and not made yet is empty; `None` for any
/// other that does not exist.
pub(super) async fn describe(context: &Context, name: &str) -> Result<Option<Value>, BusError> {
    let dead_letters = context.dead_letters_of(name);
    let (facts, dead_letters, now) =
        tokio::join!(context.describe(name), context.describe(&dead_letters), context.time_of(name));
    let missing = || context.configured(name).map(|_| StreamInfo::default());
    let Some(facts) = facts?.or_else(missing) else { return Ok(None) };
    let StreamInfo { length, first, last, groups, .. } = facts;
    let now = now?;
    let groups: Vec<Value> = groups.into_iter().map(|group| group_value(group, now)).collect();
    Ok(Some(json!({
        "name": name,
        "length": length,
        "firstId": first.map(text_of),
        "lastId": last.map(text_of),
        "deadLetters": dead_letters?.map_or(0, |facts| facts.length),
        "groups": groups,
    })))
}

fn group_value(group: GroupInfo, now: u64) -> Value {
    let (delayed, unowned, waiting, backlog) =
        (group.delayed(), group.unowned(), group.waiting(), group.backlog());
    let consumers: Vec<Value> = group
        .consumers
        .into_iter()
        .filter(|consumer| consumer.name != DELAYED)
        .map(|ConsumerInfo { name, pending, idle, alive }| {
            json!({ "name": name, "pending": pending, "idle": idle, "alive": alive })
        })
        .collect();
    let skipped: Map<String, Value> =
        group.skipped.into_iter().map(|(event_type, count)| (event_type, count.into())).collect();
    json!({
        "name": group.name,
        "consumers": consumers,
        "pending": group.pending,
        "delayed": delayed,
        "unowned": unowned,
        "lag": group.lag,
        "backlog": backlog,
        "waiting": waiting,
        "oldestPendingAge": group.oldest_pending.map(|id| now.saturating_sub(id.ms)),
        "lastDeliveredId": text_of(group.last_delivered),
        "skipped": skipped,
    })
}

/// `streams.pending`: the oldest pending entries of a group.
async fn pending(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
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

/// `streams.trim`: removes the oldest entries, read or not. Returns how many.
async fn trim(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
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

/// `streams.setPosition`: where a group goes on; `'new'`, `'beginning'`, behind an entry,
/// or at a time.
async fn set_position(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let (name, group, to) = (args.needed("name")?, args.needed("group")?, args.position("id")?);
    args.finish()?;
    let request = Request::SetPosition { stream: name.as_str().into(), group: group.into(), to };
    match context.store.execute(request).await {
        Ok(Response::Done) => Ok(Value::Null),
        Ok(_) => Err(unexpected()),
        Err(error) => Err(context.clarify(&name, error).await),
    }
}

/// `streams.removeGroup`: whether there was one.
async fn remove_group(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let (name, group) = (args.needed("name")?, args.needed("group")?);
    args.finish()?;
    context.check(&name).await?;
    let request = Request::RemoveGroup { stream: name.as_str().into(), group: group.as_str().into() };
    let removed = match context.count(request).await {
        Err(error) if error.kind == ErrorKind::NoGroup => 0,
        result => result?,
    };
    context.push_effect(Effect::GroupRemoved { stream: name, group });
    Ok((removed > 0).into())
}
