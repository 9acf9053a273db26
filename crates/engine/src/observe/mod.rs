//! What the client says of itself.
//!
//! - `health`, `stream_health`: the health report.
//! - `lasting_failures`: connections that cannot be made until a person does something.
//! - `link_mode`: how events travel at the moment.
//! - `prometheus`: all that is counted, as text; `stream_gauges`: what it says of streams.

pub(crate) mod health;
pub(crate) mod lasting_failures;
pub(crate) mod link_mode;
pub(crate) mod prometheus;
pub(crate) mod stream_gauges;
pub(crate) mod stream_health;
