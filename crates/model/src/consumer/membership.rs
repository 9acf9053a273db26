//! A group of this client, and how the client joins it.

use std::sync::Arc;

use crate::options::subscribe::OrderBy;
use crate::stream_store::Position;

/// Names a group within one [`Consumer`](super::Consumer).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey(pub u32);

impl GroupKey {
    /// No group: the reader of what live subscriptions get from streams. No consumer has as many groups.
    pub const TAIL: GroupKey = GroupKey(u32::MAX);
}

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
    /// That of entries of other programs' consumers, in milliseconds.
    pub foreign_lease: u64,
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
