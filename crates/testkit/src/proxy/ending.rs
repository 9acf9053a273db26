//! How a connection comes to its end.

use tokio::sync::watch;

/// How a connection is ended by the proxy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Closed on both sides.
    Cut,
    /// Closed towards the client at once, and towards the server once it has read what it was sent.
    AfterLimit,
    /// Reset on both sides.
    Reset,
}

/// The ending that was asked for, if one was.
pub(super) struct Endings(watch::Sender<Option<Ending>>);

impl Endings {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Asks for an ending. The first counts.
    pub(super) fn end(&self, ending: Ending) {
        self.0.send_if_modified(|current| current.is_none() && current.replace(ending).is_none());
    }

    /// The ending that was asked for so far.
    pub(super) fn current(&self) -> Option<Ending> {
        *self.0.borrow()
    }

    /// Waits until an ending is asked for.
    pub(super) async fn wait(&self) -> Option<Ending> {
        match self.0.subscribe().wait_for(Option::is_some).await {
            Ok(ending) => *ending,
            Err(_) => None,
        }
    }
}
