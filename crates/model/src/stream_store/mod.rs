//! What is asked of a store of streams, and of who is in rooms: one vocabulary for Redis and for memory.
//!
//! Each [`Request`] is one step on the store: it happens as a whole or not at all. Requests that change
//! who owns an entry are *fenced*: they act only on entries that the named consumer still owns, and only while
//! no other client start has taken its name, and answer with those that it does not own.
//!
//! # Layout
//!
//! - this file: requests and responses; `id`: the ids of entries; [`keys`]: the names of keys;
//!   [`registry`]: which streams the clients are configured with;
//!   [`streams`]: a store in memory.

mod id;
pub mod keys;
pub mod memory;
pub mod registry;

use std::sync::Arc;

pub use id::EntryId;
pub use memory::Streams;
pub use registry::RegisteredStream;

/// What a pattern in [`Request::Heartbeat`] begins with that is compared with the channel of an event though it
/// does not look like it. No event type has this character, so no pattern of types is written like that.
pub const BY_CHANNEL: &str = "\u{0}channel:";

/// The fields of an entry, in order.
pub type Fields = Vec<(Box<[u8]>, Box<[u8]>)>;

/// A consumer of a group of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConsumerId {
    /// The stream.
    pub stream: Arc<str>,
    /// The consumer group.
    pub group: Arc<str>,
    /// The consumer.
    pub consumer: Arc<str>,
    /// The client start behind its name.
    pub instance: Arc<str>,
}

/// Where a new group starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Behind the last entry: `$`.
    New,
    /// At the oldest entry: `0`.
    Beginning,
    /// Behind this entry.
    After(EntryId),
}

/// What a store is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Creates the stream and the group where they are missing. A group whose facts are there has been lost:
    /// it goes on at its low-water mark. → [`Response::Opened`]
    EnsureGroup {
        /// The stream.
        stream: Arc<str>,
        /// The group.
        group: Arc<str>,
        /// Where the group starts, if it is new.
        from: Position,
        /// Whether a position beyond the stream's last entry becomes its beginning: the stream has
        /// started again since the position was known.
        restarted: bool,
    },
    /// Acknowledges, whoever owns the entries. → [`Response::Done`]
    Acknowledge {
        /// Who.
        member: ConsumerId,
        /// The entries; also forgets what [`Request::MarkStarted`] and [`Request::Requeue`] recorded of them.
        ids: Vec<EntryId>,
    },
    /// Renews claims, fenced: sets the idle time to 0, and the delivery count where one is given.
    /// → [`Response::Lost`]
    ExtendLease {
        /// Who.
        member: ConsumerId,
        /// The entries.
        items: Vec<(EntryId, Option<u32>)>,
    },
    /// Hands entries back, fenced: any consumer may claim them at once, and their delivery count is
    /// set to the given one. → [`Response::Lost`]
    Requeue {
        /// Who.
        member: ConsumerId,
        /// The entries and their delivery counts.
        items: Vec<(EntryId, u32)>,
        /// Whether there is no handler for them here: the time of the first such hand-back is kept.
        unhandled: bool,
    },
    /// Moves entries to the dead letters, fenced, with their original fields. → [`Response::Lost`]
    DeadLetter {
        /// Who.
        member: ConsumerId,
        /// The stream of dead letters; `None`: they are acknowledged only.
        to: Option<Arc<str>>,
        /// How many dead letters are kept, about.
        max_len: u64,
        /// The entries.
        letters: Vec<DeadLetterEntry>,
    },
    /// Records that a suspect entry begins to run, fenced. → [`Response::Lost`]
    MarkStarted {
        /// Who.
        member: ConsumerId,
        /// The entry.
        id: EntryId,
    },
    /// Entries that nobody has renewed for `min_idle` milliseconds. → [`Response::Pending`]
    ListExpired {
        /// Who asks.
        member: ConsumerId,
        /// The least idle time.
        min_idle: u64,
        /// How many at the most.
        limit: usize,
    },
    /// Claims entries that are still idle for `min_idle`, raising their delivery count.
    /// → [`Response::Claimed`]
    Claim {
        /// Who.
        member: ConsumerId,
        /// The least idle time.
        min_idle: u64,
        /// The entries.
        ids: Vec<EntryId>,
    },
    /// This consumer's pending entries behind `after`, oldest first. Renews them; raises their
    /// delivery count only with `raise`. → [`Response::Claimed`]
    ClaimOwnPending {
        /// Who.
        member: ConsumerId,
        /// Behind which entry; `EntryId::MIN` for all.
        after: EntryId,
        /// How many at the most.
        limit: usize,
        /// Whether a process of that name has died with them.
        raise: bool,
    },
    /// Says that a consumer lives, and keeps the group's facts. → [`Response::Facts`]
    Heartbeat {
        /// Who.
        member: ConsumerId,
        /// The client start behind the consumer's name.
        instance: Arc<str>,
        /// Milliseconds for which the consumer counts as alive.
        alive: u64,
        /// The group's lease as this client has it, in milliseconds.
        lease: u64,
        /// The patterns of this client's subscriptions of the group; those that are compared with the channel
        /// of an event, as the subscription says, begin with [`BY_CHANNEL`].
        patterns: Vec<String>,
        /// The low-water mark: everything up to it is settled, as far as this client knows.
        mark: Option<EntryId>,
    },
    /// Ends a consumer: its heartbeat, and itself if it owns nothing. → [`Response::Count`], entries that it owns
    RemoveConsumer {
        /// Who.
        member: ConsumerId,
        /// The client start: another one that has taken the name is left alone.
        instance: Arc<str>,
    },
    /// Removes consumers that are not alive and own nothing. → [`Response::Count`], how many
    RemoveDeadConsumers {
        /// Who asks.
        member: ConsumerId,
    },
    /// Trims a stream by its retention, if this instance is its janitor or nobody is. → [`Response::Count`], entries removed
    ApplyRetention {
        /// The stream.
        stream: Arc<str>,
        /// The client start.
        instance: Arc<str>,
        /// Keep about so many of the newest.
        max_len: Option<u64>,
        /// Keep what is younger than so many milliseconds.
        max_age: Option<u64>,
        /// Never trim what a live group has not read and settled.
        safe: bool,
    },
    /// Entries from `from` to `to`, both included, oldest first, or newest first with `reverse`. → [`Response::Entries`]
    Range {
        /// The stream.
        stream: Arc<str>,
        /// The first.
        from: EntryId,
        /// The last.
        to: EntryId,
        /// How many at the most.
        limit: usize,
        /// Newest first.
        reverse: bool,
    },
    /// What there is to know of a stream; `None` when it does not exist. → [`Response::Stream`]
    Describe {
        /// The stream.
        stream: Arc<str>,
    },
    /// The pending entries of a group, oldest first. → [`Response::Pending`]
    Pending {
        /// The stream.
        stream: Arc<str>,
        /// The group.
        group: Arc<str>,
        /// The first.
        from: EntryId,
        /// How many at the most.
        limit: usize,
        /// The least idle time, in milliseconds.
        min_idle: u64,
        /// Only those of this consumer.
        consumer: Option<Arc<str>>,
    },
    /// Deletes entries. → [`Response::Count`]
    Delete {
        /// The stream.
        stream: Arc<str>,
        /// The entries.
        ids: Vec<EntryId>,
    },
    /// Trims a stream exactly to so many of the newest entries, or to those from an id on. → [`Response::Count`]
    Trim {
        /// The stream.
        stream: Arc<str>,
        /// How many stay.
        max_len: Option<u64>,
        /// The first that stays.
        min_id: Option<EntryId>,
    },
    /// Sets the position of a group. → [`Response::Done`]
    SetPosition {
        /// The stream.
        stream: Arc<str>,
        /// The group.
        group: Arc<str>,
        /// The position.
        to: Position,
    },
    /// Removes a group and its facts. → [`Response::Count`]: 0 when there was none
    RemoveGroup {
        /// The stream.
        stream: Arc<str>,
        /// The group.
        group: Arc<str>,
    },
    /// Moves a dead letter back to its stream as a new entry, without the `dlq-` fields; for one group
    /// only, or for all. → [`Response::Appended`]
    RequeueDeadLetter {
        /// The stream of dead letters.
        letters: Arc<str>,
        /// The dead letter.
        id: EntryId,
        /// Whether only the group that it came from handles it.
        for_group: bool,
    },
    /// Appends copies of an entry's fields for one group only. → [`Response::Appended`]
    Redeliver {
        /// The stream.
        stream: Arc<str>,
        /// The group.
        group: Arc<str>,
        /// The entry to copy.
        id: EntryId,
    },
    /// An event kept by its id (`persistence`), as JSON. → [`Response::Event`]
    Event {
        /// Its key.
        key: Arc<str>,
    },
    /// Changes who is in a room; those that are added are in it for `ttl` milliseconds, by the store's time, unless
    /// they are added again. → [`Response::Done`]
    UpdatePresence {
        /// The room's key: [`keys::presence`].
        key: Arc<str>,
        /// Who comes or stays: see [`presence::entry`](crate::presence::entry).
        add: Vec<String>,
        /// Who goes.
        remove: Vec<String>,
        /// For how long.
        ttl: u64,
    },
    /// Who is in a room. → [`Response::Names`]
    ListPresence {
        /// The room's key.
        key: Arc<str>,
    },
    /// Looks whether there is a stream of that name. → [`Response::Count`]: 0 or 1
    Exists {
        /// The stream.
        stream: Arc<str>,
    },
    /// Registers the streams that a client is configured with, by the store's time. → [`Response::Done`]
    RegisterStreams {
        /// The key of the registry: [`keys::registry`].
        key: Arc<str>,
        /// The streams, each with the patterns of the types that it stores.
        streams: Vec<(String, Vec<String>)>,
    },
    /// Lists the registered streams. → [`Response::Registered`]
    ListRegistered {
        /// The key of the registry.
        key: Arc<str>,
    },
    /// Takes one step through all keys of the store, looking for streams. → [`Response::Scanned`]
    ScanStreams {
        /// Where the step begins: 0, or `next` of the step before.
        cursor: u64,
    },
    /// The store's time. → [`Response::Time`]
    Time,
}

/// An entry on its way to the dead letters.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetterEntry {
    /// The entry.
    pub id: EntryId,
    /// How often it was tried.
    pub attempts: u32,
    /// Why: `failed`, `not-retryable`, `undecodable`, `unhandled` or `crashed`.
    pub reason: &'static str,
    /// The error as JSON: name, message, stack, code.
    pub error: Arc<str>,
}

/// An entry as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEntry {
    /// Its id.
    pub id: EntryId,
    /// Its delivery count; 0 where it was not asked for as a pending one.
    pub deliveries: u32,
    /// Whether [`Request::MarkStarted`] was recorded for it, and no end.
    pub begun: bool,
    /// The store's time of the first hand-back for lack of a handler.
    pub unhandled_since: Option<u64>,
    /// Its fields.
    pub fields: Fields,
}

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingEntry {
    /// Its id.
    pub id: EntryId,
    /// Who owns it.
    pub consumer: Arc<str>,
    /// Milliseconds since it was delivered, claimed or renewed.
    pub idle: u64,
    /// Its delivery count.
    pub deliveries: u32,
}

/// What a store answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// It is done.
    Done,
    /// How many.
    Count(u64),
    /// A group is there.
    Opened {
        /// Whether it was created now.
        created: bool,
        /// Where it stands: its last delivered entry.
        position: EntryId,
        /// Whether it was there before, as its facts tell: it goes on at its low-water mark, or at the
        /// beginning where none is known, wherever a new group was to start.
        recreated: bool,
    },
    /// Of a fenced request: what it was not done for.
    Lost {
        /// Entries that the consumer does not own any more.
        taken: Vec<EntryId>,
        /// Entries that it owned and that are not in the stream any more: they are pending no more.
        gone: Vec<EntryId>,
    },
    /// Entries that were claimed.
    Claimed {
        /// With their new delivery counts.
        entries: Vec<StoredEntry>,
        /// Pending entries that are deleted: they were acknowledged.
        deleted: Vec<EntryId>,
    },
    /// Entries.
    Entries(Vec<StoredEntry>),
    /// Pending entries.
    Pending(Vec<PendingEntry>),
    /// The facts of a group.
    Facts(Facts),
    /// A stream.
    Stream(Option<StreamFacts>),
    /// A new entry; `None` when there was nothing to copy.
    Appended(Option<EntryId>),
    /// An event as JSON.
    Event(Option<Box<[u8]>>),
    /// Names, in no order.
    Names(Vec<String>),
    /// The registered streams, in no order.
    Registered(Vec<RegisteredStream>),
    /// A step through the keys of the store.
    Scanned {
        /// Where the next step begins; 0 when all keys were looked at.
        next: u64,
        /// The streams of this step, in no order. One may come twice, and one that was made meanwhile may be missing.
        names: Vec<String>,
    },
    /// Milliseconds since the Unix epoch.
    Time(u64),
}

/// What is known of a group after a [`Request::Heartbeat`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The group's lease: that of the client that set it first.
    pub lease: u64,
    /// Another client start that lives under this consumer's name; then nothing else was done.
    pub taken_by: Option<String>,
    /// The patterns of the group over all clients of the last hour, as they were told.
    pub patterns: Vec<String>,
    /// Where the group stands: its last delivered entry.
    pub position: EntryId,
    /// Its oldest pending entry.
    pub oldest_pending: Option<EntryId>,
    /// Entries that were trimmed before the group had read them, and that no client has reported yet.
    pub missed: Option<Missed>,
    /// The store's time, milliseconds since the Unix epoch.
    pub time: u64,
}

/// Entries that were lost unread.
#[derive(Clone, Debug, PartialEq)]
pub struct Missed {
    /// How many; an upper bound where unread entries were deleted one by one. 0: unknown (before Redis 7).
    pub count: u64,
    /// Behind this entry.
    pub from: EntryId,
    /// Before this entry.
    pub to: EntryId,
}

/// What there is to know of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamFacts {
    /// Entries.
    pub length: u64,
    /// The oldest entry.
    pub first: Option<EntryId>,
    /// The newest entry.
    pub last: Option<EntryId>,
    /// The last id that was given out.
    pub last_generated: EntryId,
    /// How many entries were ever added, where the store knows.
    pub added: Option<u64>,
    /// Its groups.
    pub groups: Vec<GroupFacts>,
}

impl StreamFacts {
    /// Whether entries from `from` on may be missing at the start: it begins later, and has lost some.
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
pub struct GroupFacts {
    /// Its name.
    pub name: String,
    /// Its consumers: name, pending entries, idle milliseconds.
    pub consumers: Vec<(String, u64, u64)>,
    /// Entries delivered and not acknowledged.
    pub pending: u64,
    /// Its last delivered entry.
    pub last_delivered: EntryId,
    /// Entries that it has not read, where the store knows.
    pub lag: Option<u64>,
    /// Its oldest pending entry.
    pub oldest_pending: Option<EntryId>,
    /// Its lease in milliseconds, where one of our clients has set it.
    pub lease: Option<u64>,
}
