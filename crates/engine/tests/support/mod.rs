//! A host for the engine, written in Rust: what JavaScript is in production, these tests have here.
//!
//! # Layout
//!
//! - [`Bus`] (`bus`): a client with its host; one method per call of the engine, each with a deadline.
//! - `pump`: the task that drains the client, resolves what waits, and runs handlers.
//! - [`Record`], [`Receipt`], [`Batch`] (`publishing`): what is published, and what came of it.
//! - `health_watch`: asks for the health report all the time, in programs with `WATCH_HEALTH`.
//! - `rooms`: joining and leaving.
//! - `notices`: what the client says of durable events without being asked.
//! - [`Event`], [`Verdict`] (`event`): what a handler gets, and how it says what came of it.
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "shared by several test programs, none of which uses all of it; a panic is how a test fails"
)]

mod bus;
mod event;
mod health_watch;
mod notices;
mod publishing;
mod pump;
mod rooms;

pub use bus::{Blocked, Bus, PATIENCE};
pub use event::{Event, Verdict};
pub use notices::{DeadLettered, Lost, claim_lost, dead_lettered, is_warning, lost, recreated};
pub use publishing::{Batch, Published, Receipt, Record, Remote, Stored};
pub use rooms::{to_room, to_user};
