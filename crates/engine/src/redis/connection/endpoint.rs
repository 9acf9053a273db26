//! Where links connect, and how.

use std::sync::Arc;

use oxbus_model::BusError;
use oxbus_model::config::Address;
use oxbus_model::stream_store::KeyLayout;
use redis::Cmd;
use serde_json::Value;

use crate::redis::connection::handshake::Handshake;
use crate::redis::connection::open_connection::OpenConnection;
use crate::redis::topology::{ConnectionOutcome, Topology};
use crate::transport::Boxed;
use crate::transport::link_id::LinkId;

/// Where links connect, and how.
pub(in crate::redis) struct Endpoint {
    topology: Box<dyn Topology>,
    handshake: Arc<Handshake>,
}

impl Endpoint {
    pub(in crate::redis) fn new(topology: Box<dyn Topology>, handshake: Arc<Handshake>) -> Arc<Self> {
        Arc::new(Endpoint { topology, handshake })
    }

    /// How the keys are named; `None` before the first login.
    pub(in crate::redis) fn layout(&self) -> Option<KeyLayout> {
        self.handshake.layout()
    }

    /// The server that a link is to connect to next.
    pub(in crate::redis) async fn locate(&self, link: &LinkId) -> Result<Address, BusError> {
        self.topology.locate(link).await
    }

    /// Connects a link to `address`, within the connect timeout. With `master`, a server that is a replica is refused.
    /// `on_connect` are commands that are sent after every login. Their replies are ignored.
    pub(in crate::redis) async fn connect(
        &self,
        link: &LinkId,
        address: &Address,
        master: bool,
        on_connect: Vec<Cmd>,
    ) -> Result<OpenConnection, BusError> {
        let connecting = self.handshake.connect(address, master, on_connect);
        let connected = match self.superseded(link, Some(address)) {
            Some(superseded) => tokio::select! {
                connected = connecting => connected,
                error = superseded => return Err(error),
            },
            None => connecting.await,
        };
        let outcome = connected.as_ref().map_or_else(ConnectionOutcome::of, |_| ConnectionOutcome::Connected);
        self.topology.learn(link, address, outcome);
        connected
    }

    /// A connection of a link to `address` has ended.
    pub(in crate::redis) fn lost(&self, link: &LinkId, address: &Address, error: &BusError) {
        self.topology.learn(link, address, ConnectionOutcome::of(error));
    }

    /// See [`Topology::superseded`].
    pub(in crate::redis) fn superseded(
        &self,
        link: &LinkId,
        address: Option<&Address>,
    ) -> Option<Boxed<'static, BusError>> {
        self.topology.superseded(link, address)
    }

    /// See [`Topology::for_the_client`].
    pub(in crate::redis) fn for_the_client(&self, error: &BusError) -> BusError {
        self.topology.for_the_client(error)
    }

    /// See [`Topology::report`].
    pub(in crate::redis) fn report(&self) -> Option<(Value, Vec<(&'static str, String)>)> {
        self.topology.report()
    }

    /// See [`Topology::close`].
    pub(in crate::redis) fn close(&self) {
        self.topology.close();
    }
}
