//! The command link: sends commands whose callers wait for the replies.

use std::sync::Arc;

use oxbus_model::stream_store::KeyLayout;
use oxbus_model::{BusError, ErrorKind, Outcome};
use redis::{Cmd, cmd};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout_at;

use crate::redis::connection::endpoint::Endpoint;
use crate::redis::connection::lazy_link::LazyLink;
use crate::redis::resp::value::RespValue;
use crate::redis::streams::command_limit::CommandLimit;
use crate::redis::streams::command_session::{Input, Question};
use crate::transport::context::TransportContext;

/// Sends commands on a link of its own, which is made with the first.
pub(in crate::redis) struct CommandLink {
    context: Arc<TransportContext>,
    endpoint: Arc<Endpoint>,
    link: LazyLink<Input>,
    limit: Arc<CommandLimit>,
}

impl CommandLink {
    pub(in crate::redis) fn new(
        context: Arc<TransportContext>,
        endpoint: Arc<Endpoint>,
        link: LazyLink<Input>,
    ) -> Arc<Self> {
        Arc::new(CommandLink { context, endpoint, link, limit: Arc::default() })
    }

    /// When a command that is sent now must be answered, on the client's clock.
    pub(in crate::redis) fn deadline(&self) -> u64 {
        self.context.clock.now_ms().saturating_add(self.context.config.redis.command_timeout)
    }

    /// Sends a command and waits for the reply, until `deadline`.
    ///
    /// # Errors
    /// What the server says (`Rejected`); `QUEUE_FULL`, `CLOSED` and a lack of connection (`NotSent`);
    /// no reply: `Unknown`.
    pub(in crate::redis) async fn ask(&self, command: &Cmd, deadline: u64) -> Result<RespValue, BusError> {
        let packed = command.get_packed_command();
        let permit = CommandLimit::take(&self.limit, packed.len())?;
        let (reply, replied) = oneshot::channel();
        let sent = self.link.send(Input::Ask(Question { packed, deadline, reply, permit })).is_ok();
        if sent { replied.await.unwrap_or_else(|_| Err(closed())) } else { Err(closed()) }
    }

    /// How keys are named on the server. Before the first login of this client it waits for one, until `deadline`.
    ///
    /// # Errors
    /// As [`CommandLink::ask`].
    pub(in crate::redis) async fn layout(&self, deadline: u64) -> Result<KeyLayout, BusError> {
        if let Some(layout) = self.endpoint.layout() {
            return Ok(layout);
        }
        let permit = CommandLimit::take(&self.limit, 0)?;
        let (sender, told) = oneshot::channel();
        if self.link.send(Input::Layout(sender, permit)).is_err() {
            return Err(closed());
        }
        match timeout_at(self.context.clock.instant(deadline), told).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err(closed())),
            Err(_) => {
                let message = "no answer in time; it was never sent";
                Err(BusError::new(ErrorKind::CommandTimeout, message).with_outcome(Outcome::NotSent))
            }
        }
    }

    /// One round trip, if there is a link.
    pub(in crate::redis) async fn probe(&self) -> Result<(), BusError> {
        if !self.link.is_started() {
            return Ok(());
        }
        self.ask(&cmd("PING"), self.deadline()).await.map(drop)
    }

    /// Ends the link, for good; what waits is settled when the task is over.
    pub(in crate::redis) fn end(&self) -> Option<JoinHandle<()>> {
        self.link.end()
    }

    #[cfg(feature = "failpoints")]
    pub(in crate::redis) fn inject_panic(&self) {
        self.link.inject_panic();
    }
}

fn closed() -> BusError {
    BusError::new(ErrorKind::Closed, "the client was closed").with_outcome(Outcome::NotSent)
}
