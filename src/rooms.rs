//! Rooms and users, as JavaScript asks for them.

use oxbus_engine::{Client, Joinable};
use oxbus_model::{BusError, ErrorKind};

/// Joins (`joins`) or leaves a room or a user (`kind`: `room`, `user`), for a member or by default. The reply to
/// `ticket` says whether the member is new, or there was any.
pub(crate) fn change(
    client: &Client,
    ticket: u32,
    joins: bool,
    kind: &str,
    name: &str,
    member: Option<String>,
) -> Result<(), BusError> {
    let what = match kind {
        "room" => Joinable::Room,
        "user" => Joinable::User,
        _ => return Err(BusError::new(ErrorKind::Internal, format!("{kind:?} cannot be joined"))),
    };
    if joins { client.join(ticket, what, name, member) } else { client.leave(ticket, what, name, member) }
}
