//! The reader of a group: one connection that waits for new entries.
//!
//! The session sends reads, and reports what came or that nothing came in time. A read that is blocked cannot be
//! followed by other commands, so it never blocks for longer than a heartbeat, and ending it takes
//! another connection.

use std::collections::HashSet;
use std::sync::Arc;

use oxbus_model::consumer::{GroupKey, Read};
use redis::cmd;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::redis::connection::handle::Handle;
use crate::redis::connection::link::Connector;
use crate::redis::streams::command_link::CommandLink;
use crate::redis::streams::reader_input::{Input, LEAVE_LIMIT};
use crate::redis::streams::reader_reports::{FromNode, NodeReader, Reports};
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
        let id = LinkId::of_reader(key, group);
        let context = connector.context.clone();
        let reports = Reports::ToClient(key, context.clone());
        let session = GroupReaderSession::new(id.clone(), context.clone(), reports);
        GroupReader { id, link: connector.start(session), context }
    }

    /// Starts to connect to a node of a Cluster.
    pub(super) fn of_node(
        (key, group): (GroupKey, Arc<str>),
        node: &NodeReader,
        reports: UnboundedSender<(NodeReader, FromNode)>,
        connector: &Connector,
    ) -> Self {
        let (id, context) = (LinkId::of_reader(key, group).at(&node.0), connector.context.clone());
        let session =
            GroupReaderSession::new(id.clone(), context.clone(), Reports::ToReader(node.clone(), reports));
        GroupReader { id, link: connector.start(session), context }
    }

    /// Of a task that takes what a reader takes.
    pub(super) fn of_task(id: LinkId, link: Handle<Input>, context: Arc<TransportContext>) -> Self {
        GroupReader { id, link, context }
    }

    pub(super) fn ask_of(&self, streams: HashSet<Arc<str>>) {
        self.link.send(Input::Asking(streams));
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
            blocked.end(&commands, self.id.node(), &self.context).await;
        }
        // A read that could not be ended ends with its connection.
        let _ = self.link.end().await;
        self.context.events.link_gone(&self.id);
    }

    /// Ends a blocked read, so that the next one can ask for something else.
    pub(in crate::redis) fn unblock_read(&self, commands: Arc<CommandLink>, tasks: &Tasks) {
        let (sender, answer) = oneshot::channel();
        self.link.send(Input::Unblock(sender));
        let (clock, node) = (self.context.clock.clone(), self.id.node().cloned());
        tasks.spawn(async move {
            if let Ok(Some(client)) = answer.await {
                // Where that is not allowed, the read ends by itself.
                let deadline = clock.now_ms() + LEAVE_LIMIT;
                let _ = commands
                    .ask_node(node.as_ref(), cmd("CLIENT").arg("UNBLOCK").arg(client), deadline)
                    .await;
            }
        });
    }

    #[cfg(feature = "failpoints")]
    pub(in crate::redis) fn inject_panic(&self) {
        self.link.inject_panic();
    }
}
