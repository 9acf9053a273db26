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
    /// The consumers: those that the store has, [`DELAYED`] among them, and those that live and have read nothing yet.
    pub consumers: Vec<ConsumerInfo>,
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
        self.consumers.iter().find(|consumer| consumer.name == DELAYED).map_or(0, |consumer| consumer.pending)
    }

    /// The consumers that live and own nothing: they wait for entries.
    pub fn waiting(&self) -> u64 {
        self.consumers.iter().filter(|consumer| consumer.alive == Some(true) && consumer.pending == 0).count()
            as u64
    }

    /// The number of pending entries of consumers that do not live: what the dead had, and what was handed back by those
    /// that have left. Others take it.
    pub fn unowned(&self) -> u64 {
        let is_dead = |consumer: &&ConsumerInfo| consumer.alive == Some(false) && consumer.name != DELAYED;
        self.consumers.iter().filter(is_dead).map(|consumer| consumer.pending).sum()
    }

    /// How many entries wait for a consumer: those that are not read, and those that no living consumer has. `None` where
    /// the lag is not known.
    pub fn backlog(&self) -> Option<u64> {
        self.lag.map(|lag| lag.saturating_add(self.unowned()))
    }
}

/// A consumer of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerInfo {
    /// The name.
    pub name: String,
    /// How many pending entries are its own.
    pub pending: u64,
    /// The milliseconds since it has read or renewed something; of one that has read nothing yet, since it showed that it
    /// lives.
    pub idle: u64,
    /// Whether it lives; `None` of one of another program, and of [`DELAYED`].
    pub alive: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumer(name: &str, pending: u64, alive: Option<bool>) -> ConsumerInfo {
        ConsumerInfo { name: name.to_owned(), pending, idle: 0, alive }
    }

    #[test]
    fn what_waits_is_told_from_what_somebody_has() {
        let consumers = vec![
            consumer("busy", 3, Some(true)),
            consumer("waits", 0, Some(true)),
            consumer("dead", 5, Some(false)),
            consumer("dead too", 0, Some(false)),
            consumer("foreign", 7, None),
            consumer(DELAYED, 11, Some(false)),
        ];
        let group = GroupInfo { consumers, lag: Some(100), ..GroupInfo::default() };
        assert_eq!((group.waiting(), group.unowned(), group.delayed()), (1, 5, 11));
        assert_eq!(group.backlog(), Some(105));
        assert_eq!(GroupInfo { lag: None, ..group }.backlog(), None);
    }
}
