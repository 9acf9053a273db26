//! A host for the engine, written in Rust, which does for these tests what JavaScript does in production.
//!
//! # Layout
//!
//! - [`Bus`] (`bus`, `calls`): a client with its host; one method per call of the engine, each with a deadline.
//! - `host`: what waits for answers, the handlers, and what went wrong unnoticed.
//! - `pump`: the task that drains the client, resolves what waits, and runs handlers (`handler`).
//! - [`Record`], [`Receipt`], [`Batch`] (`outcome`): what is published, and what came of it.
//! - `health_watch`: asks for the health report all the time, in programs with `WATCH_HEALTH`.
//! - [`Notices`] (`notices`): what the client says without being asked.
//! - [`Event`], [`Verdict`] (`event`): what a handler gets, and how it says what came of it.
//! - [`Inbox`], [`barrier`] (`inbox`): what handlers got, and when nothing more is under way.
//! - `tracking`: publishing and receiving under the eyes of a tracker.
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "shared by several test programs, none of which uses all of it; a panic is how a test fails"
)]

mod bus;
mod calls;
mod event;
mod handler;
mod health_watch;
mod host;
mod inbox;
mod notices;
mod outcome;
mod patience;
mod pump;
mod tracking;

pub use bus::{Blocked, Bus};
pub use calls::Answered;
pub use event::{Event, Verdict};
pub use inbox::{FAILED, Inbox, barrier};
pub use notices::{
    DeadLettered, Lost, Notices, claim_lost, dead_lettered, is_lost, is_warning, lost, recreated,
};
pub use outcome::{Batch, Published, Receipt, Record, Remote, Stored, to_room, to_user};
pub use patience::PATIENCE;
pub use tracking::{end, publish_tracked, tracked, tracking};
