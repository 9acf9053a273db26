//! Sends a command on a link and waits for the reply; so many at a time, whatever links they go to.

use std::sync::Arc;

use oxbus_model::{BusError, ErrorKind, Outcome};
use tokio::sync::oneshot;

use crate::redis::connection::lazy_link::LazyLink;
use crate::redis::resp::value::RespValue;
use crate::redis::streams::command_limit::{CommandLimit, Permit};
use crate::redis::streams::command_session::{Input, Question};

/// Sends the commands of a client.
#[derive(Default)]
pub(super) struct Asker {
    limit: Arc<CommandLimit>,
}

impl Asker {
    /// Room for a command of so many bytes.
    pub(super) fn permit(&self, bytes: usize) -> Result<Permit, BusError> {
        CommandLimit::take(&self.limit, bytes)
    }

    /// Sends a command on a link and waits for the reply, until `deadline`. With `asking` the node of a Cluster takes it though
    /// the slot is only on its way to it.
    pub(super) async fn ask(
        &self,
        link: &LazyLink<Input>,
        packed: Vec<u8>,
        asking: bool,
        deadline: u64,
    ) -> Result<RespValue, BusError> {
        let permit = self.permit(packed.len())?;
        let (reply, replied) = oneshot::channel();
        let sent = link.send(Input::Ask(Question { packed, asking, deadline, reply, permit })).is_ok();
        if sent { replied.await.unwrap_or_else(|_| Err(closed())) } else { Err(closed()) }
    }
}

pub(super) fn closed() -> BusError {
    BusError::new(ErrorKind::Closed, "the client was closed").with_outcome(Outcome::NotSent)
}
