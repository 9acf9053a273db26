//! The entries of several streams in the order of their ids, read page by page.

use std::collections::VecDeque;
use std::sync::Arc;

use oxbus_model::BusError;
use oxbus_model::stream_store::{EntryId, Request, Response, StoredEntry};

use crate::admin::context::AT_ONCE;
use crate::runtime::joined::try_join_bounded;
use crate::transport::store::{Store, unexpected};

/// The entries that are asked for at once, at the most.
const MAX_CHUNK: usize = 500;
/// As long as it is not known how large they are.
const FIRST_CHUNK: usize = 16;
/// The bytes that are asked for at once, about.
const CHUNK_BYTES: usize = 1 << 20;

/// The entries of several streams, merged. Entries of the same id come in the order of the streams, also backwards.
pub(crate) struct MergedRange {
    store: Arc<dyn Store>,
    cursors: Vec<StreamCursor>,
    reverse: bool,
    /// Entries of a chunk at the most.
    chunk: usize,
}

/// What is still to come of one stream.
struct StreamCursor {
    stream: Arc<str>,
    from: EntryId,
    to: EntryId,
    read: VecDeque<StoredEntry>,
    /// Whether all of it has been read.
    done: bool,
    /// The bytes of an entry, about; 0 when none was seen.
    size: usize,
}

impl MergedRange {
    /// The range from `from` to `to`, both included, oldest first or newest first.
    /// About `wanted` entries will be taken.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        streams: impl IntoIterator<Item = Arc<str>>,
        (from, to): (EntryId, EntryId),
        reverse: bool,
        wanted: usize,
    ) -> MergedRange {
        let cursor =
            |stream| StreamCursor { stream, from, to, read: VecDeque::new(), done: from > to, size: 0 };
        let cursors: Vec<StreamCursor> = streams.into_iter().map(cursor).collect();
        let share = (wanted / cursors.len().max(1)).saturating_add(1);
        MergedRange { store, cursors, reverse, chunk: share.clamp(FIRST_CHUNK, MAX_CHUNK) }
    }

    /// Leaves out everything up to entry `id` of the stream of that index, which an earlier range ended
    /// with. Only for a range that goes forward.
    pub(crate) fn skip(&mut self, index: usize, id: EntryId) {
        for (i, cursor) in self.cursors.iter_mut().enumerate() {
            let first = if i <= index { id.next() } else { id };
            cursor.from = cursor.from.max(first);
            cursor.done |= cursor.from > cursor.to || (i <= index && id == EntryId::MAX);
        }
    }

    /// The stream of an index.
    pub(crate) fn stream(&self, index: usize) -> Option<&Arc<str>> {
        self.cursors.get(index).map(|cursor| &cursor.stream)
    }

    /// The next entry, with the index of its stream; `None` at the end.
    ///
    /// # Errors
    /// Those of the store; the same entry can then be asked for again.
    pub(crate) async fn next(&mut self) -> Result<Option<(usize, StoredEntry)>, BusError> {
        if self.cursors.iter().any(StreamCursor::is_empty) {
            self.fill().await?;
        }
        let mut next: Option<(EntryId, usize)> = None;
        for (index, cursor) in self.cursors.iter().enumerate() {
            let Some(id) = cursor.read.front().map(|entry| entry.id) else { continue };
            let before = |(other, _)| if self.reverse { id > other } else { id < other };
            if next.is_none_or(before) {
                next = Some((id, index));
            }
        }
        let Some((_, index)) = next else { return Ok(None) };
        let entry = self.cursors.get_mut(index).and_then(|cursor| cursor.read.pop_front());
        Ok(entry.map(|entry| (index, entry)))
    }

    /// Reads on in all streams of which nothing is left, at once: they may be on different nodes.
    async fn fill(&mut self) -> Result<(), BusError> {
        let (store, reverse, chunk) = (&*self.store, self.reverse, self.chunk);
        let empty = self.cursors.iter_mut().filter(|cursor| cursor.is_empty());
        let filled = empty.map(|cursor| cursor.fill(store, reverse, chunk)).collect();
        try_join_bounded(AT_ONCE, filled).await.map(drop)
    }
}

impl StreamCursor {
    /// Whether nothing is left of what was read, and there may be more.
    fn is_empty(&self) -> bool {
        self.read.is_empty() && !self.done
    }

    async fn fill(&mut self, store: &dyn Store, reverse: bool, chunk: usize) -> Result<(), BusError> {
        let limit = match self.size {
            0 => FIRST_CHUNK,
            size => (CHUNK_BYTES / size).clamp(1, chunk),
        };
        let (stream, from, to) = (self.stream.clone(), self.from, self.to);
        let entries = match store.execute(Request::Range { stream, from, to, limit, reverse }).await? {
            Response::Entries(entries) => entries,
            _ => return Err(unexpected()),
        };
        self.done = entries.len() < limit;
        if let Some(last) = entries.last() {
            let bytes: usize = entries.iter().map(bytes_of).sum();
            self.size = bytes / entries.len() + 1;
            let (end, edge) =
                if reverse { (last.id.previous(), EntryId::MIN) } else { (last.id.next(), EntryId::MAX) };
            if reverse {
                self.to = end;
            } else {
                self.from = end;
            }
            self.done |= last.id == edge || self.from > self.to;
        }
        self.read = entries.into();
        Ok(())
    }
}

/// The bytes of an entry's fields.
pub(crate) fn bytes_of(entry: &StoredEntry) -> usize {
    entry.fields.iter().map(|(name, value)| name.len() + value.len()).sum()
}
