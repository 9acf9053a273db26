//! Joining and leaving rooms and users.
//!
//! - `memberships`: joining subscribes to the channel of the room, for the subscriptions by type to hear it.
//! - `presence`: the store knows who is in which room.

mod memberships;
mod presence;

pub use memberships::Joinable;
pub(crate) use memberships::Memberships;
