//! The command link: sends commands whose callers wait for the replies.

use std::sync::Arc;

use oxbus_model::config::Address;
use oxbus_model::stream_store::KeyLayout;
use oxbus_model::{BusError, ErrorKind, Outcome};
use redis::{Cmd, cmd};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout_at;

use crate::redis::connection::endpoint::Endpoint;
use crate::redis::connection::lazy_link::LazyLink;
use crate::redis::resp::value::RespValue;
use crate::redis::streams::asker::{Asker, closed};
use crate::redis::streams::command_session::Input;
use crate::redis::streams::node_links::NodeLinks;
use crate::redis::topology::cluster::view::Known;
use crate::runtime::joined::join_all;
use crate::runtime::tasks::Tasks;
use crate::transport::context::TransportContext;
use crate::transport::link_id::LinkId;

/// Sends commands on a link of its own, which is made with the first; in a Cluster on one for each node.
pub(in crate::redis) struct CommandLink {
    context: Arc<TransportContext>,
    endpoint: Arc<Endpoint>,
    links: Links,
    asker: Arc<Asker>,
}

/// Where commands go.
pub(in crate::redis) enum Links {
    One(LazyLink<Input>),
    OfNodes(NodeLinks),
}

impl CommandLink {
    pub(in crate::redis) fn new(
        context: Arc<TransportContext>,
        endpoint: Arc<Endpoint>,
        links: Links,
    ) -> Arc<Self> {
        Arc::new(CommandLink { context, endpoint, links, asker: Arc::default() })
    }

    /// When a command that is sent now must be answered, on the client's clock.
    pub(in crate::redis) fn deadline(&self) -> u64 {
        self.context.clock.now_ms().saturating_add(self.context.config.redis.command_timeout)
    }

    /// The client's time, in milliseconds since the Unix epoch.
    pub(in crate::redis) fn wall_ms(&self) -> i64 {
        self.context.clock.wall_ms()
    }

    /// Sends a command and waits for the reply, until `deadline`.
    ///
    /// # Errors
    /// What the server says (`Rejected`); `QUEUE_FULL`, `CLOSED` and a lack of connection (`NotSent`);
    /// no reply: `Unknown`.
    pub(in crate::redis) async fn ask(&self, command: &Cmd, deadline: u64) -> Result<RespValue, BusError> {
        let packed = command.get_packed_command();
        match &self.links {
            Links::One(link) => self.asker.ask(link, packed, false, deadline).await,
            Links::OfNodes(nodes) => nodes.ask(&self.asker, packed, deadline).await,
        }
    }

    /// Sends a command to a node of a Cluster, whatever its keys. Without a Cluster there is but one server.
    ///
    /// # Errors
    /// As [`CommandLink::ask`].
    pub(in crate::redis) async fn ask_node(
        &self,
        node: Option<&Address>,
        command: &Cmd,
        deadline: u64,
    ) -> Result<RespValue, BusError> {
        match (&self.links, node) {
            (Links::OfNodes(nodes), Some(node)) => {
                nodes.ask_at(&self.asker, node, command.get_packed_command(), false, deadline).await
            }
            _ => self.ask(command, deadline).await,
        }
    }

    /// The masters of a Cluster in the order of their addresses; without one the only server, which has no address here.
    /// Waits until one is known, until `deadline`.
    ///
    /// # Errors
    /// As [`CommandLink::ask`].
    pub(in crate::redis) async fn nodes(&self, deadline: u64) -> Result<Vec<Option<Address>>, BusError> {
        let Links::OfNodes(nodes) = &self.links else { return Ok(vec![None]) };
        Ok(nodes.masters(deadline).await?.into_iter().map(Some).collect())
    }

    /// The nodes of a Cluster that were asked anything, in the order of their addresses; the masters where there are none.
    /// Without a Cluster there are none.
    ///
    /// # Errors
    /// As [`CommandLink::ask`].
    pub(in crate::redis) async fn nodes_in_use(&self, deadline: u64) -> Result<Vec<Address>, BusError> {
        let Links::OfNodes(nodes) = &self.links else { return Ok(Vec::new()) };
        let in_use: Vec<Address> = nodes.all().into_iter().map(|(node, _)| node).collect();
        if in_use.is_empty() { nodes.masters(deadline).await } else { Ok(in_use) }
    }

    /// The master of the slot of a key, as far as it is known; `None` without a Cluster.
    pub(in crate::redis) fn node_of(&self, key: &str) -> Option<Address> {
        match &self.links {
            Links::One(_) => None,
            Links::OfNodes(nodes) => nodes.view().owner_of(key),
        }
    }

    /// Ends the links to nodes of a Cluster that have no slots any more, once what was asked there is answered.
    pub(in crate::redis) fn end_links_of_gone_nodes(self: &Arc<Self>, known: &Known, tasks: &Tasks) {
        let Links::OfNodes(nodes) = &self.links else { return };
        for (node, link) in nodes.take_gone(known) {
            let commands = self.clone();
            tasks.spawn(async move {
                let (sender, flushed) = oneshot::channel();
                if link.send_if_started(Input::Flush(sender)) {
                    let _ = flushed.await;
                }
                let Some(ended) = link.end() else { return };
                let _ = ended.await;
                commands.forget(&node);
            });
        }
    }

    /// The link to a node has ended. What is known of it is forgotten, unless there is another one by now.
    fn forget(&self, node: &Address) {
        if matches!(&self.links, Links::OfNodes(nodes) if !nodes.has(node)) {
            self.context.events.link_gone(&LinkId::Consumer.at(node));
        }
    }

    /// How keys are named on the server. Before the first login of this client it waits for one, until `deadline`.
    ///
    /// # Errors
    /// As [`CommandLink::ask`].
    pub(in crate::redis) async fn layout(&self, deadline: u64) -> Result<KeyLayout, BusError> {
        if let Some(layout) = self.endpoint.layout() {
            return Ok(layout);
        }
        let Links::One(link) = &self.links else { return Ok(KeyLayout::Tagged) };
        let permit = self.asker.permit(0)?;
        let (sender, told) = oneshot::channel();
        if link.send(Input::Layout(sender, permit)).is_err() {
            return Err(closed());
        }
        match timeout_at(self.context.clock.instant(deadline), told).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err(closed())),
            Err(_) => {
                let message = "no answer in time; it was never sent";
                Err(BusError::new(ErrorKind::CommandTimeout, message).with_outcome(Outcome::NotSent))
            }
        }
    }

    /// One round trip on each link, until `deadline`, and which was asked: a link that was never needed is not.
    pub(in crate::redis) async fn probe(&self, deadline: u64) -> Vec<(LinkId, Result<(), BusError>)> {
        let ping = || cmd("PING").get_packed_command();
        match &self.links {
            Links::One(link) if !link.is_started() => vec![(LinkId::Consumer, Ok(()))],
            Links::One(link) => {
                let answer = self.asker.ask(link, ping(), false, deadline).await;
                vec![(LinkId::Consumer, answer.map(drop))]
            }
            Links::OfNodes(nodes) => {
                let asked = nodes.all().into_iter().map(|(node, _)| async move {
                    let answer = nodes.ask_at(&self.asker, &node, ping(), false, deadline).await;
                    (LinkId::Consumer.at(&node), answer.map(drop))
                });
                join_all(asked).await
            }
        }
    }

    /// Ends all links, for good; what waits is settled when the tasks are over.
    pub(in crate::redis) fn end(&self) -> Vec<JoinHandle<()>> {
        match &self.links {
            Links::One(link) => link.end().into_iter().collect(),
            Links::OfNodes(nodes) => nodes.end(),
        }
    }

    #[cfg(feature = "failpoints")]
    pub(in crate::redis) fn inject_panic(&self) {
        match &self.links {
            Links::One(link) => link.inject_panic(),
            Links::OfNodes(nodes) => nodes.all().iter().for_each(|(_, link)| link.inject_panic()),
        }
    }
}
