//! The one place that knows which server a link connects to.
//!
//! - this file: [`Topology`], and the simplest one; [`sentinel`]: a master that sentinels watch; [`cluster`]: many masters.

pub(in crate::redis) mod cluster;
pub(in crate::redis) mod sentinel;
#[cfg(test)]
mod tests;

use oxbus_model::config::Address;
use oxbus_model::{BusError, ErrorKind};
use serde_json::Value;

use crate::transport::Boxed;
use crate::transport::link_id::LinkId;

/// Knows the servers. A link asks before each attempt to connect, and tells what came of it, so that a topology of
/// several servers can look for another one.
pub(in crate::redis) trait Topology: Send + Sync {
    /// The server that `link` is to connect to next.
    ///
    /// # Errors
    /// Why there is none at the moment. The link asks again after its pause.
    fn locate<'a>(&'a self, link: &'a LinkId) -> Boxed<'a, Result<Address, BusError>>;

    /// What became of an attempt to connect, or of a connection.
    fn learn(&self, link: &LinkId, address: &Address, outcome: ConnectionOutcome);

    /// Waits until `link` has to leave `address`, because another server is the right one, and gives the reason. Where it had
    /// no address, waits until there is one. `None` where that never happens: then the link looks for nothing.
    fn superseded(&self, _link: &LinkId, _address: Option<&Address>) -> Option<Boxed<'static, BusError>> {
        None
    }

    /// What the client is told of an error: where another server can be found, one that is no master is nothing that lasts.
    fn for_the_client(&self, error: &BusError) -> BusError {
        error.clone()
    }

    /// What the health report says of it, under its name, and its warnings.
    fn report(&self) -> Option<(Value, Vec<(&'static str, String)>)> {
        None
    }

    /// Ends what it has started; there are no links any more.
    fn close(&self) {}
}

/// What the client is told of an error where another server can be found: one that is no master is nothing that lasts.
fn while_another_is_found(error: &BusError) -> BusError {
    match error.kind {
        ErrorKind::NotMaster => BusError { kind: ErrorKind::ConnectionLost, ..error.clone() },
        _ => error.clone(),
    }
}

/// What became of an attempt to connect, or of a connection that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::redis) enum ConnectionOutcome {
    /// The server takes commands.
    Connected,
    /// The server is not a master, or no longer one.
    NotMaster,
    /// The server could not be reached, refused the login, or was lost.
    Failed,
}

impl ConnectionOutcome {
    /// What an error means for the choice of a server.
    pub(in crate::redis) fn of(error: &BusError) -> ConnectionOutcome {
        match error.kind {
            ErrorKind::NotMaster => ConnectionOutcome::NotMaster,
            _ => ConnectionOutcome::Failed,
        }
    }
}

/// A single server, whose address never changes. Its name may: it is resolved at each attempt.
pub(in crate::redis) struct SingleServer(pub(in crate::redis) Address);

impl Topology for SingleServer {
    fn locate<'a>(&'a self, _link: &'a LinkId) -> Boxed<'a, Result<Address, BusError>> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }

    fn learn(&self, _link: &LinkId, _address: &Address, _outcome: ConnectionOutcome) {
        // There is no other server to choose.
    }
}
