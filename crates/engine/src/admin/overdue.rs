//! `streams.recover`: takes entries from consumers that have not settled them in time.

use std::sync::Arc;

use oxbus_model::stream_store::{
    ConsumerId, DELAYED, DeadLetterEntry, EntryId, PendingEntry, Request, Response, RetryState, StoredEntry,
};
use oxbus_model::{BusError, ErrorKind};
use serde_json::{Value, json};

use crate::admin::arguments::Arguments;
use crate::admin::context::{Context, no_group};
use crate::admin::question::questions;
use crate::transport::store::unexpected;

questions! {
    "streams.recover" ["group", "minIdle", "maxRetries", "batchSize"] => recover;
}

/// How long an entry must have been left alone, in milliseconds, unless it is said.
const MIN_IDLE: u64 = 60_000;
/// The most entries that are claimed at once: as many as a store tries.
const MAX_BATCH: usize = 500;

/// What came of a recovery.
#[derive(Default)]
struct Recovered {
    checked: u64,
    claimed: u64,
    reprocessed: u64,
    dead_lettered: u64,
    failed: u64,
}

/// How to recover.
#[derive(Clone, Copy)]
struct RecoverOptions {
    min_idle: u64,
    max_retries: u64,
    batch: usize,
    /// The lease of the group, in milliseconds.
    lease: u64,
}

/// `streams.recover`: hands entries of the known streams that were left alone for too long back to their groups, and
/// moves those that were delivered too often to the dead letters.
async fn recover(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let group = args.name("group")?;
    let options = RecoverOptions {
        min_idle: args.count("minIdle", 0)?.unwrap_or(MIN_IDLE),
        max_retries: args.count("maxRetries", 0)?.unwrap_or(3),
        batch: args.limit("batchSize")?.min(MAX_BATCH),
        lease: context.config.lease,
    };
    args.finish()?;
    let (mut recovered, mut found) = (Recovered::default(), false);
    let names = context.names().await?;
    for stream in &names {
        let groups = context.facts(stream).await?.groups;
        for facts in groups.iter().filter(|facts| group.as_ref().is_none_or(|name| *name == facts.name)) {
            found = true;
            let member = ConsumerId {
                stream: stream.clone(),
                group: facts.name.as_str().into(),
                consumer: context.consumer.clone(),
                instance: context.consumer.clone(),
            };
            // Whoever holds an entry renews it within the lease of the group.
            let lease = facts.lease.unwrap_or(context.config.lease);
            let options = RecoverOptions { min_idle: options.min_idle.max(lease), lease, ..options };
            match recover_group(context, &member, &options, &mut recovered).await {
                // It was removed meanwhile, and nothing is left to recover.
                Err(error) if error.kind == ErrorKind::NoGroup => {}
                result => result?,
            }
        }
    }
    match group {
        Some(group) if !found => Err(no_group(&group, &names)),
        _ => Ok(json!({
            "checked": recovered.checked,
            "claimed": recovered.claimed,
            "reprocessed": recovered.reprocessed,
            "deadLettered": recovered.dead_lettered,
            "failed": recovered.failed,
        })),
    }
}

async fn recover_group(
    context: &Context,
    member: &ConsumerId,
    options: &RecoverOptions,
    recovered: &mut Recovered,
) -> Result<(), BusError> {
    let mut from = EntryId::MIN;
    loop {
        let overdue = overdue(context, member, options, from).await?;
        let Some(listed) = overdue.last().map(|entry| entry.id) else { return Ok(()) };
        // What was put off is nobody's, and is taken by the consumers of the group when it is due.
        let kept = overdue.iter().filter(|entry| *entry.consumer != *DELAYED);
        let ids: Vec<_> = kept.map(|entry| entry.id).collect();
        let is_whole = overdue.len() == options.batch && listed != EntryId::MAX;
        if ids.is_empty() {
            if !is_whole {
                return Ok(());
            }
            from = listed.next();
            continue;
        }
        let (min_idle, early) = (options.min_idle, false);
        let request = Request::Claim { member: member.clone(), min_idle, early, ids: ids.clone() };
        let (entries, deleted) = match context.store.execute(request).await? {
            Response::Claimed { entries, deleted } => (entries, deleted),
            _ => return Err(unexpected()),
        };
        // XCLAIM may return only the first part of the page: the next page begins behind its last id. If it returned
        // nothing, other consumers hold the whole page now, which is skipped.
        let claimed = entries.iter().map(|entry| entry.id).chain(deleted.iter().copied()).max();
        let Some(last) = claimed.or(ids.last().copied()) else { return Ok(()) };
        let deleted = deleted.len() as u64;
        recovered.checked += ids.iter().filter(|id| **id <= last).count() as u64;
        recovered.claimed += entries.len() as u64 + deleted;
        recovered.failed += deleted;
        settle(context, member, options, entries, recovered).await;
        if !is_whole && ids.last() == Some(&last) {
            return Ok(());
        }
        // An entry that was returned to its group stays overdue until a consumer takes it: only a way forward ends.
        from = last.next();
    }
}

async fn overdue(
    context: &Context,
    member: &ConsumerId,
    options: &RecoverOptions,
    from: EntryId,
) -> Result<Vec<PendingEntry>, BusError> {
    let request = Request::Pending {
        stream: member.stream.clone(),
        group: member.group.clone(),
        from,
        limit: options.batch,
        min_idle: options.min_idle,
        consumer: None,
    };
    match context.store.execute(request).await? {
        Response::Pending(entries) => Ok(entries),
        _ => Err(unexpected()),
    }
}

/// Moves claimed entries to the dead letters, or returns them to their group. An entry for which neither works
/// is claimed again by another consumer after the lease.
async fn settle(
    context: &Context,
    member: &ConsumerId,
    options: &RecoverOptions,
    entries: Vec<StoredEntry>,
    recovered: &mut Recovered,
) {
    // What is not due has an attempt left.
    let is_exhausted =
        |e: &StoredEntry| e.due_in.is_none() && u64::from(e.deliveries) > options.max_retries + 1;
    let (exhausted, alive): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_exhausted);
    // Their counts are those of the next attempt, and no handler has seen them.
    let before = |entry: &StoredEntry| {
        let (deliveries, due_in) = (entry.deliveries.saturating_sub(1), entry.due_in);
        (entry.id, RetryState { deliveries, due_in })
    };
    if !alive.is_empty() {
        let (done, failed) = requeue(context, member, options, alive.iter().map(before).collect()).await;
        recovered.reprocessed += done;
        recovered.failed += failed;
    }
    if !exhausted.is_empty() {
        let (done, failed) =
            dead_letter(context, member, exhausted.iter().map(dead_letter_of).collect()).await;
        recovered.dead_lettered += done;
        recovered.failed += failed;
        if done == 0 {
            // The server has no room for dead letters: a later recovery tries again.
            requeue(context, member, options, exhausted.iter().map(before).collect()).await;
        }
    }
}

/// Returns entries to their group. The result: how many were returned, and how many were not.
async fn requeue(
    context: &Context,
    member: &ConsumerId,
    options: &RecoverOptions,
    items: Vec<(EntryId, RetryState)>,
) -> (u64, u64) {
    let (all, lease) = (items.len() as u64, options.lease);
    let request = Request::Requeue { member: member.clone(), items, lease, unhandled: false };
    outcome(context, request, all).await
}

/// Moves entries to the dead letters. The result: how many were moved, and how many were not.
async fn dead_letter(
    context: &Context,
    member: &ConsumerId,
    dead_letters: Vec<DeadLetterEntry>,
) -> (u64, u64) {
    let all = dead_letters.len() as u64;
    let config = &context.config.dead_letter;
    let to: Option<Arc<str>> = config.enabled.then(|| context.dead_letters_of(&member.stream));
    let request =
        Request::DeadLetter { member: member.clone(), to, max_len: config.max_length, letters: dead_letters };
    outcome(context, request, all).await
}

async fn outcome(context: &Context, request: Request, all: u64) -> (u64, u64) {
    let lost = match context.store.execute(request).await {
        Ok(Response::Fenced { not_owned: taken, deleted: gone }) => (taken.len() + gone.len()) as u64,
        _ => all,
    };
    (all.saturating_sub(lost), lost)
}

fn dead_letter_of(entry: &StoredEntry) -> DeadLetterEntry {
    let attempts = entry.deliveries.saturating_sub(1);
    let error = json!({
        "name": "HandlerError",
        "message": format!("delivered {attempts} times and never settled"),
        "code": ErrorKind::HandlerFailed.code(),
    });
    DeadLetterEntry { id: entry.id, attempts, reason: "failed", error: error.to_string().into() }
}
