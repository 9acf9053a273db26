//! The commands of a subscriber that wait to be written.

use std::borrow::Cow;

use bytes::BytesMut;
use oxbus_model::routing::router::ServerSubscription;

/// Their bytes, from the first unwritten one.
#[derive(Default)]
pub(super) struct Outgoing {
    pub(super) bytes: BytesMut,
}

impl Outgoing {
    pub(super) fn append(&mut self, command: &redis::Cmd) {
        self.bytes.extend_from_slice(&command.get_packed_command());
    }
}

/// The name of a server subscription, for the log.
pub(super) fn text(server_subscription: &ServerSubscription) -> Cow<'_, str> {
    String::from_utf8_lossy(server_subscription.name())
}
