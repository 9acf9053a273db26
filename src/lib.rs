//! The native addon: translates between JavaScript and the engine, and decides nothing.
//!
//! What crosses, how often and in which form is in `docs/design/boundary.md`.
//!
//! # Layout
//!
//! - `client`: the class that JavaScript drives; `broker`: the memory broker that clients share.
//! - `wake`: the one function that Rust calls, and whether it keeps the process alive.
//! - `records`, `drained` (with `deliveries` and `notices`), `settlements`: what crosses while events flow, as
//!   text and as numbers.
//! - `rules`: functions without state; `values`: errors and results as JSON.
//! - `runtime`: the threads.

// Under `cfg(test)`, which linting all targets sets, napi exports nothing.
#![cfg_attr(test, allow(dead_code))]

mod broker;
mod client;
mod deliveries;
mod drained;
mod notices;
mod records;
mod rooms;
mod rules;
mod runtime;
mod settlements;
mod values;
mod wake;
