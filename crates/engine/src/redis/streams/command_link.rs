//! The consumer link: commands whose answers somebody waits for, pipelined.
//!
//! Each ends by its own deadline. What was written when the connection broke is unknown; what was not
//! fails at once, because who asks does so again anyway, and knows better what for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BufMut;
use oxbus_model::server_error;
use oxbus_model::server_error::Action;
use oxbus_model::{BusError, ErrorKind, Outcome};
use redis::{Cmd, cmd};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::redis::connection::handshake::{Endpoint, check_role};
use crate::redis::connection::link;
use crate::redis::connection::link::{HEARTBEAT_LIMIT, Handle, Opened, Session};
use crate::redis::connection::pipeline::Pipeline;
use crate::redis::resp::reply::{Protocol, Reply, decode};
use crate::redis::resp::value::RespValue;
use crate::redis::scripts::script;
use crate::transport::context::TransportContext;
use crate::transport::link_id::LinkId;

/// Commands that may wait for their answers.
const MAX_COMMANDS: usize = 10_000;

/// Bytes of commands that may wait for their answers.
const MAX_BYTES: usize = 64 << 20;

/// Commands in the queue for each millisecond between two searches of it for late ones.
const EXPIRED_PER_MS: u64 = 2_000;

type Answer = oneshot::Sender<Result<RespValue, BusError>>;

/// Sends commands on a link of its own, which is made with the first.
pub(in crate::redis) struct CommandLink {
    context: Arc<TransportContext>,
    endpoint: Arc<Endpoint>,
    runtime: tokio::runtime::Handle,
    link: Mutex<Slot>,
    room: Arc<Room>,
}

#[derive(Default)]
struct Slot {
    handle: Option<Handle<Input>>,
    closed: bool,
}

impl CommandLink {
    pub(in crate::redis) fn new(
        context: Arc<TransportContext>,
        endpoint: Arc<Endpoint>,
        runtime: tokio::runtime::Handle,
    ) -> Arc<Self> {
        Arc::new(CommandLink { context, endpoint, runtime, link: Mutex::default(), room: Arc::default() })
    }

    /// When a command that is sent now must be answered, on the client's clock.
    pub(in crate::redis) fn deadline(&self) -> u64 {
        self.context.clock.now_ms().saturating_add(self.context.config.redis.command_timeout)
    }

    /// Sends a command and waits for the answer, until `deadline`.
    ///
    /// # Errors
    /// What the server says (`Rejected`); `QUEUE_FULL`, `CLOSED` and a lack of connection (`NotSent`);
    /// no answer: `Unknown`.
    pub(in crate::redis) async fn ask(&self, command: &Cmd, deadline: u64) -> Result<RespValue, BusError> {
        let packed = command.get_packed_command();
        let place = Room::place(&self.room, packed.len())?;
        let (answer, answered) = oneshot::channel();
        let sent = self.send(Input { packed, deadline, answer, place });
        if sent { answered.await.unwrap_or_else(|_| Err(closed())) } else { Err(closed()) }
    }

    /// One round trip, if there is a link.
    pub(in crate::redis) async fn probe(&self) -> Result<(), BusError> {
        if self.slot().handle.is_none() {
            return Ok(());
        }
        self.ask(&cmd("PING"), self.deadline()).await.map(drop)
    }

    /// Ends the link, for good; what waits is settled when the task is over.
    pub(in crate::redis) fn end(&self) -> Option<JoinHandle<()>> {
        let mut slot = self.slot();
        slot.closed = true;
        slot.handle.take().map(Handle::end)
    }

    #[cfg(feature = "failpoints")]
    pub(in crate::redis) fn inject_panic(&self) {
        self.slot().handle.iter().for_each(Handle::inject_panic);
    }

    fn send(&self, input: Input) -> bool {
        let mut slot = self.slot();
        if slot.closed {
            return false;
        }
        let handle = slot.handle.get_or_insert_with(|| {
            let session = Commands::new(self.context.clone());
            link::start(session, self.context.clone(), self.endpoint.clone(), &self.runtime)
        });
        handle.send(input)
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn closed() -> BusError {
    BusError::new(ErrorKind::Closed, "the client was closed").with_outcome(Outcome::NotSent)
}

/// How much waits for answers.
#[derive(Default)]
struct Room {
    commands: AtomicUsize,
    bytes: AtomicUsize,
}

/// The room that one command takes, until it is dropped.
struct Place {
    room: Arc<Room>,
    bytes: usize,
}

impl Room {
    fn place(room: &Arc<Room>, bytes: usize) -> Result<Place, BusError> {
        let commands = room.commands.fetch_add(1, Ordering::AcqRel);
        let held = room.bytes.fetch_add(bytes, Ordering::AcqRel);
        let place = Place { room: room.clone(), bytes };
        // One that is larger than all the room may go alone.
        if commands >= MAX_COMMANDS || (held > 0 && held.saturating_add(bytes) > MAX_BYTES) {
            let message = format!("{commands} commands of {held} bytes wait for their answers");
            return Err(BusError::new(ErrorKind::QueueFull, message).with_outcome(Outcome::NotSent));
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.commands.fetch_sub(1, Ordering::AcqRel);
        self.room.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// A command to send.
struct Input {
    packed: Vec<u8>,
    deadline: u64,
    answer: Answer,
    place: Place,
}

enum Kind {
    Asked {
        answer: Answer,
        deadline: u64,
        /// Given back with the command.
        _place: Place,
    },
    /// Ended before its answer came; the answer will be ignored.
    Settled,
    Role,
    Ping,
}

/// The session.
struct Commands {
    context: Arc<TransportContext>,
    protocol: Protocol,
    connected: bool,
    role_known: bool,
    /// Why there is no connection; `None` also while the first one is made.
    last_error: Option<BusError>,
    pipeline: Pipeline<Kind>,
    /// No command is due before.
    next_expiry: u64,
    last_read: u64,
}

impl Commands {
    fn new(context: Arc<TransportContext>) -> Self {
        Commands {
            context,
            protocol: Protocol::Resp3,
            connected: false,
            role_known: false,
            last_error: None,
            pipeline: Pipeline::new(),
            next_expiry: u64::MAX,
            last_read: 0,
        }
    }

    fn push(&mut self, kind: Kind, packed: &[u8]) {
        let limit = self.context.config.redis.command_timeout;
        self.pipeline.push(kind, limit, |bytes| bytes.put_slice(packed));
    }

    /// Ends the commands whose time is over.
    fn expire(&mut self, now: u64) {
        if now < self.next_expiry {
            return;
        }
        let late = |kind: &Kind| matches!(kind, Kind::Asked { deadline, .. } if *deadline <= now);
        for kind in self.pipeline.remove_unsent(late) {
            fail(kind, &timed_out("it was never sent", Outcome::NotSent));
        }
        for kind in self.pipeline.sent_mut().filter(|kind| late(kind)) {
            let kind = std::mem::replace(kind, Kind::Settled);
            fail(kind, &timed_out("it was sent and not answered", Outcome::Unknown));
        }
        let deadlines = self.pipeline.kinds().filter_map(|kind| match kind {
            Kind::Asked { deadline, .. } => Some(*deadline),
            _ => None,
        });
        let soonest = now + self.pipeline.len() as u64 / EXPIRED_PER_MS;
        self.next_expiry = deadlines.min().map_or(u64::MAX, |next| next.max(soonest));
    }

    fn take(&mut self, reply: Reply<'_>) -> Result<(), BusError> {
        if matches!(reply, Reply::Push(_)) {
            return Ok(());
        }
        let Some(kind) = self.pipeline.answered() else {
            let message = "the server sent a reply that nothing was asked for";
            return Err(BusError::new(ErrorKind::ConnectionLost, message));
        };
        match (kind, reply) {
            (kind, Reply::Error(error)) => {
                let error = script::cause(error);
                let refusal = server_error::classify(error);
                if matches!(kind, Kind::Role) {
                    self.role_known &= refusal.kind != ErrorKind::PermissionDenied;
                }
                fail(kind, &refusal.into_error(error).with_outcome(Outcome::Rejected));
                if refusal.action == Action::Reconnect {
                    return Err(refusal.into_error(error));
                }
            }
            (Kind::Role, reply) => check_role(&reply)?,
            (Kind::Asked { answer, .. }, reply) => {
                // The asker may have given up.
                let _ = answer.send(Ok(reply.into()));
            }
            (Kind::Settled | Kind::Ping, _) => {}
        }
        Ok(())
    }

    /// Ends everything that waits unsent.
    fn drop_unsent(&mut self, error: &BusError) {
        for kind in self.pipeline.remove_unsent(|_| true) {
            fail(kind, error);
        }
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

impl Session for Commands {
    type Input = Input;
    const MASTER: bool = true;

    fn link(&self) -> &LinkId {
        &LinkId::Consumer
    }

    fn input(&mut self, input: Input, _now: u64) {
        let Input { packed, deadline, answer, place } = input;
        let kind = Kind::Asked { answer, deadline, _place: place };
        match &self.last_error {
            Some(error) => fail(kind, &not_sent(error)),
            None => {
                self.next_expiry = self.next_expiry.min(deadline);
                self.push(kind, &packed);
            }
        }
    }

    fn opened(&mut self, opened: Opened, now: u64) {
        self.protocol = opened.protocol;
        self.role_known = opened.role_known;
        self.connected = true;
        self.last_error = None;
        self.last_read = now;
        self.context.events.link_up(&LinkId::Consumer);
    }

    fn outgoing(&mut self, _now: u64) -> &[u8] {
        self.pipeline.outgoing()
    }

    fn written(&mut self, bytes: usize, now: u64) {
        let heartbeat = |kind: &Kind| matches!(kind, Kind::Role | Kind::Ping);
        self.pipeline.written(bytes, now, HEARTBEAT_LIMIT, heartbeat);
    }

    fn received(&mut self, buffer: &[u8], now: u64) -> Result<usize, BusError> {
        self.last_read = now;
        self.context.events.link_alive(&LinkId::Consumer, now);
        let mut taken = 0;
        while let Some((reply, len)) = decode(self.protocol, &buffer[taken..])? {
            self.take(reply)?;
            taken += len;
        }
        Ok(taken)
    }

    fn deadline(&self) -> Option<u64> {
        let check = if self.connected { self.next_check() } else { u64::MAX };
        Some(self.next_expiry.min(check)).filter(|at| *at < u64::MAX)
    }

    fn tick(&mut self, now: u64) -> Result<(), BusError> {
        self.expire(now);
        if !self.connected || now < self.next_check() {
            return Ok(());
        }
        if let Some(front) = self.pipeline.front() {
            let message = format!("no answer for {} ms", now - front.sent_at.max(self.last_read));
            return Err(BusError::new(ErrorKind::ConnectionLost, message));
        }
        if self.role_known {
            self.push(Kind::Role, &cmd("ROLE").get_packed_command());
        } else {
            self.push(Kind::Ping, &cmd("PING").get_packed_command());
        }
        Ok(())
    }

    fn closed(&mut self, error: &BusError) {
        self.connected = false;
        self.last_error = Some(error.clone());
        let message = format!("sent, and the connection was lost before the answer: {}", error.message);
        let lost = BusError::new(ErrorKind::ConnectionLost, message).with_outcome(Outcome::Unknown);
        for command in self.pipeline.disconnected() {
            fail(command.kind, &lost);
        }
        self.drop_unsent(&not_sent(error));
    }

    fn ended(&mut self) {
        self.closed(&BusError::new(ErrorKind::Closed, "the client was closed"));
    }
}

/// Tells who waits for a command that it failed.
fn fail(kind: Kind, error: &BusError) {
    if let Kind::Asked { answer, .. } = kind {
        // The asker may have given up.
        let _ = answer.send(Err(error.clone()));
    }
}

fn not_sent(error: &BusError) -> BusError {
    let kind = if error.kind == ErrorKind::Closed { ErrorKind::Closed } else { ErrorKind::ConnectionLost };
    BusError::new(kind, format!("not connected: {}", error.message)).with_outcome(Outcome::NotSent)
}

fn timed_out(why: &str, outcome: Outcome) -> BusError {
    BusError::new(ErrorKind::CommandTimeout, format!("no answer in time; {why}")).with_outcome(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded() {
        let room = Arc::new(Room::default());
        let full = |bytes| Room::place(&room, bytes).err().map(|error| (error.kind, error.outcome));
        let refused = Some((ErrorKind::QueueFull, Some(Outcome::NotSent)));
        let mut places: Vec<Place> = (0..MAX_COMMANDS).filter_map(|_| Room::place(&room, 1).ok()).collect();
        assert_eq!(places.len(), MAX_COMMANDS);
        assert_eq!(full(1), refused);
        places.truncate(1);
        assert_eq!((full(MAX_BYTES), full(MAX_BYTES - 1)), (refused, None));
        places.clear();
        // Larger than all the room, and alone.
        assert_eq!(full(MAX_BYTES + 1), None);
        assert_eq!((room.commands.load(Ordering::Acquire), room.bytes.load(Ordering::Acquire)), (0, 0));
    }
}
