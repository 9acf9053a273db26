//! The transport to Redis: supervised links that publish, are subscribed, send requests to streams, and read them.
//!
//! - `socket`, `tls`, `handshake`: from a configuration to a connection that is ready for commands.
//! - `reply`, `owned`: replies of both protocol versions, borrowed from the read buffer, and owned.
//! - `script`: what runs inside the server.
//! - `link`: keeps one connection, drives it, and makes it again; what it carries is a `Session`.
//! - `publisher`, `subscriber`: the sessions of live events; `pipeline` and `batches`: the commands of the former, and whose they are.
//! - `preparation`, `composer`: the commands of what is published; `hybrid`: the side of it that needs no server.
//! - `commander`, `store`: commands that somebody waits for, and the requests to streams that are made of them.
//! - `server_report`: what the server says of itself.
//! - `reader`, `entries`: the session that reads for a group, and the entries that it gets.

mod connection;
mod publisher;
mod resp;
mod scripts;
mod streams;
mod subscriber;
mod transport;

pub use connection::tls::check;
pub(crate) use transport::RedisTransport;
