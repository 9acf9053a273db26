//! The rules of an Oxbus event bus, without I/O, clock or runtime.
//!
//! # Layout
//!
//! - [`config`], [`options`]: what users give, made valid; [`error`], [`server_error`]: every failure, with its stable code.
//! - [`codec`]: events as messages and as stream entries; [`submission`]: the publishes of one tick as text.
//! - [`routing`]: where events go, and which subscriptions they reach.
//! - [`delivery`]: live events that wait for handlers, run, and run again; [`consumer`]: the same for consumer groups.
//! - [`filter`], [`retry`], [`breaker`]: parts of both. [`backoff`]: how long links and requests wait;
//!   [`address_race`]: which address of a name is tried when; [`topology`]: which server several sentinels mean.
//! - [`stream_store`]: what is asked of a store of streams, and a store in memory. [`presence`]: who is in a room.
//! - [`observe`]: what is counted.
#![deny(missing_docs)]

pub mod address_race;
pub mod backoff;
pub mod breaker;
pub mod codec;
pub mod config;
pub mod consumer;
pub mod delivery;
pub mod error;
pub mod filter;
pub mod observe;
pub mod options;
pub mod presence;
pub mod retry;
pub mod routing;
pub mod server_error;
mod sliding_window;
pub mod stream_store;
pub mod submission;
pub mod time;
pub mod topology;

pub use crate::config::{Address, Config, Environment, Limits, Mode, RedisConfig, Secret, TlsConfig};
pub use crate::error::{BusError, Category, ErrorKind, Outcome};
pub use crate::options::publish::PublishOptions;
pub use crate::options::subscribe::SubscribeOptions;
