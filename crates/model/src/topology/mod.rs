//! Which of several servers is the right one.
//!
//! - [`master_choice`]: a master, from what sentinels say.
//! - [`slot_map`]: the master of each slot of a Cluster; [`redirect`]: what a node says of a slot that it does not serve.

pub mod master_choice;
pub mod redirect;
pub mod slot_map;
#[cfg(test)]
mod tests;
