//! The publisher session: a pipeline of commands whose outcome is always known to be one of
//! published, refused, never sent, or unknown.
//!
//! Commands wait unsent until their first byte is written and then until they are answered, in
//! order. When the connection breaks, those that were written are unknown and those that were not go
//! to the next connection, until their own time is over.

use std::sync::Arc;

use bytes::BufMut;
use oxbus_model::config::Mode;
use oxbus_model::{BusError, ErrorKind, Outcome};
use redis::cmd;
use tokio::sync::oneshot;

use crate::host::Failed;
use crate::redis::connection::link::{HEARTBEAT_LIMIT, Opened, Session};
use crate::redis::connection::pipeline::Pipeline;
use crate::redis::publisher::batches::Batches;
use crate::redis::publisher::in_flight::{Done, Kind};
use crate::redis::publisher::prepare::{Preparation, Prepared};
use crate::redis::publisher::replicated::{Group, PreparedBatch, Replicas, Replicated};
use crate::redis::publisher::replies::Faults;
use crate::redis::publisher::streams_ready::StreamsReady;
use crate::redis::resp::command::append_wait;
use crate::redis::resp::reply::{Protocol, decode};
use crate::redis::scripts::script_call::{PERSIST, STORE_AND_PUBLISH};
use crate::transport::Submission;
use crate::transport::context::TransportContext;
use crate::transport::link_id::LinkId;

/// How often the server is asked whether it is still a master, while events are published to it, in
/// milliseconds: `PUBLISH` succeeds on a demoted one and reaches nobody.
pub(in crate::redis) const ROLE_INTERVAL: u64 = 1_000;

/// Commands in the queue for each millisecond between two searches of it for late ones: a long queue
/// is not gone through every millisecond, and 100,000 publishes expire at most 50 ms late.
const EXPIRED_PER_MS: u64 = 2_000;

/// What a publisher is told.
pub(crate) enum Input {
    Publish(Submission),
    /// Commands of a submission that was read elsewhere.
    PreparedBatch(Box<PreparedBatch>),
    Cancel {
        batch: u32,
        index: u32,
    },
    /// Send a command; its answer, as text, goes to the sender.
    Ask(redis::Cmd, oneshot::Sender<Result<String, BusError>>),
    /// Say when all publishes are settled.
    Flush(oneshot::Sender<()>),
    /// Publishes may be sent: look again.
    StreamsReady,
}

pub(crate) struct Publisher {
    pub(in crate::redis) context: Arc<TransportContext>,
    id: LinkId,
    ready: Arc<StreamsReady>,
    preparation: Preparation,
    protocol: Protocol,
    connected: bool,
    pub(in crate::redis) role_known: bool,
    /// Whether the scripts are being loaded.
    pub(in crate::redis) loading: bool,
    /// Why there is no connection.
    last_error: Option<BusError>,
    pub(in crate::redis) pipeline: Pipeline<Kind>,
    pub(in crate::redis) batches: Batches,
    /// Stored, but not yet known to be replicated, until then.
    pub(in crate::redis) unreplicated: Vec<(Done, u64)>,
    flushes: Vec<oneshot::Sender<()>>,
    /// No publish is due before.
    next_expiry: u64,
    last_read: u64,
    pub(in crate::redis) last_role: u64,
    /// Events answered since the server last said that it is a master.
    pub(in crate::redis) unproven: u64,
    pub(in crate::redis) faults: Faults,
}

impl Publisher {
    /// The publisher of a client; what is to be replicated goes to another one.
    pub(in crate::redis) fn new(
        context: Arc<TransportContext>,
        ready: Arc<StreamsReady>,
        replicated: Arc<Replicated>,
    ) -> Self {
        let replicas = Replicas::new(&context, replicated);
        Publisher::named(LinkId::Publisher, context, ready, Some(replicas))
    }

    /// The publisher of what is to be replicated.
    pub(in crate::redis) fn replicated(context: Arc<TransportContext>, ready: Arc<StreamsReady>) -> Self {
        Publisher::named(LinkId::Replicated, context, ready, None)
    }

    fn named(
        id: LinkId,
        context: Arc<TransportContext>,
        ready: Arc<StreamsReady>,
        replicas: Option<Replicas>,
    ) -> Self {
        Publisher {
            id,
            ready,
            preparation: Preparation::new(&context, replicas),
            batches: Batches::new(&context.config.streams),
            context,
            protocol: Protocol::Resp3,
            connected: false,
            role_known: false,
            loading: false,
            last_error: None,
            pipeline: Pipeline::new(),
            unreplicated: Vec::new(),
            flushes: Vec::new(),
            next_expiry: u64::MAX,
            last_read: 0,
            last_role: 0,
            unproven: 0,
            faults: Faults::default(),
        }
    }

    fn publish(&mut self, submission: Submission) {
        let Publisher { preparation, context, pipeline, batches, .. } = self;
        let batch = submission.batch;
        let Prepared { state, deadline, .. } =
            preparation.prepare(context, submission, pipeline, &mut batches.settled, |_, _| true);
        self.next_expiry = self.next_expiry.min(deadline);
        if let Some(state) = state {
            self.batches.add(batch, state);
        }
        self.report();
    }

    /// Takes commands over, and asks after them how many replicas have got what they did.
    fn take_over(&mut self, composed: PreparedBatch) {
        let PreparedBatch { batch, state, groups } = composed;
        self.batches.add(batch, state);
        for Group { wait, deadline, mut commands } in groups {
            self.next_expiry = self.next_expiry.min(deadline);
            let Some((replicas, timeout)) = wait else {
                if !self.connected && self.last_error.is_some() {
                    let unsent = commands.remove_unsent(Kind::is_unstored);
                    self.give_up(unsent);
                }
                self.pipeline.append(commands);
                continue;
            };
            // What waits already, and asks for the same, is asked for together.
            let same = |kind: &Kind| matches!(kind, Kind::Wait { replicas: r, timeout: t } if (*r, *t) == (replicas, timeout));
            self.pipeline.remove_last_unsent(same);
            self.pipeline.append(commands);
            let limit = timeout.saturating_add(self.context.config.redis.command_timeout);
            let kind = Kind::Wait { replicas, timeout };
            self.pipeline.push_barrier(kind, limit, |bytes| append_wait(bytes, replicas, timeout));
        }
        self.report();
    }

    /// In hybrid mode, while there is no connection: what is not stored does not wait for the next.
    fn give_up(&mut self, unsent: Vec<Kind>) {
        let why = self.last_error.as_ref().map_or("not connected", |error| &error.message);
        let error = BusError::new(ErrorKind::ConnectionLost, why).with_outcome(Outcome::NotSent);
        self.fail_all(unsent, &error);
    }

    /// Whether this publisher hands on what is to be replicated, and is not the one that does it.
    pub(in crate::redis) fn hands_on(&self) -> bool {
        self.preparation.replicas.is_some()
    }

    pub(in crate::redis) fn ask(&mut self, kind: Kind, command: &redis::Cmd) {
        let limit = self.context.config.redis.command_timeout;
        self.pipeline.push(kind, limit, |bytes| bytes.put_slice(&command.get_packed_command()));
    }

    pub(in crate::redis) fn fail(&mut self, batch: u32, index: u32, error: BusError) {
        self.batches.failed(Failed { batch, index, error, message_id: None });
    }

    /// As [`Publisher::fail`], for an event that is stored.
    pub(in crate::redis) fn fail_stored(&mut self, done: Done, error: BusError) {
        let Done { batch, index, entry, .. } = done;
        let message_id = entry.map(|entry| entry.id);
        self.batches.failed(Failed { batch, index, error, message_id });
    }

    /// Fails all events of commands.
    fn fail_all(&mut self, commands: impl IntoIterator<Item = Kind>, error: &BusError) {
        let batches = &mut self.batches;
        for command in commands {
            command.each_event(|batch, index| {
                batches.failed(Failed { batch, index, error: error.clone(), message_id: None });
            });
        }
    }

    /// Hands over what was settled since the last report.
    fn report(&mut self) {
        self.batches.report(&*self.context.events);
        if self.batches.is_empty() {
            for flushed in self.flushes.drain(..) {
                // The one who waits may have given up.
                let _ = flushed.send(());
            }
        }
    }

    /// Settles the publishes whose time is over.
    fn expire(&mut self, now: u64) {
        if now < self.next_expiry {
            return;
        }
        let late = |kind: &Kind| kind.deadline().is_some_and(|deadline| deadline <= now);
        let unsent = self.pipeline.remove_unsent(late);
        self.fail_all(unsent, &timed_out(&self.why_unsent(), Outcome::NotSent));
        let unanswered: Vec<Kind> = self
            .pipeline
            .sent_mut()
            .filter(|kind| late(kind))
            .map(|kind| std::mem::replace(kind, Kind::Settled))
            .collect();
        self.fail_all(unanswered, &timed_out("it was sent and not answered", Outcome::Unknown));
        self.expire_unreplicated(now);
        let unreplicated = self.unreplicated.iter().map(|(_, deadline)| *deadline);
        let deadlines = self.pipeline.kinds().filter_map(Kind::deadline).chain(unreplicated);
        let soonest = now + self.pipeline.len() as u64 / EXPIRED_PER_MS;
        self.next_expiry = deadlines.min().map_or(u64::MAX, |next| next.max(soonest));
        self.report();
    }

    fn why_unsent(&self) -> String {
        match &self.last_error {
            Some(error) if !self.connected => format!("it was never sent: {}", error.message),
            _ => "it was never sent".to_owned(),
        }
    }

    fn cancel(&mut self, batch: u32, index: u32) {
        let aborted =
            |outcome| BusError::new(ErrorKind::Aborted, "the publish was aborted").with_outcome(outcome);
        let is_it = |kind: &Kind| kind.has(batch, index);
        // One of several in a call is taken out of it; the others go on.
        let alone = |kind: &Kind| is_it(kind) && !matches!(kind, Kind::Call(call) if call.len() > 1);
        if self.pipeline.remove_first_unsent(alone).is_some()
            || self.pipeline.edit_first_unsent(is_it, |kind, bytes| match kind {
                Kind::Call(call) => call.without(index, bytes),
                _ => bytes.to_vec(),
            })
        {
            self.fail(batch, index, aborted(Outcome::NotSent));
            self.drop_bare_waits();
        } else if self.settle_sent(batch, index) {
            self.fail(batch, index, aborted(Outcome::Unknown));
        } else if let Some(at) =
            self.unreplicated.iter().position(|(done, _)| (done.batch, done.index) == (batch, index))
        {
            let (done, _) = self.unreplicated.remove(at);
            self.fail_stored(done, aborted(Outcome::Unknown));
        } else if let Some(replicas) = &self.preparation.replicas {
            replicas.cancel(batch, index);
        }
        self.report();
    }

    /// What the server says of an event that was sent will be ignored. False if it was not.
    fn settle_sent(&mut self, batch: u32, index: u32) -> bool {
        let Some(kind) = self.pipeline.sent_mut().find(|kind| kind.has(batch, index)) else { return false };
        match kind {
            Kind::Call(call) => call.settle(index),
            kind => *kind = Kind::Settled,
        }
        true
    }
}

impl Session for Publisher {
    type Input = Input;
    const MASTER: bool = true;

    fn link(&self) -> &LinkId {
        &self.id
    }

    fn preamble(&self) -> Vec<redis::Cmd> {
        let config = &self.context.config;
        let stores = !config.streams.is_empty() || config.persistence.is_some();
        if stores { vec![STORE_AND_PUBLISH.load(), PERSIST.load()] } else { Vec::new() }
    }

    fn input(&mut self, input: Input, _now: u64) {
        match input {
            Input::Publish(submission) => self.publish(submission),
            Input::PreparedBatch(composed) => self.take_over(*composed),
            Input::Cancel { batch, index } => self.cancel(batch, index),
            Input::Ask(command, sender) if self.connected => self.ask(Kind::Ask(sender), &command),
            Input::Ask(_, sender) => {
                let error = BusError::new(ErrorKind::ConnectionLost, "not connected");
                let _ = sender.send(Err(error));
            }
            Input::StreamsReady => {}
            Input::Flush(flushed) => {
                self.flushes.push(flushed);
                self.report();
            }
        }
    }

    fn opened(&mut self, opened: Opened, now: u64) {
        self.protocol = opened.protocol;
        self.role_known = opened.role_known;
        self.connected = true;
        self.last_read = now;
        self.last_role = now;
        // The login has just shown that it is a master.
        self.unproven = 0;
        self.context.events.link_up(&self.id);
    }

    fn outgoing(&mut self, _now: u64) -> &[u8] {
        if self.ready.is_set() { self.pipeline.outgoing() } else { &[] }
    }

    fn written(&mut self, bytes: usize, now: u64) {
        // A heartbeat behind other commands may be held up by them; alone, it must be answered soon.
        let heartbeat = |kind: &Kind| matches!(kind, Kind::Role | Kind::Ping);
        self.pipeline.written_telling(bytes, now, HEARTBEAT_LIMIT, heartbeat, |kind, command| {
            if let Kind::Call(call) = kind {
                call.keep(command);
            }
        });
    }

    fn received(&mut self, buffer: &[u8], now: u64) -> Result<usize, BusError> {
        self.last_read = now;
        self.context.events.link_alive(&self.id, now);
        let mut taken = 0;
        let mut result = Ok(());
        while result.is_ok()
            && let Some((reply, len)) = decode(self.protocol, &buffer[taken..])?
        {
            result = self.take(reply, now);
            taken += len;
        }
        self.report_faults(now);
        self.report();
        result.map(|()| taken)
    }

    fn deadline(&self) -> Option<u64> {
        if !self.connected {
            return (self.next_expiry < u64::MAX).then_some(self.next_expiry);
        }
        let answer = self.pipeline.front().map_or(u64::MAX, |c| c.sent_at.max(self.last_read) + c.limit);
        let probe = if self.pipeline.is_idle() {
            self.last_read + self.context.config.redis.heartbeat
        } else {
            u64::MAX
        };
        let role = if self.unproven > 0 { self.last_role + ROLE_INTERVAL } else { u64::MAX };
        Some(self.next_expiry.min(answer).min(probe).min(role).min(self.faults.due()))
    }

    fn tick(&mut self, now: u64) -> Result<(), BusError> {
        self.expire(now);
        self.report_faults(now);
        if !self.connected {
            return Ok(());
        }
        if let Some(front) = self.pipeline.front()
            && now >= front.sent_at.max(self.last_read) + front.limit
        {
            let message = format!("no answer for {} ms", now - front.sent_at.max(self.last_read));
            return Err(BusError::new(ErrorKind::ConnectionLost, message));
        }
        let idle = self.pipeline.is_idle();
        let asks_role = self.unproven > 0 && now >= self.last_role + ROLE_INTERVAL;
        if asks_role || (idle && now >= self.last_read + self.context.config.redis.heartbeat) {
            // The answer sets it again; until then one question is enough.
            self.last_role = now;
            if self.role_known {
                self.ask(Kind::Role, &cmd("ROLE"));
            } else {
                self.unproven = 0;
                self.ask(Kind::Ping, &cmd("PING"));
            }
        }
        Ok(())
    }

    fn closed(&mut self, error: &BusError) {
        if error.kind == ErrorKind::NotMaster {
            // A failover closes connections: only the next login shows what the last events met.
            self.report_undelivered();
        }
        self.last_error = Some(error.clone());
        self.connected = false;
        self.loading = false;
        let message = format!("sent, and the connection was lost before the answer: {}", error.message);
        let lost = BusError::new(ErrorKind::ConnectionLost, message).with_outcome(Outcome::Unknown);
        let sent = self.pipeline.disconnected().into_iter().map(|command| command.kind);
        let not_for_later = |kind: &Kind| !kind.is_publish() && !matches!(kind, Kind::Wait { .. });
        let (publishes, others): (Vec<_>, Vec<_>) = sent.partition(Kind::is_publish);
        self.fail_all(publishes, &lost);
        for (done, _) in std::mem::take(&mut self.unreplicated) {
            self.fail_stored(done, lost.clone());
        }
        for kind in others.into_iter().chain(self.pipeline.remove_unsent(not_for_later)) {
            if let Kind::Ask(sender) = kind {
                let _ = sender.send(Err(error.clone()));
            }
        }
        if self.context.config.mode == Mode::Hybrid {
            let unsent = self.pipeline.remove_unsent(Kind::is_unstored);
            self.give_up(unsent);
        }
        self.report();
    }

    fn ended(&mut self) {
        self.closed(&BusError::new(ErrorKind::Closed, "the client was closed"));
        let unsent = self.pipeline.remove_unsent(|_| true);
        let closed = BusError::new(ErrorKind::Closed, "the client was closed before it was sent");
        self.fail_all(unsent, &closed.with_outcome(Outcome::NotSent));
        self.report();
    }
}

fn timed_out(why: &str, outcome: Outcome) -> BusError {
    BusError::new(ErrorKind::PublishTimeout, format!("the publish was not confirmed in time; {why}"))
        .with_outcome(outcome)
}
