//! The rules of an Oxbus event bus, without I/O, clock or runtime.
//!
//! # Layout
//!
//! - [`error`], [`reply`]: every failure, with its stable code; what a server's error means.
//! - [`config`], [`publish_options`], [`subscribe_options`], [`names`], [`validate`]: what users give, made valid.
//! - [`channel`], [`pattern`], [`routing`]: where events go, and which subscriptions they reach;
//!   [`storage`]: which stream stores them.
//! - [`envelope`], [`stored`], [`scan`], [`submission`], [`time`]: events and publishes as text, and as entries of streams.
//! - [`ledger`]: subscriptions wanted against subscriptions confirmed.
//! - [`delivery`], [`queue`], [`filter`], [`retry`], [`breaker`]: what waits for handlers, runs, and runs again.
//! - [`presence`]: who is in a room.
//! - [`store`], [`claims`]: what is asked of a store of streams; what consumer groups do with it.
//! - [`stats`], [`histogram`], [`metrics`]: what is counted; by event type and stream, and for Prometheus.
#![deny(missing_docs)]

pub mod breaker;
pub mod channel;
pub mod claims;
pub mod config;
pub mod delivery;
pub mod envelope;
pub mod error;
pub mod filter;
pub mod histogram;
pub mod ledger;
pub mod metrics;
pub mod names;
pub mod pattern;
pub mod presence;
pub mod publish_options;
pub mod queue;
pub mod reply;
pub mod retry;
pub mod routing;
pub mod scan;
pub mod stats;
pub mod storage;
pub mod store;
pub mod stored;
pub mod submission;
pub mod subscribe_options;
pub mod time;
pub mod validate;

pub use config::{Address, Config, Environment, Limits, Mode, RedisConfig, Secret, TlsConfig};
pub use error::{BusError, Category, ErrorKind, Outcome};
pub use publish_options::PublishOptions;
pub use subscribe_options::SubscribeOptions;
