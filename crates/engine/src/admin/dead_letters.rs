//! `deadLetters.*`: looks at dead letters, and sends them back or away.

use std::collections::HashMap;
use std::sync::Arc;

use oxbus_model::codec::dead_letter::DeadLetter;
use oxbus_model::stream_store::{EntryId, Fields, Request, Response, StoredEntry};
use oxbus_model::{BusError, ErrorKind, time};
use serde_json::{Map, Value, json};

use super::{Context, MAX_ANSWER_BYTES, no_group};
use crate::admin::arguments::Arguments;
use crate::admin::merged_range::{MergedRange, bytes_of};
use crate::transport::store::unexpected;

/// How many dead letters a walk over all of them asks for at once, at the most.
const CHUNK: usize = 100;

/// Names a dead letter: its stream of dead letters and its id.
struct LetterId {
    letters: Arc<str>,
    id: EntryId,
}

impl LetterId {
    /// Reads `{stream of dead letters}:{entry id}`.
    fn parse(context: &Context, text: &str) -> Option<LetterId> {
        let (letters, id) = text.rsplit_once(':')?;
        let id = EntryId::from_bytes(id.as_bytes())?;
        // Of another stream, entries are not to be removed or moved.
        let stream = letters.strip_suffix(context.config.dead_letter.suffix.as_str())?;
        (!stream.is_empty()).then(|| LetterId { letters: letters.into(), id })
    }
}

/// Whom a dead letter goes back to.
#[derive(Clone, Copy, PartialEq)]
enum Receiver {
    Group,
    Stream,
}

fn receiver(args: &mut Arguments) -> Result<Receiver, BusError> {
    args.choice("to", &[("group", Receiver::Group), ("stream", Receiver::Stream)], Receiver::Group)
}

/// The streams of dead letters: of the stream that is given, or of all that are configured.
async fn streams(context: &Context, stream: Option<&str>) -> Result<Vec<Arc<str>>, BusError> {
    let Some(stream) = stream else {
        return Ok(context.names().map(|name| context.letters_of(&name)).collect());
    };
    let letters = context.letters_of(stream);
    // Its dead letters may have outlived a stream.
    if context.configured(stream).is_none() && context.describe(&letters).await?.is_none() {
        context.check(stream).await?;
    }
    Ok(vec![letters])
}

/// `deadLetters.list {stream, limit, after}`: the oldest dead letters, those behind `after`.
pub(super) async fn list(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let (stream, limit) = (args.name("stream")?, args.limit("limit")?);
    let after = match args.name("after")? {
        Some(text) => {
            let after = LetterId::parse(context, &text);
            Some(after.ok_or_else(|| args.error("after", "is not the id of a dead letter"))?)
        }
        None => None,
    };
    let elsewhere = args.error("after", "is a dead letter of another stream");
    args.finish()?;
    let streams = streams(context, stream.as_deref()).await?;
    let index = after.as_ref().map(|after| streams.iter().position(|letters| *letters == after.letters));
    let range = (EntryId::MIN, EntryId::MAX);
    let mut walk = MergedRange::new(context.store.clone(), streams, range, false, limit);
    if let (Some(after), Some(index)) = (after, index) {
        walk.skip(index.ok_or(elsewhere)?, after.id);
    }
    let (mut found, mut bytes) = (Vec::new(), 0);
    while found.len() < limit {
        let Some((index, entry)) = walk.next().await? else { break };
        bytes += bytes_of(&entry);
        if bytes > MAX_ANSWER_BYTES {
            return Err(too_much(found.len()));
        }
        let letters = walk.stream(index).map_or("", |letters| letters);
        found.push(value(context, letters, entry));
    }
    Ok(found.into())
}

/// The answer to a call would be too large; `fit` items would not.
pub(super) fn too_much(fit: usize) -> BusError {
    let message = format!("more than {} MiB; the first {fit} would fit", MAX_ANSWER_BYTES >> 20);
    BusError::at(ErrorKind::InvalidOptions, "limit", message)
}

/// `deadLetters.get {id}`: a dead letter, or null.
pub(super) async fn get(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let letter = letter_id(context, &mut args)?;
    args.finish()?;
    let Some(letter) = letter else { return Ok(Value::Null) };
    let entry = entry(context, &letter).await?;
    Ok(entry.map(|entry| value(context, &letter.letters, entry)).unwrap_or_default())
}

/// The `id` that is given; `None` where no dead letter can have it.
fn letter_id(context: &Context, args: &mut Arguments) -> Result<Option<LetterId>, BusError> {
    Ok(LetterId::parse(context, &args.text("id")?))
}

async fn entry(context: &Context, letter: &LetterId) -> Result<Option<StoredEntry>, BusError> {
    let (stream, id) = (letter.letters.clone(), letter.id);
    let request = Request::Range { stream, from: id, to: id, limit: 1, reverse: false };
    match context.store.execute(request).await? {
        Response::Entries(entries) => Ok(entries.into_iter().next()),
        _ => Err(unexpected()),
    }
}

/// A dead letter as the host gets it; its event is JSON text.
fn value(context: &Context, letters: &str, entry: StoredEntry) -> Value {
    let letter = read(context, letters, entry);
    json!({
        "id": format!("{letters}:{}", letter.id),
        "stream": letter.stream,
        "group": letter.group,
        "consumer": letter.consumer,
        "messageId": letter.message_id,
        "attempts": letter.attempts,
        "reason": letter.reason,
        "error": letter.error,
        "time": time::to_iso(i64::try_from(letter.time_ms).unwrap_or_default()),
        "event": letter.event_json,
        "fields": fields_value(&letter.fields),
    })
}

/// A dead letter. One that does not name its stream is of the stream that its own is named after.
fn read(context: &Context, letters: &str, entry: StoredEntry) -> DeadLetter {
    let mut letter = context.config.codec.read_dead_letter(entry);
    if letter.stream.is_empty() {
        letter.stream =
            letters.strip_suffix(&context.config.dead_letter.suffix).unwrap_or(letters).to_owned();
    }
    letter
}

fn fields_value(fields: &Fields) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    fields.iter().map(|(name, value)| (text(name), Value::from(text(value)))).collect::<Map<_, _>>().into()
}

/// `deadLetters.replay {id, to}`: moves a dead letter back to its stream, for the group that gave it up or
/// for all. Returns the new entry, or null where there is no such dead letter.
pub(super) async fn replay(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let letter = letter_id(context, &mut args)?;
    let to = receiver(&mut args)?;
    args.finish()?;
    let Some(letter) = letter else { return Ok(Value::Null) };
    let Some(entry) = entry(context, &letter).await? else { return Ok(Value::Null) };
    if to == Receiver::Group {
        let DeadLetter { stream, group, .. } = read(context, &letter.letters, entry);
        Groups::default().check(context, &stream, &group).await?;
    }
    let revived = revive(context, &letter, to).await?;
    Ok(revived.map(|id| json!({ "messageId": id.to_string() })).unwrap_or_default())
}

async fn revive(context: &Context, letter: &LetterId, to: Receiver) -> Result<Option<EntryId>, BusError> {
    let (letters, id) = (letter.letters.clone(), letter.id);
    match context
        .store
        .execute(Request::RequeueDeadLetter { letters, id, for_group: to == Receiver::Group })
        .await?
    {
        Response::Appended(id) => Ok(id),
        _ => Err(unexpected()),
    }
}

/// Which groups exist: an entry for a group that does not would be handled by nobody.
#[derive(Default)]
struct Groups {
    by_stream: HashMap<String, Vec<String>>,
}

impl Groups {
    async fn check(&mut self, context: &Context, stream: &str, group: &str) -> Result<(), BusError> {
        if !self.by_stream.contains_key(stream) {
            let groups = context.describe(stream).await?.unwrap_or_default().groups;
            self.by_stream.insert(stream.to_owned(), groups.into_iter().map(|group| group.name).collect());
        }
        let exists = self.by_stream.get(stream).is_some_and(|names| names.iter().any(|name| name == group));
        if exists { Ok(()) } else { Err(no_group(group, &[stream])) }
    }
}

/// `deadLetters.replayAll {stream, group, limit, to}`: moves dead letters back, the oldest first; those that
/// were there when it began. Returns how many.
pub(super) async fn replay_all(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let (stream, group) = (args.name("stream")?, args.name("group")?);
    let limit = args.count("limit", 1)?.unwrap_or(u64::MAX);
    let to = receiver(&mut args)?;
    args.finish()?;
    let streams = streams(context, stream.as_deref()).await?;
    let (mut replayed, mut groups) = (0, Groups::default());
    for letters in streams {
        // One that fails again comes behind these.
        let Some(last) = context.describe(&letters).await?.and_then(|facts| facts.last) else { continue };
        let range = (EntryId::MIN, last);
        let mut walk = MergedRange::new(context.store.clone(), [letters.clone()], range, false, CHUNK);
        while replayed < limit {
            let step = async {
                let Some((_, entry)) = walk.next().await? else { return Ok(None) };
                let letter = LetterId { letters: letters.clone(), id: entry.id };
                let DeadLetter { stream, group: from, .. } = read(context, &letters, entry);
                if group.as_ref().is_some_and(|group| *group != from) {
                    return Ok(Some(false));
                }
                if to == Receiver::Group {
                    groups.check(context, &stream, &from).await?;
                }
                Ok(Some(revive(context, &letter, to).await?.is_some()))
            };
            match step.await {
                Ok(Some(moved)) => replayed += u64::from(moved),
                Ok(None) => break,
                Err(error) => return Err(interrupted(error, replayed)),
            }
        }
    }
    Ok(replayed.into())
}

/// An error that came when some of the work was done.
pub(super) fn interrupted(error: BusError, done: u64) -> BusError {
    let message = format!("{} (after {done} were replayed)", error.message);
    BusError { message, ..error }
}

/// `deadLetters.remove {id}`: whether there was such a dead letter.
pub(super) async fn remove(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let letter = letter_id(context, &mut args)?;
    args.finish()?;
    let Some(letter) = letter else { return Ok(false.into()) };
    let removed = context.count(Request::Delete { stream: letter.letters, ids: vec![letter.id] }).await?;
    Ok((removed > 0).into())
}

/// `deadLetters.purge {stream}`: removes all dead letters of a stream. Returns how many.
pub(super) async fn purge(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let stream = args.needed("stream")?;
    args.finish()?;
    let mut purged = 0;
    for stream in streams(context, Some(&stream)).await? {
        purged += context.count(Request::Trim { stream, max_len: Some(0), min_id: None }).await?;
    }
    Ok(purged.into())
}

/// `deadLetters.count {stream}`: of one stream, or of all that are configured.
pub(super) async fn count(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let stream = args.name("stream")?;
    args.finish()?;
    let mut count = 0;
    for letters in streams(context, stream.as_deref()).await? {
        count += context.describe(&letters).await?.map_or(0, |facts| facts.length);
    }
    Ok(count.into())
}
