//! The publisher session: a pipeline of commands. The outcome of each is always known to be one of published, refused,
//! never sent, or unknown.
//!
//! Commands wait unsent until their first byte is written and then until they are answered, in order. When the connection
//! breaks, those that were written are unknown; the others go to the next connection, until their own time is over.

use std::sync::Arc;

use bytes::BufMut;
use oxbus_model::config::Mode;
use oxbus_model::stream_store::KeyLayout;
use oxbus_model::{BusError, ErrorKind, Outcome};
use redis::cmd;
use tokio::sync::oneshot;

use crate::redis::connection::expiry::Expiry;
use crate::redis::connection::lazy_link::LazyLink;
use crate::redis::connection::liveness::{Check, HEARTBEAT_LIMIT, Liveness};
use crate::redis::connection::pipeline::Pipeline;
use crate::redis::connection::session::{Opened, Session};
use crate::redis::connection::step::ROLE_INTERVAL;
use crate::redis::publisher::batches::Batches;
use crate::redis::publisher::cluster_keys::ClusterKeys;
use crate::redis::publisher::group_gate::GroupGate;
use crate::redis::publisher::held::Held;
use crate::redis::publisher::in_flight::{Command, PublishedEvent};
use crate::redis::publisher::input::Input;
use crate::redis::publisher::preparation::{Preparation, Prepared};
use crate::redis::publisher::prepared::{HandedOver, PreparedBatch, PreparedCommands};
use crate::redis::publisher::replicated::{Replicas, append_awaited};
use crate::redis::publisher::routed::Routed;
use crate::redis::publisher::stored_only::StoredOnly;
use crate::redis::publisher::target::Target;
use crate::redis::resp::reply::{Protocol, decode};
use crate::redis::scripts::script_call::{PERSIST, STORE_AND_PUBLISH};
use crate::transport::Submission;
use crate::transport::context::TransportContext;
use crate::transport::link_id::LinkId;

pub(crate) struct Publisher {
    pub(in crate::redis) context: Arc<TransportContext>,
    id: LinkId,
    gate: Arc<GroupGate>,
    /// What may not be sent yet.
    pub(in crate::redis) held: Held,
    pub(in crate::redis) preparation: Preparation,
    cluster_keys: ClusterKeys,
    protocol: Protocol,
    pub(in crate::redis) connected: bool,
    pub(in crate::redis) role_known: bool,
    /// Whether the scripts are being loaded.
    pub(in crate::redis) loading: bool,
    /// Why there is no connection.
    pub(in crate::redis) last_error: Option<BusError>,
    pub(in crate::redis) pipeline: Pipeline<Command>,
    pub(in crate::redis) batches: Batches,
    /// Stored, but not yet known to be replicated, until then.
    pub(in crate::redis) unreplicated: Vec<(PublishedEvent, u64)>,
    flushes: Vec<oneshot::Sender<()>>,
    pub(in crate::redis) expiry: Expiry,
    liveness: Liveness,
    pub(in crate::redis) last_role: u64,
    /// Events answered since the server last said that it is a master.
    pub(in crate::redis) unproven: u64,
    pub(in crate::redis) stored_only: StoredOnly,
    /// Whether events are settled only when replicas have them.
    pub(in crate::redis) awaits_replicas: bool,
    /// Of a node of a Cluster: what it does beyond a publisher of a single server.
    pub(in crate::redis) routed: Option<Routed>,
}

impl Publisher {
    /// The publisher of a client. Events that wait for replicas go to `replicated`, another one.
    pub(in crate::redis) fn new(
        context: Arc<TransportContext>,
        gate: Arc<GroupGate>,
        replicated: Arc<LazyLink<Input>>,
    ) -> Self {
        let replicas = Replicas::new(&context, replicated);
        Publisher::named(LinkId::Publisher, context, gate, Some(replicas))
    }

    /// The publisher of events that wait for replicas.
    pub(in crate::redis) fn replicated(context: Arc<TransportContext>, gate: Arc<GroupGate>) -> Self {
        Publisher::named(LinkId::Replicated, context, gate, None)
    }

    /// The publisher to a node of a Cluster; `settles`: whether events need no replicas.
    pub(in crate::redis) fn routed(
        id: LinkId,
        context: Arc<TransportContext>,
        gate: Arc<GroupGate>,
        routed: Routed,
        settles: bool,
    ) -> Self {
        let mut publisher = Publisher::named(id, context, gate, None);
        publisher.cluster_keys.layout = KeyLayout::Tagged;
        Publisher { routed: Some(routed), awaits_replicas: !settles, ..publisher }
    }

    fn named(
        id: LinkId,
        context: Arc<TransportContext>,
        gate: Arc<GroupGate>,
        replicas: Option<Replicas>,
    ) -> Self {
        Publisher {
            id,
            awaits_replicas: replicas.is_none(),
            routed: None,
            held: Held::new(gate.now()),
            gate,
            preparation: Preparation::new(&context, replicas),
            batches: Batches::new(&context.config.streams),
            liveness: Liveness::new(context.config.redis.heartbeat),
            cluster_keys: ClusterKeys::new(&context.config.keys.history),
            context,
            protocol: Protocol::Resp3,
            connected: false,
            role_known: false,
            loading: false,
            last_error: None,
            pipeline: Pipeline::new(),
            unreplicated: Vec::new(),
            flushes: Vec::new(),
            expiry: Expiry::new(),
            last_role: 0,
            unproven: 0,
            stored_only: StoredOnly::default(),
        }
    }

    fn publish(&mut self, submission: Submission) {
        let Publisher { preparation, context, pipeline, batches, held, cluster_keys, .. } = self;
        let batch = submission.batch;
        let is_tagged = cluster_keys.layout == KeyLayout::Tagged;
        let mut apart = (is_tagged || !held.is_open()).then(Pipeline::new);
        let commands = apart.as_mut().unwrap_or(pipeline);
        let Prepared { state, deadline, .. } =
            preparation.prepare(context, submission, commands, &mut batches.settled, |_, _| true);
        if let Some(mut commands) = apart {
            cluster_keys.rename(&mut commands);
            let free = held.filter(PreparedCommands { wait: None, deadline, commands });
            pipeline.append(free.commands);
        }
        self.expiry.add(deadline);
        if let Some(state) = state {
            self.batches.add(batch, state);
        }
        self.report();
    }

    /// Takes commands over, and asks after them how many replicas have got what they did.
    fn take_over(&mut self, prepared: PreparedBatch) {
        let PreparedBatch { batch, state, groups } = prepared;
        self.batches.add(batch, state);
        for mut commands in groups {
            self.cluster_keys.rename(&mut commands.commands);
            self.expiry.add(commands.deadline);
            let gives_up = self.context.config.mode == Mode::Hybrid && commands.wait.is_none();
            if gives_up && !self.connected && self.last_error.is_some() {
                let unsent = commands.commands.remove_unsent(Command::is_unstored);
                self.give_up(unsent);
            }
            let free = self.held.filter(commands);
            self.queue(free);
        }
        self.report();
    }

    /// Queues commands that may be sent, and behind them the question how many replicas have got what they did.
    fn queue(&mut self, mut commands: PreparedCommands) {
        if let Some(routed) = &mut self.routed {
            commands = routed.admit(commands, &self.pipeline);
        }
        self.append(commands);
    }

    fn append(&mut self, PreparedCommands { wait, commands, .. }: PreparedCommands) {
        let limit = self.context.config.redis.command_timeout;
        append_awaited(&mut self.pipeline, commands, wait, limit);
    }

    /// In a Cluster: what is left of a target that has moved here.
    fn take_rest(&mut self, target: Target, rest: HandedOver) {
        rest.states.into_iter().for_each(|(batch, state)| self.batches.add(batch, state));
        let Some(routed) = &mut self.routed else { return };
        for commands in routed.take_rest(target, rest.groups) {
            self.expiry.add(commands.deadline);
            let free = self.held.filter(commands);
            self.queue(free);
        }
        self.report();
    }

    /// In a Cluster: lets targets move, or go on here, that wait for nothing more.
    pub(in crate::redis) fn move_targets(&mut self, now: u64) {
        let Some(routed) = &mut self.routed else { return };
        for commands in routed.advance(&mut self.batches, &self.pipeline, now) {
            self.append(commands);
        }
        self.report();
    }

    /// Sends what was held back and may be sent now.
    fn follow_gate(&mut self) {
        for commands in self.held.change(self.gate.now()) {
            self.queue(commands);
        }
    }

    pub(in crate::redis) fn ask(&mut self, command: Command, packed: &redis::Cmd) {
        let limit = self.context.config.redis.command_timeout;
        self.pipeline.push(command, limit, |bytes| bytes.put_slice(&packed.get_packed_command()));
    }

    /// Hands over what was settled since the last report.
    pub(in crate::redis) fn report(&mut self) {
        self.go_on();
        self.batches.report(&*self.context.events);
        if self.batches.is_empty() {
            // The one who waits may have given up.
            self.flushes.drain(..).for_each(|flushed| _ = flushed.send(()));
        }
    }
}

impl Session for Publisher {
    type Input = Input;
    const MASTER: bool = true;

    fn link(&self) -> &LinkId {
        &self.id
    }

    fn on_connect(&self) -> Vec<redis::Cmd> {
        let config = &self.context.config;
        let stores = !config.streams.is_empty() || config.persistence.is_some();
        if stores { vec![STORE_AND_PUBLISH.load(), PERSIST.load()] } else { Vec::new() }
    }

    fn input(&mut self, input: Input, now: u64) {
        match input {
            Input::Publish(submission) => self.publish(submission),
            Input::PreparedBatch(prepared) => self.take_over(*prepared),
            Input::Cancel { batch, index } => {
                self.cancel(batch, index);
                self.move_targets(now);
            }
            Input::Ask(command, sender) if self.connected => self.ask(Command::Ask(sender), &command),
            Input::Ask(_, sender) => {
                let _ = sender.send(Err(BusError::new(ErrorKind::ConnectionLost, "not connected")));
            }
            Input::GateChanged => self.follow_gate(),
            Input::Flush(flushed) => {
                self.flushes.push(flushed);
                self.report();
            }
            Input::Rest(target, rest) => self.take_rest(target, *rest),
            input => {
                if let Some(routed) = &mut self.routed {
                    routed.input(input, &mut self.pipeline, &mut self.held, now);
                    self.move_targets(now);
                }
            }
        }
    }

    fn opened(&mut self, opened: Opened, now: u64) {
        self.protocol = opened.protocol;
        self.role_known = opened.role_known;
        self.cluster_keys.layout = opened.layout;
        self.cluster_keys.rename(&mut self.pipeline);
        self.held.pipelines().for_each(|held| self.cluster_keys.rename(held));
        self.connected = true;
        self.liveness.read(now);
        self.last_role = now;
        if opened.is_other_server {
            // It may not have got what its predecessor took last.
            self.report_undelivered();
        }
        // The login has just shown that it is a master.
        self.unproven = 0;
        self.context.events.link_up(&self.id);
    }

    fn outgoing(&mut self, _now: u64) -> &[u8] {
        self.pipeline.outgoing()
    }

    fn written(&mut self, bytes: usize, now: u64) {
        // A heartbeat behind other commands may be held up by them; alone, it must be answered soon.
        let heartbeat = |command: &Command| matches!(command, Command::Role | Command::Ping);
        let routed = &mut self.routed;
        self.pipeline.written_with(bytes, now, HEARTBEAT_LIMIT, heartbeat, |command, bytes| {
            if let Some(routed) = routed {
                routed.sent(command, bytes);
            }
            if let Command::Call(call) = command {
                call.remember(bytes);
            }
        });
    }

    fn received(&mut self, buffer: &[u8], now: u64) -> Result<usize, BusError> {
        self.liveness.read(now);
        self.context.events.link_alive(&self.id, now);
        let mut taken = 0;
        let mut result = Ok(());
        while result.is_ok()
            && let Some((reply, len)) = decode(self.protocol, &buffer[taken..])?
        {
            result = self.take(reply, now);
            taken += len;
        }
        self.warn_of_stored_only(now);
        self.report();
        self.move_targets(now);
        result.map(|()| taken)
    }

    fn is_answered(&self) -> bool {
        self.routed.is_none() || !self.pipeline.has_sent()
    }

    fn is_idle(&self) -> bool {
        self.connected && self.routed.is_none() && self.pipeline.is_idle()
    }

    fn deadline(&self) -> Option<u64> {
        let check = if self.connected { self.liveness.next_check(&self.pipeline) } else { u64::MAX };
        let role = if self.asks_role() { self.last_role + ROLE_INTERVAL } else { u64::MAX };
        let stored_only = if self.connected { self.stored_only.due() } else { u64::MAX };
        let moving = self.routed.as_ref().map_or(u64::MAX, Routed::due);
        Some(self.expiry.next().min(check).min(role).min(stored_only).min(moving)).filter(|at| *at < u64::MAX)
    }

    fn tick(&mut self, now: u64) -> Result<(), BusError> {
        self.expire(now);
        self.move_targets(now);
        self.warn_of_stored_only(now);
        if !self.connected {
            return Ok(());
        }
        let is_idle = self.liveness.check(&self.pipeline, now)? == Check::HeartbeatDue;
        if is_idle || (self.asks_role() && now >= self.last_role + ROLE_INTERVAL) {
            // The answer sets it again; until then one question is enough.
            self.last_role = now;
            if self.role_known {
                self.ask(Command::Role, &cmd("ROLE"));
            } else {
                self.unproven = 0;
                self.ask(Command::Ping, &cmd("PING"));
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
        let lost = format!("sent, and the connection was lost before the answer: {}", error.message);
        let lost = BusError::new(ErrorKind::ConnectionLost, lost).with_outcome(Outcome::Unknown);
        self.routed.iter_mut().for_each(Routed::disconnected);
        let sent = self.pipeline.disconnected().into_iter().map(|sent| sent.command);
        let (publishes, others): (Vec<_>, Vec<_>) = sent.partition(Command::is_publish);
        self.batches.fail_all(publishes, &lost);
        for (event, _) in std::mem::take(&mut self.unreplicated) {
            self.batches.fail_stored(event, lost.clone());
        }
        for command in others.into_iter().chain(self.pipeline.remove_unsent(Command::is_of_connection)) {
            if let Command::Ask(sender) = command {
                let _ = sender.send(Err(error.clone()));
            }
        }
        if self.context.config.mode == Mode::Hybrid {
            let mut unsent = self.pipeline.remove_unsent(Command::is_unstored);
            unsent.extend(self.held.remove(Command::is_unstored));
            self.give_up(unsent);
        }
        self.report();
        self.move_targets(0);
    }

    fn ended(&mut self) {
        self.closed(&BusError::new(ErrorKind::Closed, "the client was closed"));
        let mut unsent = self.pipeline.remove_unsent(|_| true);
        unsent.extend(self.held.remove(|_| true));
        let kept = self.routed.iter_mut().flat_map(Routed::pipelines);
        unsent.extend(kept.flat_map(|kept| kept.remove_unsent(|_| true)));
        let closed = BusError::new(ErrorKind::Closed, "the client was closed before it was sent");
        self.batches.fail_all(unsent, &closed.with_outcome(Outcome::NotSent));
        self.report();
    }
}
