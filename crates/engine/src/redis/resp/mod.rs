//! The protocol: replies as values, and commands as bytes.
//!
//! - `reply`: replies of both protocol versions, borrowed from the read buffer; `value`: the same, owned.
//! - `command`: commands as bytes.
//! - `xreadgroup`: the entries in a reply to `XREADGROUP`.

pub(crate) mod command;
pub(crate) mod reply;
pub(crate) mod value;
pub(crate) mod xreadgroup;
