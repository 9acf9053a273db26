//! The transport to Redis: supervised links that publish, are subscribed, send requests to streams, and read them.
//!
//! - `transport`: a client's links; `routes`: how many there are of each kind; `topology`: which server each connects to.
//! - `connection`: one supervised connection, whose `Session` says what it carries.
//! - `resp`: commands and replies as bytes; `scripts`: what runs inside the server.
//! - `offline`: for tests, links that reach nobody.
//! - `publisher`, `subscriber`: the sessions of events; `streams`: those of the stream store and of consumer groups.

mod connection;
#[cfg(test)]
mod offline;
mod publisher;
mod resp;
mod routes;
mod scripts;
mod streams;
mod subscriber;
mod topology;
mod transport;

pub use connection::tls::check;
pub(crate) use transport::RedisTransport;
