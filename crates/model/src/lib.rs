//! The rules of an Oxbus event bus, without I/O, clock or runtime.
//!
//! # Layout
//!
//! - [`error`]: every failure, with its stable code.
#![deny(missing_docs)]

pub mod breaker;
pub mod channel;
pub mod envelope;
pub mod error;
pub mod filter;
pub mod histogram;
pub mod ledger;
pub mod pattern;
pub mod queue;
pub mod reply;
pub mod retry;
pub mod routing;
pub mod stats;
pub mod submission;
pub mod time;

pub use error::{BusError, Category, ErrorKind, Outcome};
