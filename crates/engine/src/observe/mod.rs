//! What the client says of itself.
//!
//! - `health`, `stream_health`: the health report.
//! - `event_samples`: some of the events, for a log at `debug`.
//! - `lasting_failures`: connections that cannot be made until a person does something.
//! - `link_mode`: how events travel at the moment.
//! - `outages`: what the log has of connections that are lost or cannot be made.
//! - `prometheus`: all that is counted, as text; `stream_gauges`: what it says of streams.

pub(crate) mod event_samples;
pub(crate) mod health;
pub(crate) mod lasting_failures;
pub(crate) mod link_mode;
pub(crate) mod outages;
pub(crate) mod prometheus;
pub(crate) mod stream_gauges;
pub(crate) mod stream_health;
