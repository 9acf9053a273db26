//! Durable delivery: what the consumer groups of one client have claimed, and what becomes of it.
//!
//! One table per client, without I/O or clock. It says what work is to be done ([`Claims::work`]), is
//! told what came of it, hands events out to handlers and takes their settlements.
//!
//! # Layout
//!
//! - this file: what it is told and what it says; `table`: [`Claims`], the groups of a client;
//! - `group`: a group: its subscriptions, how much it reads; `arrival`, `hand_out`, `settlement`, `ending`:
//!   the life of an entry in it; `entry`, `subscriber`, `lanes`, `pace`: its parts;
//! - `stream`: a stream of a group; `requests`, `answers`, `search`: what is asked of the store for it, and
//!   what comes of that; `gate`: how often;
//! - `suspects`: entries that may kill the process, one by one; `doubt`: entries that nobody seems to want.

mod dispatch;
mod ending;
mod entry;
mod group;
mod intake;
mod ordering;
mod poison;
mod received;
mod requests;
mod responses;
mod retry_gate;
mod scan;
mod settle;
mod stream;
mod subscriber;
mod table;
#[cfg(test)]
mod tests;
mod throughput;
mod unmatched;

use std::sync::Arc;

use super::BusError;
use crate::delivery::{InboundEvent, LiveEvent};
use crate::options::subscribe::OrderBy;
use crate::stream_store::{EntryId, Missed, Position, Request};

pub use table::Claims;

/// Names a group within one [`Claims`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey(pub u32);

/// Tokens of durable calls have this bit; those of live ones have not.
pub const DURABLE_TOKEN: u32 = 1 << 31;

/// What a client brings when it joins a group with its first subscription.
#[derive(Clone, Debug)]
pub struct Joining {
    /// The group.
    pub group: Arc<str>,
    /// The consumer's name.
    pub consumer: Arc<str>,
    /// The client start.
    pub instance: Arc<str>,
    /// The lease of this client's configuration, in milliseconds.
    pub lease: u64,
    /// The order that all subscriptions of the group keep.
    pub order_by: OrderBy,
}

/// A stream that a subscription reads, and where its group starts if it is new.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The stream.
    pub stream: Arc<str>,
    /// Where a new group starts.
    pub from: Position,
    /// Whether the subscription asked for that start: then an existing group is worth a warning.
    pub given: bool,
}

/// An entry that was read, claimed or found pending.
#[derive(Debug)]
pub struct ReceivedEntry {
    /// Its stream.
    pub stream: Arc<str>,
    /// Its id.
    pub id: EntryId,
    /// Its delivery count, this delivery included.
    pub deliveries: u32,
    /// Whether it was begun as a suspect and has not ended.
    pub begun: bool,
    /// The store's time of the first hand-back for lack of a handler.
    pub unhandled_since: Option<u64>,
    /// What it holds.
    pub content: Content,
}

/// What an entry holds.
#[derive(Debug)]
pub enum Content {
    /// An event.
    Event {
        /// The event.
        candidate: InboundEvent,
        /// Its type.
        event_type: Box<str>,
        /// The only group that it is for.
        only_group: Option<Box<str>>,
    },
    /// Not an event: why.
    Undecodable(String),
}

/// Something to do.
#[derive(Clone, Debug)]
pub enum Work {
    /// Execute a request and tell [`Claims::answered`].
    Store(GroupKey, Request),
    /// Read new entries of a group, waiting for them, and tell [`Claims::arrived`] or [`Claims::interrupted`].
    Read(Read),
}

/// A read of new entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// For which group.
    pub key: GroupKey,
    /// Its name.
    pub group: Arc<str>,
    /// The consumer that reads.
    pub consumer: Arc<str>,
    /// The streams.
    pub streams: Arc<[Arc<str>]>,
    /// How many entries at the most, for each stream.
    pub limit: usize,
}

/// Something that others must know.
#[derive(Clone, Debug)]
pub enum Announcement {
    /// A subscription is established.
    Confirmed {
        /// Which.
        subscription: u32,
    },
    /// A subscription cannot be established.
    Refused {
        /// Which.
        subscription: u32,
        /// Why.
        error: BusError,
    },
    /// An entry with running handlers belongs to another consumer now.
    ClaimLost {
        /// The handler calls.
        tokens: Vec<u32>,
        /// The stream.
        stream: Arc<str>,
        /// The group.
        group: Arc<str>,
        /// The entry.
        id: EntryId,
    },
    /// Entries will never reach a handler of the group.
    MessagesLost {
        /// The stream.
        stream: Arc<str>,
        /// The group.
        group: Arc<str>,
        /// Which; for single deleted entries `from` and `to` are their first and last.
        missed: Missed,
    },
    /// An entry was moved to the dead letters (or, where there are none, given up).
    DeadLettered {
        /// The stream.
        stream: Arc<str>,
        /// The group.
        group: Arc<str>,
        /// The entry.
        id: EntryId,
        /// The event's JSON; `None` where it cannot be decoded.
        event: Option<Arc<LiveEvent>>,
        /// How often it was tried.
        attempts: u32,
        /// Why.
        reason: &'static str,
        /// The error as JSON.
        error: Arc<str>,
        /// Whether it is kept among the dead letters.
        kept: bool,
    },
    /// A group had disappeared and was created again.
    GroupRecreated {
        /// The stream.
        stream: Arc<str>,
        /// The group.
        group: Arc<str>,
        /// Behind which entry it goes on.
        from: EntryId,
    },
    /// Something to look at.
    Warning {
        /// A short name.
        code: &'static str,
        /// What and why.
        message: String,
    },
    /// Something failed that no call waits for.
    Error(BusError),
}
