//! Dead letters in a list, which answers what a stream of dead letters answers. A letter of a list has no id of its own: it gets
//! one from when it was given up and from its bytes, so that each reader gives it the same.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use oxbus_model::BusError;
use oxbus_model::codec::UNREADABLE_LETTER;
use oxbus_model::stream_store::{EntryId, Fields, Request, Response, StoredEntry, StreamInfo};
use redis::{Cmd, cmd};

use crate::redis::resp::value::RespValue;
use crate::redis::scripts::list;
use crate::redis::streams::store::call::StoreCall;
use crate::redis::streams::store::letters;
use crate::redis::streams::store_replies;

/// Letters that are read at once: each may have some MiB.
const PAGE: i64 = 32;
/// How far one page is from the next: they have a letter in common.
const STEP: i64 = PAGE - 1;

/// A letter of a list.
struct Listed {
    id: EntryId,
    /// As the list has it.
    bytes: Box<[u8]>,
    /// As a stream would have it.
    fields: Fields,
}

/// Executes a request that is about a list of dead letters; any other one goes on.
pub(super) async fn asked(
    call: &StoreCall,
    request: Request,
) -> ControlFlow<Result<Response, BusError>, Request> {
    let letters = &call.letters.config;
    let is_list = |name: &str| letters.in_list && letters.names.name_in(name).is_some();
    let answer = match &request {
        Request::Range { stream, from, to, limit, reverse } if is_list(stream) => {
            range_of_list(call, stream, (*from, *to), *limit, *reverse).await
        }
        Request::Describe { stream } if is_list(stream) => describe_list(call, stream).await,
        Request::Delete { stream, ids } if is_list(stream) => delete_listed(call, stream, ids).await,
        Request::Trim { stream, max_len: Some(0), .. } if is_list(stream) => empty_list(call, stream).await,
        Request::RequeueDeadLetter { letters, id, for_group } if is_list(letters) => {
            requeue_listed(call, letters, *id, *for_group).await
        }
        Request::Exists { stream } if is_list(stream) => call
            .ask(cmd("LLEN").arg(&**stream))
            .await
            .and_then(|length| Ok(Response::Count(u64::from(length.count()? > 0)))),
        _ => return ControlFlow::Continue(request),
    };
    ControlFlow::Break(answer)
}

/// Calls `each` with the letters of a list, the oldest first; it says whether that goes on. One may come twice, none is left out
/// that is there all the time.
async fn each_listed(
    call: &StoreCall,
    list: &str,
    mut each: impl FnMut(Listed) -> bool,
) -> Result<(), BusError> {
    // From the older end on: what is added meanwhile does not move the rest. What goes there meanwhile does, so the last letter
    // of a page is looked for in the next one, and nearer to the end where it has moved.
    let (mut at, mut last) = (0, None);
    loop {
        let page = page_of(call, list, at).await?;
        let begin = match last.as_ref().map(|last| page.iter().position(|bytes| bytes == last)) {
            Some(Some(place)) => place + 1,
            Some(None) if at > 0 => {
                at = (at - STEP).max(0);
                continue;
            }
            Some(None) | None => 0,
        };
        let is_full = page.len() as i64 == PAGE;
        last = page.last().cloned();
        for bytes in page.into_iter().skip(begin) {
            let Some((id, fields)) = call.letters.codec.read_listed(&bytes) else { continue };
            if !each(Listed { id, bytes, fields }) {
                return Ok(());
            }
        }
        if !is_full {
            return Ok(());
        }
        at += STEP;
    }
}

/// The letters of a list behind the `at` oldest ones, the oldest first.
async fn page_of(call: &StoreCall, list: &str, at: i64) -> Result<Vec<Box<[u8]>>, BusError> {
    let at_front = call.letters.config.at_front;
    let (first, last) = if at_front { (-at - PAGE, -at - 1) } else { (at, at + PAGE - 1) };
    let mut page = call.ask(cmd("LRANGE").arg(list).arg(first).arg(last)).await?.all(RespValue::bytes)?;
    if at_front {
        page.reverse();
    }
    Ok(page)
}

/// The letters from one id to another, which are in no order in the list.
async fn range_of_list(
    call: &StoreCall,
    list: &str,
    (from, to): (EntryId, EntryId),
    limit: usize,
    reverse: bool,
) -> Result<Response, BusError> {
    let mut found = BTreeMap::new();
    each_listed(call, list, |Listed { id, fields, .. }| {
        if (from..=to).contains(&id) {
            found.insert(id, fields);
            if found.len() > limit {
                if reverse {
                    found.pop_first()
                } else {
                    found.pop_last()
                };
            }
        }
        from != to || found.is_empty()
    })
    .await?;
    let entry = |(id, fields)| StoredEntry {
        id,
        deliveries: 0,
        started: false,
        unhandled_since: None,
        due_in: None,
        fields,
    };
    let entries = found.into_iter().map(entry);
    Ok(Response::Entries(if reverse { entries.rev().collect() } else { entries.collect() }))
}

/// How many letters there are. The last one is not looked for: none is given up later than now.
async fn describe_list(call: &StoreCall, list: &str) -> Result<Response, BusError> {
    let length = call.ask(cmd("LLEN").arg(list)).await?.count()?;
    if length == 0 {
        return Ok(Response::Stream(None));
    }
    let node = call.commands.node_of(list);
    let time = call.commands.ask_node(node.as_ref(), &cmd("TIME"), call.deadline).await?;
    // Letters are given the time of this client, which may be ahead.
    let now = store_replies::time(time)?.max(u64::try_from(call.commands.wall_ms()).unwrap_or_default());
    let last = Some(EntryId::last_of(now));
    Ok(Response::Stream(Some(StreamInfo { length, last, ..StreamInfo::default() })))
}

async fn delete_listed(call: &StoreCall, list: &str, ids: &[EntryId]) -> Result<Response, BusError> {
    let mut wanted = BTreeMap::new();
    each_listed(call, list, |letter| {
        if ids.contains(&letter.id) {
            wanted.insert(letter.id, letter.bytes);
        }
        wanted.len() < ids.len()
    })
    .await?;
    let mut deleted = 0;
    for bytes in wanted.into_values() {
        deleted += call.ask(cmd("LREM").arg(list).arg(-1).arg(&*bytes)).await?.count()?;
    }
    Ok(Response::Count(deleted))
}

async fn empty_list(call: &StoreCall, list: &str) -> Result<Response, BusError> {
    let mut purged = 0;
    loop {
        // A list of large letters is not freed in one step.
        let gone = call.ask(cmd("LPOP").arg(list).arg(PAGE)).await?.maybe(|gone| gone.all(Ok))?;
        let Some(gone) = gone else { return Ok(Response::Count(purged)) };
        purged += gone.len() as u64;
    }
}

async fn requeue_listed(
    call: &StoreCall,
    list: &str,
    id: EntryId,
    for_group: bool,
) -> Result<Response, BusError> {
    let mut found = None;
    each_listed(call, list, |letter| {
        if letter.id == id {
            found = Some(letter);
        }
        found.is_none()
    })
    .await?;
    let Some(Listed { bytes, mut fields, .. }) = found else { return Ok(Response::Appended(None)) };
    if fields.iter().any(|(name, _)| **name == *UNREADABLE_LETTER.as_bytes()) {
        return Ok(Response::Appended(None));
    }
    let names = call.names;
    let told = |wanted: &str| {
        let value = fields.iter().rev().find(|(name, _)| **name == *wanted.as_bytes());
        value.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).filter(|value| !value.is_empty())
    };
    let stream = match told(names.dead_letter_stream) {
        Some(stream) => Some(stream),
        None => letters::namesake(call, list).await?,
    };
    let Some(stream) = stream else { return Ok(Response::Appended(None)) };
    let group = told(names.dead_letter_group).filter(|_| for_group);
    let (prefix, only_group) = (names.dead_letter_prefix.as_bytes(), names.only_group.as_bytes());
    fields.retain(|(name, _)| !name.starts_with(prefix) && **name != *only_group);
    fields.extend(group.map(|group| (only_group.into(), group.into_bytes().into())));
    if fields.is_empty() {
        return Ok(Response::Appended(None));
    }
    let arguments = |c: &mut Cmd| {
        c.arg(&*bytes);
        for (name, value) in &fields {
            c.arg(&**name).arg(&**value);
        }
    };
    let reply = call.run(&list::REQUEUE_LISTED, &[list, &stream], arguments).await?;
    Ok(Response::Appended(reply.maybe(RespValue::id)?))
}
