//! Streams on Redis.
//!
//! - `command_link`: the link for commands that a caller waits for.
//! - `group_reader`: the link that reads new entries for a consumer group.
//! - `store`, `store_replies`: requests of the stream store as commands and scripts, and their replies.

pub(crate) mod command_link;
pub(crate) mod group_reader;
pub(crate) mod store;
pub(crate) mod store_replies;
