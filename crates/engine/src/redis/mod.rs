//! The transport to Redis: two supervised links, one that publishes and one that is subscribed.
//!
//! - `socket`, `tls`, `handshake`: from a configuration to a connection that is ready for commands.
//! - `reply`: replies of both protocol versions, borrowed from the read buffer.
//! - `script`: what runs inside the server.
//! - `link`: keeps one connection, drives it, and makes it again; what it carries is a `Session`.
//! - `publisher`, `subscriber`: the sessions; `pipeline` and `batches`: the commands of the former, and whose they are.

mod answers;
mod batches;
mod calls;
mod commander;
mod commands;
mod composer;
mod flight;
mod handshake;
mod link;
mod owned;
mod pipeline;
mod publisher;
mod replicated;
mod reply;
mod script;
mod socket;
mod subscriber;
mod tls;
mod transport;

pub use tls::check;
pub(crate) use transport::RedisTransport;
