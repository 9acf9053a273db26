//! The entries that a group holds in this client, and the room that they take.

use slab::Slab;

use crate::consumer::entry::{HeldEntry, Load};

/// The held entries of a group, by slot. A slot is used again once its entry has left.
#[derive(Debug, Default)]
pub(super) struct EntryTable {
    slots: Slab<HeldEntry>,
    /// How many entries there are of each [`Load`].
    loads: [usize; 4],
    bytes: usize,
    average_bytes: usize,
}

impl EntryTable {
    /// The slot that the next entry gets.
    #[inline]
    pub(super) fn next_slot(&self) -> u32 {
        slot(self.slots.vacant_key())
    }

    /// Adds an entry.
    #[inline]
    pub(super) fn insert(&mut self, mut entry: HeldEntry) -> u32 {
        let bytes = entry.bytes();
        self.bytes += bytes;
        self.average_bytes =
            if self.average_bytes == 0 { bytes } else { (self.average_bytes * 7 + bytes) / 8 };
        entry.load = entry.current_load();
        self.count(entry.load, true);
        slot(self.slots.insert(entry))
    }

    /// Removes an entry.
    #[inline]
    pub(super) fn remove(&mut self, slot: u32) -> Option<HeldEntry> {
        let entry = self.slots.try_remove(slot as usize)?;
        self.count(entry.load, false);
        self.bytes = self.bytes.saturating_sub(entry.bytes());
        Some(entry)
    }

    pub(super) fn get(&self, slot: u32) -> Option<&HeldEntry> {
        self.slots.get(slot as usize)
    }

    /// An entry to be changed. Who changes what it takes room for calls [`EntryTable::recount`].
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut HeldEntry> {
        self.slots.get_mut(slot as usize)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &HeldEntry)> {
        self.slots.iter().map(|(key, entry)| (slot(key), entry))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut HeldEntry)> {
        self.slots.iter_mut().map(|(key, entry)| (slot(key), entry))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Counts an entry for what it takes room for now.
    pub(super) fn recount(&mut self, slot: u32) {
        let Some(entry) = self.slots.get_mut(slot as usize) else { return };
        let (before, now) = (entry.load, entry.current_load());
        if before != now {
            entry.load = now;
            self.count(before, false);
            self.count(now, true);
        }
    }

    /// How many entries take room like that.
    pub(super) fn load(&self, load: Load) -> usize {
        self.loads.get(load as usize).copied().unwrap_or(0)
    }

    /// The bytes of all events.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The size of an event, about; 0 before the first.
    pub(super) fn average_bytes(&self) -> usize {
        self.average_bytes
    }

    fn count(&mut self, load: Load, more: bool) {
        if let Some(count) = self.loads.get_mut(load as usize) {
            *count = if more { *count + 1 } else { count.saturating_sub(1) };
        }
    }
}

/// Entries are bounded far below 2^32.
fn slot(key: usize) -> u32 {
    key as u32
}
