//! Whom the reader of a group tells what came.

use std::sync::Arc;

use oxbus_model::BusError;
use oxbus_model::config::Address;
use oxbus_model::consumer::{GroupKey, ReceivedEntry};
use tokio::sync::mpsc::UnboundedSender;

use crate::transport::context::TransportContext;

/// One of the readers of nodes: its node, and a number that a later reader of the same node does not have.
pub(super) type NodeReader = (Address, u64);

/// Whom a reader tells.
pub(super) enum Reports {
    /// The client.
    ToClient(GroupKey, Arc<TransportContext>),
    /// The reader of all nodes of a Cluster, of which this is one.
    ToReader(NodeReader, UnboundedSender<(NodeReader, FromNode)>),
}

/// What the reader of a node tells.
pub(super) enum FromNode {
    Up,
    Down,
    /// A read has ended with these entries, or with none.
    Entries(Vec<ReceivedEntry>),
    /// A read was refused.
    Refused(BusError),
}

impl Reports {
    pub(super) fn up(&self) {
        match self {
            Reports::ToClient(key, context) => context.events.reader_up(*key),
            Reports::ToReader(node, to) => _ = to.send((node.clone(), FromNode::Up)),
        }
    }

    pub(super) fn down(&self, error: &BusError) {
        match self {
            Reports::ToClient(key, context) => context.events.reader_down(*key, error),
            Reports::ToReader(node, to) => _ = to.send((node.clone(), FromNode::Down)),
        }
    }

    pub(super) fn entries(&self, entries: Vec<ReceivedEntry>) {
        match self {
            Reports::ToClient(key, context) => context.events.entries(*key, entries),
            Reports::ToReader(node, to) => _ = to.send((node.clone(), FromNode::Entries(entries))),
        }
    }

    pub(super) fn refused(&self, error: BusError) {
        match self {
            Reports::ToClient(key, context) => context.events.read_interrupted(*key, error),
            Reports::ToReader(node, to) => _ = to.send((node.clone(), FromNode::Refused(error))),
        }
    }
}
