//! What the reader of a group is told, and a read of it that is to end.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use oxbus_model::config::Address;
use oxbus_model::consumer::Read;
use redis::cmd;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::redis::streams::command_link::CommandLink;
use crate::transport::context::TransportContext;

/// How long a blocked read may take to end when the reader is to leave, in milliseconds.
pub(super) const LEAVE_LIMIT: u64 = 1_000;

/// How long an unblocked read may take to answer until it is unblocked again: the server may have met the
/// command to unblock before the read.
const UNBLOCK_PAUSE: Duration = Duration::from_millis(50);

/// An input of a reader.
pub(super) enum Input {
    Read(Read),
    /// In a Cluster: the streams of which the node is asked though their slots are only on their way to it.
    Asking(HashSet<Arc<str>>),
    /// Tell the server's number of the connection, if a read is unanswered.
    Unblock(oneshot::Sender<Option<i64>>),
    /// Read no more, and tell of a read that is unanswered.
    Leave(oneshot::Sender<Option<Blocked>>),
}

/// A read that is unanswered.
pub(super) struct Blocked {
    /// The server's number of the connection, where it may be known.
    pub(super) client: Option<i64>,
    /// Done when the read is over.
    pub(super) over: oneshot::Receiver<()>,
}

impl Blocked {
    /// Ends it.
    pub(super) async fn end(
        mut self,
        commands: &CommandLink,
        node: Option<&Address>,
        context: &TransportContext,
    ) {
        let Some(client) = self.client else { return };
        let deadline = context.clock.now_ms() + LEAVE_LIMIT;
        let mut unblock = cmd("CLIENT");
        unblock.arg("UNBLOCK").arg(client);
        while context.clock.now_ms() < deadline && commands.ask_node(node, &unblock, deadline).await.is_ok() {
            if timeout(UNBLOCK_PAUSE, &mut self.over).await.is_ok() {
                return;
            }
        }
    }
}
