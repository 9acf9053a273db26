//! What a test is told of a connection.

/// A connection of a proxy: its number in the order of accept, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub usize);

/// What is known of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Which one.
    pub id: ConnectionId,
    /// Neither side has closed it, and the proxy has not.
    pub open: bool,
    /// Bytes are held back in at least one direction.
    pub frozen: bool,
    /// Bytes read from the client, swallowed ones included.
    pub from_client: u64,
    /// Bytes written to the server.
    pub to_server: u64,
    /// Bytes read from the server, swallowed ones included.
    pub from_server: u64,
    /// Bytes written to the client.
    pub to_client: u64,
}
