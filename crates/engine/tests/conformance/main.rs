//! One suite for every transport: what a bus promises, whatever carries it.
//!
//! Each test takes a [`Fixture`](fixture::Fixture) and runs once per transport; where a promise depends
//! on the transport, the test asks for a declared capability.
//!
//! # Layout
//!
//! - `fixture`: a broker to test against; `pool`: clusters, which take long to start.
//! - `universal`, `endurance`: counterparts of Watermill's universal tests that make sense for live events.
//! - `routing`, `subscribing`, `handling`, `overload`, `publishing`, `closing`: what Oxbus promises beyond.
//! - `rooms`: rooms, users, and who is there.
//! - `patterns`: our matcher against the real server.
//! - `durable`: the same for durable events, and what only they promise.
#![deny(dead_code, reason = "a test that its file does not list would never run")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is a failure")]
#![allow(clippy::disallowed_methods, reason = "a test is no client, and its tasks log nothing")]

/// Makes a test of each function for each transport, with `with cluster;` also for one server in cluster mode. Every file lists its own functions, which are private:
/// one that is not listed is dead code, and so the program does not compile.
macro_rules! suite {
    (with cluster; $($test:ident),+ $(,)?) => {
        suite!($($test),+);
        suite!(@ cluster_node: $($test)+);
    };
    ($($test:ident),+ $(,)?) => {
        suite!(@ memory: $($test)+);
        suite!(@ redis: $($test)+);
        suite!(@ sentinel: $($test)+);
        suite!(@ cluster: $($test)+);
        suite!(@ sharded: $($test)+);
        suite!(@ hybrid: $($test)+);
    };
    (@ $transport:ident: $($test:ident)+) => {
        mod $transport {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let fixture = crate::fixture::Fixture::$transport().await;
                    super::$test(&fixture).await;
                }
            )+
        }
    };
}

#[path = "../support/mod.rs"]
mod support;

mod closing;
mod durable;
mod endurance;
mod fixture;
mod handling;
mod overload;
mod patterns;
mod pool;
mod publishing;
mod rooms;
mod routing;
mod subscribing;
mod universal;

/// Only the test program of the faults asks for the health report all the time.
const WATCH_HEALTH: bool = false;
