//! The reader session of a group: one connection that waits for new entries.
//!
//! It is told what to read, and tells what came, or that nothing did in time. A read that is blocked cannot be
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

use crate::redis::connection::handshake::Endpoint;
use crate::redis::connection::link;
use crate::redis::connection::link::{HEARTBEAT_LIMIT, Handle, Opened, Session};
use crate::redis::connection::pipeline::Pipeline;
use crate::redis::resp::reply::{Protocol, Reply, decode};
use crate::redis::resp::xreadgroup::{Answer, Progress, visit};
use crate::redis::streams::command_link::CommandLink;
use crate::transport::context::TransportContext;
use crate::transport::link_id::LinkId;

/// The longest that a read blocks, in milliseconds.
const MAX_BLOCK: u64 = 5_000;

/// How much later than that the server may answer, in milliseconds.
const BLOCK_GRACE: u64 = 2_000;

/// How long a blocked read may take to end when the reader is to leave, in milliseconds.
const LEAVE_LIMIT: u64 = 1_000;

/// How long an unblocked read may take to answer until it is unblocked again: the server may have met the
/// command to unblock before the read.
const UNBLOCK_PAUSE: Duration = Duration::from_millis(50);

/// The handle of a reader; dropping it ends it.
pub(in crate::redis) struct Reader {
    id: LinkId,
    link: Handle<Input>,
    context: Arc<TransportContext>,
}

impl Reader {
    /// Starts to connect.
    pub(in crate::redis) fn start(
        key: GroupKey,
        group: Arc<str>,
        context: &Arc<TransportContext>,
        endpoint: Arc<Endpoint>,
        runtime: &tokio::runtime::Handle,
    ) -> Self {
        let id = LinkId::Reader(group);
        let session = GroupReader::new(key, id.clone(), context.clone());
        Reader {
            id,
            link: link::start(session, context.clone(), endpoint, runtime),
            context: context.clone(),
        }
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
    pub(in crate::redis) async fn leave(self, commander: Arc<CommandLink>) {
        let (sender, answer) = oneshot::channel();
        self.link.send(Input::Leave(sender));
        if let Ok(Some(blocked)) = answer.await {
            blocked.end(&commander, &self.context).await;
        }
        // A read that could not be ended ends with its connection.
        let _ = self.link.end().await;
        self.context.events.link_gone(&self.id);
    }

    /// Ends a blocked read, so that the next one can ask for something else.
    pub(in crate::redis) fn unblock_read(
        &self,
        commander: Arc<CommandLink>,
        runtime: &tokio::runtime::Handle,
    ) {
        let (sender, answer) = oneshot::channel();
        self.link.send(Input::Nudge(sender));
        let clock = self.context.clock.clone();
        runtime.spawn(async move {
            if let Ok(Some(client)) = answer.await {
                // Where that is not allowed, the read ends by itself.
                let deadline = clock.now_ms() + LEAVE_LIMIT;
                let _ = commander.ask(cmd("CLIENT").arg("UNBLOCK").arg(client), deadline).await;
            }
        });
    }

    #[cfg(feature = "failpoints")]
    pub(in crate::redis) fn inject_panic(&self) {
        self.link.inject_panic();
    }
}

/// What a reader is told.
pub(in crate::redis) enum Input {
    Read(Read),
    /// Tell the server's number of the connection, if a read is unanswered.
    Nudge(oneshot::Sender<Option<i64>>),
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
    async fn end(mut self, commander: &CommandLink, context: &TransportContext) {
        let Some(client) = self.client else { return };
        let deadline = context.clock.now_ms() + LEAVE_LIMIT;
        let mut unblock = cmd("CLIENT");
        unblock.arg("UNBLOCK").arg(client);
        while context.clock.now_ms() < deadline && commander.ask(&unblock, deadline).await.is_ok() {
            if timeout(UNBLOCK_PAUSE, &mut self.over).await.is_ok() {
                return;
            }
        }
    }
}

enum Kind {
    Read(Read),
    ClientId,
    Ping,
}

/// The session.
struct GroupReader {
    key: GroupKey,
    id: LinkId,
    context: Arc<TransportContext>,
    protocol: Protocol,
    connected: bool,
    /// Reads that are not sent.
    orders: VecDeque<Read>,
    /// Reads that are not answered. The server works on one while the answer to another is taken in.
    unanswered: usize,
    pipeline: Pipeline<Kind>,
    progress: Progress,
    /// The server's number of the connection.
    client: Option<i64>,
    last_read: u64,
    /// Whether no more is read.
    leaving: bool,
    /// Who waits for the end of the last read.
    over: Option<oneshot::Sender<()>>,
}

impl GroupReader {
    fn new(key: GroupKey, id: LinkId, context: Arc<TransportContext>) -> Self {
        GroupReader {
            key,
            id,
            context,
            protocol: Protocol::Resp3,
            connected: false,
            orders: VecDeque::new(),
            unanswered: 0,
            pipeline: Pipeline::new(),
            progress: Progress::default(),
            client: None,
            last_read: 0,
            leaving: false,
            over: None,
        }
    }

    fn push(&mut self, kind: Kind, limit: u64, command: &Cmd) {
        self.pipeline.push(kind, limit, |bytes| bytes.put_slice(&command.get_packed_command()));
    }

    /// Sends the reads that are ordered.
    fn advance(&mut self) {
        while let Some(order) = self.orders.pop_front().filter(|_| !self.leaving) {
            self.send(order);
        }
    }

    fn send(&mut self, order: Read) {
        let block = self.context.config.redis.heartbeat.clamp(1, MAX_BLOCK);
        let mut command = cmd("XREADGROUP");
        command.arg("GROUP").arg(&*order.group).arg(&*order.consumer);
        command.arg("COUNT").arg(order.limit).arg("BLOCK").arg(block).arg("STREAMS");
        for stream in order.streams.iter() {
            command.arg(&**stream);
        }
        for _ in order.streams.iter() {
            command.arg(">");
        }
        self.unanswered += 1;
        // One that waits behind another has its time when that is answered.
        self.push(Kind::Read(order), block + BLOCK_GRACE, &command);
    }

    fn take(&mut self, reply: &[u8]) -> Result<(), BusError> {
        if reply.first() == Some(&b'>') {
            return Ok(());
        }
        match self.pipeline.answered() {
            Some(Kind::Read(order)) => self.take_entries(order, reply),
            Some(Kind::ClientId) => {
                if let Some((Reply::Int(id), _)) = decode(self.protocol, reply)? {
                    self.client = Some(id);
                }
                Ok(())
            }
            Some(Kind::Ping) => match decode(self.protocol, reply)? {
                Some((Reply::Error(error), _)) => {
                    let refusal = server_error::classify(error);
                    let is_dead = refusal.action == Action::Reconnect;
                    if is_dead { Err(refusal.into_error(error)) } else { Ok(()) }
                }
                _ => Ok(()),
            },
            None => {
                let message = "the server sent a reply that nothing was asked for";
                Err(BusError::new(ErrorKind::ConnectionLost, message))
            }
        }
    }

    /// Takes the answer to a read.
    fn take_entries(&mut self, order: Read, reply: &[u8]) -> Result<(), BusError> {
        self.unanswered = self.unanswered.saturating_sub(1);
        let mut arrivals = Vec::new();
        let mut unknown = false;
        let (codec, instance) = (self.context.config.codec, self.context.origin.instance_id());
        let answer = visit(reply, |name, id, fields| {
            let Some(stream) = order.streams.iter().find(|stream| stream.as_bytes() == name) else {
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
            Answer::Refused(error) => {
                let refusal = server_error::classify(error);
                if refusal.action == Action::Reconnect {
                    return Err(refusal.into_error(error));
                }
                self.context.events.read_interrupted(self.key, refusal.into_error(error));
            }
            Answer::Entries | Answer::Nothing => {
                self.context.events.entries(self.key, arrivals);
            }
        }
        if self.unanswered == 0 {
            self.tell_over();
        }
        Ok(())
    }

    /// Tells who waits for it that the last read is over, and what it brought has arrived.
    fn tell_over(&mut self) {
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

    /// When the connection counts as dead, or is to prove that it is not.
    fn next_check(&self) -> u64 {
        match self.pipeline.front() {
            Some(front) => front.sent_at.max(self.last_read) + front.limit,
            None if self.pipeline.is_idle() => self.last_read + self.context.config.redis.heartbeat,
            None => u64::MAX,
        }
    }
}

impl Session for GroupReader {
    type Input = Input;
    const MASTER: bool = true;

    fn link(&self) -> &LinkId {
        &self.id
    }

    fn input(&mut self, input: Input, _now: u64) {
        match input {
            Input::Read(read) if self.connected => self.orders.push_back(read),
            // It was ordered when there was a connection, and has ended with it.
            Input::Read(_) => {
                let error = BusError::new(ErrorKind::ConnectionLost, "not connected");
                self.context.events.reader_down(self.key, &error);
            }
            Input::Nudge(answer) => {
                // The one who asks may have given up.
                let _ = answer.send(self.client.filter(|_| self.unanswered > 0));
            }
            Input::Leave(answer) => self.leave(answer),
        }
    }

    fn opened(&mut self, opened: Opened, now: u64) {
        self.protocol = opened.protocol;
        self.connected = true;
        self.last_read = now;
        self.progress = Progress::default();
        self.push(Kind::ClientId, HEARTBEAT_LIMIT, cmd("CLIENT").arg("ID"));
        self.context.events.link_up(&self.id);
        self.context.events.reader_up(self.key);
    }

    fn outgoing(&mut self, _now: u64) -> &[u8] {
        self.advance();
        self.pipeline.outgoing()
    }

    fn written(&mut self, bytes: usize, now: u64) {
        let heartbeat = |kind: &Kind| matches!(kind, Kind::Ping);
        self.pipeline.written(bytes, now, HEARTBEAT_LIMIT, heartbeat);
    }

    fn received(&mut self, buffer: &[u8], now: u64) -> Result<usize, BusError> {
        self.last_read = now;
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
        Some(self.next_check()).filter(|at| self.connected && *at < u64::MAX)
    }

    fn tick(&mut self, now: u64) -> Result<(), BusError> {
        if !self.connected || now < self.next_check() {
            return Ok(());
        }
        if let Some(front) = self.pipeline.front() {
            let message = format!("no answer for {} ms", now - front.sent_at.max(self.last_read));
            return Err(BusError::new(ErrorKind::ConnectionLost, message));
        }
        self.push(Kind::Ping, HEARTBEAT_LIMIT, &cmd("PING"));
        Ok(())
    }

    fn closed(&mut self, error: &BusError) {
        self.orders.clear();
        self.unanswered = 0;
        self.client = None;
        self.pipeline.disconnected();
        self.pipeline.remove_unsent(|_| true);
        if std::mem::replace(&mut self.connected, false) {
            self.context.events.reader_down(self.key, error);
        }
        self.tell_over();
    }

    fn ended(&mut self) {
        self.closed(&BusError::new(ErrorKind::Closed, "the reader has left"));
    }
}
