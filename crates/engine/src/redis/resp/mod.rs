//! The protocol: replies as values, and commands as bytes.
//!
//! - `reply`: replies of both protocol versions, borrowed from the read buffer; `value`: the same, owned.
//! - `command`: commands as bytes.
//! - `head`: the first line of an element, for the two parsers that make no tree: `reply::message` and `xreadgroup`.
//! - `xreadgroup`: the entries in a reply to `XREADGROUP`.

pub(crate) mod command;
pub(crate) mod head;
pub(crate) mod reply;
pub(crate) mod value;
pub(crate) mod xreadgroup;
