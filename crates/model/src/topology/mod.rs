//! Which of several servers is the right one.
//!
//! - [`master_choice`]: a master, from what sentinels say.
//! - [`slot_map`]: the master of each slot of a Cluster; [`redirect`]: what a node says of a slot that it does not serve.
//! - [`lanes`]: the channels of sharded pub/sub; [`lane_reconciler`]: which of them should be subscribed where, and which are.

pub mod lane_reconciler;
#[cfg(test)]
mod lane_reconciler_tests;
pub mod lanes;
pub mod master_choice;
pub mod redirect;
pub mod slot_map;
#[cfg(test)]
mod tests;
