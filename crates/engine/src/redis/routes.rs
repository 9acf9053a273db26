//! Which links a client has: one of each kind to a single server, or to a master; one for each node of a Cluster.

use std::sync::Arc;

use oxbus_model::config::Servers;
use oxbus_model::consumer::GroupKey;

use crate::redis::connection::handle::Handle;
use crate::redis::connection::lazy_link::LazyLink;
use crate::redis::connection::link::Connector;
use crate::redis::publisher::group_gate::GroupGate;
use crate::redis::publisher::input::Input;
use crate::redis::publisher::router::RouterStart;
use crate::redis::publisher::session::Publisher;
use crate::redis::streams::cluster_reader::ClusterReader;
use crate::redis::streams::command_link::{CommandLink, Links};
use crate::redis::streams::command_session::CommandSession;
use crate::redis::streams::group_reader::GroupReader;
use crate::redis::streams::node_links::NodeLinks;
use crate::redis::subscriber::{self, Subscriber, lanes};
use crate::redis::topology::cluster::view::ClusterView;
use crate::transport::link_id::LinkId;

/// Makes the links of a client.
pub(in crate::redis) struct Routes {
    connector: Connector,
    gate: Arc<GroupGate>,
    /// What is known of the Cluster; `None` without one.
    cluster: Option<Arc<ClusterView>>,
}

impl Routes {
    pub(in crate::redis) fn new(
        connector: Connector,
        gate: Arc<GroupGate>,
        cluster: Option<Arc<ClusterView>>,
    ) -> Routes {
        Routes { connector, gate, cluster }
    }

    pub(in crate::redis) fn is_of_cluster(&self) -> bool {
        self.cluster.is_some()
    }

    /// The name of the part of the health report that tells of the servers.
    pub(in crate::redis) fn report_name(&self) -> &'static str {
        match self.connector.context.config.redis.servers {
            Servers::Cluster(_) => "cluster",
            _ => "sentinel",
        }
    }

    /// The links of commands.
    pub(in crate::redis) fn command_links(&self) -> Links {
        let start = self.connector.clone();
        let Some(view) = self.cluster.clone() else {
            return Links::One(LazyLink::new(move || {
                start.start(CommandSession::new(LinkId::Consumer, start.context.clone()))
            }));
        };
        let clock = start.context.clock.clone();
        Links::OfNodes(NodeLinks::new(view, clock, move |node| {
            let (start, id) = (start.clone(), LinkId::Consumer.at(node));
            LazyLink::new(move || start.start(CommandSession::new(id.clone(), start.context.clone())))
        }))
    }

    /// What hears live events.
    pub(in crate::redis) fn subscriber(&self) -> Handle<subscriber::Input> {
        let context = &self.connector.context;
        match (&self.cluster, &context.lanes) {
            (Some(view), Some(lanes)) => lanes::start(self.connector.clone(), view.clone(), lanes.clone()),
            _ => self.connector.start(Subscriber::new(LinkId::Subscriber, context.clone())),
        }
    }

    /// The link of publishes. Those that wait for replicas go to `replicated`.
    pub(in crate::redis) fn publisher(
        &self,
        commands: &Arc<CommandLink>,
        replicated: Arc<LazyLink<Input>>,
    ) -> Handle<Input> {
        let (connector, gate) = (self.connector.clone(), self.gate.clone());
        match self.cluster.clone() {
            Some(view) => {
                let (replicated, commands) = (Some(replicated), Some(commands.clone()));
                RouterStart { connector, view, gate, replicated, commands }.start()
            }
            None => {
                let session = Publisher::new(connector.context.clone(), gate, replicated);
                connector.start(session)
            }
        }
    }

    /// The link of publishes that wait for replicas, which is started with the first of them.
    pub(in crate::redis) fn replicated(&self) -> LazyLink<Input> {
        let (connector, gate, cluster) = (self.connector.clone(), self.gate.clone(), self.cluster.clone());
        LazyLink::new(move || {
            let (connector, gate) = (connector.clone(), gate.clone());
            match cluster.clone() {
                Some(view) => RouterStart { connector, view, gate, replicated: None, commands: None }.start(),
                None => {
                    let session = Publisher::replicated(connector.context.clone(), gate);
                    connector.start(session)
                }
            }
        })
    }

    /// The reader of a group.
    pub(in crate::redis) fn reader(
        &self,
        key: GroupKey,
        group: Arc<str>,
        commands: &Arc<CommandLink>,
    ) -> GroupReader {
        match &self.cluster {
            Some(view) => ClusterReader::start(key, group, &self.connector, view, commands),
            None => GroupReader::start(key, group, &self.connector),
        }
    }
}
