//! The reader of one node, as the reader of all nodes of a Cluster knows it.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use crate::redis::connection::link::Connector;
use crate::redis::streams::command_link::CommandLink;
use crate::redis::streams::group_reader::GroupReader;

/// The streams of a read.
pub(super) type Streams = Arc<[Arc<str>]>;

pub(super) struct OfNode {
    pub(super) reader: GroupReader,
    pub(super) number: u64,
    pub(super) is_up: bool,
    pub(super) was_up: bool,
    /// The streams of its reads that are under way.
    pub(super) under_way: VecDeque<Streams>,
    /// Of which streams it is asked though their slots are only on their way to it.
    pub(super) asked_of: HashSet<Arc<str>>,
    /// It is not asked before, on the client's clock.
    pub(super) not_before: u64,
    /// Whether its read is being ended.
    pub(super) is_unblocked: bool,
}

impl OfNode {
    pub(super) fn new(reader: GroupReader, number: u64) -> OfNode {
        OfNode {
            reader,
            number,
            is_up: false,
            was_up: false,
            under_way: VecDeque::new(),
            asked_of: HashSet::new(),
            not_before: 0,
            is_unblocked: false,
        }
    }

    /// Ends its read, if one waits.
    pub(super) fn unblock(&mut self, commands: &Arc<CommandLink>, connector: &Connector) {
        if !self.under_way.is_empty() && !std::mem::replace(&mut self.is_unblocked, true) {
            self.reader.unblock_read(commands.clone(), &connector.tasks);
        }
    }
}
