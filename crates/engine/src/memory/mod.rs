//! The transport in memory: the clients of one broker are connected like those of one Redis server.
//!
//! # Layout
//!
//! - `broker`: channels, patterns and streams; `readers`: the reads that wait for entries;
//! - `publishing`: from submissions to streams and subscribers;
//! - `transport`, `store`: a client's side of it.

mod broker;
mod publishing;
mod readers;
mod store;
#[cfg(test)]
mod tests;
mod transport;

pub use broker::Broker;
pub(crate) use broker::Timed;
pub(crate) use transport::MemoryTransport;
