//! What a subscriber is told, and what it has asked the server.

use oxbus_model::routing::router::ServerSubscription;
use tokio::sync::oneshot;

/// An input of the subscriber.
pub(crate) enum Input {
    Want(Vec<ServerSubscription>),
    Unwant(Vec<ServerSubscription>),
    /// Send a heartbeat now, and say when one is answered.
    Probe(oneshot::Sender<()>),
}

/// A command that the server may answer with an error. Answers come in the order of the commands.
pub(super) enum Asked {
    Names,
    /// A heartbeat, and when it was sent.
    Ping(u64),
}
