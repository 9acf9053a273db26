//! What a store is asked.

use std::sync::Arc;

use super::{ConsumerId, DeadLetterEntry, EntryId, MinIdle, Position, RetryState, ScanCursor};
#[cfg(doc)]
use super::{DELAYED, Response};

/// What a pattern in [`Request::Heartbeat`] begins with that is compared with the channel of an event though it
/// does not look like it. No event type has this character, so no pattern of types is written like that.
pub const BY_CHANNEL: &str = "\u{0}channel:";

/// What a store is asked. Each variant names the variant of [`Response`] that answers it.
///
/// A request for a group that does not exist fails with `NO_GROUP`, unless it says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Creates the stream and the group where they are missing. A group whose facts are there has been lost:
    /// it goes on at its low-water mark. → [`Response::Ensured`]
    EnsureGroup {
        /// The stream.
        stream: Arc<str>,
        /// The group.
        group: Arc<str>,
        /// Where the group starts if it is new.
        from: Position,
        /// Whether a position beyond the stream's last entry becomes its beginning: the stream has
        /// started again since the position was known.
        restarted: bool,
    },
    /// Acknowledges entries, whoever owns them. A missing group is no error.
    /// → [`Response::Done`]
    Acknowledge {
        /// The consumer.
        member: ConsumerId,
        /// The entries. What [`Request::MarkStarted`] and [`Request::Requeue`] recorded of them is forgotten.
        ids: Vec<EntryId>,
    },
    /// Acknowledges entries that no pattern of the group takes, fenced, and records them by their types. Nothing is done
    /// when the version of the facts has changed. → [`Response::Skipped`]
    Skip {
        /// The consumer.
        member: ConsumerId,
        /// The version of the facts by which the entries were judged.
        version: u64,
        /// The entries and their types.
        entries: Vec<(EntryId, Arc<str>)>,
    },
    /// Makes this consumer the owner of entries that the group had read past, oldest first, task by task. A task that has
    /// not found all stays until a request says that the loss was told. → [`Response::TakenUp`]
    TakeUp {
        /// The consumer.
        member: ConsumerId,
        /// The tasks whose loss this client start was told of and has told.
        told: Vec<u64>,
        /// The numbers of the tasks that are worked on, in turn.
        tasks: Vec<u64>,
        /// The most entries that are taken up.
        limit: usize,
    },
    /// Renews claims, fenced: sets the idle time to 0. An entry with a state has ended an attempt: its delivery count is
    /// set to that of the next one, and when that is due is kept, for the case that this consumer dies.
    /// → [`Response::Fenced`]
    ExtendLease {
        /// The consumer.
        member: ConsumerId,
        /// The entries.
        items: Vec<(EntryId, Option<RetryState>)>,
    },
    /// Hands entries back, fenced, with their delivery counts. Any consumer may claim them when they are due; those that
    /// are not belong to the consumer [`DELAYED`] until then. An entry for which no due time is given keeps the one that
    /// was given before, if that has not come. → [`Response::Fenced`]
    Requeue {
        /// The consumer.
        member: ConsumerId,
        /// The entries.
        items: Vec<(EntryId, RetryState)>,
        /// The lease of the group, in milliseconds: to who does not look at due times, an entry looks expired when it is
        /// due, or after the lease if that is earlier.
        lease: u64,
        /// Whether there is no handler for the entries here: the time of the first such hand-back is kept.
        unhandled: bool,
    },
    /// Moves entries to the dead letters, fenced, with their original fields. Other groups keep them.
    /// → [`Response::Fenced`]
    DeadLetter {
        /// The consumer.
        member: ConsumerId,
        /// The stream of dead letters; with `None` the entries are acknowledged only.
        to: Option<Arc<str>>,
        /// How many dead letters the stream keeps, about.
        max_len: u64,
        /// The entries.
        letters: Vec<DeadLetterEntry>,
    },
    /// Records that a suspect entry begins to run, fenced. → [`Response::Fenced`]
    MarkStarted {
        /// The consumer.
        member: ConsumerId,
        /// The entry.
        id: EntryId,
    },
    /// Whether there are pending entries that nobody has renewed for `min_idle` milliseconds: lists the oldest. It is one
    /// command, and what was put off is an entry as any other to it. → [`Response::Pending`]
    AnyExpired {
        /// The consumer that asks.
        member: ConsumerId,
        /// The least idle time, in milliseconds.
        min_idle: u64,
    },
    /// Lists the entries that were put off and are due, and behind them the pending entries that nobody has renewed for
    /// `min_idle`, oldest first. → [`Response::Expired`]
    ListExpired {
        /// The consumer that asks.
        member: ConsumerId,
        /// The least idle time.
        min_idle: MinIdle,
        /// The most entries that are listed.
        limit: usize,
        /// Whether those that were put off are listed before they are due, oldest first.
        early: bool,
        /// Whether the store's clock has gone back: entries that were delivered, claimed or renewed in what is the future now
        /// count as renewed now, the oldest 10,000 at least.
        set_right: bool,
    },
    /// Claims those of the entries that are still idle for `min_idle`, or were put off and are due, and raises their
    /// delivery count. That of an entry of another program's consumer becomes 1: its deliveries are no attempts of ours. Of an entry that is not due, it is the count of the next attempt already, unless the
    /// entry was put off. The answer may hold the first part of them only. → [`Response::Claimed`]
    Claim {
        /// The consumer that takes the entries over.
        member: ConsumerId,
        /// The least idle time.
        min_idle: MinIdle,
        /// Whether those that were put off are claimed before they are due.
        early: bool,
        /// The entries.
        ids: Vec<EntryId>,
    },
    /// Renews this consumer's own pending entries behind `after`, oldest first, and returns them. Their delivery
    /// count is raised only with `raise`, and not that of an entry that is not due. → [`Response::Claimed`]
    ClaimOwnPending {
        /// The consumer.
        member: ConsumerId,
        /// The entry behind which the list begins; `EntryId::MIN` for all.
        after: EntryId,
        /// The most entries that are returned.
        limit: usize,
        /// Whether a process of that name has died with the entries.
        raise: bool,
    },
    /// Says that a consumer is of the group, and keeps the group's facts. → [`Response::Facts`]
    Heartbeat {
        /// The consumer.
        member: ConsumerId,
        /// The client start behind the consumer's name.
        instance: Arc<str>,
        /// The milliseconds for which the consumer counts as alive, even without `alive_key`.
        alive: u64,
        /// The key by which the client start shows that it lives: see [`Request::KeepAlive`].
        alive_key: Arc<str>,
        /// The lease of the group as this client has it, in milliseconds.
        lease: u64,
        /// How long an entry of a consumer of another program must be idle before it is claimed, as this client has it,
        /// in milliseconds.
        foreign_lease: u64,
        /// The patterns of this client's subscriptions of the group; those that are compared with the channel
        /// of an event, as the subscription says, begin with [`BY_CHANNEL`].
        patterns: Vec<String>,
        /// The low-water mark: everything up to it is settled, as far as this client knows.
        mark: Option<EntryId>,
        /// The version of the facts by which `take_up` was made; 0 where none is known.
        version: u64,
        /// The types among those that the group has read past that a pattern takes which is new to the group, each with
        /// the position behind which its entries are taken up; those before it are given up. Nothing of that is done where
        /// the patterns are refused as outdated.
        take_up: Vec<(String, Position)>,
    },
    /// Says that a client start lives, for all its consumers. The answer tells whether it was known to live: 0 or 1.
    /// → [`Response::Count`]
    KeepAlive {
        /// The key: [`keys::alive`](super::keys::alive).
        key: Arc<str>,
        /// The milliseconds for which it counts as alive.
        ttl: u64,
    },
    /// Ends the heartbeat of a consumer, and the consumer itself if it owns nothing. One that owns entries is still known as
    /// ours. The answer counts the entries
    /// that it owns. → [`Response::Count`]
    RemoveConsumer {
        /// The consumer.
        member: ConsumerId,
        /// The client start: another one that has taken the name is left alone.
        instance: Arc<str>,
    },
    /// Removes the consumers of a group that are not alive and own nothing, unless that was done within `pause`
    /// milliseconds. The answer counts them. → [`Response::Count`]
    RemoveDeadConsumers {
        /// The consumer that asks.
        member: ConsumerId,
        /// The milliseconds for which a removal is enough.
        pause: u64,
    },
    /// Trims a stream by its retention if this client start is the janitor of the stream or nobody is. The answer
    /// counts the entries that were removed. → [`Response::Count`]
    ApplyRetention {
        /// The stream.
        stream: Arc<str>,
        /// The client start.
        instance: Arc<str>,
        /// The number of newest entries that stay, about.
        max_len: Option<u64>,
        /// The age in milliseconds up to which entries stay.
        max_age: Option<u64>,
        /// Whether entries stay that a live group has not read and settled.
        safe: bool,
    },
    /// Lists the entries from `from` to `to`, both included, oldest first, or newest first with `reverse`.
    /// → [`Response::Entries`]
    Range {
        /// The stream.
        stream: Arc<str>,
        /// The least id.
        from: EntryId,
        /// The greatest id.
        to: EntryId,
        /// The most entries that are listed.
        limit: usize,
        /// Whether the newest entries come first.
        reverse: bool,
    },
    /// Says what there is to know of a stream and its groups. → [`Response::Stream`]
    Describe {
        /// The stream.
        stream: Arc<str>,
    },
    /// Lists the pending entries of a group, oldest first. → [`Response::Pending`]
    Pending {
        /// The stream.
        stream: Arc<str>,
        /// The group.
        group: Arc<str>,
        /// The least id.
        from: EntryId,
        /// The most entries that are listed.
        limit: usize,
        /// The least idle time, in milliseconds.
        min_idle: u64,
        /// The consumer whose entries are listed; with `None` those of all consumers are.
        consumer: Option<Arc<str>>,
    },
    /// Deletes entries. The answer counts those that were there. → [`Response::Count`]
    Delete {
        /// The stream.
        stream: Arc<str>,
        /// The entries.
        ids: Vec<EntryId>,
    },
    /// Trims a stream exactly. The answer counts the entries that were removed.
    /// → [`Response::Count`]
    Trim {
        /// The stream.
        stream: Arc<str>,
        /// The number of newest entries that stay.
        max_len: Option<u64>,
        /// The least id that stays.
        min_id: Option<EntryId>,
    },
    /// Sets the position of a group. → [`Response::Done`]
    SetPosition {
        /// The stream.
        stream: Arc<str>,
        /// The group.
        group: Arc<str>,
        /// The new position.
        to: Position,
    },
    /// Removes a group and its facts. The answer counts the groups that were there: 0 or 1.
    /// → [`Response::Count`]
    RemoveGroup {
        /// The stream.
        stream: Arc<str>,
        /// The group.
        group: Arc<str>,
    },
    /// Moves a dead letter back to its stream as a new entry, without the fields that the dead letter has added;
    /// for one group only, or for all. → [`Response::Appended`]
    RequeueDeadLetter {
        /// The stream of dead letters.
        letters: Arc<str>,
        /// The dead letter.
        id: EntryId,
        /// Whether only the group that the dead letter came from handles it.
        for_group: bool,
    },
    /// Appends a copy of an entry for one group only. → [`Response::Appended`]
    Redeliver {
        /// The stream.
        stream: Arc<str>,
        /// The group.
        group: Arc<str>,
        /// The entry to copy.
        id: EntryId,
    },
    /// Finds an event that is kept by its id (`persistence`). → [`Response::Event`]
    Event {
        /// The key of the event: [`keys::events`](super::keys::events).
        key: Arc<str>,
    },
    /// Changes who is in a room. Those that are added are in it for `ttl` milliseconds, by the store's time, unless
    /// they are added again. → [`Response::Done`]
    UpdatePresence {
        /// The key of the room: [`keys::presence`](super::keys::presence).
        key: Arc<str>,
        /// Who comes or stays: see [`presence::entry`](crate::presence::entry).
        add: Vec<String>,
        /// Who goes.
        remove: Vec<String>,
        /// The milliseconds for which those that are added stay.
        ttl: u64,
    },
    /// Lists who is in a room. → [`Response::Names`]
    ListPresence {
        /// The key of the room.
        key: Arc<str>,
    },
    /// Looks whether there is a stream of that name. → [`Response::Count`]: 0 or 1
    Exists {
        /// The stream.
        stream: Arc<str>,
    },
    /// Registers names with patterns, by the store's time. → [`Response::Done`]
    RegisterStreams {
        /// The key of the registry: [`keys::registry`](super::keys::registry) or [`keys::wanted`](super::keys::wanted).
        key: Arc<str>,
        /// Streams, or the [names](super::WantedPattern::name) of what groups want, each with the patterns of the types
        /// that the stream stores.
        streams: Vec<(String, Vec<String>)>,
    },
    /// Lists what is registered. → [`Response::Registered`]
    ListRegistered {
        /// The key of the registry.
        key: Arc<str>,
    },
    /// Takes one step through all keys of the store, on each of its nodes, looking for streams. → [`Response::Scanned`]
    ScanStreams {
        /// Where the step begins: the default, or `next` of the step before.
        cursor: ScanCursor,
    },
    /// Asks for the store's time, in a Cluster for that of any node. → [`Response::Time`]
    Time,
    /// Asks for the time by which entries of a stream get their ids: that of the node which has it. The stream need not exist.
    /// → [`Response::Time`]
    TimeOfStream {
        /// The stream.
        stream: Arc<str>,
    },
}

impl Request {
    /// Whether this tells the store when entries are due. Looks for expired entries forget such times when they have come.
    pub(crate) fn tells_when_due(&self) -> bool {
        match self {
            Request::ExtendLease { items, .. } => {
                items.iter().any(|(_, state)| state.is_some_and(|state| state.due_in.is_some()))
            }
            Request::Requeue { items, .. } => items.iter().any(|(_, state)| state.due_in.is_some()),
            _ => false,
        }
    }
}
