//! Durable events: what a stream with its groups promises, whatever carries it.
//!
//! # Layout
//!
//! - `setup`: streams, groups, handlers that wait.
//! - `universal`, `endurance`: counterparts of Watermill's universal tests, all sixteen of them.
//! - `publishing`, `promised`, `routing`, `late_patterns`: what is stored where, what must be, and whom it reaches.
//! - `retrying`, `delays`, `ordering`, `calls`: how handlers are called.
//! - `sharing`, `leases`, `foreign`: consumers that come, go, die and get stuck, or are of other programs.
//! - `losing`, `dead_letters`, `administration`, `history`: what is lost, given up, looked at and looked back on.
//! - `observing`: clients that only look on.

mod administration;
mod calls;
mod dead_letters;
mod delays;
mod endurance;
mod foreign;
mod history;
mod late_patterns;
mod leases;
mod losing;
mod observing;
mod ordering;
mod promised;
mod publishing;
mod retrying;
mod routing;
mod setup;
mod sharing;
mod universal;
