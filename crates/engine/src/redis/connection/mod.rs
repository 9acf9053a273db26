//! One supervised connection.
//!
//! - `cluster`: whether the server runs in cluster mode.
//! - `names`, `dial`: from a name to the address that connects first.
//! - `socket`, `stream`, `tls`: from an address to a socket; `access`, `credentials`, `open_connection`: to one that is logged in;
//!   `handshake`, `step`: to one that is ready for commands.
//! - `endpoint`: where links connect.
//! - `failures`: what is told when no connection comes about.
//! - `handle`: how inputs come to a link; `stepped`: by a step of its task that the sender makes himself.
//! - `link`: keeps one connection, drives its `session`, and connects again.
//! - `lazy_link`: a link that is made with its first input.
//! - `pipeline`: commands that wait for their replies, in order; `expiry`: when it is searched for late ones.
//! - `liveness`: when a connection counts as dead.
//! - `server_info`: what the server says of itself; `replicas_info`: and of its replicas.

pub(crate) mod access;
pub(crate) mod cluster;
mod credentials;
mod dial;
pub(crate) mod endpoint;
pub(crate) mod expiry;
mod failures;
pub(crate) mod handle;
pub(crate) mod handshake;
pub(crate) mod lazy_link;
pub(crate) mod link;
pub(crate) mod liveness;
pub(crate) mod names;
pub(crate) mod open_connection;
pub(crate) mod pipeline;
mod replicas_info;
pub(crate) mod server_info;
pub(crate) mod session;
pub(crate) mod socket;
pub(crate) mod step;
mod stepped;
pub(crate) mod stream;
pub(crate) mod tls;
