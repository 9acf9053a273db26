//! `deadLetters.*`: looks at dead letters, and sends them back or away.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use oxbus_model::codec::dead_letter::DeadLetter;
use oxbus_model::codec::outline::Shapes;
use oxbus_model::stream_store::{EntryId, Fields, Request, Response, StoredEntry};
use oxbus_model::{BusError, ErrorKind, time};
use serde_json::{Map, Value, json};

use crate::admin::arguments::Arguments;
use crate::admin::context::{AT_ONCE, Context, MAX_ANSWER_BYTES, no_group};
use crate::admin::known_groups::KnownGroups;
use crate::admin::letter_choice::LetterChoice;
use crate::admin::merged_range::{MergedRange, bytes_of};
use crate::admin::question::questions;
use crate::admin::told_events::ToldEvents;
use crate::host::Answer;
use crate::runtime::joined::{join_all, join_bounded};
use crate::transport::store::unexpected;

questions! {
    "deadLetters.list" ["stream", "limit", "after", "events"] => list;
    "deadLetters.get" ["id", "events"] => get;
    "deadLetters.replay" ["id", "to"] => replay;
    "deadLetters.replayAll" ["stream", "group", "reason", "limit", "to"] => replay_all;
    "deadLetters.remove" ["id"] => remove;
    "deadLetters.purge" ["stream"] => purge;
    "deadLetters.count" ["stream", "group", "reason"] => count;
}

/// The most dead letters that are asked for at once when all of them are gone through.
const CHUNK: usize = 100;

/// The most of one stream that are moved at the same time: each takes a round trip, and the scripts of 64 take less than one.
const MOVED_AT_ONCE: usize = 64;

/// Names a dead letter: its stream of dead letters and its id.
struct DeadLetterId {
    dead_letters: Arc<str>,
    id: EntryId,
}

impl DeadLetterId {
    /// Reads `{stream of dead letters}:{entry id}`.
    fn parse(context: &Context, text: &str) -> Option<DeadLetterId> {
        let (dead_letters, id) = text.rsplit_once(':')?;
        let id = EntryId::from_bytes(id.as_bytes())?;
        // An id of any other stream is refused: its entries must not be removed or moved.
        context.config.dead_letter.names.name_in(dead_letters)?;
        Some(DeadLetterId { dead_letters: dead_letters.into(), id })
    }
}

/// Whom a dead letter goes back to.
#[derive(Clone, Copy, PartialEq)]
enum ReplayTarget {
    Group,
    Stream,
}

fn replay_target(args: &mut Arguments) -> Result<ReplayTarget, BusError> {
    args.choice(
        "to",
        &[("group", ReplayTarget::Group), ("stream", ReplayTarget::Stream)],
        ReplayTarget::Group,
    )
}

/// The streams of dead letters: of the stream that is given, or of all that are known.
async fn streams(context: &Context, stream: Option<&str>) -> Result<Vec<Arc<str>>, BusError> {
    let Some(stream) = stream else {
        let names = context.names().await?;
        return Ok(names.iter().map(|name| context.dead_letters_of(name)).collect());
    };
    let dead_letters = context.dead_letters_of(stream);
    // Its dead letters may have outlived a stream.
    if context.configured(stream).is_none() && context.describe(&dead_letters).await?.is_none() {
        context.check(stream).await?;
    }
    Ok(vec![dead_letters])
}

/// `deadLetters.list`: the oldest dead letters, those behind `after`.
async fn list(context: &Context, mut args: Arguments) -> Result<Answer, BusError> {
    let mut events = ToldEvents::read(&mut args)?;
    let (stream, limit) = (args.name("stream")?, args.limit("limit")?);
    let after = match args.name("after")? {
        Some(text) => {
            let after = DeadLetterId::parse(context, &text);
            Some(after.ok_or_else(|| args.error("after", "is not the id of a dead letter"))?)
        }
        None => None,
    };
    let elsewhere = args.error("after", "is a dead letter of another stream");
    args.finish()?;
    let streams = streams(context, stream.as_deref()).await?;
    let index = after
        .as_ref()
        .map(|after| streams.iter().position(|dead_letters| *dead_letters == after.dead_letters));
    let range = (EntryId::MIN, EntryId::MAX);
    let mut range = MergedRange::new(context.store.clone(), streams, range, false, limit);
    if let (Some(after), Some(index)) = (after, index) {
        range.skip(index.ok_or(elsewhere)?, after.id);
    }
    let (mut found, mut bytes) = (Vec::new(), 0);
    while found.len() < limit {
        let Some((index, entry)) = range.next().await? else { break };
        bytes += bytes_of(&entry);
        if bytes > MAX_ANSWER_BYTES {
            return Err(too_much(found.len()));
        }
        let dead_letters = range.stream(index).map_or("", |dead_letters| dead_letters);
        found.push(value(context, dead_letters, entry, &mut events));
    }
    Ok(events.with(found.into()))
}

/// The answer to a call would be too large; `fit` items would not.
pub(super) fn too_much(fit: usize) -> BusError {
    let message = format!("more than {} MiB; the first {fit} would fit", MAX_ANSWER_BYTES >> 20);
    BusError::at(ErrorKind::InvalidOptions, "limit", message)
}

/// `deadLetters.get`: a dead letter, or null.
async fn get(context: &Context, mut args: Arguments) -> Result<Answer, BusError> {
    let mut events = ToldEvents::read(&mut args)?;
    let dead_letter = dead_letter_id(context, &mut args)?;
    args.finish()?;
    let Some(dead_letter) = dead_letter else { return Ok(events.with(Value::Null)) };
    let entry = entry(context, &dead_letter).await?;
    let value = entry.map(|entry| value(context, &dead_letter.dead_letters, entry, &mut events));
    Ok(events.with(value.unwrap_or_default()))
}

/// The `id` that is given; `None` where no dead letter can have it.
fn dead_letter_id(context: &Context, args: &mut Arguments) -> Result<Option<DeadLetterId>, BusError> {
    Ok(DeadLetterId::parse(context, &args.text("id")?))
}

async fn entry(context: &Context, dead_letter: &DeadLetterId) -> Result<Option<StoredEntry>, BusError> {
    let (stream, id) = (dead_letter.dead_letters.clone(), dead_letter.id);
    let request = Request::Range { stream, from: id, to: id, limit: 1, reverse: false };
    match context.store.execute(request).await? {
        Response::Entries(entries) => Ok(entries.into_iter().next()),
        _ => Err(unexpected()),
    }
}

/// A dead letter as the host gets it, with its event among `events`.
fn value(context: &Context, dead_letters: &str, entry: StoredEntry, events: &mut ToldEvents) -> Value {
    let dead_letter = read(context, dead_letters, entry, events.shapes(context).as_deref_mut());
    json!({
        "id": format!("{dead_letters}:{}", dead_letter.id),
        "stream": dead_letter.stream,
        "group": dead_letter.group,
        "consumer": dead_letter.consumer,
        "messageId": dead_letter.message_id,
        "attempts": dead_letter.attempts,
        "reason": dead_letter.reason,
        "error": dead_letter.error,
        "time": time::to_iso(i64::try_from(dead_letter.time_ms).unwrap_or_default()),
        "event": dead_letter.event.map(|event| events.add(event)),
        "fields": fields_value(&dead_letter.fields),
    })
}

/// A dead letter. One that does not name its stream is of the stream that its own is named after.
fn read(
    context: &Context,
    dead_letters: &str,
    entry: StoredEntry,
    shapes: Option<&mut Shapes>,
) -> DeadLetter {
    let mut dead_letter = context.config.codec.read_dead_letter(entry, shapes);
    if dead_letter.stream.is_empty() {
        dead_letter.stream =
            context.config.dead_letter.names.name_in(dead_letters).unwrap_or(dead_letters).to_owned();
    }
    dead_letter
}

fn fields_value(fields: &Fields) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    fields.iter().map(|(name, value)| (text(name), Value::from(text(value)))).collect::<Map<_, _>>().into()
}

/// `deadLetters.replay`: moves a dead letter back to its stream, for the group that gave it up or
/// for all. Returns the new entry, or null where there is no such dead letter.
async fn replay(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let dead_letter = dead_letter_id(context, &mut args)?;
    let to = replay_target(&mut args)?;
    args.finish()?;
    let Some(dead_letter) = dead_letter else { return Ok(Value::Null) };
    let Some(entry) = entry(context, &dead_letter).await? else { return Ok(Value::Null) };
    if to == ReplayTarget::Group {
        let DeadLetter { stream, group, .. } = read(context, &dead_letter.dead_letters, entry, None);
        KnownGroups::default().check(context, &stream, &group).await?;
    }
    let revived = revive(context, &dead_letter, to).await?;
    Ok(revived.map(|id| json!({ "messageId": id.to_string() })).unwrap_or_default())
}

async fn revive(
    context: &Context,
    dead_letter: &DeadLetterId,
    to: ReplayTarget,
) -> Result<Option<EntryId>, BusError> {
    let (dead_letters, id) = (dead_letter.dead_letters.clone(), dead_letter.id);
    match context
        .store
        .execute(Request::RequeueDeadLetter {
            letters: dead_letters,
            id,
            for_group: to == ReplayTarget::Group,
        })
        .await?
    {
        Response::Appended(id) => Ok(id),
        _ => Err(unexpected()),
    }
}

/// `deadLetters.replayAll`: moves dead letters back, the oldest first; those that
/// were there when it began. Returns how many.
async fn replay_all(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let stream = args.name("stream")?;
    let choice = LetterChoice::read(&mut args)?;
    let limit = args.count("limit", 1)?.unwrap_or(u64::MAX);
    let to = replay_target(&mut args)?;
    args.finish()?;
    let streams = streams(context, stream.as_deref()).await?;
    let replaying = Replaying { choice, to, limit, replayed: AtomicU64::new(0) };
    // Where not all are wanted, those of one stream come before those of the next.
    let at_once = if limit == u64::MAX { AT_ONCE } else { 1 };
    let each = streams.iter().map(|dead_letters| replaying.replay(context, dead_letters)).collect();
    // A node that does not answer does not keep those of another one.
    let failed = join_bounded(at_once, each).await.into_iter().find_map(Result::err);
    let replayed = replaying.replayed.into_inner();
    if let Some(error) = failed {
        return Err(interrupted(error, replayed));
    }
    if let (0, Some(group)) = (replayed, &replaying.choice.group) {
        // That there is no dead letter of the group may be because there is no such group.
        let letters = &context.config.dead_letter.names;
        let names: Vec<Arc<str>> =
            streams.iter().filter_map(|name| letters.name_in(name)).map(Arc::from).collect();
        let found = context.describe_each(&names).await?;
        if !found.iter().flatten().flat_map(|info| &info.groups).any(|facts| facts.name == *group) {
            return Err(no_group(group, &names));
        }
    }
    Ok(replayed.into())
}

/// Dead letters of several streams that are moved back.
struct Replaying {
    choice: LetterChoice,
    to: ReplayTarget,
    limit: u64,
    /// How many are.
    replayed: AtomicU64,
}

/// The dead letters of one stream that are gone through.
struct Letters {
    name: Arc<str>,
    range: MergedRange,
    groups: KnownGroups,
}

impl Replaying {
    /// Moves those of one stream back that are there now, in their order.
    async fn replay(&self, context: &Context, dead_letters: &Arc<str>) -> Result<(), BusError> {
        // One that fails again comes behind these.
        let Some(last) = context.describe(dead_letters).await?.and_then(|facts| facts.last) else {
            return Ok(());
        };
        let (range, groups) = ((EntryId::MIN, last), KnownGroups::default());
        let range = MergedRange::new(context.store.clone(), [dead_letters.clone()], range, false, CHUNK);
        let mut letters = Letters { name: dead_letters.clone(), range, groups };
        loop {
            let left = self.limit.saturating_sub(self.replayed.load(Relaxed));
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(MOVED_AT_ONCE);
            let mut chosen = Vec::new();
            // Those before one that cannot be moved are.
            let found = self.choose(context, &mut letters, room, &mut chosen).await;
            // They are sent in this order, and the connection carries them together.
            let moving = chosen.iter().map(|dead_letter| revive(context, dead_letter, self.to));
            let moved = join_all(moving).await;
            let count = moved.iter().filter(|result| matches!(result, Ok(Some(_)))).count();
            self.replayed.fetch_add(count as u64, Relaxed);
            moved.into_iter().collect::<Result<Vec<_>, _>>()?;
            found?;
            if chosen.is_empty() {
                return Ok(());
            }
        }
    }

    /// Adds dead letters that are to be moved, the next ones, until there are as many as there is room for.
    async fn choose(
        &self,
        context: &Context,
        Letters { name, range, groups }: &mut Letters,
        room: usize,
        chosen: &mut Vec<DeadLetterId>,
    ) -> Result<(), BusError> {
        while chosen.len() < room {
            let Some((_, entry)) = range.next().await? else { break };
            let id = entry.id;
            let dead_letter = read(context, name, entry, None);
            if !self.choice.has(&dead_letter) {
                continue;
            }
            if self.to == ReplayTarget::Group {
                groups.check(context, &dead_letter.stream, &dead_letter.group).await?;
            }
            chosen.push(DeadLetterId { dead_letters: name.clone(), id });
        }
        Ok(())
    }
}

/// An error that came when some of the work was done.
pub(super) fn interrupted(error: BusError, done: u64) -> BusError {
    let message = format!("{} (after {done} were replayed)", error.message);
    BusError { message, ..error }
}

/// `deadLetters.remove`: whether there was such a dead letter.
async fn remove(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let dead_letter = dead_letter_id(context, &mut args)?;
    args.finish()?;
    let Some(dead_letter) = dead_letter else { return Ok(false.into()) };
    let removed = context
        .count(Request::Delete { stream: dead_letter.dead_letters, ids: vec![dead_letter.id] })
        .await?;
    Ok((removed > 0).into())
}

/// `deadLetters.purge`: removes all dead letters of a stream. Returns how many.
async fn purge(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let stream = args.needed("stream")?;
    args.finish()?;
    let mut purged = 0;
    for stream in streams(context, Some(&stream)).await? {
        purged += context.count(Request::Trim { stream, max_len: Some(0), min_id: None }).await?;
    }
    Ok(purged.into())
}

/// `deadLetters.count`: of one stream, or of all that are known. The server knows how many a stream has; those of a group or of a
/// reason are read for it.
async fn count(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let stream = args.name("stream")?;
    let choice = LetterChoice::read(&mut args)?;
    args.finish()?;
    let streams = streams(context, stream.as_deref()).await?;
    if choice.is_all() {
        let all = context.describe_each(&streams).await?;
        return Ok(all.into_iter().flatten().map(|facts| facts.length).sum::<u64>().into());
    }
    let range = (EntryId::MIN, EntryId::MAX);
    let mut range = MergedRange::new(context.store.clone(), streams, range, false, usize::MAX);
    let mut count = 0u64;
    while let Some((index, entry)) = range.next().await? {
        let dead_letters = range.stream(index).map_or("", |dead_letters| dead_letters);
        count += u64::from(choice.has(&read(context, dead_letters, entry, None)));
    }
    Ok(count.into())
}
