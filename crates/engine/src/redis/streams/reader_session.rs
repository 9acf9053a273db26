//! The session of a group's reader: it sends reads, before some of them a look at what the group has missed, and
//! reports what came. Its reads themselves are in `reader_reads`.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use bytes::BufMut;
use oxbus_model::consumer::Read;
use oxbus_model::server_error;
use oxbus_model::server_error::Action;
use oxbus_model::stream_store::KeyLayout;
use oxbus_model::topology::redirect::Redirect;
use oxbus_model::{BusError, ErrorKind};
use redis::{Cmd, cmd};
use tokio::sync::oneshot;

use crate::redis::connection::liveness::{Check, HEARTBEAT_LIMIT, Liveness, unexpected_reply};
use crate::redis::connection::pipeline::Pipeline;
use crate::redis::connection::session::{Opened, Session};
use crate::redis::resp::reply::{Protocol, Reply, decode};
use crate::redis::resp::value::RespValue;
use crate::redis::resp::xreadgroup::Progress;
use crate::redis::scripts::script;
use crate::redis::streams::landmarks::Asking;
use crate::redis::streams::reader_input::{Blocked, Input};
use crate::redis::streams::reader_reports::Reports;
use crate::redis::streams::split_read::{SlotStreams, SplitRead, by_slot};
use crate::redis::streams::store_replies;
use crate::redis::streams::trim_watch::{Precaution, Sight, TrimWatch, look};
use crate::transport::context::TransportContext;
use crate::transport::link_id::LinkId;

/// The longest that a read blocks, in milliseconds.
const MAX_BLOCK: u64 = 5_000;

/// How long after the end of a blocked read the server may answer, in milliseconds.
pub(super) const BLOCK_GRACE: u64 = 2_000;

/// How long the server may take to answer a question, in milliseconds.
const ASK_LIMIT: u64 = 5_000;

/// How long a read blocks, in milliseconds.
pub(super) fn block(context: &TransportContext) -> u64 {
    context.config.redis.heartbeat.clamp(1, MAX_BLOCK)
}

pub(super) enum Command {
    Read(Read),
    /// The streams of one slot, for the read of several that is under way.
    Part,
    /// An entry of a stream that was read.
    Landmark,
    /// What the group has missed of these streams.
    Look {
        group: Arc<str>,
        streams: Arc<[Arc<str>]>,
        sent: u64,
    },
    ClientId,
    Ping,
    /// Its answer means nothing.
    Asking,
}

/// The session.
pub(super) struct GroupReaderSession {
    pub(super) reports: Reports,
    id: LinkId,
    /// In a Cluster: the streams of which the node is asked though their slots are only on their way to it.
    pub(super) on_their_way: HashSet<Arc<str>>,
    pub(super) context: Arc<TransportContext>,
    protocol: Protocol,
    /// How keys are named on the server.
    layout: KeyLayout,
    connected: bool,
    /// Reads that are not sent.
    unsent: VecDeque<Read>,
    /// The read of several slots that is under way, and where the next one waits first.
    pub(super) split: Option<SplitRead>,
    pub(super) turn: usize,
    /// A read that waits until it is known whether entries that were read are still there.
    asking: Option<Asking>,
    pub(super) trims: TrimWatch,
    /// Whether the server knows the script of a look.
    knows_script: bool,
    /// Reads that are not answered. The server works on one while the answer to another is taken in.
    pub(super) unanswered: usize,
    pipeline: Pipeline<Command>,
    progress: Progress,
    /// The server's number of the connection.
    client: Option<i64>,
    liveness: Liveness,
    /// Whether no more is read.
    pub(super) leaving: bool,
    /// Told when the last read is over.
    pub(super) over: Option<oneshot::Sender<()>>,
}

impl GroupReaderSession {
    pub(super) fn new(id: LinkId, context: Arc<TransportContext>, reports: Reports) -> Self {
        GroupReaderSession {
            reports,
            id,
            on_their_way: HashSet::new(),
            liveness: Liveness::new(context.config.redis.heartbeat),
            trims: TrimWatch::new(&context.config.streams),
            context,
            protocol: Protocol::Resp3,
            layout: KeyLayout::Plain,
            connected: false,
            unsent: VecDeque::new(),
            split: None,
            turn: 0,
            asking: None,
            knows_script: false,
            unanswered: 0,
            pipeline: Pipeline::new(),
            progress: Progress::default(),
            client: None,
            leaving: false,
            over: None,
        }
    }

    pub(super) fn push(&mut self, command: Command, limit: u64, packed: &Cmd) {
        self.pipeline.push(command, limit, |bytes| bytes.put_slice(&packed.get_packed_command()));
    }

    /// Sends the reads that wait for it.
    fn advance(&mut self, now: u64) {
        while !self.leaving
            && self.asking.is_none()
            && self.split.is_none()
            && let Some(read) = self.unsent.pop_front()
        {
            if read.behind.is_some() {
                // There is no group that could miss anything.
                self.send(read, now);
                continue;
            }
            match self.trims.precaution(&read.streams, read.limit, now) {
                Precaution::None => self.send(read, now),
                Precaution::Look => self.look_and_send(read, now),
                Precaution::Ask => self.ask(read, now),
            }
        }
    }

    /// Whether an error says that another node of the Cluster has the streams. The connection stays then.
    pub(super) fn is_elsewhere(&self, error: &str) -> bool {
        self.id.node().is_some() && Redirect::read(error).is_some()
    }

    /// The streams that one command can name.
    pub(super) fn parts(&self, read: &Read) -> Vec<SlotStreams> {
        match self.layout {
            KeyLayout::Plain => vec![read.streams.clone()],
            KeyLayout::Tagged => by_slot(&read.streams),
        }
    }

    fn ask(&mut self, read: Read, now: u64) {
        let marks: Vec<_> =
            read.streams.iter().map(|stream| self.trims.landmark(stream).unwrap_or_default()).collect();
        for (stream, (id, _)) in read.streams.iter().zip(&marks) {
            let id = id.to_string();
            self.push(Command::Landmark, ASK_LIMIT, cmd("XRANGE").arg(&**stream).arg(&id).arg(&id));
        }
        self.asking = Some(Asking::new(read, &marks, now));
    }

    /// Sends a read, and before it a look at what the group has missed. They go together, so that hardly anything
    /// comes between them.
    fn look_and_send(&mut self, read: Read, now: u64) {
        self.look(&read.group, &self.parts(&read), now);
        self.send(read, now);
    }

    /// Looks at what the group has missed of these streams.
    pub(super) fn look(&mut self, group: &Arc<str>, parts: &[SlotStreams], now: u64) {
        for streams in parts {
            let (instance, known) = (self.context.origin.instance_id(), self.knows_script);
            let command = look(group, streams, self.layout, &self.trims, instance, known);
            self.trims.looking();
            let look = Command::Look { group: group.clone(), streams: streams.clone(), sent: now };
            self.push(look, block(&self.context) + BLOCK_GRACE, &command);
        }
    }

    fn take(&mut self, reply: &[u8], now: u64) -> Result<(), BusError> {
        if reply.first() == Some(&b'>') {
            return Ok(());
        }
        match self.pipeline.answered() {
            Some(Command::Read(read)) => self.take_entries(&read, reply, now),
            Some(Command::Part) => self.take_part(reply, now),
            Some(Command::Landmark) => self.take_landmark(reply, now),
            Some(Command::Look { group, streams, sent }) => self.take_look(&group, &streams, sent, reply),
            Some(Command::Asking) => Ok(()),
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

    /// Takes an entry that was asked for. With the last of them the read goes that waits for them.
    fn take_landmark(&mut self, reply: &[u8], now: u64) -> Result<(), BusError> {
        let is_there =
            matches!(decode(self.protocol, reply)?, Some((Reply::Array(found), _)) if !found.is_empty());
        let Some(Asking { read, margin, sent, .. }) =
            self.asking.take_if(|asking| asking.is_answered(is_there))
        else {
            return Ok(());
        };
        if let Some(margin) = margin {
            self.trims.are_there(margin, sent);
            self.send(read, now);
        } else {
            self.trims.is_gone(&read.streams);
            self.look_and_send(read, now);
        }
        Ok(())
    }

    /// Takes the answer to a look.
    fn take_look(
        &mut self,
        group: &Arc<str>,
        streams: &[Arc<str>],
        sent: u64,
        reply: &[u8],
    ) -> Result<(), BusError> {
        let reply = match decode(self.protocol, reply)? {
            Some((Reply::Error(error), _)) if script::is_missing(error) => {
                self.knows_script = false;
                self.trims.forget();
                return Ok(());
            }
            Some((Reply::Error(error), _)) if self.is_elsewhere(script::cause(error)) => {
                // The read that follows is told the same, and goes elsewhere.
                self.trims.forget();
                return Ok(());
            }
            Some((Reply::Error(error), _)) => {
                let refusal = server_error::classify(script::cause(error));
                if refusal.action == Action::Reconnect {
                    return Err(refusal.into_error(error));
                }
                // Where it is not allowed, nothing can be found. It is tried again, but not before each read.
                self.trims.looked(Sight::default(), sent);
                return Ok(());
            }
            Some((reply, _)) => RespValue::from(reply),
            None => return Err(unexpected_reply()),
        };
        self.knows_script = true;
        let (sight, missed) = store_replies::missed(reply)?;
        self.trims.looked(sight, sent);
        for (stream, missed) in streams.iter().zip(missed) {
            let Some(mut missed) = missed else { continue };
            missed.count = self.trims.found(stream, missed.count);
            if missed.count > 0 {
                self.context.events.missed(stream.clone(), group.clone(), missed);
            }
        }
        Ok(())
    }

    fn leave(&mut self, answer: oneshot::Sender<Option<Blocked>>) {
        self.leaving = true;
        self.split.iter_mut().for_each(SplitRead::hurry);
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
                self.reports.down(&error);
            }
            Input::Asking(streams) => self.on_their_way = streams,
            Input::Unblock(answer) => {
                // The one who asks may have given up.
                let _ = answer.send(self.client.filter(|_| self.unanswered > 0));
                self.split.iter_mut().for_each(SplitRead::hurry);
                if self.asking.take().is_some() {
                    self.reports.entries(Vec::new());
                }
            }
            Input::Leave(answer) => self.leave(answer),
        }
    }

    fn opened(&mut self, opened: Opened, now: u64) {
        self.protocol = opened.protocol;
        self.layout = opened.layout;
        self.connected = true;
        self.liveness.read(now);
        self.progress = Progress::default();
        self.trims.forget();
        self.knows_script = false;
        self.push(Command::ClientId, HEARTBEAT_LIMIT, cmd("CLIENT").arg("ID"));
        self.context.events.link_up(&self.id);
        self.reports.up();
    }

    fn outgoing(&mut self, now: u64) -> &[u8] {
        self.advance(now);
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
            self.take(rest.get(..len).unwrap_or_default(), now)?;
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
        self.asking = None;
        self.split = None;
        self.unanswered = 0;
        self.client = None;
        self.pipeline.disconnected();
        self.pipeline.remove_unsent(|_| true);
        if std::mem::replace(&mut self.connected, false) {
            self.reports.down(error);
        }
        self.report_over();
    }

    fn ended(&mut self) {
        self.closed(&BusError::new(ErrorKind::Closed, "the reader has left"));
    }
}
