//! What there is to know of a stream and its groups.

use super::{DELAYED, EntryId};

/// What there is to know of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamInfo {
    /// The number of entries.
    pub length: u64,
    /// The oldest entry.
    pub first: Option<EntryId>,
    /// The newest entry.
    pub last: Option<EntryId>,
    /// The last id that was given out.
    pub last_generated: EntryId,
    /// How many entries were ever added, where the store knows.
    pub added: Option<u64>,
    /// The groups.
    pub groups: Vec<GroupInfo>,
}

impl StreamInfo {
    /// Whether entries from `from` on may be missing at the start: the stream begins later, and has lost some.
    pub fn is_trimmed(&self, from: EntryId) -> bool {
        match self.first {
            // Where it is not known how many there ever were, some may be lost.
            Some(first) => from < first && self.added.is_none_or(|added| added > self.length),
            None => from <= self.last_generated && self.last_generated > EntryId::MIN,
        }
    }
}

/// What there is to know of a group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupInfo {
    /// The name.
    pub name: String,
    /// The consumers: name, number of pending entries, idle milliseconds. [`DELAYED`] is among them.
    pub consumers: Vec<(String, u64, u64)>,
    /// The number of entries that were delivered and not acknowledged.
    pub pending: u64,
    /// The last delivered entry.
    pub last_delivered: EntryId,
    /// The number of entries that the group has not read, where the store knows.
    pub lag: Option<u64>,
    /// The oldest pending entry.
    pub oldest_pending: Option<EntryId>,
    /// The lease in milliseconds, where one of our clients has set it.
    pub lease: Option<u64>,
    /// The lease of consumers of other programs in milliseconds, where one of our clients has set it.
    pub foreign_lease: Option<u64>,
    /// The types that the group has read past, as no pattern of it takes them, and how many entries of each may still be
    /// taken up; in no order.
    pub skipped: Vec<(String, u64)>,
}

impl GroupInfo {
    /// The number of pending entries that were put off until they are due.
    pub fn delayed(&self) -> u64 {
        self.consumers.iter().find(|(name, ..)| name == DELAYED).map_or(0, |(_, count, _)| *count)
    }
}
