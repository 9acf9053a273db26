//! What the caller is to do: requests to the store, and reads.

use std::sync::Arc;

use crate::consumer::membership::GroupKey;
use crate::stream_store::{EntryId, Request};

/// Something to do.
#[derive(Clone, Debug)]
pub enum Work {
    /// Execute a request and tell [`Consumer::answered`](super::Consumer::answered).
    Store(GroupKey, Request),
    /// Read new entries of a group, waiting for them, and tell [`Consumer::arrived`](super::Consumer::arrived) or
    /// [`Consumer::interrupted`](super::Consumer::interrupted).
    Read(Read),
}

/// Streams, and behind which entry of each.
pub type Positions = Arc<[(Arc<str>, EntryId)]>;

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
    /// Behind which entries of the streams, where it is for no group, and nothing is claimed by it.
    pub behind: Option<Positions>,
}
