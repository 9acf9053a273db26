//! A store of streams, as a transport offers it.

use std::future::Future;
use std::pin::Pin;

use oxbus_model::BusError;
use oxbus_model::stream_store::{Request, Response};

/// An answer that may take a while.
pub(crate) type PendingResponse = Pin<Box<dyn Future<Output = Result<Response, BusError>> + Send + 'static>>;

/// Executes requests on streams. Those of one caller may overtake each other.
pub(crate) trait Store: Send + Sync {
    /// Executes a request. Never takes longer than the command timeout.
    ///
    /// # Errors
    /// `NO_GROUP` where the stream or the group does not exist; what the server says; without an
    /// answer an error with [`Outcome::Unknown`](oxbus_model::Outcome::Unknown), without a connection
    /// one with `NotSent`.
    fn execute(&self, request: Request) -> PendingResponse;

    /// The address of the node that has a stream, as far as is known; `None` where the store is one server.
    fn node_of(&self, _stream: &str) -> Option<String> {
        None
    }
}

/// The error for an answer that belongs to another request.
pub(crate) fn unexpected() -> BusError {
    BusError::new(oxbus_model::ErrorKind::Internal, "the store gave an answer of the wrong kind")
}
