//! The engine of Oxbus: everything that decides or waits. It knows nothing of Node.
//!
//! # Layout
//!
//! - [`Client`]: the host's calls; `state`: what a client is made of; [`host`]: the program that the engine lives in.
//! - `publish`, `receive`, `groups`: the three paths: a publish, a live message, a stored event.
//! - `gap`: what live subscriptions have missed; `tail`: live events that are only stored; `rooms`: joining, leaving and presence.
//! - `admin`: streams, dead letters, history and replay; `observe`: health, statistics and metrics.
//! - `transport`: the trait; `redis` and `memory` implement it. `runtime`: clock, tasks and panics.
#![deny(missing_docs)]

mod admin;
mod client;
mod gap;
mod groups;
pub mod host;
mod memory;
mod observe;
mod publish;
mod receive;
mod redis;
mod rooms;
mod runtime;
mod state;
mod tail;
mod transport;

pub use crate::admin::questions;
pub use crate::client::{Client, DRAIN_LIMIT, DRAIN_TIMEOUT, NO_LIMIT, Subscribed};
pub use crate::host::{Drained, Host};
pub use crate::memory::{Broker, Unsettled};
pub use crate::redis::check;
pub use crate::rooms::Joinable;
pub use crate::runtime::panics;
pub use crate::state::lifecycle::State;
