//! The transport in memory: the clients of one broker are connected like those of one Redis server.

mod broker;
mod transport;

pub use broker::Broker;
pub(crate) use transport::MemoryTransport;
