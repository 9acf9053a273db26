//! Delivery to handlers: live events, and the scheduler that live and durable delivery share.
//!
//! Neither has I/O or a clock. Messages are offered to [`Deliveries`], the host takes as many as its handlers have
//! room for, and settles each. Everything that waits is bounded by the subscription's queue, retries included;
//! everything dropped is counted. Durable delivery is [`consumer`](crate::consumer).
//!
//! # Layout
//!
//! - `event`, `settlement`: what is delivered, and how a handler call ends;
//! - the scheduler: `ready_list` (which subscription is next), `handler_slots` (whether a call may start: concurrency,
//!   pause, circuit breaker), `retry_queue`, `token` (the calls that run), `dispatch_batch` (how much is handed out),
//!   `deferred_drop` (events that are done with);
//! - `live`: live delivery; `subscription`: a subscription of it; `queue`: its bounded queue; `drops`: what is told of the
//!   events that it drops.

pub(crate) mod deferred_drop;
pub(crate) mod dispatch_batch;
mod drops;
pub(crate) mod event;
pub(crate) mod handler_slots;
mod live;
pub mod queue;
pub(crate) mod ready_list;
pub(crate) mod retry_queue;
pub(crate) mod settlement;
mod subscription;
#[cfg(test)]
mod tests;
pub(crate) mod token;

pub use drops::{DROPS_INTERVAL, DroppedEvents};
pub use event::{Delivery, InboundEvent, LiveEvent, StoredContext};
pub use live::Deliveries;
pub use settlement::{CircuitChange, DeliveryCounts, Settlement};
pub use token::DURABLE_TOKEN;
