//! Lua scripts that run inside the server.
//!
//! - `script`: a script, known by its hash.
//! - `script_call`: the scripts that store and publish events, and their arguments.
//! - `list`: the scripts of the stream store.

pub(crate) mod list;
pub(crate) mod script;
pub(crate) mod script_call;
