//! The subscriber session: keeps the server's subscriptions equal to the wanted ones, and takes messages in.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::BytesMut;
use oxbus_model::routing::router::{ServerSubscription, ServerSubscriptionRef};
use oxbus_model::routing::subscription_reconciler::{Change, SubscriptionReconciler, Verb};
use oxbus_model::server_error;
use oxbus_model::server_error::Action;
use oxbus_model::{BusError, ErrorKind};
use redis::cmd;
use serde_json::json;
use tokio::sync::oneshot;

use crate::gap::{Continuity, Gap, HEARTBEAT, Recovery};
use crate::receive::reception::InboundBatch;
use crate::redis::connection::link::{HEARTBEAT_LIMIT, Opened, Session};
use crate::redis::resp::reply::{Message, Protocol, Reply, decode, message};
use crate::runtime::clock::wall_ms;
use crate::state::ClientState;
use crate::transport::store::Store;

/// Subscribe commands that may be unanswered at a time: the next chunk is on its way while the server
/// works on this one.
const IN_FLIGHT: usize = 2;

/// After how long a command is sent again that the server cannot answer for now, in milliseconds.
const POSTPONED: u64 = 200;

/// Patterns that a `gap` names at the most.
const GAP_PATTERNS: usize = 1_000;

/// The name of its link.
pub(super) const LINK: &str = "subscriber";

/// What a subscriber is told.
pub(crate) enum Input {
    Want(Vec<ServerSubscription>),
    Unwant(Vec<ServerSubscription>),
    /// Send a heartbeat now, and say when one is answered.
    Probe(oneshot::Sender<()>),
}

/// What an answer belongs to: answers come in the order of the commands.
enum Asked {
    Names,
    /// With when it was sent.
    Ping(u64),
}

pub(crate) struct Subscriber {
    shared: Arc<ClientState>,
    ledger: SubscriptionReconciler,
    protocol: Protocol,
    outgoing: Outgoing,
    connected: bool,
    /// Whether everything wanted has been answered since the connection was made.
    settled: bool,
    last_read: u64,
    /// When the oldest unanswered heartbeat was sent.
    ping_sent: Option<u64>,
    last_ping: u64,
    /// Commands whose answer may be an error, in order.
    asked: VecDeque<Asked>,
    probes: Vec<oneshot::Sender<()>>,
    arrivals: InboundBatch,
    /// Since when live messages may have been missed, Unix milliseconds.
    gap_from: Option<i64>,
    last_read_wall: i64,
    /// Whether the health report does not know yet what is refused.
    refused_changed: bool,
    /// Whether the health report was told that subscriptions wait for an answer.
    pending: bool,
    /// Since when established subscriptions hear nothing as they are refused: Unix milliseconds, and on the
    /// client's clock.
    deaf_since: HashMap<ServerSubscription, (i64, u64)>,
    /// How far what came is complete, where what was missed can be read from streams.
    continuity: Option<Continuity>,
}

impl Subscriber {
    pub(crate) fn new(shared: Arc<ClientState>, store: Arc<dyn Store>) -> Self {
        let recovery = Recovery::new(shared.clone(), store);
        Subscriber {
            shared,
            ledger: SubscriptionReconciler::new(),
            protocol: Protocol::Resp3,
            outgoing: Outgoing::default(),
            connected: false,
            settled: false,
            last_read: 0,
            ping_sent: None,
            last_ping: 0,
            asked: VecDeque::new(),
            probes: Vec::new(),
            arrivals: InboundBatch { recovery: recovery.clone(), ..InboundBatch::default() },
            gap_from: None,
            last_read_wall: 0,
            refused_changed: false,
            pending: false,
            deaf_since: HashMap::new(),
            continuity: recovery.map(Continuity::new),
        }
    }

    fn ping(&mut self, now: u64) {
        self.outgoing.append(&cmd("PING"));
        self.asked.push_back(Asked::Ping(now));
        self.ping_sent.get_or_insert(now);
        self.last_ping = now;
    }

    /// When the next heartbeat is due.
    fn next_ping(&self) -> u64 {
        let idle = self.last_read + self.shared.config.redis.heartbeat;
        match self.continuity {
            // Also under load: it is the answer to one that tells what has come.
            Some(_) => idle.min(self.last_ping + HEARTBEAT),
            None => idle,
        }
    }

    /// Sends what the ledger wants next.
    fn advance(&mut self, now: u64) {
        while let Some(command) = self.ledger.next_command(now, IN_FLIGHT) {
            let mut packed = cmd(command.verb.name());
            for server_subscription in &command.names {
                packed.arg(server_subscription.name());
            }
            self.outgoing.append(&packed);
            self.asked.push_back(Asked::Names);
        }
        self.settle();
        if std::mem::take(&mut self.refused_changed) {
            self.report_refused();
        }
    }

    /// Reports the link as up once all that is wanted is answered, and whether it is.
    fn settle(&mut self) {
        let answered = self.ledger.is_settled();
        if self.connected && !self.settled && answered {
            self.settled = true;
            self.pending = false;
            // Before `ready`, so that who waits for that knows of the gap.
            self.report_gap();
            self.shared.link_up(LINK);
            self.refused_changed = true;
        }
        if self.pending == answered {
            self.pending = !answered;
            self.shared.lifecycle.link_pending(LINK, self.pending);
        }
    }

    fn report_gap(&mut self) {
        let Some(from) = self.gap_from.take() else { return };
        let gap = self.gap(from, self.ledger.wanted_wires());
        match (gap, &mut self.continuity) {
            (Some(gap), Some(continuity)) => continuity.resumed(gap),
            (Some(gap), None) => self.shared.notice(gap.notice(0, false)),
            // Where everything was unsubscribed meanwhile, nobody has missed anything.
            (None, continuity) => continuity.iter_mut().for_each(Continuity::forget),
        }
    }

    fn gap<'a>(
        &self,
        from: i64,
        server_subscriptions: impl IntoIterator<Item = &'a ServerSubscription>,
    ) -> Option<Gap> {
        let router = self.shared.router();
        let mut patterns: Vec<String> = Vec::new();
        for server_subscription in server_subscriptions {
            patterns.extend(router.patterns(server_subscription).map(str::to_owned));
            if patterns.len() > GAP_PATTERNS {
                break;
            }
        }
        drop(router);
        patterns.sort();
        patterns.dedup();
        patterns.truncate(GAP_PATTERNS);
        (!patterns.is_empty()).then(|| Gap { from, to: wall_ms(), patterns })
    }

    fn report_refused(&mut self) {
        let refused = self.ledger.refused_names();
        // What everyone works without is no fault of the link.
        let router = self.shared.router();
        let missed = refused.iter().filter(|server_subscription| !router.is_dispensable(server_subscription));
        let names = missed
            .map(|server_subscription| String::from_utf8_lossy(server_subscription.name()).into_owned())
            .collect();
        drop(router);
        self.shared.lifecycle.link_refused(LINK, names);
        self.shared.follow_mode();
    }

    /// One reply that is not a message: a confirmation, or the answer to a command.
    fn take(&mut self, reply: Reply<'_>, now: u64) -> Result<(), BusError> {
        match reply {
            Reply::Push(parts) | Reply::Array(parts) => match parts.as_slice() {
                // RESP2's answer to PING while subscribed.
                [Reply::Text(b"pong"), ..] => self.pong(now),
                [Reply::Text(kind), Reply::Text(name), ..] => {
                    if let Some(verb) = Verb::from_confirmation(kind) {
                        self.confirmed(verb, name, now);
                    }
                }
                _ => {}
            },
            Reply::Error(error) => return self.refused(error, now),
            Reply::Text(_) => self.pong(now),
            Reply::Int(_) | Reply::Nil => {}
        }
        Ok(())
    }

    /// Takes in the messages at the start of `buffer`, up to the first other reply. Returns their length.
    fn messages(&mut self, buffer: &[u8]) -> usize {
        let mut taken = 0;
        if message(buffer).is_some() {
            self.shared.receive(&mut self.arrivals, |receive| {
                while let Some((Message { pattern, channel, payload }, len)) = message(&buffer[taken..]) {
                    receive(
                        pattern
                            .map_or(ServerSubscriptionRef::Channel(channel), ServerSubscriptionRef::Pattern),
                        channel,
                        payload,
                    );
                    taken += len;
                }
            });
        }
        taken
    }

    fn pong(&mut self, now: u64) {
        if let Some(Asked::Ping(sent)) = self.asked.front() {
            self.continuity.iter_mut().for_each(|continuity| continuity.heartbeat(*sent, now));
            self.asked.pop_front();
        }
        self.ping_sent = None;
        for probe in self.probes.drain(..) {
            // The asker may have given up.
            let _ = probe.send(());
        }
    }

    fn confirmed(&mut self, verb: Verb, name: &[u8], now: u64) {
        let outstanding = self.ledger.outstanding();
        let change = self.ledger.confirmed(verb, name);
        if self.ledger.outstanding() < outstanding && matches!(self.asked.front(), Some(Asked::Names)) {
            self.asked.pop_front();
        }
        if let Some(Change::Confirmed(server_subscription)) = change {
            self.continuity.iter_mut().for_each(|continuity| continuity.confirmed(&server_subscription, now));
            if let Some(since) = self.deaf_since.remove(&server_subscription) {
                self.refused_changed = true;
                self.regained(server_subscription.clone(), since, now);
            }
            // Before who waits for it is told, so that they find the link as it is.
            self.settle();
            self.shared.confirmed(&server_subscription);
        }
    }

    /// A subscription that was refused is confirmed.
    fn regained(&mut self, server_subscription: ServerSubscription, (from, since): (i64, u64), now: u64) {
        match (self.gap(from, [&server_subscription]), &mut self.continuity) {
            (Some(gap), Some(continuity)) => continuity.regained(server_subscription, since, now, gap),
            (Some(gap), None) => self.shared.notice(gap.notice(0, false)),
            (None, _) => {}
        }
    }

    /// An error came. One that passes by itself puts the command off, one that a new connection may mend
    /// drops this one, any other denies the subscription.
    fn refused(&mut self, error: &str, now: u64) -> Result<(), BusError> {
        let refusal = server_error::classify(error);
        match (self.asked.pop_front(), refusal.action) {
            (_, Action::Reconnect) => return Err(refusal.into_error(error)),
            (Some(Asked::Names), Action::Backoff) => self.ledger.postponed(now + POSTPONED),
            (Some(Asked::Names), _) => {
                if let Some(Change::Refused(server_subscription)) = self.ledger.refused(now) {
                    self.denied(server_subscription, &refusal.into_error(error), now);
                }
            }
            (Some(Asked::Ping(_)), _) => self.ping_sent = None,
            (None, _) => self.shared.log("warn", "the server sent an error", json!({ "error": error })),
        }
        Ok(())
    }

    fn denied(&mut self, server_subscription: ServerSubscription, error: &BusError, now: u64) {
        self.refused_changed = true;
        for subscription in self.shared.refused(&server_subscription, error) {
            let unused = self.shared.remove(subscription);
            unused.iter().for_each(|server_subscription| self.ledger.unwant(server_subscription));
        }
        if self.shared.router().patterns(&server_subscription).next().is_some() {
            self.deaf_since.entry(server_subscription).or_insert_with(|| (wall_ms(), now));
        }
    }
}

impl Session for Subscriber {
    type Input = Input;
    const MASTER: bool = false;

    fn name(&self) -> Arc<str> {
        LINK.into()
    }

    fn input(&mut self, input: Input, now: u64) {
        match input {
            Input::Want(server_subscriptions) => {
                for server_subscription in server_subscriptions {
                    self.ledger.want(server_subscription.clone());
                    // The server may have it still: for another subscription, or because its end was not sent yet.
                    if self.ledger.is_confirmed(&server_subscription) {
                        self.shared.confirmed(&server_subscription);
                    }
                }
            }
            Input::Unwant(server_subscriptions) => {
                for server_subscription in &server_subscriptions {
                    self.ledger.unwant(server_subscription);
                    self.deaf_since.remove(server_subscription);
                    self.continuity.iter_mut().for_each(|continuity| continuity.ended(server_subscription));
                    self.refused_changed = true;
                }
            }
            Input::Probe(probe) => {
                if self.connected {
                    self.probes.push(probe);
                    self.ping(now);
                }
            }
        }
    }

    fn opened(&mut self, opened: Opened, now: u64) {
        self.protocol = opened.protocol;
        self.connected = true;
        self.settled = false;
        self.last_read = now;
        self.last_read_wall = wall_ms();
        self.last_ping = now;
        self.continuity.iter_mut().for_each(|continuity| continuity.opened(now));
    }

    fn outgoing(&mut self, now: u64) -> &[u8] {
        if self.connected {
            self.advance(now);
        }
        &self.outgoing.bytes
    }

    fn written(&mut self, bytes: usize, _now: u64) {
        let _ = self.outgoing.bytes.split_to(bytes);
    }

    fn received(&mut self, buffer: &[u8], now: u64) -> Result<usize, BusError> {
        self.last_read = now;
        self.last_read_wall = wall_ms();
        self.shared.lifecycle.link_alive(LINK, now);
        let mut taken = 0;
        loop {
            taken += self.messages(&buffer[taken..]);
            match decode(self.protocol, &buffer[taken..])? {
                Some((reply, len)) => {
                    self.take(reply, now)?;
                    taken += len;
                }
                None => break,
            }
        }
        Ok(taken)
    }

    fn deadline(&self) -> Option<u64> {
        if !self.connected {
            return None;
        }
        let heartbeat = match self.ping_sent {
            Some(sent) => sent.max(self.last_read) + HEARTBEAT_LIMIT,
            None => self.next_ping(),
        };
        Some(self.ledger.next_retry().map_or(heartbeat, |retry| retry.min(heartbeat)))
    }

    fn tick(&mut self, now: u64) -> Result<(), BusError> {
        match self.ping_sent {
            Some(sent) if now >= sent.max(self.last_read) + HEARTBEAT_LIMIT => {
                let message = format!("no answer to a heartbeat within {HEARTBEAT_LIMIT} ms");
                Err(BusError::new(ErrorKind::ConnectionLost, message))
            }
            None if self.connected && now >= self.next_ping() => {
                self.ping(now);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn closed(&mut self, _error: &BusError) {
        if self.connected && self.ledger.confirmed_count() > 0 {
            self.gap_from.get_or_insert(self.last_read_wall);
            if let Some(continuity) = &mut self.continuity {
                let server_subscriptions = self
                    .ledger
                    .wanted_wires()
                    .filter(|server_subscription| self.ledger.is_confirmed(server_subscription));
                continuity.interrupted(server_subscriptions.cloned(), self.last_read);
            }
        }
        self.connected = false;
        self.settled = false;
        self.ping_sent = None;
        self.asked.clear();
        self.probes.clear();
        self.outgoing.bytes.clear();
        self.ledger.disconnected();
    }

    fn ended(&mut self) {}
}

/// The bytes of commands that wait to be written, from the first unwritten one.
#[derive(Default)]
struct Outgoing {
    bytes: BytesMut,
}

impl Outgoing {
    fn append(&mut self, command: &redis::Cmd) {
        self.bytes.extend_from_slice(&command.get_packed_command());
    }
}
