//! What a store answers.

use std::ops::RangeInclusive;

use super::{
    EntryId, GroupFacts, Missed, PendingEntry, RegisteredStream, ScanCursor, StoredEntry, StreamInfo,
};

/// What a store answers to a [`Request`](super::Request).
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// The request was carried out, and there is nothing to say about it.
    Done,
    /// How many entries, consumers or groups the request says that it counts.
    Count(u64),
    /// The group is there.
    Ensured {
        /// Whether the group was created now.
        created: bool,
        /// The last delivered entry of the group.
        position: EntryId,
        /// Whether the group was there before, as its facts tell: it goes on at its low-water mark, or at the
        /// beginning where none is known, wherever a new group was to start.
        recreated: bool,
        /// The least and the greatest id that an entry of the stream has, where the request said that it may have started
        /// again. Of an empty stream it is an empty range.
        entries: Option<RangeInclusive<EntryId>>,
    },
    /// A fenced request was carried out for all entries but these.
    Fenced {
        /// Entries that the consumer does not own any more.
        not_owned: Vec<EntryId>,
        /// Entries that the consumer owned and that are not in the stream any more: they are pending no more.
        deleted: Vec<EntryId>,
        /// How many dead letters had to go, as there were as many as are kept.
        dropped: u64,
    },
    /// Entries were skipped, all but those that are not the consumer's; or nothing was done.
    Skipped {
        /// Whether that was done: the version of the request was that of the facts.
        done: bool,
        /// The version of the facts, after the request.
        version: u64,
        /// The types of which an entry was recorded for the first time.
        new_types: Vec<String>,
        /// Entries that the consumer does not own any more.
        not_owned: Vec<EntryId>,
    },
    /// The entries that the consumer owns now, which the group had read past.
    TakenUp {
        /// The entries with their delivery count, 1.
        entries: Vec<StoredEntry>,
        /// The tasks among those asked for that have nothing more for this consumer.
        done: Vec<u64>,
        /// What such a task has not found any more, though the group had read past it: between its first and last id. It is
        /// told again to the same client start, and after [`TOLD_WITHIN`](super::skipped::TOLD_WITHIN) to any other, until
        /// a request says that it was told.
        gone: Vec<(u64, Missed)>,
    },
    /// The entries that the consumer owns now.
    Claimed {
        /// The entries with their new delivery counts.
        entries: Vec<StoredEntry>,
        /// Pending entries that are not in the stream any more: they were acknowledged.
        deleted: Vec<EntryId>,
    },
    /// Entries of a stream.
    Entries(Vec<StoredEntry>),
    /// Pending entries of a group.
    Pending(Vec<PendingEntry>),
    /// Pending entries that can be claimed.
    Expired {
        /// The entries.
        entries: Vec<PendingEntry>,
        /// In how many milliseconds the next entry is due that was put off, where that is told.
        next_due_in: Option<u64>,
        /// Whether consumers of other programs have entries that are not listed, though they have been left alone for as
        /// long as one of ours may be, or may have some.
        foreign_waits: bool,
        /// The store's time, in Unix milliseconds.
        time: u64,
    },
    /// The facts of a group, and where it stands.
    Facts(GroupFacts),
    /// A stream; `None` when it does not exist.
    Stream(Option<StreamInfo>),
    /// The id of the new entry; `None` when there was nothing to copy.
    Appended(Option<EntryId>),
    /// The message of an event that is kept by its id; `None` when none is kept.
    Event(Option<Box<[u8]>>),
    /// The entries of a room's presence, in no order.
    Names(Vec<String>),
    /// The registered streams, in no order.
    Registered(Vec<RegisteredStream>),
    /// A step through the keys of the store.
    Scanned {
        /// Where the next step begins; `None` when all keys were looked at.
        next: Option<ScanCursor>,
        /// The streams of this step, in no order. One may come twice, and one that was made meanwhile may be missing.
        names: Vec<String>,
    },
    /// The store's time, in Unix milliseconds.
    Time(u64),
}
