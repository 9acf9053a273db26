//! `streams.recover`: takes entries from consumers that have not settled them in time.

use std::sync::Arc;

use oxbus_model::consumer::{Announcement, ReceivedEntry};
use oxbus_model::delivery::DeliveryCounts;
use oxbus_model::stream_store::{
    ConsumerId, DELAYED, DeadLetterEntry, EntryId, MinIdle, Missed, PendingEntry, Request, Response,
    RetryState, StoredEntry,
};
use oxbus_model::{BusError, ErrorKind};
use serde_json::{Value, json};

use crate::admin::arguments::Arguments;
use crate::admin::context::{AT_ONCE, Context, no_group, no_stream};
use crate::admin::effect::Effect;
use crate::admin::question::questions;
use crate::runtime::joined::join_bounded;
use crate::transport::store::unexpected;

questions! {
    "streams.recover" ["stream", "group", "minIdle", "maxRetries", "batchSize"] => recover;
}

/// How long an entry must have been left alone, in milliseconds, unless it is said.
const MIN_IDLE: u64 = 60_000;
/// For how long, in milliseconds, an entry that was handed back counts as idle already.
const HANDED_BACK_IDLE: u64 = 3_600_000;
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

impl Recovered {
    fn add(&mut self, other: &Recovered) {
        self.checked += other.checked;
        self.claimed += other.claimed;
        self.reprocessed += other.reprocessed;
        self.dead_lettered += other.dead_lettered;
        self.failed += other.failed;
    }
}

/// How to recover.
#[derive(Clone, Copy)]
struct RecoverOptions {
    min_idle: u64,
    max_retries: u64,
    batch: usize,
    /// How long an entry of a consumer of another program must have been left alone.
    foreign_min_idle: u64,
    /// The lease of the group, in milliseconds.
    lease: u64,
}

/// `streams.recover`: hands entries of the known streams that were left alone for too long back to their groups, and
/// moves those that were delivered too often to the dead letters.
async fn recover(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let (stream, group) = (args.name("stream")?, args.name("group")?);
    let options = RecoverOptions {
        min_idle: args.count("minIdle", 0)?.unwrap_or(MIN_IDLE),
        max_retries: args.count("maxRetries", 0)?.unwrap_or(3),
        batch: args.limit("batchSize")?.min(MAX_BATCH),
        foreign_min_idle: context.config.foreign_lease,
        lease: context.config.lease,
    };
    args.finish()?;
    let names = match &stream {
        Some(stream) => vec![stream.as_str().into()],
        None => context.names().await?,
    };
    let (is_named, only) = (stream.is_some(), group.as_deref());
    let each = names.iter().map(|name| recover_stream(context, (name, is_named), only, options)).collect();
    // A node that does not answer does not keep what is on another one. What was claimed is settled in any case.
    let (mut recovered, mut found, mut failed) = (Recovered::default(), false, None);
    for (of_stream, result) in join_bounded(AT_ONCE, each).await {
        recovered.add(&of_stream);
        match result {
            Ok(has_group) => found |= has_group,
            Err(error) => _ = failed.get_or_insert(error),
        }
    }
    if let Some(error) = failed {
        let message = format!("{} (after {} were claimed)", error.message, recovered.claimed);
        return Err(BusError { message, ..error });
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

/// Recovers what is on one stream, of `only` this group or of all: what came of it, and whether it has the group. `is_named`:
/// whether it was asked for by its name.
async fn recover_stream(
    context: &Context,
    (name, is_named): (&Arc<str>, bool),
    only: Option<&str>,
    options: RecoverOptions,
) -> (Recovered, Result<bool, BusError>) {
    let (mut recovered, mut found) = (Recovered::default(), false);
    let result = async {
        let info = if is_named {
            // Who names a stream means one that is there.
            context.describe(name).await?.ok_or_else(|| no_stream(name))?
        } else {
            context.facts(name).await?
        };
        for facts in info.groups.iter().filter(|facts| only.is_none_or(|name| *name == facts.name)) {
            found = true;
            let member = ConsumerId {
                stream: name.clone(),
                group: facts.name.as_str().into(),
                consumer: context.consumer.clone(),
                instance: context.consumer.clone(),
            };
            // Whoever holds an entry renews it within the lease of the group.
            let lease = facts.lease.unwrap_or(context.config.lease);
            let min_idle = options.min_idle.max(lease);
            // Those of other programs renew nothing.
            let foreign_min_idle = facts.foreign_lease.unwrap_or(context.config.foreign_lease).max(min_idle);
            let options = RecoverOptions { min_idle, foreign_min_idle, lease, ..options };
            match recover_group(context, &member, &options, &mut recovered).await {
                // It was removed meanwhile, and nothing is left to recover.
                Err(error) if error.kind == ErrorKind::NoGroup => {}
                result => result?,
            }
        }
        Ok(())
    };
    let result = result.await;
    (recovered, result.map(|()| found))
}

async fn recover_group(
    context: &Context,
    member: &ConsumerId,
    options: &RecoverOptions,
    recovered: &mut Recovered,
) -> Result<(), BusError> {
    let mut from = EntryId::MIN;
    loop {
        let mut overdue = overdue(context, member, options, from).await?;
        let Some(listed) = overdue.last().map(|entry| entry.id) else { return Ok(()) };
        let is_last = overdue.len() < options.batch || listed == EntryId::MAX;
        // What was put off is nobody's, and is taken by the consumers of the group when it is due.
        let left =
            |entry: &PendingEntry| *entry.consumer == *DELAYED || is_handed_back(member, options, entry);
        overdue.retain(|entry| !left(entry));
        if overdue.is_empty() {
            if is_last {
                return Ok(());
            }
            from = listed.next();
            continue;
        }
        let ids: Vec<_> = overdue.iter().map(|entry| entry.id).collect();
        let min_idle = MinIdle { ours: options.min_idle, foreign: options.foreign_min_idle };
        let early = false;
        let request = Request::Claim { member: member.clone(), min_idle, early, ids: ids.clone() };
        let (entries, deleted) = match context.store.execute(request).await? {
            Response::Claimed { entries, deleted } => (entries, deleted),
            _ => return Err(unexpected()),
        };
        // XCLAIM may return only the first part of the page: the next page begins behind its last id. If it returned
        // nothing, other consumers hold the whole page now, which is skipped.
        let claimed = entries.iter().map(|entry| entry.id).chain(deleted.iter().copied()).max();
        let Some(last) = claimed.or(ids.last().copied()) else { return Ok(()) };
        recovered.checked += ids.iter().filter(|id| **id <= last).count() as u64;
        recovered.claimed += (entries.len() + deleted.len()) as u64;
        recovered.failed += deleted.len() as u64;
        announce_lost(context, member, &deleted);
        let taken_over = DeliveryCounts { recovered: entries.len() as u64, ..DeliveryCounts::default() };
        context.push_effect(Effect::Counted(taken_over));
        settle(context, member, options, entries, recovered).await;
        let is_whole = ids.last() == Some(&last);
        if (is_last && is_whole) || last == EntryId::MAX {
            return Ok(());
        }
        // An entry that was returned to its group stays overdue until a consumer takes it: only a way forward ends.
        from = if is_whole { listed.next() } else { last.next() };
    }
}

/// Whether this client has handed an entry back already, and no consumer has taken it yet. One that is to be a dead
/// letter now is not left alone.
fn is_handed_back(member: &ConsumerId, options: &RecoverOptions, entry: &PendingEntry) -> bool {
    *entry.consumer == *member.consumer
        && entry.idle >= HANDED_BACK_IDLE
        && u64::from(entry.deliveries) <= options.max_retries
}

/// Announces entries that were deleted before they were settled.
fn announce_lost(context: &Context, member: &ConsumerId, ids: &[EntryId]) {
    let (Some(from), Some(to)) = (ids.iter().min(), ids.iter().max()) else { return };
    let missed = Missed { count: ids.len() as u64, from: *from, to: *to };
    let (stream, group) = (member.stream.clone(), member.group.clone());
    context.push_effect(Effect::Announced(Announcement::MessagesLost { stream, group, missed }));
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
        let letters: Vec<_> = exhausted.iter().map(dead_letter_of).collect();
        let before: Vec<_> = exhausted.iter().map(before).collect();
        let (done, failed) = dead_letter(context, member, letters, exhausted).await;
        recovered.dead_lettered += done;
        recovered.failed += failed;
        if done == 0 {
            // The server has no room for dead letters: a later recovery tries again.
            requeue(context, member, options, before).await;
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
    let lost = match context.store.execute(request).await {
        Ok(Response::Fenced { not_owned, deleted, .. }) => {
            announce_lost(context, member, &deleted);
            (not_owned.len() + deleted.len()) as u64
        }
        _ => all,
    };
    (all.saturating_sub(lost), lost)
}

/// Moves entries to the dead letters. The result: how many were moved, and how many were not.
async fn dead_letter(
    context: &Context,
    member: &ConsumerId,
    letters: Vec<DeadLetterEntry>,
    entries: Vec<StoredEntry>,
) -> (u64, u64) {
    let config = &context.config.dead_letter;
    let to: Option<Arc<str>> = config.enabled.then(|| context.dead_letters_of(&member.stream));
    let kept = to.is_some();
    let (max_len, all) = (config.max_length, letters.len() as u64);
    let request = Request::DeadLetter { member: member.clone(), to, max_len, letters: letters.clone() };
    let Ok(Response::Fenced { not_owned, deleted, dropped }) = context.store.execute(request).await else {
        return (0, all);
    };
    announce_lost(context, member, &deleted);
    let mut moved = 0;
    for (letter, entry) in letters.into_iter().zip(entries) {
        if not_owned.contains(&letter.id) || deleted.contains(&letter.id) {
            continue;
        }
        moved += 1;
        let received = ReceivedEntry::pending(
            &context.config.codec,
            member.stream.clone(),
            entry,
            &member.instance,
            None,
        );
        context.push_effect(Effect::Announced(Announcement::DeadLettered {
            stream: member.stream.clone(),
            group: member.group.clone(),
            id: letter.id,
            event: received.content.into_event(),
            attempts: letter.attempts,
            reason: letter.reason,
            error: letter.error,
            kept,
        }));
    }
    let dead_lettered = if kept { moved } else { 0 };
    let counts = DeliveryCounts { dead_lettered, letters_dropped: dropped, ..DeliveryCounts::default() };
    context.push_effect(Effect::Counted(counts));
    (moved, all - moved)
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
