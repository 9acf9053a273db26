//! Entries that move to the dead letters and back. The scripts are given the names of the fields that they handle, and letters as a
//! list has them.

use oxbus_model::codec::LetterFacts;
use oxbus_model::config::DeadLetterConfig;
use oxbus_model::stream_store::{ConsumerId, DeadLetterEntry, EntryId, KeyLayout, Response};
use oxbus_model::{BusError, Outcome};
use redis::{Cmd, cmd};

use crate::redis::resp::value::RespValue;
use crate::redis::scripts::list;
use crate::redis::streams::store::call::StoreCall;
use crate::redis::streams::store_replies;
use crate::runtime::joined::try_join_bounded;

/// Entries that one script moves to a stream.
const MOVED: usize = 500;
/// Entries whose letters are written here and go to the server at once, at the most.
const LISTED: usize = 16;
/// The bytes of these letters, about: one may have some MiB.
const LISTED_BYTES: usize = 4 << 20;

/// Moves entries to the dead letters: to the stream or the list `to`, which keeps about `max_len`.
pub(super) async fn dead_letter(
    call: &StoreCall,
    member: &ConsumerId,
    to: Option<&str>,
    max_len: u64,
    mut letters: Vec<DeadLetterEntry>,
) -> Result<Response, BusError> {
    letters.sort_by_key(|letter| letter.id);
    letters.dedup_by_key(|letter| letter.id);
    let count = letters.len();
    let DeadLetterConfig { in_list, copies, .. } = &call.letters.config;
    let copies = copies.as_ref().filter(|_| to.is_some());
    let (stream, list, bound) = match copies {
        _ if *in_list => (None, to.map(str::to_owned), max_len),
        Some(copies) => (to, Some(copies.names.of(&call.home(&member.stream))), copies.max_length),
        None => (to, None, 0),
    };
    let what = format!("{}{}", stream.map_or("", |_| "s"), list.as_ref().map_or("", |_| "l"));
    let fence = call.fence(member);
    let keys: Vec<&str> =
        [&*member.stream, &fence[0], &fence[1]].into_iter().chain(stream).chain(list.as_deref()).collect();
    let format = call.letters.codec.letters().filter(|_| stream.is_some());
    let more: Vec<&str> = format.iter().flat_map(|format| format.field_names()).collect();
    let time_ms = u64::try_from(call.commands.wall_ms()).unwrap_or_default();
    let (mut not_owned, mut deleted, mut dropped) = (Vec::new(), Vec::new(), 0);
    let mut rest = &*letters;
    // As long as it is not known how large they are, one is written alone.
    let mut most = if list.is_some() { 1 } else { MOVED };
    while !rest.is_empty() {
        let is_first = rest.len() == count;
        let (letters, others) = rest.split_at(most.min(rest.len()));
        rest = others;
        let texts = match list {
            Some(_) => listed_letters(call, member, letters, time_ms).await.map_err(unsure(is_first))?,
            None => Vec::new(),
        };
        if list.is_some() {
            let bytes: usize = texts.iter().map(Vec::len).sum();
            most = (LISTED_BYTES / (bytes / letters.len() + 1)).clamp(1, LISTED);
        }
        let arguments = |c: &mut Cmd| {
            c.arg(&*member.group).arg(&*member.consumer).arg(&*member.instance).arg(max_len);
            c.arg(&call.names.dead_letter).arg(&what).arg(bound).arg(call.letters.push());
            c.arg(more.len()).arg(&more);
            for (index, letter) in letters.iter().enumerate() {
                c.arg(letter.id.to_string()).arg(letter.attempts).arg(letter.reason).arg(&*letter.error);
                for value in format
                    .iter()
                    .flat_map(|format| format.field_values(LetterFacts { member, letter, time_ms }))
                {
                    c.arg(value);
                }
                if list.is_some() {
                    c.arg(texts.get(index).map_or(b"".as_slice(), Vec::as_slice));
                }
            }
        };
        let answer = call.run(&list::DEAD_LETTER, &keys, arguments).await.map_err(unsure(is_first))?;
        let [others, missing, gone] = answer.parts()?;
        not_owned.extend(others.all(RespValue::id)?);
        deleted.extend(missing.all(RespValue::id)?);
        dropped += gone.count()?;
    }
    Ok(Response::Fenced { not_owned, deleted, dropped })
}

/// An error as it is told. Behind the first entries, some were moved: they are not to count as another consumer's.
fn unsure(is_first: bool) -> impl Fn(BusError) -> BusError {
    move |error| match is_first {
        true => error,
        false => BusError { outcome: Some(Outcome::Unknown), ..error },
    }
}

/// The letters of these entries as a list has them; empty of an entry that is gone.
async fn listed_letters(
    call: &StoreCall,
    member: &ConsumerId,
    letters: &[DeadLetterEntry],
    time_ms: u64,
) -> Result<Vec<Vec<u8>>, BusError> {
    // An entry never changes, so its letter can be written before the step that moves it.
    let written = letters.iter().map(async |letter| {
        let id = letter.id.to_string();
        let found = call.ask(cmd("XRANGE").arg(&*member.stream).arg(&id).arg(&id)).await?;
        let entry = store_replies::entries(found)?.pop();
        let facts = LetterFacts { member, letter, time_ms };
        let text = entry.and_then(|entry| call.letters.codec.listed_letter(facts, &entry.fields));
        Ok::<_, BusError>(text.unwrap_or_default())
    });
    try_join_bounded(LISTED, written.collect()).await
}

/// Moves a dead letter of a stream back.
pub(super) async fn requeue_dead_letter(
    call: &StoreCall,
    letters: &str,
    id: EntryId,
    for_group: bool,
) -> Result<Response, BusError> {
    let names = call.names;
    // A script must be told its keys, and only the letter knows its stream.
    let mut range = cmd("XRANGE");
    range.arg(letters).arg(id.to_string()).arg(id.to_string());
    let Some(entry) = store_replies::entries(call.ask(&range).await?)?.pop() else {
        return Ok(Response::Appended(None));
    };
    let format = call.letters.codec.letters();
    let fields = match format {
        Some(format) => format.with_own_names(entry.fields),
        None => entry.fields,
    };
    let told = |wanted: &str| {
        let value = fields.iter().rev().find(|(name, _)| **name == *wanted.as_bytes());
        value.and_then(|(_, value)| std::str::from_utf8(value).ok()).filter(|value| !value.is_empty())
    };
    let stream = match told(names.dead_letter_stream) {
        Some(stream) => Some(stream.to_owned()),
        None => namesake(call, letters).await?,
    };
    let Some(stream) = stream else { return Ok(Response::Appended(None)) };
    let group = told(names.dead_letter_group).filter(|_| for_group).unwrap_or_default();
    let more: Vec<&str> = format.iter().flat_map(|format| format.field_names()).collect();
    let arguments = |c: &mut Cmd| {
        c.arg(id.to_string()).arg(group).arg(names.only_group).arg(names.dead_letter_prefix);
        c.arg(names.dead_letter_stream).arg(&more);
    };
    let reply = call.run(&list::REQUEUE_DEAD_LETTER, &[letters, &stream], arguments).await?;
    Ok(Response::Appended(reply.maybe(RespValue::id)?))
}

/// The stream that letters are named after: that of a letter of another program, which names none. In cluster mode its name is a tag there,
/// unless it has one itself.
pub(super) async fn namesake(call: &StoreCall, letters: &str) -> Result<Option<String>, BusError> {
    let Some(name) = call.letters.config.names.name_in(letters) else { return Ok(None) };
    let inside =
        name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).filter(|name| !name.is_empty());
    let stream = match inside {
        Some(inside) if call.layout == KeyLayout::Tagged => {
            let has_tag = call.ask(cmd("EXISTS").arg(name)).await?.count()? > 0;
            if has_tag { name } else { inside }
        }
        _ => name,
    };
    Ok(Some(stream.to_owned()))
}
