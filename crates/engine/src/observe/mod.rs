//! What the client says of itself.
//!
//! - `health`, `stream_health`: the health report.
//! - `link_mode`: how events travel at the moment.
//! - `handler_metrics`: how long handlers take; `prometheus`: all that is counted, as text.

pub(crate) mod handler_metrics;
pub(crate) mod health;
pub(crate) mod link_mode;
pub(crate) mod prometheus;
pub(crate) mod stream_health;
