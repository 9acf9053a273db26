//! What callers give, made valid.
//!
//! - [`publish`], [`subscribe`]: the options of the two calls.
//! - [`names`]: rules for types, ids, rooms and patterns.
//! - [`validate`]: the public validator of events.
//! - [`reader`]: reads members of a JSON object and names the path of a bad one; [`unknown_key`]: which key was meant.

pub mod names;
pub mod publish;
pub mod reader;
pub mod subscribe;
pub mod unknown_key;
pub mod validate;
