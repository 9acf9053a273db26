//! The engine of Oxbus: everything that decides or waits. It knows nothing of Node.
//!
//! # Layout
//!
//! - [`Client`]: the host's calls; `shared` is what it and its transport have in common.
//! - `encoder`: from a caller's record to an event; `arrivals`: from a message to an event;
//!   `intake`: what waits for handlers.
//! - `groups`: consumer groups; `store`: the trait of streams; `admin`: questions about them.
//! - `transport`: the trait; `redis` and `memory` implement it.
//! - `lifecycle`, `subscriptions`, `health`: state, confirmations, the health report.
//! - `admin`: streams, dead letters, history and replay; `recent`: the client's own recent events;
//!   `walk`: the entries of several streams in order.
//! - `rooms`: joining and leaving; `presence`: what the store knows of it.
//! - `recovery`: what live subscriptions have missed.
//! - `outbox`: what waits for the host, `event_loop`: for how long; [`host`]: its types.
#![deny(missing_docs)]

mod admin;
mod admission;
mod arrivals;
mod client;
mod clock;
mod encoder;
mod event_loop;
mod groups;
pub mod guard;
mod health;
pub mod host;
mod intake;
mod lifecycle;
mod measures;
mod memory;
mod metrics;
mod mode;
mod outbox;
mod presence;
mod recent;
mod recovery;
mod redis;
mod rooms;
mod shared;
mod store;
mod subscriptions;
mod transport;
mod walk;

pub use client::{Client, DRAIN_LIMIT, DRAIN_TIMEOUT, Subscribed};
pub use host::{Drained, Host};
pub use lifecycle::State;
pub use memory::Broker;
pub use redis::check;
pub use rooms::Joinable;
