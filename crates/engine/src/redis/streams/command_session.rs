//! The session of the command link: commands that callers wait for, pipelined.
//!
//! Each ends by its own deadline. A command that was written when the connection broke is unknown. One that was not
//! written fails at once, because its caller tries again anyway and knows better whether to.

use std::sync::Arc;

use bytes::BufMut;
use oxbus_model::server_error;
use oxbus_model::server_error::Action;
use oxbus_model::stream_store::KeyLayout;
use oxbus_model::topology::redirect::Redirect;
use oxbus_model::{BusError, ErrorKind, Outcome};
use redis::cmd;
use tokio::sync::oneshot;

use crate::redis::connection::expiry::Expiry;
use crate::redis::connection::liveness::{Check, HEARTBEAT_LIMIT, Liveness, unexpected_reply};
use crate::redis::connection::pipeline::Pipeline;
use crate::redis::connection::session::{Opened, Session};
use crate::redis::connection::step::check_role;
use crate::redis::resp::reply::{Protocol, Reply, decode};
use crate::redis::resp::value::RespValue;
use crate::redis::scripts::script;
use crate::redis::streams::command_limit::Permit;
use crate::transport::context::TransportContext;
use crate::transport::link_id::LinkId;

/// Where the reply to a command goes.
type ReplySender = oneshot::Sender<Result<RespValue, BusError>>;

/// What the link is told.
pub(in crate::redis) enum Input {
    /// A command to send.
    Ask(Question),
    /// Tell how keys are named on the server, once there is a connection, or why there is none.
    Layout(oneshot::Sender<Result<KeyLayout, BusError>>, Permit),
    /// Say when all commands are answered.
    Flush(oneshot::Sender<()>),
}

/// A command to send.
pub(in crate::redis) struct Question {
    pub(in crate::redis) packed: Vec<u8>,
    /// Whether the node is asked though the slot is only on its way to it.
    pub(in crate::redis) asking: bool,
    /// When it must be answered, on the client's clock.
    pub(in crate::redis) deadline: u64,
    pub(in crate::redis) reply: ReplySender,
    pub(in crate::redis) permit: Permit,
}

/// A command that waits to be written, or for its reply.
enum Command {
    Asked {
        reply: ReplySender,
        deadline: u64,
        /// Given back with the command.
        _permit: Permit,
    },
    /// Its caller was told before its reply came. The reply will be ignored.
    Settled,
    Role,
    Ping,
}

/// The session.
pub(in crate::redis) struct CommandSession {
    id: LinkId,
    context: Arc<TransportContext>,
    protocol: Protocol,
    connected: bool,
    role_known: bool,
    layout: KeyLayout,
    /// Who waits for the first connection to learn the layout.
    asking_layout: Vec<(oneshot::Sender<Result<KeyLayout, BusError>>, Permit)>,
    /// Why there is no connection; `None` also while the first one is made.
    last_error: Option<BusError>,
    pipeline: Pipeline<Command>,
    flushes: Vec<oneshot::Sender<()>>,
    expiry: Expiry,
    liveness: Liveness,
}

impl CommandSession {
    pub(in crate::redis) fn new(id: LinkId, context: Arc<TransportContext>) -> Self {
        CommandSession {
            id,
            liveness: Liveness::new(context.config.redis.heartbeat),
            context,
            protocol: Protocol::Resp3,
            connected: false,
            role_known: false,
            layout: KeyLayout::Plain,
            asking_layout: Vec::new(),
            last_error: None,
            pipeline: Pipeline::new(),
            flushes: Vec::new(),
            expiry: Expiry::new(),
        }
    }

    fn push(&mut self, command: Command, packed: &[u8]) {
        let limit = self.context.config.redis.command_timeout;
        self.pipeline.push(command, limit, |bytes| bytes.put_slice(packed));
    }

    /// Ends the commands whose time is over.
    fn expire(&mut self, now: u64) {
        if !self.expiry.is_due(now) {
            return;
        }
        let late = |command: &Command| matches!(command, Command::Asked { deadline, .. } if *deadline <= now);
        for command in self.pipeline.remove_unsent(late) {
            fail(command, &timed_out("it was never sent", Outcome::NotSent));
        }
        for command in self.pipeline.sent_mut().filter(|command| late(command)) {
            let command = std::mem::replace(command, Command::Settled);
            fail(command, &timed_out("it was sent and not answered", Outcome::Unknown));
        }
        let deadlines = self.pipeline.commands().filter_map(|command| match command {
            Command::Asked { deadline, .. } => Some(*deadline),
            _ => None,
        });
        self.expiry.searched(now, self.pipeline.len(), deadlines);
    }

    fn take(&mut self, reply: Reply<'_>) -> Result<(), BusError> {
        if matches!(reply, Reply::Push(_)) {
            return Ok(());
        }
        let Some(command) = self.pipeline.answered() else { return Err(unexpected_reply()) };
        match (command, reply) {
            (command, Reply::Error(error)) => {
                let error = script::cause(error);
                let refusal = server_error::classify(error);
                if matches!(command, Command::Role) {
                    self.role_known &= !server_error::is_withheld(error);
                }
                fail(command, &refusal.into_error(error).with_outcome(Outcome::Rejected));
                // In a Cluster the caller asks another node, and this one is well.
                let is_elsewhere = self.id.node().is_some() && Redirect::read(error).is_some();
                if refusal.action == Action::Reconnect && !is_elsewhere {
                    return Err(refusal.into_error(error));
                }
            }
            (Command::Role, reply) => check_role(&reply)?,
            (Command::Asked { reply: sender, .. }, reply) => {
                // The caller may have given up.
                let _ = sender.send(Ok(reply.into()));
            }
            (Command::Settled | Command::Ping, _) => {}
        }
        Ok(())
    }

    /// Answers those that ask for the layout, unless the first connection is being made.
    fn tell_layout(&mut self) {
        let answer = match &self.last_error {
            None if self.connected => Ok(self.layout),
            None => return,
            Some(error) => Err(not_sent(error)),
        };
        for (sender, _) in self.asking_layout.drain(..) {
            // The one who asks may have given up.
            let _ = sender.send(answer.clone());
        }
    }

    /// Tells who waits for it when nothing is under way.
    fn tell_flushed(&mut self) {
        if self.pipeline.is_idle() {
            // The one who waits may have given up.
            self.flushes.drain(..).for_each(|flushed| _ = flushed.send(()));
        }
    }

    /// Ends everything that waits unsent.
    fn drop_unsent(&mut self, error: &BusError) {
        for command in self.pipeline.remove_unsent(|_| true) {
            fail(command, error);
        }
    }
}

impl Session for CommandSession {
    type Input = Input;
    const MASTER: bool = true;

    fn link(&self) -> &LinkId {
        &self.id
    }

    fn input(&mut self, input: Input, _now: u64) {
        let Question { packed, asking, deadline, reply, permit } = match input {
            Input::Ask(question) => question,
            Input::Layout(sender, permit) => {
                self.asking_layout.push((sender, permit));
                return self.tell_layout();
            }
            Input::Flush(flushed) => {
                self.flushes.push(flushed);
                return self.tell_flushed();
            }
        };
        let command = Command::Asked { reply, deadline, _permit: permit };
        match &self.last_error {
            Some(error) => fail(command, &not_sent(error)),
            None => {
                self.expiry.add(deadline);
                if asking {
                    self.push(Command::Settled, &cmd("ASKING").get_packed_command());
                }
                self.push(command, &packed);
            }
        }
    }

    fn opened(&mut self, opened: Opened, now: u64) {
        self.protocol = opened.protocol;
        self.role_known = opened.role_known;
        self.connected = true;
        self.layout = opened.layout;
        self.last_error = None;
        self.tell_layout();
        self.liveness.read(now);
        self.context.events.link_up(&self.id);
    }

    fn outgoing(&mut self, _now: u64) -> &[u8] {
        self.pipeline.outgoing()
    }

    fn written(&mut self, bytes: usize, now: u64) {
        let heartbeat = |command: &Command| matches!(command, Command::Role | Command::Ping);
        self.pipeline.written(bytes, now, HEARTBEAT_LIMIT, heartbeat);
    }

    fn received(&mut self, buffer: &[u8], now: u64) -> Result<usize, BusError> {
        self.liveness.read(now);
        self.context.events.link_alive(&self.id, now);
        let mut taken = 0;
        while let Some((reply, len)) = decode(self.protocol, &buffer[taken..])? {
            self.take(reply)?;
            taken += len;
        }
        self.tell_flushed();
        Ok(taken)
    }

    fn is_answered(&self) -> bool {
        self.id.node().is_none() || !self.pipeline.has_sent()
    }

    fn deadline(&self) -> Option<u64> {
        let check = if self.connected { self.liveness.next_check(&self.pipeline) } else { u64::MAX };
        Some(self.expiry.next().min(check)).filter(|at| *at < u64::MAX)
    }

    fn tick(&mut self, now: u64) -> Result<(), BusError> {
        self.expire(now);
        self.tell_flushed();
        if !self.connected || self.liveness.check(&self.pipeline, now)? == Check::Fine {
            return Ok(());
        }
        if self.role_known {
            self.push(Command::Role, &cmd("ROLE").get_packed_command());
        } else {
            self.push(Command::Ping, &cmd("PING").get_packed_command());
        }
        Ok(())
    }

    fn closed(&mut self, error: &BusError) {
        self.connected = false;
        self.last_error = Some(error.clone());
        self.tell_layout();
        let message = format!("sent, and the connection was lost before the answer: {}", error.message);
        let lost = BusError::new(ErrorKind::ConnectionLost, message).with_outcome(Outcome::Unknown);
        for sent in self.pipeline.disconnected() {
            fail(sent.command, &lost);
        }
        self.drop_unsent(&not_sent(error));
        self.tell_flushed();
    }

    fn ended(&mut self) {
        self.closed(&BusError::new(ErrorKind::Closed, "the client was closed"));
    }
}

/// Tells the caller of a command that it failed.
fn fail(command: Command, error: &BusError) {
    if let Command::Asked { reply, .. } = command {
        // The caller may have given up.
        let _ = reply.send(Err(error.clone()));
    }
}

fn not_sent(error: &BusError) -> BusError {
    let kind = if error.kind == ErrorKind::Closed { ErrorKind::Closed } else { ErrorKind::ConnectionLost };
    BusError::new(kind, format!("not connected: {}", error.message)).with_outcome(Outcome::NotSent)
}

fn timed_out(why: &str, outcome: Outcome) -> BusError {
    BusError::new(ErrorKind::CommandTimeout, format!("no answer in time; {why}")).with_outcome(outcome)
}
