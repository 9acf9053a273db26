//! Starts and breaks real Redis servers for the tests of Oxbus.
//!
//! # Layout
//!
//! - [`server`]: a real `redis-server` in a temporary folder, to kill, freeze and restart (Unix only).
//! - [`cluster`]: such servers in cluster mode, alone or as three masters with replicas.
//! - [`sentinel`]: a master and its replicas, watched by sentinels.
//! - [`proxy`]: a TCP proxy that freezes, cuts, resets, delays and splits connections.
//! - [`swallowing`]: a port that swallows packets.
//! - [`fake`]: a scripted server, for answers that a real one gives only on a bad day.
//! - [`client`]: a minimal RESP client, independent of the code under test.
//! - [`resp`]: what it reads and writes.
//! - [`certs`]: certificate authorities and good, expired and misplaced certificates.
//! - [`wait`]: waiting on a condition with a deadline, instead of sleeping.
//! - [`tracker`]: what became of every message of a test.
//! - [`rng`]: randomness whose seed is printed and can be given again.
//!
//! Everything listens on the loopback interface only. Whatever cannot work panics with the reason:
//! a missing `redis-server` fails a test, it never skips one.

#![deny(missing_docs)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in this crate a panic is how a test fails; none of it is shipped"
)]

pub mod certs;
pub mod client;
#[cfg(unix)]
pub mod cluster;
pub mod fake;
mod listening;
mod lock;
pub mod proxy;
pub mod resp;
pub mod rng;
#[cfg(unix)]
pub mod sentinel;
#[cfg(unix)]
pub mod server;
pub mod swallowing;
pub mod tracker;
pub mod wait;

pub use certs::{Authority, Certificates, Identity};
pub use client::RespClient;
#[cfg(unix)]
pub use cluster::{ClusterSet, ClusterSetBuilder};
pub use fake::{FakeServer, Script, Step};
pub use listening::Listening;
pub use proxy::{ConnectionId, ConnectionInfo, FaultProxy};
pub use resp::Value;
pub use rng::seeded;
#[cfg(unix)]
pub use sentinel::{SentinelSet, SentinelSetBuilder};
#[cfg(unix)]
pub use server::{RedisServer, RedisServerBuilder};
pub use swallowing::SwallowingPort;
pub use tracker::Tracker;
pub use wait::{eventually, eventually_some};
