//! The native addon: translates between JavaScript and the engine, and decides nothing.
//!
//! What crosses, how often and in which form is in `docs/design/boundary.md`.
//!
//! # Layout
//!
//! - `client`: the class that JavaScript drives; `broker`: the memory broker that clients share; `rules`: functions
//!   without state.
//! - `calls`: the shapes that a call from JavaScript has; `contexts`: where no asynchronous context of it reaches.
//! - `records`, `drained` (with `deliveries` and `notices`), `settlements`: what crosses while events flow, as
//!   text and as numbers; `raw`: data that crosses as it is.
//! - `settings`, `subscribed`, `values`: what a configuration, a subscription, an error and a result look like.
//! - `json`: writing JSON by hand.
//! - `wake`: the one function that Rust calls, and whether it keeps the process alive; `runtime`: the threads.
//!
//! A struct with both `napi(object)` and `Serialize` crosses as JSON: napi only writes its type to `native.d.ts`.

// Under `cfg(test)`, which linting all targets sets, napi exports nothing.
#![cfg_attr(test, allow(dead_code))]

mod broker;
mod calls;
mod client;
mod contexts;
mod deliveries;
mod drained;
mod json;
mod notices;
mod raw;
mod records;
mod rooms;
mod rules;
mod runtime;
mod settings;
mod settlements;
mod subscribed;
mod values;
mod wake;
