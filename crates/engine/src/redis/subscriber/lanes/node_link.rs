//! The link of a node, and what the hub knows of it.

use oxbus_model::routing::router::ServerSubscription;

use super::session::LaneInput;
use crate::redis::connection::handle::Handle;

/// The link of a node, and what is known of it.
pub(super) struct NodeLink {
    pub(super) handle: Handle<LaneInput>,
    /// Tells it from an earlier one to the same node.
    pub(super) number: u64,
    pub(super) connected: bool,
    /// When the last heartbeat was sent that was answered, or the connection was made.
    pub(super) sound: u64,
    /// What the link was told last of lanes that the node refuses; `None` while not all is answered.
    pub(super) settled: Option<Vec<ServerSubscription>>,
    /// Whether it was reported that lanes wait for an answer.
    pub(super) pending: bool,
}

impl NodeLink {
    /// One that was just started.
    pub(super) fn new(handle: Handle<LaneInput>, number: u64) -> NodeLink {
        NodeLink { handle, number, connected: false, sound: 0, settled: None, pending: false }
    }
}
