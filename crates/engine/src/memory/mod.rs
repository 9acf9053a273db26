//! The transport in memory: the clients of one broker are connected like those of one Redis server.
//!
//! # Layout
//!
//! - `broker`: channels, patterns and streams; `readers`: the reads that wait for entries;
//! - `publishing`: from submissions to streams and subscribers;
//! - `transport`, `store`: a client's side of it;
//! - `unsettled`: what groups have left over.

mod broker;
mod publishing;
mod readers;
mod store;
#[cfg(test)]
mod tests;
mod transport;
mod unsettled;

pub use broker::Broker;
pub(crate) use broker::Timed;
pub(crate) use transport::MemoryTransport;
pub use unsettled::Unsettled;
