//! The inputs of a publishing link.

use oxbus_model::BusError;
use tokio::sync::oneshot;

use crate::redis::publisher::prepared::PreparedBatch;
use crate::transport::Submission;

/// An input of a publisher.
pub(crate) enum Input {
    Publish(Submission),
    /// Commands of a submission that was read elsewhere.
    PreparedBatch(Box<PreparedBatch>),
    Cancel {
        batch: u32,
        index: u32,
    },
    /// Send a command; its reply, as text, goes to the sender.
    Ask(redis::Cmd, oneshot::Sender<Result<String, BusError>>),
    /// Say when all publishes are settled.
    Flush(oneshot::Sender<()>),
    /// What may be sent has changed: look again.
    GateChanged,
}
