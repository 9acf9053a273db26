//! What is counted.
//!
//! - [`stats`]: the counters and rates of a client.
//! - [`histogram`]: how durations are distributed.
//! - [`metrics`]: counts by event type, stream and group; `prometheus` writes them as text.

pub mod histogram;
pub mod metrics;
pub mod prometheus;
pub mod stats;
