//! The rules of an Oxbus event bus, without I/O, clock or runtime.
//!
//! # Layout
//!
//! - [`error`]: every failure, with its stable code.
#![deny(missing_docs)]

pub mod error;

pub use error::{BusError, Category, ErrorKind, Outcome};
