//! The subscriber session: keeps the server's subscriptions equal to the wanted ones, and takes messages in.
//!
//! - this file and `live`: the session; `input`, `outgoing`: what it is told, and the commands that it has to write
//! - `heartbeats`: when its server is asked whether it lives, as the links of [`lanes`] ask theirs
//! - [`hand_backs`]: the messages by which clients tell each other of entries that they have handed back
//! - [`lanes`]: what is in its place where live events go by sharded pub/sub

pub(crate) mod hand_backs;
mod heartbeats;
mod input;
pub(crate) mod lanes;
mod live;
mod outgoing;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use oxbus_model::BusError;
use oxbus_model::routing::router::{ServerSubscription, ServerSubscriptionRef};
use oxbus_model::routing::subscription_reconciler::{Change, SubscriptionReconciler, Verb};
use oxbus_model::server_error;
use oxbus_model::server_error::Action;
use redis::cmd;
use tracing::{debug, warn};

use crate::redis::connection::session::{Opened, Session};
use crate::redis::resp::reply::{Message, Protocol, Reply, decode, message};
use crate::redis::subscriber::heartbeats::Heartbeats;
use crate::redis::subscriber::input::Asked;
use crate::redis::subscriber::outgoing::{Outgoing, text};
use crate::runtime::clock::wall_ms;
use crate::transport::context::TransportContext;
use crate::transport::events::{ContinuityChange, Refused};
use crate::transport::link_id::LinkId;

pub(crate) use input::Input;

/// Subscribe commands that may be unanswered at a time: the next chunk is on its way while the server
/// works on this one.
const IN_FLIGHT: usize = 2;

/// After how long a command is sent again that the server cannot answer for now, in milliseconds.
const POSTPONED: u64 = 200;

pub(crate) struct Subscriber {
    id: LinkId,
    context: Arc<TransportContext>,
    wanted: SubscriptionReconciler,
    hand_backs: ServerSubscription,
    protocol: Protocol,
    outgoing: Outgoing,
    connected: bool,
    /// Whether everything wanted has been answered since the connection was made.
    settled: bool,
    heartbeats: Heartbeats,
    /// Commands whose answer may be an error, in order.
    asked: VecDeque<Asked>,
    /// Whether the health report does not know yet what is refused.
    refused_changed: bool,
    /// Whether the health report was told that subscriptions wait for an answer.
    pending: bool,
    /// Since when established subscriptions hear nothing as they are refused: Unix milliseconds, and on the
    /// client's clock.
    deaf_since: HashMap<ServerSubscription, (i64, u64)>,
    /// Whether events are stored, so that what was missed can be read from streams.
    stores: bool,
}

impl Subscriber {
    /// The session of `id`, which is all that a client hears, or only the messages about entries that others hand back.
    pub(crate) fn new(id: LinkId, context: Arc<TransportContext>) -> Self {
        Subscriber {
            id,
            stores: !context.config.streams.is_empty(),
            heartbeats: Heartbeats::new(context.config.redis.heartbeat),
            hand_backs: hand_backs::subscription(&context.channels),
            context,
            wanted: SubscriptionReconciler::new(),
            protocol: Protocol::Resp3,
            outgoing: Outgoing::default(),
            connected: false,
            settled: false,
            asked: VecDeque::new(),
            refused_changed: false,
            pending: false,
            deaf_since: HashMap::new(),
        }
    }

    fn ping(&mut self, now: u64) {
        self.heartbeats.send(&mut self.outgoing, now);
        self.asked.push_back(Asked::Ping(now));
    }

    /// Whether heartbeats are also sent under load.
    fn is_steady(&self) -> bool {
        self.stores && self.events_wanted().next().is_some()
    }

    /// Sends what the wanted wants next.
    fn advance(&mut self, now: u64) {
        while let Some(command) = self.wanted.next_command(now, IN_FLIGHT) {
            let mut packed = cmd(command.verb.name());
            for server_subscription in &command.names {
                packed.arg(server_subscription.name());
            }
            self.outgoing.append(&packed);
            self.asked.push_back(Asked::Names);
        }
        self.settle();
        if std::mem::take(&mut self.refused_changed) {
            let mut refused = self.wanted.refused_names().to_vec();
            refused.retain(|name| *name != self.hand_backs);
            self.context.events.subscriptions_refused(&self.id, &refused);
        }
    }

    /// Reports the link as up once all that is wanted is answered, and whether it is.
    fn settle(&mut self) {
        let answered = self.wanted.is_settled();
        if self.connected && !self.settled && answered {
            self.settled = true;
            self.pending = false;
            // The gap is reported before the link, so that it is known when the client is ready.
            let wanted: Vec<_> = self.events_wanted().collect();
            self.continuity(ContinuityChange::Resumed { wanted: &wanted });
            self.context.events.link_up(&self.id);
            self.refused_changed = true;
        }
        if self.pending == answered {
            self.pending = !answered;
            self.context.events.subscriptions_pending(&self.id, self.pending);
        }
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
        let (mut taken, mut handed_back) = (0, Vec::new());
        if message(buffer).is_some() {
            self.context.events.messages(&mut |receive| {
                while let Some((Message { pattern, channel, payload }, len)) = message(&buffer[taken..]) {
                    if channel == self.hand_backs.name() {
                        // It comes for each pattern of a user that matches as well.
                        handed_back.extend(pattern.is_none().then_some(payload));
                        taken += len;
                        continue;
                    }
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
        for payload in handed_back {
            if let Some((stream, group)) = hand_backs::read(payload) {
                self.context.events.handed_back(stream, group);
            }
        }
        taken
    }

    fn pong(&mut self, now: u64) {
        if let Some(Asked::Ping(sent)) = self.asked.front() {
            self.continuity(ContinuityChange::Heartbeat { sent: *sent, now });
            self.asked.pop_front();
        }
        self.heartbeats.answered();
    }

    fn confirmed(&mut self, verb: Verb, name: &[u8], now: u64) {
        let outstanding = self.wanted.outstanding();
        let change = self.wanted.confirmed(verb, name);
        if self.wanted.outstanding() < outstanding && matches!(self.asked.front(), Some(Asked::Names)) {
            self.asked.pop_front();
        }
        if let Some(Change::Confirmed(server_subscription)) = change {
            let server_subscription = &server_subscription;
            if *server_subscription == self.hand_backs {
                self.context.events.hand_backs_heard(true);
                self.settle();
                return;
            }
            debug!(name = %text(server_subscription), "a subscription is confirmed");
            self.continuity(ContinuityChange::Established { server_subscription, now });
            if let Some((since_unix, since)) = self.deaf_since.remove(server_subscription) {
                self.refused_changed = true;
                let regained = ContinuityChange::Regained { server_subscription, since, since_unix, now };
                self.continuity(regained);
            }
            // The link is brought up to date first, so that those who wait for the confirmation find it so.
            self.settle();
            self.context.events.confirmed(server_subscription);
        }
    }

    /// An error came. One that passes by itself puts the command off, one that a new connection may mend
    /// drops this one, any other denies the subscription.
    fn refused(&mut self, error: &str, now: u64) -> Result<(), BusError> {
        if matches!(self.asked.front(), Some(Asked::Ping(_))) {
            // Any answer proves that the server lives, and that what it sent before has come.
            self.pong(now);
            return Ok(());
        }
        let (refusal, is_of_names) = (server_error::classify(error), self.asked.pop_front().is_some());
        match refusal.action {
            Action::Reconnect => return Err(refusal.into_error(error)),
            _ if !is_of_names => warn!(error, "the server sent an error"),
            Action::Backoff => self.wanted.postponed(now + POSTPONED),
            Action::Keep | Action::SlowRetry => {
                if let Some(Change::Refused(server_subscription)) = self.wanted.refused(now) {
                    self.denied(server_subscription, &refusal.into_error(error), now);
                }
            }
        }
        Ok(())
    }

    fn denied(&mut self, server_subscription: ServerSubscription, error: &BusError, now: u64) {
        let code = error.kind.code();
        debug!(name = %text(&server_subscription), code, error = error.message, "a subscription is refused");
        if server_subscription == self.hand_backs {
            // The groups look by themselves then.
            return;
        }
        self.refused_changed = true;
        let Refused { unneeded, is_missed } = self.context.events.refused(&server_subscription, error);
        unneeded.iter().for_each(|server_subscription| self.wanted.unwant(server_subscription));
        if is_missed {
            self.deaf_since.entry(server_subscription).or_insert_with(|| (wall_ms(), now));
        }
    }
}

impl Session for Subscriber {
    type Input = Input;
    const MASTER: bool = false;

    fn link(&self) -> &LinkId {
        &self.id
    }

    fn input(&mut self, input: Input, now: u64) {
        match input {
            Input::Want(server_subscriptions) => {
                for server_subscription in server_subscriptions {
                    self.wanted.want(server_subscription.clone());
                    // The server may have it still: for another subscription, or because its end was not sent yet.
                    if self.wanted.is_confirmed(&server_subscription)
                        && server_subscription != self.hand_backs
                    {
                        self.context.events.confirmed(&server_subscription);
                    }
                }
            }
            Input::Unwant(server_subscriptions) => {
                for server_subscription in &server_subscriptions {
                    self.wanted.unwant(server_subscription);
                    self.deaf_since.remove(server_subscription);
                    self.continuity(ContinuityChange::Ended { server_subscription });
                    self.refused_changed = true;
                }
            }
            Input::Probe(probe) => {
                if self.connected {
                    self.heartbeats.probe(probe);
                    self.ping(now);
                }
            }
        }
    }

    fn opened(&mut self, opened: Opened, now: u64) {
        self.protocol = opened.protocol;
        self.connected = true;
        self.settled = false;
        self.heartbeats.opened(now);
        self.continuity(ContinuityChange::Opened { now });
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
        self.heartbeats.read(now);
        self.context.events.link_alive(&self.id, now);
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
        let heartbeat = self.heartbeats.next_check(self.is_steady());
        Some(self.wanted.next_retry().map_or(heartbeat, |retry| retry.min(heartbeat)))
    }

    fn tick(&mut self, now: u64) -> Result<(), BusError> {
        if self.connected && self.heartbeats.is_due(self.is_steady(), now)? {
            self.ping(now);
        }
        Ok(())
    }

    fn closed(&mut self, _error: &BusError) {
        if self.connected && self.wanted.confirmed_count() > 0 {
            let wanted = self.events_wanted();
            let confirmed = wanted.filter(|wanted| self.wanted.is_confirmed(wanted));
            let (last_read, last_read_unix) = self.heartbeats.last_read();
            self.continuity(ContinuityChange::Interrupted {
                server_subscriptions: confirmed.cloned().collect(),
                last_read,
                last_read_unix,
            });
        }
        if self.wanted.is_confirmed(&self.hand_backs) {
            self.context.events.hand_backs_heard(false);
        }
        self.connected = false;
        self.settled = false;
        self.heartbeats.closed();
        self.asked.clear();
        self.outgoing.bytes.clear();
        self.wanted.disconnected();
    }

    fn ended(&mut self) {}
}
