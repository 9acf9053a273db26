//! The inputs of a publishing link.

use oxbus_model::BusError;
use tokio::sync::oneshot;

use crate::redis::publisher::prepared::PreparedBatch;
use crate::redis::resp::value::RespValue;
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
    /// Send a command; its reply goes to the sender.
    Ask(redis::Cmd, oneshot::Sender<Result<RespValue, BusError>>),
    /// Say when all publishes are settled.
    Flush(oneshot::Sender<()>),
    /// What may be sent has changed: look again.
    GateChanged,
}
