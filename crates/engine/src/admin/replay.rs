//! `replay.*`: past events once more, for a handler or for a group.

use std::sync::Arc;

use oxbus_model::routing::pattern;
use oxbus_model::stream_store::{EntryId, Request, Response, StreamInfo};
use oxbus_model::{BusError, ErrorKind};
use serde_json::{Value, json};

use crate::admin::arguments::{Arguments, TimeOrId};
use crate::admin::context::{Context, no_group, not_stored, text_of};
use crate::admin::dead_letters::interrupted;
use crate::admin::history::read;
use crate::admin::merged_range::{MergedRange, bytes_of};
use crate::admin::question::questions;
use crate::admin::told_events::ToldEvents;
use crate::host::Answer;
use crate::transport::store::unexpected;

questions! {
    "replay.page" ["stream", "pattern", "from", "to", "limit", "after", "events"] => page;
    "replay.group" ["stream", "pattern", "from", "to", "limit", "after", "replayed", "group"] => group;
}

/// The bytes of the entries that one page looks at, about.
const PAGE_BYTES: usize = 4 << 20;
/// The entries that one page looks at, at the most, however few of them are wanted.
const PAGE_ENTRIES: usize = 10_000;

/// What is to be replayed: one stream, or what matches a pattern in all streams that may store it.
struct Selection {
    streams: Vec<Arc<str>>,
    pattern: Option<String>,
    from: EntryId,
    to: EntryId,
}

impl Selection {
    /// Reads `stream` or `pattern`, `from` and `to`.
    async fn read(context: &Context, args: &mut Arguments) -> Result<Selection, BusError> {
        let (stream, pattern) = (args.name("stream")?, args.pattern("pattern")?);
        let from = args.time_or_id("from")?.map_or(EntryId::MIN, TimeOrId::first);
        let to = args.time_or_id("to")?.map_or(EntryId::MAX, TimeOrId::last);
        let streams: Vec<Arc<str>> = match (&stream, &pattern) {
            (Some(stream), None) => vec![stream.as_str().into()],
            (None, Some(pattern)) => context.storing(Some(pattern)).await?,
            _ => {
                let message = "give either a stream or a pattern";
                return Err(BusError::new(ErrorKind::InvalidOptions, message));
            }
        };
        match pattern {
            Some(pattern) if streams.is_empty() => Err(not_stored(&pattern)),
            pattern => Ok(Selection { streams, pattern, from, to }),
        }
    }

    /// What there is to know of the streams. The selection then ends, at the latest, with what they hold now:
    /// it has an end even if events are stored faster than they are replayed.
    async fn settle(&mut self, context: &Context) -> Result<Vec<StreamInfo>, BusError> {
        let all = context.facts_of_each(&self.streams).await?;
        let last = all.iter().map(|facts| facts.last_generated).max().unwrap_or_default();
        self.to = self.to.min(last);
        Ok(all)
    }

    fn range(&self, context: &Context, wanted: usize) -> MergedRange {
        let range = (self.from, self.to);
        MergedRange::new(context.store.clone(), self.streams.iter().cloned(), range, false, wanted)
    }

    /// Lets a range begin behind where a page ended.
    fn skip(&self, range: &mut MergedRange, cursor: &Cursor) {
        if let Some(index) = self.streams.iter().position(|stream| *stream == cursor.stream) {
            range.skip(index, cursor.id);
        }
    }

    fn matches(&self, event_type: &[u8]) -> bool {
        self.pattern.as_ref().is_none_or(|p| pattern::matches(p.as_bytes(), event_type))
    }
}

/// Where a page ended: the end of the whole replay, and the last entry that was looked at.
struct Cursor {
    to: EntryId,
    stream: Arc<str>,
    id: EntryId,
}

impl Cursor {
    /// Reads `after`: where a page of this selection ended.
    fn read(args: &mut Arguments, selection: &Selection) -> Result<Option<Cursor>, BusError> {
        let Some(text) = args.name("after")? else { return Ok(None) };
        let cursor = Cursor::parse(&text).filter(|cursor| selection.streams.contains(&cursor.stream));
        let error = || args.error("after", "is not where a page of this replay ended");
        cursor.ok_or_else(error).map(Some)
    }

    /// Reads `{to}/{stream}:{id}`.
    fn parse(text: &str) -> Option<Cursor> {
        let (to, rest) = text.split_once('/')?;
        let (stream, id) = rest.rsplit_once(':')?;
        let entry = |text: &str| EntryId::from_bytes(text.as_bytes());
        Some(Cursor { to: entry(to)?, stream: stream.into(), id: entry(id)? })
    }

    fn text(&self) -> String {
        format!("{}/{}:{}", self.to, self.stream, self.id)
    }
}

/// `replay.page`: some of the past events, with where they are stored, those behind `after`. `last` is the `after` of the next
/// page, `undecodable` counts entries that hold no event.
async fn page(context: &Context, mut args: Arguments) -> Result<Answer, BusError> {
    let mut told = ToldEvents::read(&mut args)?;
    let mut selection = Selection::read(context, &mut args).await?;
    let limit = args.limit("limit")?;
    let after = Cursor::read(&mut args, &selection)?;
    args.finish()?;
    let mut truncated = false;
    match &after {
        Some(cursor) => selection.to = selection.to.min(cursor.to),
        None => {
            let facts = selection.settle(context).await?;
            truncated =
                selection.from <= selection.to && facts.iter().any(|facts| facts.is_trimmed(selection.from));
        }
    }
    let mut range = selection.range(context, limit);
    if let Some(cursor) = &after {
        selection.skip(&mut range, cursor);
    }
    let mut last = after.as_ref().map(|cursor| (cursor.stream.clone(), cursor.id));
    let (mut events, mut undecodable, mut done) = (Vec::new(), 0u64, false);
    let (mut entries, mut bytes) = (0, 0);
    while events.len() < limit && entries < PAGE_ENTRIES && bytes < PAGE_BYTES {
        let Some((index, entry)) = range.next().await? else {
            done = true;
            break;
        };
        entries += 1;
        bytes += bytes_of(&entry);
        let stream = range.stream(index).cloned().unwrap_or_default();
        let shapes = told.shapes_for(context, &entry, |event_type| selection.matches(event_type));
        let event = read(context, (&stream, &entry), { shapes }.as_deref_mut());
        match event {
            Some(event) if selection.matches(event.event_type.as_bytes()) => events.push(json!({
                "id": entry.id.to_string(),
                "stream": &*stream,
                "event": told.add(event),
            })),
            Some(_) => {}
            None => undecodable += 1,
        }
        last = Some((stream, entry.id));
    }
    if let Some(cursor) = &after {
        truncated = trimmed_behind(context, &cursor.stream, cursor.id).await?;
    }
    let to = selection.to;
    Ok(told.with(json!({
        "events": events,
        "last": last.map(|(stream, id)| Cursor { to, stream, id }.text()),
        "truncated": truncated,
        "done": done,
        "undecodable": undecodable,
    })))
}

/// Whether entries behind `id` may have been trimmed, between two pages: `id` itself has been.
async fn trimmed_behind(context: &Context, stream: &Arc<str>, id: EntryId) -> Result<bool, BusError> {
    let (stream, to) = (stream.clone(), EntryId::MAX);
    let request = Request::Range { stream, from: EntryId::MIN, to, limit: 1, reverse: false };
    match context.store.execute(request).await? {
        Response::Entries(entries) => Ok(entries.first().is_none_or(|first| first.id > id)),
        _ => Err(unexpected()),
    }
}

/// `replay.group`: appends some of the entries of a range once more, for one group only, those behind `after`. `last`
/// is the `after` of the next page; `replayed`, how many the pages before have appended, is told by an error.
async fn group(context: &Context, mut args: Arguments) -> Result<Value, BusError> {
    let selection = Selection::read(context, &mut args).await?;
    let limit = args.limit("limit")?;
    let after = Cursor::read(&mut args, &selection)?;
    let before = args.count("replayed", 0)?.unwrap_or(0);
    let group: Arc<str> = args.needed("group")?.into();
    args.finish()?;
    let mut page = Page::default();
    match page.deliver(context, selection, &group, after, limit).await {
        Ok(()) => Ok(page.value()),
        Err(error) => match before.saturating_add(page.replayed) {
            0 if !page.began => Err(error),
            replayed => Err(interrupted(error, replayed)),
        },
    }
}

/// What came of a page of a delivery to a group.
#[derive(Default)]
struct Page {
    /// Whether any entry was asked for.
    began: bool,
    replayed: u64,
    failed: u64,
    truncated: bool,
    first: Option<EntryId>,
    /// The last that was appended again.
    copied: Option<EntryId>,
    last: Option<Cursor>,
    done: bool,
}

impl Page {
    async fn deliver(
        &mut self,
        context: &Context,
        mut selection: Selection,
        group: &Arc<str>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<(), BusError> {
        let facts = selection.settle(context).await?;
        let has_group = |facts: &StreamInfo| facts.groups.iter().any(|g| *g.name == **group);
        let with_group = |(stream, facts): (Arc<str>, &StreamInfo)| has_group(facts).then_some(stream);
        let all = std::mem::take(&mut selection.streams);
        selection.streams = all.iter().cloned().zip(&facts).filter_map(with_group).collect();
        let gone = after.as_ref().is_some_and(|cursor| !selection.streams.contains(&cursor.stream));
        if selection.streams.is_empty() || gone {
            return Err(no_group(group, &all));
        }
        if let Some(cursor) = &after {
            selection.to = selection.to.min(cursor.to);
            self.truncated = trimmed_behind(context, &cursor.stream, cursor.id).await?;
        } else {
            let mut facts = facts.iter().filter(|facts| has_group(facts));
            self.truncated =
                selection.from <= selection.to && facts.any(|facts| facts.is_trimmed(selection.from));
        }
        let mut range = selection.range(context, limit);
        if let Some(cursor) = &after {
            selection.skip(&mut range, cursor);
        }
        self.last = after;
        self.began = true;
        let (mut entries, mut wanted) = (0, limit);
        while wanted > 0 && entries < PAGE_ENTRIES {
            let Some((index, entry)) = range.next().await? else {
                self.done = true;
                break;
            };
            entries += 1;
            let (id, stream) = (entry.id, range.stream(index).cloned().unwrap_or_default());
            let read = read(context, (&stream, &entry), None);
            if read.as_ref().is_none_or(|read| selection.matches(read.event_type.as_bytes())) {
                wanted -= 1;
                // What is not an event, the group would only move to the dead letters once more.
                if read.is_some() && redeliver(context, stream.clone(), group.clone(), id).await? {
                    self.replayed += 1;
                    self.first.get_or_insert(id);
                    self.copied = Some(id);
                } else {
                    self.failed += 1;
                }
            }
            self.last = Some(Cursor { to: selection.to, stream, id });
        }
        Ok(())
    }

    fn value(self) -> Value {
        json!({
            "replayed": self.replayed,
            "failed": self.failed,
            "truncated": self.truncated,
            "firstId": self.first.map(text_of),
            "lastId": self.copied.map(text_of),
            "last": self.last.map(|last| last.text()),
            "done": self.done,
        })
    }
}

/// Whether there was an entry to copy.
async fn redeliver(
    context: &Context,
    stream: Arc<str>,
    group: Arc<str>,
    id: EntryId,
) -> Result<bool, BusError> {
    match context.store.execute(Request::Redeliver { stream, group, id }).await? {
        Response::Appended(appended) => Ok(appended.is_some()),
        _ => Err(unexpected()),
    }
}
