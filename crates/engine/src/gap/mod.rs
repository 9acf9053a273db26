//! What live subscriptions have missed while their connection was down, read from the streams that store it.
//!
//! Messages that come are recorded, as far as streams store them. When a connection has broken and its subscriptions are
//! confirmed again, the streams are read from shortly before the last good heartbeat on, and the events that have not
//! come are delivered. Each message is delivered once, from the stream or from the connection.
//!
//! # Layout
//!
//! - `gaps`: what a transport reports of its subscriber's connection, and the gaps that follow from it
//! - `continuity`: how far a connection is known to be complete; `missed_interval`: where it was not
//! - `filling`: from a missed interval to the events that fill it; `recovery`: the streams that have them

mod continuity;
mod filling;
mod gaps;
mod missed_interval;
mod recovery;
#[cfg(test)]
mod tests;

pub(crate) use gaps::Gaps;
