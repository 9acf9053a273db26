//! From a live message to the queue of a handler.
//!
//! - `reception`: from a message to an event and the subscriptions that it reaches; `seen`: whether it has come before;
//!   `shapes`: what its data is made of.
//! - `twins`: events that come more than once; `recent_ids`: the ids of the last minute.
//! - `foreign`: messages that are not events.
//! - `acceptance`: from a batch of messages to the queue.
//! - `live_queue`: the events that wait for handlers; `dropped`: what is told of those that full queues drop; `handler_metrics`: what is measured of handler calls.
//! - `confirmations`: who waits until the server has confirmed a subscription.

pub(crate) mod acceptance;
pub(crate) mod confirmations;
pub(crate) mod dropped;
pub(crate) mod foreign;
pub(crate) mod handler_metrics;
pub(crate) mod live_queue;
pub(crate) mod recent_ids;
pub(crate) mod reception;
pub(crate) mod seen;
pub(crate) mod shapes;
pub(crate) mod twins;
