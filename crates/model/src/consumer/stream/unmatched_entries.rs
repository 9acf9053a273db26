//! Entries that nobody is known to want, while they wait for a heartbeat.

use crate::stream_store::EntryId;

/// An entry of a type that no client of the group is known to want.
#[derive(Debug)]
pub(crate) struct UnmatchedEntry {
    pub(crate) slot: u32,
    pub(crate) id: EntryId,
    pub(crate) event_type: Box<str>,
    /// How many heartbeats had been sent when it came.
    heartbeats: u64,
}

/// The unmatched entries of a stream, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct UnmatchedEntries(Vec<UnmatchedEntry>);

impl UnmatchedEntries {
    /// Keeps an entry that came when so many heartbeats had been sent.
    pub(crate) fn push(&mut self, slot: u32, id: EntryId, event_type: Box<str>, heartbeats: u64) {
        self.0.push(UnmatchedEntry { slot, id, event_type, heartbeats });
    }

    /// Takes the entries that came before the heartbeat of that number was sent, which is answered.
    pub(crate) fn take_before(&mut self, heartbeat: u64) -> Vec<UnmatchedEntry> {
        let decided = self.0.partition_point(|entry| entry.heartbeats < heartbeat);
        self.0.drain(..decided).collect()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
