//! What happens when things break: servers that are killed, frozen, demoted, full or forbidding,
//! connections that are cut, stuck or split, and loops that panic.
//!
//! Each test starts the server that it breaks. With `OXBUS_SOAK=1` outages and floods last longer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is a failure")]
#![allow(clippy::disallowed_methods, reason = "a test is no client, and its tasks log nothing")]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod answers;
mod backpressure;
mod cluster;
mod connection;
mod consuming;
mod gap;
mod health;
mod hybrid;
mod late_patterns;
mod many;
mod outage;
mod outcome;
mod panic;
mod payload;
mod persistence;
mod pressure;
mod role;
mod sentinel;
mod setup;
mod storing;
mod stuck;
mod subscribing;
mod tls;
mod withheld;

/// The health report of each client is asked for all the time.
const WATCH_HEALTH: bool = true;
