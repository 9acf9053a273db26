//! The entries of one stream by their ids.

use std::collections::hash_map::Entry as MapEntry;

// The keys are ids that the store has given.
use rustc_hash::FxHashMap as HashMap;

use crate::consumer::entry::{HeldEntry, Stage};
use crate::consumer::entry_table::EntryTable;
use crate::stream_store::EntryId;

/// Entry id to slot, from the moment when an entry comes until its end has been confirmed. While the confirmation of an
/// acknowledgement is on its way the slot may already be another's, so only [`SlotIndex::slot_of`] may follow it.
#[derive(Debug)]
pub(crate) struct SlotIndex {
    /// The index of the stream in its group.
    stream: usize,
    slots: HashMap<EntryId, u32>,
}

/// How an entry that comes in again is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// It is held, or on its way out.
    Held,
    /// It is settled, and the confirmation is on its way.
    Settled,
}

impl SlotIndex {
    pub(crate) fn new(stream: usize) -> Self {
        SlotIndex { stream, slots: HashMap::default() }
    }

    /// Notes the slot of an entry that comes in, unless the entry is known.
    #[inline]
    pub(crate) fn claim(&mut self, id: EntryId, slot: u32, entries: &EntryTable) -> Option<Known> {
        match self.slots.entry(id) {
            MapEntry::Occupied(known) => {
                let held = held(self.stream, id, *known.get(), entries).is_some();
                Some(if held { Known::Held } else { Known::Settled })
            }
            MapEntry::Vacant(free) => {
                free.insert(slot);
                None
            }
        }
    }

    /// The slot of an entry that is held, or on its way out.
    pub(crate) fn slot_of(&self, id: EntryId, entries: &EntryTable) -> Option<u32> {
        let slot = *self.slots.get(&id)?;
        held(self.stream, id, slot, entries).map(|_| slot)
    }

    /// An entry that is held, or on its way out.
    pub(crate) fn held<'a>(&self, id: EntryId, entries: &'a EntryTable) -> Option<&'a HeldEntry> {
        held(self.stream, id, *self.slots.get(&id)?, entries)
    }

    pub(crate) fn contains(&self, id: EntryId) -> bool {
        self.slots.contains_key(&id)
    }

    pub(crate) fn remove(&mut self, id: EntryId) {
        self.slots.remove(&id);
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The oldest entry that is not confirmed to be settled.
    pub(crate) fn oldest(&self) -> Option<EntryId> {
        self.slots.keys().min().copied()
    }
}

fn held(stream: usize, id: EntryId, slot: u32, entries: &EntryTable) -> Option<&HeldEntry> {
    entries.get(slot).filter(|entry| entry.id == id && entry.stream == stream && entry.stage != Stage::Over)
}
