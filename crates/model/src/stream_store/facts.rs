//! What is known of a group after a heartbeat.

use super::EntryId;

/// What is known of a group after a [`Request::Heartbeat`](super::Request::Heartbeat): its facts, which its clients
/// share, and where it stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupFacts {
    /// The lease of the group in milliseconds: that of the client that set it first.
    pub lease: u64,
    /// Another client start that lives under this consumer's name; then nothing else was done.
    pub taken_by: Option<String>,
    /// The patterns of the group over all clients of the last hour, in the form in which they were given.
    pub patterns: Vec<String>,
    /// The last delivered entry of the group.
    pub position: EntryId,
    /// The oldest pending entry of the group.
    pub oldest_pending: Option<EntryId>,
    /// The store's time, in Unix milliseconds.
    pub time: u64,
}

/// Entries that were lost unread.
#[derive(Clone, Debug, PartialEq)]
pub struct Missed {
    /// How many entries, at least 1; an upper bound where unread entries were deleted one by one. Before Redis 7 the
    /// number is not known: then it is 1.
    pub count: u64,
    /// The entry before the first one that was lost.
    pub from: EntryId,
    /// The entry behind the last one that was lost.
    pub to: EntryId,
}
