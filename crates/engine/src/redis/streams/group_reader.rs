//! The reader of a group: one connection that waits for new entries.
//!
//! The session sends reads, and reports what came or that nothing came in time. A read that is blocked cannot be
//! followed by other commands, so it never blocks for longer than a heartbeat, and ending it takes
//! another connection.

use std::sync::Arc;

use oxbus_model::consumer::{GroupKey, Read};
use redis::cmd;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::redis::connection::link::{Connector, Handle};
use crate::redis::streams::command_link::CommandLink;
use crate::redis::streams::reader_input::{Input, LEAVE_LIMIT};
use crate::redis::streams::reader_session::GroupReaderSession;
use crate::runtime::tasks::Tasks;
use crate::transport::context::TransportContext;
use crate::transport::link_id::LinkId;

/// The handle of a reader; dropping it ends it.
pub(in crate::redis) struct GroupReader {
    id: LinkId,
    link: Handle<Input>,
    context: Arc<TransportContext>,
}

impl GroupReader {
    /// Starts to connect.
    pub(in crate::redis) fn start(key: GroupKey, group: Arc<str>, connector: &Connector) -> Self {
        let id = LinkId::Reader(group);
        let context = connector.context.clone();
        let session = GroupReaderSession::new(key, id.clone(), context.clone());
        GroupReader { id, link: connector.start(session), context }
    }

    /// Reads; see [`Transport::read`](crate::transport::Transport::read). False when the link has ended.
    pub(in crate::redis) fn read(&self, read: Read) -> bool {
        self.link.send(Input::Read(read))
    }

    /// Ends it at once.
    pub(in crate::redis) fn end(self) -> JoinHandle<()> {
        self.link.end()
    }

    /// Ends it when what was delivered to it has arrived.
    pub(in crate::redis) async fn leave(self, commands: Arc<CommandLink>) {
        let (sender, answer) = oneshot::channel();
        self.link.send(Input::Leave(sender));
        if let Ok(Some(blocked)) = answer.await {
            blocked.end(&commands, &self.context).await;
        }
        // A read that could not be ended ends with its connection.
        let _ = self.link.end().await;
        self.context.events.link_gone(&self.id);
    }

    /// Ends a blocked read, so that the next one can ask for something else.
    pub(in crate::redis) fn unblock_read(&self, commands: Arc<CommandLink>, tasks: &Tasks) {
        let (sender, answer) = oneshot::channel();
        self.link.send(Input::Unblock(sender));
        let clock = self.context.clock.clone();
        tasks.spawn(async move {
            if let Ok(Some(client)) = answer.await {
                // Where that is not allowed, the read ends by itself.
                let deadline = clock.now_ms() + LEAVE_LIMIT;
                let _ = commands.ask(cmd("CLIENT").arg("UNBLOCK").arg(client), deadline).await;
            }
        });
    }

    #[cfg(feature = "failpoints")]
    pub(in crate::redis) fn inject_panic(&self) {
        self.link.inject_panic();
    }
}
