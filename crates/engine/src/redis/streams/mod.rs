//! Streams on Redis.
//!
//! - `command_link`: the link for commands that a caller waits for; `command_session`: its session; `command_limit`: how
//!   many may wait; `node_links`: those of a Cluster, one for each node; `asker`: sends on any.
//! - `group_reader`: the link that reads new entries for a consumer group; `reader_session`: its session;
//!   `reader_reads`: its reads; `split_read`: a read of several slots of a cluster; `reader_input`: what the session is
//!   told; `trim_watch`: when it looks before a read for what the group has missed; `landmarks`: the entries that it asks
//!   for to know whether it has to; `cluster_reader`: the readers of the nodes of a Cluster as one; `node_reader`: one of
//!   them; `reader_reports`: whom a reader tells.
//! - `store`, `store_replies`: requests of the stream store as commands and scripts, and their replies.

mod asker;
pub(crate) mod cluster_reader;
pub(crate) mod command_limit;
pub(crate) mod command_link;
pub(crate) mod command_session;
pub(crate) mod group_reader;
mod landmarks;
pub(crate) mod node_links;
mod node_reader;
mod reader_input;
mod reader_reads;
mod reader_reports;
mod reader_session;
mod split_read;
pub(crate) mod store;
pub(crate) mod store_replies;
mod trim_watch;
