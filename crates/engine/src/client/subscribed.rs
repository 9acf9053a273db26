//! What a host is told of a subscription that was accepted.

use std::sync::Arc;

use oxbus_model::options::subscribe::SubscribeOptions;

/// A subscription that was accepted; it is confirmed by its ticket.
#[derive(Debug)]
pub struct Subscribed {
    /// Its number.
    pub subscription: u32,
    /// Its options with all defaults.
    pub options: SubscribeOptions,
    /// The streams that a durable subscription reads.
    pub streams: Vec<Arc<str>>,
}
