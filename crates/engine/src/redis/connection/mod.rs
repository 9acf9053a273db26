//! One supervised connection.
//!
//! - `socket`, `tls`, `handshake`: from a configuration to a connection that is ready for commands.
//! - `link`: keeps one connection, drives its session, and connects again.
//! - `pipeline`: commands that wait for their replies, in order.
//! - `server_info`: what the server says of itself.

pub(crate) mod handshake;
pub(crate) mod link;
pub(crate) mod pipeline;
pub(crate) mod server_info;
pub(crate) mod socket;
pub(crate) mod tls;
