//! What is known of a group after a heartbeat.

use super::EntryId;

/// The format in which this build writes the facts of a group. A fact is only ever added, so that a build understands what
/// an older one has written; the number grows with every fact that an older build would have to keep as well.
pub const FACTS_FORMAT: u64 = 1;

/// What is known of a group after a [`Request::Heartbeat`](super::Request::Heartbeat): its facts, which its clients
/// share, and where it stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupFacts {
    /// The lease of the group in milliseconds: that of the client that set it first.
    pub lease: u64,
    /// How long an entry of a consumer of another program must be idle before it is claimed, in milliseconds: also that of
    /// the client that set it first.
    pub foreign_lease: u64,
    /// Another client start that lives under this consumer's name; then nothing else was done.
    pub taken_by: Option<String>,
    /// The patterns of the group over all clients of the last hour, in the form in which they were given.
    pub patterns: Vec<String>,
    /// The version of the patterns and of `skipped`: it changes with them.
    pub version: u64,
    /// Whether the patterns of the request were not taken, as one of them is new to the group and the request was made
    /// by another version: `skipped` may have types that the pattern takes.
    pub outdated: bool,
    /// The patterns of the request that were new to the group, and are its patterns now.
    pub new_patterns: Vec<String>,
    /// The last entry of the stream, where a pattern was new.
    pub last: Option<EntryId>,
    /// The types of entries that the group has read past and may still take up, in no order.
    pub skipped: Vec<String>,
    /// The tasks by which entries are taken up that the group had read past, in no order.
    pub take_up: Vec<TakeUpTask>,
    /// The last delivered entry of the group.
    pub position: EntryId,
    /// The oldest pending entry of the group.
    pub oldest_pending: Option<EntryId>,
    /// The store's time, in Unix milliseconds.
    pub time: u64,
    /// The highest format in which a client of the group has written facts.
    pub format: u64,
}

/// Entries of one type are to be taken up that a group had read past before it had a pattern for the type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakeUpTask {
    /// The number of the task, unique in its group.
    pub number: u64,
    /// The type.
    pub event_type: String,
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
