//! The reader session of a group: one connection that waits for new entries.
//!
//! The session sends reads, and reports what came or that nothing came in time. A read that is blocked cannot be
//! followed by other commands, so it never blocks for longer than a heartbeat, and ending it takes
//! another connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::BufMut;
use oxbus_model::consumer::{GroupKey, Read, ReceivedEntry};
use oxbus_model::server_error;
use oxbus_model::server_error::Action;
use oxbus_model::{BusError, ErrorKind};
use redis::{Cmd, cmd};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::redis::connection::link::{Connector, Handle, Opened, Session};
use crate::redis::connection::liveness::{Check, HEARTBEAT_LIMIT, Liveness, unexpected_reply};
use crate::redis::connection::pipeline::Pipeline;
use crate::redis::resp::reply::{Protocol, Reply, decode};
use crate::redis::resp::xreadgroup::{Progress, ReadReply, visit};
use crate::redis::streams::command_link::CommandLink;
use crate::runtime::tasks::Tasks;
use crate::transport::context::TransportContext;
use crate::transport::link_id::LinkId;

/// The longest that a read blocks, in milliseconds.
const MAX_BLOCK: u64 = 5_000;

/// How long after the end of a blocked read the server may answer, in milliseconds.
const BLOCK_GRACE: u64 = 2_000;

/// How long a blocked read may take to end when the reader is to leave, in milliseconds.
const LEAVE_LIMIT: u64 = 1_000;

/// How long an unblocked read may take to answer until it is unblocked again: the server may have met the
/// command to unblock before the read.
const UNBLOCK_PAUSE: Duration = Duration::from_millis(50);

/// The handle of a reader; dropping it ends it.
pub(in crate::redis) struct GroupReader {
    id: LinkId,
    link: Handle<Input>,
    context: Arc<TransportContext>,
}

impl GroupReader {
    /// Starts to connect.
    pub(in crate::redis) fn start(key: GroupKey, group: Arc<str>, connector: &Connector) -> Self {
        let id = LinkId::Reader(group);
        let context = connector.context.clone();
        let session = GroupReaderSession::new(key, id.clone(), context.clone());
        GroupReader { id, link: connector.start(session), context }
    }

    /// Reads; see [`Transport::read`](crate::transport::Transport::read). False when the link has ended.
    pub(in crate::redis) fn read(&self, read: Read) -> bool {
        self.link.send(Input::Read(read))
    }

    /// Ends it at once.
    pub(in crate::redis) fn end(self) -> JoinHandle<()> {
        self.link.end()
    }

    /// Ends it when what was delivered to it has arrived.
    pub(in crate::redis) async fn leave(self, commands: Arc<CommandLink>) {
        let (sender, answer) = oneshot::channel();
        self.link.send(Input::Leave(sender));
        if let Ok(Some(blocked)) = answer.await {
            blocked.end(&commands, &self.context).await;
        }
        // A read that could not be ended ends with its connection.
        let _ = self.link.end().await;
        self.context.events.link_gone(&self.id);
    }

    /// Ends a blocked read, so that the next one can ask for something else.
    pub(in crate::redis) fn unblock_read(&self, commands: Arc<CommandLink>, tasks: &Tasks) {
        let (sender, answer) = oneshot::channel();
        self.link.send(Input::Unblock(sender));
        let clock = self.context.clock.clone();
        tasks.spawn(async move {
            if let Ok(Some(client)) = answer.await {
                // Where that is not allowed, the read ends by itself.
                let deadline = clock.now_ms() + LEAVE_LIMIT;
                let _ = commands.ask(cmd("CLIENT").arg("UNBLOCK").arg(client), deadline).await;
            }
        });
    }

    #[cfg(feature = "failpoints")]
    pub(in crate::redis) fn inject_panic(&self) {
        self.link.inject_panic();
    }
}

/// An input of a reader.
pub(in crate::redis) enum Input {
    Read(Read),
    /// Tell the server's number of the connection, if a read is unanswered.
    Unblock(oneshot::Sender<Option<i64>>),
    /// Read no more, and tell of a read that is unanswered.
    Leave(oneshot::Sender<Option<Blocked>>),
}

/// A read that is unanswered.
pub(in crate::redis) struct Blocked {
    /// The server's number of the connection, where it may be known.
    client: Option<i64>,
    /// Done when the read is over.
    over: oneshot::Receiver<()>,
}

impl Blocked {
    async fn end(mut self, commands: &CommandLink, context: &TransportContext) {
        let Some(client) = self.client else { return };
        let deadline = context.clock.now_ms() + LEAVE_LIMIT;
        let mut unblock = cmd("CLIENT");
        unblock.arg("UNBLOCK").arg(client);
        while context.clock.now_ms() < deadline && commands.ask(&unblock, deadline).await.is_ok() {
            if timeout(UNBLOCK_PAUSE, &mut self.over).await.is_ok() {
                return;
            }
        }
    }
}

enum Command {
    Read(Read),
    ClientId,
    Ping,
}

/// The session.
struct GroupReaderSession {
    key: GroupKey,
    id: LinkId,
    context: Arc<TransportContext>,
    protocol: Protocol,
    connected: bool,
    /// Reads that are not sent.
    unsent: VecDeque<Read>,
    /// Reads that are not answered. The server works on one while the answer to another is taken in.
    unanswered: usize,
    pipeline: Pipeline<Command>,
    progress: Progress,
    /// The server's number of the connection.
    client: Option<i64>,
    liveness: Liveness,
    /// Whether no more is read.
    leaving: bool,
    /// Told when the last read is over.
    over: Option<oneshot::Sender<()>>,
}

impl GroupReaderSession {
    fn new(key: GroupKey, id: LinkId, context: Arc<TransportContext>) -> Self {
        GroupReaderSession {
            key,
            id,
            liveness: Liveness::new(context.config.redis.heartbeat),
            context,
            protocol: Protocol::Resp3,
            connected: false,
            unsent: VecDeque::new(),
            unanswered: 0,
            pipeline: Pipeline::new(),
            progress: Progress::default(),
            client: None,
            leaving: false,
            over: None,
        }
    }

    fn push(&mut self, command: Command, limit: u64, packed: &Cmd) {
        self.pipeline.push(command, limit, |bytes| bytes.put_slice(&packed.get_packed_command()));
    }

    /// Sends the reads that wait for it.
    fn advance(&mut self) {
        while let Some(read) = self.unsent.pop_front().filter(|_| !self.leaving) {
            self.send(read);
        }
    }

    fn send(&mut self, read: Read) {
        let block = self.context.config.redis.heartbeat.clamp(1, MAX_BLOCK);
        let mut command = cmd("XREADGROUP");
        command.arg("GROUP").arg(&*read.group).arg(&*read.consumer);
        command.arg("COUNT").arg(read.limit).arg("BLOCK").arg(block).arg("STREAMS");
        for stream in read.streams.iter() {
            command.arg(&**stream);
        }
        for _ in read.streams.iter() {
            command.arg(">");
        }
        self.unanswered += 1;
        // A read that waits behind another has its time from when that one is answered.
        self.push(Command::Read(read), block + BLOCK_GRACE, &command);
    }

    fn take(&mut self, reply: &[u8]) -> Result<(), BusError> {
        if reply.first() == Some(&b'>') {
            return Ok(());
        }
        match self.pipeline.answered() {
            Some(Command::Read(read)) => self.take_entries(&read, reply),
            Some(Command::ClientId) => {
                if let Some((Reply::Int(id), _)) = decode(self.protocol, reply)? {
                    self.client = Some(id);
                }
                Ok(())
            }
            Some(Command::Ping) => match decode(self.protocol, reply)? {
                Some((Reply::Error(error), _)) => {
                    let refusal = server_error::classify(error);
                    let is_dead = refusal.action == Action::Reconnect;
                    if is_dead { Err(refusal.into_error(error)) } else { Ok(()) }
                }
                _ => Ok(()),
            },
            None => Err(unexpected_reply()),
        }
    }

    /// Takes the answer to a read.
    fn take_entries(&mut self, read: &Read, reply: &[u8]) -> Result<(), BusError> {
        self.unanswered = self.unanswered.saturating_sub(1);
        let mut arrivals = Vec::new();
        let mut unknown = false;
        let (codec, instance) = (self.context.config.codec, self.context.origin.instance_id());
        let answer = visit(reply, |name, id, fields| {
            let Some(stream) = read.streams.iter().find(|stream| stream.as_bytes() == name) else {
                unknown = true;
                return;
            };
            arrivals.push(ReceivedEntry::new(codec, stream.clone(), id, fields, instance));
        })?;
        if unknown {
            let message = "the server sent entries of a stream that was not asked for";
            return Err(BusError::new(ErrorKind::ConnectionLost, message));
        }
        match answer {
            ReadReply::Refused(error) => {
                let refusal = server_error::classify(error);
                if refusal.action == Action::Reconnect {
                    return Err(refusal.into_error(error));
                }
                self.context.events.read_interrupted(self.key, refusal.into_error(error));
            }
            ReadReply::Entries | ReadReply::Nothing => {
                self.context.events.entries(self.key, arrivals);
            }
        }
        if self.unanswered == 0 {
            self.report_over();
        }
        Ok(())
    }

    /// Tells who waits for it that the last read is over, and what it brought has arrived.
    fn report_over(&mut self) {
        if let Some(over) = self.over.take() {
            // The one who waits may have given up.
            let _ = over.send(());
        }
    }

    fn leave(&mut self, answer: oneshot::Sender<Option<Blocked>>) {
        self.leaving = true;
        let blocked = (self.unanswered > 0).then(|| {
            let (sender, over) = oneshot::channel();
            self.over = Some(sender);
            Blocked { client: self.client, over }
        });
        let _ = answer.send(blocked);
    }
}

impl Session for GroupReaderSession {
    type Input = Input;
    const MASTER: bool = true;

    fn link(&self) -> &LinkId {
        &self.id
    }

    fn input(&mut self, input: Input, _now: u64) {
        match input {
            Input::Read(read) if self.connected => self.unsent.push_back(read),
            // The read was sent when there was a connection, and has ended with it.
            Input::Read(_) => {
                let error = BusError::new(ErrorKind::ConnectionLost, "not connected");
                self.context.events.reader_down(self.key, &error);
            }
            Input::Unblock(answer) => {
                // The one who asks may have given up.
                let _ = answer.send(self.client.filter(|_| self.unanswered > 0));
            }
            Input::Leave(answer) => self.leave(answer),
        }
    }

    fn opened(&mut self, opened: Opened, now: u64) {
        self.protocol = opened.protocol;
        self.connected = true;
        self.liveness.read(now);
        self.progress = Progress::default();
        self.push(Command::ClientId, HEARTBEAT_LIMIT, cmd("CLIENT").arg("ID"));
        self.context.events.link_up(&self.id);
        self.context.events.reader_up(self.key);
    }

    fn outgoing(&mut self, _now: u64) -> &[u8] {
        self.advance();
        self.pipeline.outgoing()
    }

    fn written(&mut self, bytes: usize, now: u64) {
        let heartbeat = |command: &Command| matches!(command, Command::Ping);
        self.pipeline.written(bytes, now, HEARTBEAT_LIMIT, heartbeat);
    }

    fn received(&mut self, buffer: &[u8], now: u64) -> Result<usize, BusError> {
        self.liveness.read(now);
        self.context.events.link_alive(&self.id, now);
        let mut taken = 0;
        while let Some(rest) = buffer.get(taken..).filter(|rest| !rest.is_empty())
            && let Some(len) = self.progress.find_end(rest)?
        {
            self.take(rest.get(..len).unwrap_or_default())?;
            taken += len;
        }
        Ok(taken)
    }

    fn deadline(&self) -> Option<u64> {
        Some(self.liveness.next_check(&self.pipeline)).filter(|at| self.connected && *at < u64::MAX)
    }

    fn tick(&mut self, now: u64) -> Result<(), BusError> {
        if self.connected && self.liveness.check(&self.pipeline, now)? == Check::HeartbeatDue {
            self.push(Command::Ping, HEARTBEAT_LIMIT, &cmd("PING"));
        }
        Ok(())
    }

    fn closed(&mut self, error: &BusError) {
        self.unsent.clear();
        self.unanswered = 0;
        self.client = None;
        self.pipeline.disconnected();
        self.pipeline.remove_unsent(|_| true);
        if std::mem::replace(&mut self.connected, false) {
            self.context.events.reader_down(self.key, error);
        }
        self.report_over();
    }

    fn ended(&mut self) {
        self.closed(&BusError::new(ErrorKind::Closed, "the reader has left"));
    }
}
