//! What a link carries.

use oxbus_model::BusError;
use oxbus_model::stream_store::KeyLayout;
use redis::Cmd;

use crate::redis::resp::reply::Protocol;
use crate::transport::link_id::LinkId;

/// What a link carries.
pub(crate) trait Session: Send + 'static {
    /// The inputs that others send to it.
    type Input: Send + 'static;

    /// Whether only a master will do.
    const MASTER: bool;

    /// Which link it is.
    fn link(&self) -> &LinkId;

    /// Commands that are sent after every connect. Their replies are ignored.
    fn on_connect(&self) -> Vec<Cmd> {
        Vec::new()
    }

    /// Takes an input, connected or not.
    fn input(&mut self, input: Self::Input, now_ms: u64);

    /// A connection is ready for commands.
    fn opened(&mut self, connection: Opened, now_ms: u64);

    /// The bytes that are to be written next; empty when there are none.
    fn outgoing(&mut self, now_ms: u64) -> &[u8];

    /// So many bytes of the outgoing ones have been written.
    fn written(&mut self, bytes: usize, now_ms: u64);

    /// Takes the whole replies at the start of `buffer` and returns their length. An error drops the connection.
    fn received(&mut self, buffer: &[u8], now_ms: u64) -> Result<usize, BusError>;

    /// Whether a server that is not the right one any more can be left at once: in a Cluster, the answers to what was written
    /// are still to come.
    fn is_answered(&self) -> bool {
        true
    }

    /// Whether it only waits for inputs, so that to take one is short work: whoever sends the next one may do that himself.
    fn is_idle(&self) -> bool {
        false
    }

    /// When [`Session::tick`] is needed.
    fn deadline(&self) -> Option<u64>;

    /// Acts on deadlines that have passed. An error drops the connection.
    fn tick(&mut self, now_ms: u64) -> Result<(), BusError>;

    /// The connection is gone.
    fn closed(&mut self, error: &BusError);

    /// The link ends for good: settles all that is left.
    fn ended(&mut self);
}

/// What a session is told of a new connection.
pub(crate) struct Opened {
    pub(crate) protocol: Protocol,
    pub(crate) role_known: bool,
    pub(crate) layout: KeyLayout,
    /// Whether the last connection was to another server.
    pub(crate) is_other_server: bool,
}
