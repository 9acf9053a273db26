//! The messages by which clients tell each other of entries that they have handed back.

use oxbus_model::routing::channel::{Channels, HANDED_BACK};
use oxbus_model::routing::router::ServerSubscription;

/// The subscription to their channel. It is the session's own: the client is told of the messages, and of nothing else
/// about it.
pub(crate) fn subscription(channels: &Channels) -> ServerSubscription {
    ServerSubscription::Channel(channels.named(HANDED_BACK).into_bytes().into())
}

/// The stream and the group that a message tells of, as `requeue.lua` writes it.
pub(super) fn read(payload: &[u8]) -> Option<(&str, &str)> {
    std::str::from_utf8(payload).ok()?.split_once('\n')
}
