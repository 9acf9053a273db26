//! The publishing link.
//!
//! - `preparation`, `command_writer`: from a submission to commands; `prepared`: these; `hybrid`: its side that needs no server.
//! - `cluster_keys`: the keys of a server in cluster mode.
//! - `input`: what the link is told; `session`: the pipeline of a connection; `settling`: how publishes end; `in_flight`: what each command is for.
//! - `later_steps`, `going_on`: in a Cluster, what is done for an event once it is stored, and when.
//! - `stored_only`: events that were stored and nothing more.
//! - `batches`: whose publishes the commands are.
//! - `group_gate`: when they may be sent; `held`: those that may not yet.
//! - `router`: which node of a Cluster a publish goes to; `router_links`: the links of nodes; `hops`: how often it is sent on; `target`: by what; `routed`: what a link of one node does for that; `kept`: what it keeps back meanwhile.
//! - `replicated`: events that wait for replicas, for a link of their own.

pub(crate) mod batches;
pub(crate) mod cluster_keys;
pub(crate) mod command_writer;
pub(crate) mod going_on;
pub(crate) mod group_gate;
pub(crate) mod held;
pub(crate) mod hops;
pub(crate) mod hybrid;
pub(crate) mod in_flight;
pub(crate) mod input;
pub(crate) mod kept;
pub(crate) mod later_steps;
pub(crate) mod preparation;
pub(crate) mod prepared;
pub(crate) mod replicated;
pub(crate) mod routed;
pub(crate) mod router;
pub(crate) mod router_links;
pub(crate) mod session;
pub(crate) mod settling;
pub(crate) mod stored_only;
pub(crate) mod target;
#[cfg(test)]
mod tests;
