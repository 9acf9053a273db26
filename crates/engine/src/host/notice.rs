//! What a client says without being asked.

use std::sync::Arc;

use oxbus_model::BusError;
use oxbus_model::breaker::BreakerState;
use oxbus_model::consumer::Announcement;
use serde_json::Value;

/// An event of the client, for `on(…)` and the log.
#[derive(Clone, Debug)]
pub enum Notice {
    /// Connected, and everything subscribed.
    Ready,
    /// A link is being made again.
    Reconnecting {
        /// Which: `publisher`, `subscriber`, `consumer` or `reader:` and a group.
        link: Arc<str>,
        /// Failed attempts since it was last up.
        attempt: u32,
        /// Milliseconds until the next.
        delay: u64,
        /// Why.
        error: BusError,
    },
    /// A link broke.
    Disconnected {
        /// Which.
        link: Arc<str>,
        /// Why.
        error: BusError,
    },
    /// The client is closed.
    Closed,
    /// Something failed that no call waits for.
    Error(BusError),
    /// Live events may have been missed.
    Gap {
        /// From then, Unix milliseconds.
        from: i64,
        /// Until then.
        to: i64,
        /// The patterns concerned.
        patterns: Vec<String>,
        /// How many events were read from streams and delivered.
        recovered: u64,
        /// Whether nothing else can have been missed: all that the patterns match is stored, and was read.
        complete: bool,
    },
    /// What a consumer group says of its entries; never that a subscription is confirmed or refused, which its ticket
    /// says.
    Group(Announcement),
    /// A circuit breaker changed.
    Circuit {
        /// The subscription.
        subscription: u32,
        /// Its new state.
        state: BreakerState,
    },
    /// Something to look at.
    Warning {
        /// A short name.
        code: &'static str,
        /// What and why.
        message: String,
    },
    /// A line for the log.
    Log {
        /// `debug`, `info`, `warn` or `error`.
        level: &'static str,
        /// What happened.
        message: String,
        /// Details.
        fields: Value,
    },
}
