//! The protocol: replies as values, and commands as bytes.
//!
//! - `reply`: replies of both protocol versions, borrowed from the read buffer; `value`: the same, owned.
//! - `command`: commands as bytes.
//! - `key_of`: the key of a command, by which a Cluster chooses the node.
//! - `head`: the first line of an element, for the two parsers that make no tree: `reply::message` and `xreadgroup`.
//! - `lane_message`: messages of sharded pub/sub.
//! - `xreadgroup`: the entries in a reply to `XREADGROUP`.

pub(crate) mod command;
pub(crate) mod head;
pub(crate) mod key_of;
pub(crate) mod lane_message;
pub(crate) mod reply;
pub(crate) mod value;
pub(crate) mod xreadgroup;
