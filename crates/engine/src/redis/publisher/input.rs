//! The inputs of a publishing link.

use oxbus_model::BusError;
use tokio::sync::oneshot;

use crate::redis::publisher::prepared::{HandedOver, PreparedBatch};
use crate::redis::publisher::target::Target;
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
    /// In a Cluster: hand over all of a target once what was sent of it is answered.
    HandOver(Target),
    /// In a Cluster: a target comes; keep what is sent of it until its [`Input::Rest`] has come. Whether its slot is only on
    /// its way.
    Expect(Target, bool),
    /// In a Cluster: what the link had that a target comes from.
    Rest(Target, Box<HandedOver>),
    /// In a Cluster: a target that the node has refused stays nevertheless, and goes on at once.
    Resume(Target),
    /// In a Cluster: the slot of a target has come to the node.
    Arrived(Target),
}
