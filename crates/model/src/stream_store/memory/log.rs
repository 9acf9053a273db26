//! The entries of a stream.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::stream_store::{EntryId, Fields, Position, StoredEntry};

/// An entry as it is in the log, for those who ask for it not as a pending one.
pub(super) fn plain(id: EntryId, fields: &Fields) -> StoredEntry {
    StoredEntry {
        id,
        deliveries: 0,
        started: false,
        unhandled_since: None,
        due_in: None,
        fields: fields.clone(),
    }
}

/// The entries of a stream, and the last id that was given to one.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: BTreeMap<EntryId, Arc<Fields>>,
    last: EntryId,
    added: u64,
}

impl Log {
    /// Appends an entry. Its id is the time, unless the clock is behind the last id.
    pub(super) fn append(&mut self, fields: Arc<Fields>, now_ms: u64) -> EntryId {
        self.last = EntryId::first_of(now_ms).max(self.last.next());
        self.added += 1;
        self.entries.insert(self.last, fields);
        self.last
    }

    pub(super) fn get(&self, id: EntryId) -> Option<&Arc<Fields>> {
        self.entries.get(&id)
    }

    pub(super) fn remove(&mut self, id: EntryId) -> bool {
        self.entries.remove(&id).is_some()
    }

    pub(super) fn remove_first(&mut self) -> Option<EntryId> {
        self.entries.pop_first().map(|(id, _)| id)
    }

    pub(super) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(super) fn first(&self) -> Option<EntryId> {
        self.entries.first_key_value().map(|(id, _)| *id)
    }

    /// The least and the greatest id of an entry; an empty range where there is none.
    pub(super) fn extent(&self) -> RangeInclusive<EntryId> {
        self.first().unwrap_or_else(|| self.last.next())..=self.last
    }

    pub(super) fn newest(&self) -> Option<EntryId> {
        self.entries.last_key_value().map(|(id, _)| *id)
    }

    /// How many entries were ever appended.
    pub(super) fn added(&self) -> u64 {
        self.added
    }

    /// The last id that was given to an entry.
    pub(super) fn last(&self) -> EntryId {
        self.last
    }

    /// The id behind which a group stands at `position`.
    pub(super) fn position(&self, position: Position) -> EntryId {
        match position {
            Position::New => self.last,
            Position::Beginning => EntryId::MIN,
            Position::After(id) => id,
        }
    }

    /// The entries behind `id`.
    pub(super) fn behind(&self, id: EntryId) -> impl Iterator<Item = (EntryId, &Arc<Fields>)> {
        self.entries.range((Excluded(id), Unbounded)).map(|(id, fields)| (*id, fields))
    }

    /// How many entries there are behind `id`.
    pub(super) fn count_behind(&self, id: EntryId) -> u64 {
        match (self.first(), self.newest()) {
            (Some(first), _) if id < first => self.len(),
            (_, Some(newest)) if id < newest => self.behind(id).count() as u64,
            _ => 0,
        }
    }

    /// Copies of the entries from `from` to `to`, both included.
    pub(super) fn range(&self, from: EntryId, to: EntryId, limit: usize, reverse: bool) -> Vec<StoredEntry> {
        if from > to {
            return Vec::new();
        }
        let range = self.entries.range(from..=to);
        let entry = |(id, fields): (&EntryId, &Arc<Fields>)| plain(*id, fields);
        match reverse {
            false => range.take(limit).map(entry).collect(),
            true => range.rev().take(limit).map(entry).collect(),
        }
    }
}
