//! The subscriber session of one node: subscribes the lanes that it is told to, and takes their messages in.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

use oxbus_model::config::Address;
use oxbus_model::routing::router::ServerSubscription;
use oxbus_model::topology::lane_reconciler::LaneStatus;
use oxbus_model::topology::lanes::{Lane, Lanes, read_message};
use oxbus_model::{BusError, ErrorKind, server_error};
use redis::cmd;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::routes::{KnownRoutes, LaneRoutes};
use crate::redis::connection::session::{Opened, Session};
use crate::redis::connection::step::check_role;
use crate::redis::resp::lane_message::lane_message;
use crate::redis::resp::reply::{Protocol, Reply, decode};
use crate::redis::subscriber::heartbeats::Heartbeats;
use crate::redis::subscriber::outgoing::Outgoing;
use crate::transport::context::TransportContext;
use crate::transport::link_id::LinkId;

/// What the hub tells the link of a node.
pub(super) enum LaneInput {
    Subscribe(Lane),
    Unsubscribe(Lane),
    /// All that was asked for is answered; this cannot be heard, because the node refuses lanes.
    Settled(Vec<ServerSubscription>),
    /// Send a heartbeat now, and say when one is answered.
    Probe(oneshot::Sender<()>),
}

/// What the link of a node tells the hub.
pub(super) enum FromNode {
    /// There is a new connection.
    Opened(u64),
    Confirmed(Lane),
    /// The node has answered with an error.
    Refused(Lane, String),
    /// The node has ended a subscription, because the slot of the lane is elsewhere. The last bytes came then.
    Left(Lane, LastRead),
    /// The node has answered a heartbeat that was sent at that time.
    Heartbeat(u64),
    /// The connection is gone, or could not be made, and why. When it was there, the last bytes came then.
    Closed(Option<LastRead>, BusError),
    /// The link has ended, as no lane needs the node.
    Ended,
}

/// When bytes came last: on the client's clock, and as Unix milliseconds.
#[derive(Clone, Copy)]
pub(super) struct LastRead {
    pub(super) at: u64,
    pub(super) unix: i64,
}

/// A command that the node may answer with an error. Answers come in the order of the commands.
enum Asked {
    Subscribe(Lane),
    Unsubscribe(Lane),
    /// A heartbeat, and when it was sent.
    Ping(u64),
    /// Whether the node is still a master: a replica accepts subscriptions, and ends them when its master is replaced.
    Role,
}

/// What all links of a hub share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) context: Arc<TransportContext>,
    pub(super) lanes: Arc<Lanes>,
    pub(super) routes: Arc<LaneRoutes>,
    /// Each link tells with its node and its number, as there may be another link to the node meanwhile.
    pub(super) hub: UnboundedSender<(Address, u64, FromNode)>,
}

impl Shared {
    /// The lanes are there now, for reports.
    pub(super) fn status_is(&self, status: LaneStatus) {
        *self.context.lane_status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}

pub(super) struct LaneSession {
    id: LinkId,
    node: Address,
    number: u64,
    shared: Shared,
    routes: KnownRoutes,
    protocol: Protocol,
    outgoing: Outgoing,
    connected: bool,
    /// Whether the link was reported as up since the connection was made.
    is_up: bool,
    heartbeats: Heartbeats,
    asked: VecDeque<Asked>,
    /// Whether `ROLE` may be asked.
    asks_role: bool,
    /// Whether events are stored, so that what was missed can be read from streams.
    stores: bool,
}

impl LaneSession {
    /// `number` tells it from other links of the hub.
    pub(super) fn new(node: Address, number: u64, shared: Shared) -> LaneSession {
        let config = &shared.context.config;
        LaneSession {
            id: LinkId::Subscriber.at(&node),
            node,
            number,
            stores: !config.streams.is_empty(),
            heartbeats: Heartbeats::new(config.redis.heartbeat),
            routes: KnownRoutes::new(shared.routes.clone()),
            shared,
            protocol: Protocol::Resp3,
            outgoing: Outgoing::default(),
            connected: false,
            is_up: false,
            asked: VecDeque::new(),
            asks_role: true,
        }
    }

    fn tell(&self, told: FromNode) {
        // The hub ends its links before itself.
        let _ = self.shared.hub.send((self.node.clone(), self.number, told));
    }

    fn last_read(&self) -> LastRead {
        let (at, unix) = self.heartbeats.last_read();
        LastRead { at, unix }
    }

    fn ping(&mut self, now: u64) {
        self.heartbeats.send(&mut self.outgoing, now);
        self.asked.push_back(Asked::Ping(now));
    }

    fn pong(&mut self) {
        if let Some(Asked::Ping(sent)) = self.asked.front() {
            self.tell(FromNode::Heartbeat(*sent));
            self.asked.pop_front();
        }
        self.heartbeats.answered();
    }

    /// One reply that is not a message: a confirmation, or the answer to a command.
    fn take(&mut self, reply: Reply<'_>) -> Result<(), BusError> {
        if self.answer(&reply)? {
            return Ok(());
        }
        match reply {
            Reply::Push(parts) | Reply::Array(parts) => match parts.as_slice() {
                // RESP2's answer to PING while subscribed.
                [Reply::Text(b"pong"), ..] => self.pong(),
                [Reply::Text(kind), Reply::Text(name), ..] => {
                    if let Some(lane) = self.shared.lanes.number(name) {
                        self.changed(kind, lane);
                    }
                }
                _ => {}
            },
            Reply::Error(error) => return self.refused(error),
            Reply::Text(_) => self.pong(),
            Reply::Int(_) | Reply::Nil => {}
        }
        Ok(())
    }

    /// The node has subscribed a lane, or ended that, asked or unasked.
    fn changed(&mut self, kind: &[u8], lane: Lane) {
        match (kind, self.asked.front()) {
            (b"ssubscribe", Some(Asked::Subscribe(asked))) if *asked == lane => {
                self.asked.pop_front();
                self.tell(FromNode::Confirmed(lane));
            }
            (b"sunsubscribe", Some(Asked::Unsubscribe(asked))) if *asked == lane => {
                self.asked.pop_front();
            }
            (b"sunsubscribe", _) => {
                self.tell(FromNode::Left(lane, self.last_read()));
                if self.asks_role && !self.asked.iter().any(|asked| matches!(asked, Asked::Role)) {
                    self.outgoing.append(&cmd("ROLE"));
                    self.asked.push_back(Asked::Role);
                }
            }
            _ => {}
        }
    }

    /// A reply that is for a question, if it is one.
    fn answer(&mut self, reply: &Reply<'_>) -> Result<bool, BusError> {
        let is_role = matches!((self.asked.front(), reply), (Some(Asked::Role), Reply::Array(parts))
            if matches!(parts.as_slice(), [Reply::Text(b"master" | b"slave" | b"sentinel"), ..]));
        if is_role {
            self.asked.pop_front();
            check_role(reply)?;
        }
        Ok(is_role)
    }

    fn refused(&mut self, error: &str) -> Result<(), BusError> {
        match self.asked.front() {
            // Any answer proves that the node lives, and that what it sent before has come.
            Some(Asked::Ping(_)) => self.pong(),
            Some(Asked::Subscribe(lane)) => {
                self.tell(FromNode::Refused(*lane, error.to_owned()));
                self.asked.pop_front();
            }
            // A node that has the slot no more has ended the subscription by itself.
            Some(Asked::Unsubscribe(_)) => _ = self.asked.pop_front(),
            Some(Asked::Role) => {
                self.asked.pop_front();
                self.asks_role &= !server_error::is_withheld(error);
            }
            None => {
                return Err(BusError::new(ErrorKind::ServerError, format!("unasked: {error}")));
            }
        }
        Ok(())
    }

    /// Takes in the messages at the start of `buffer`, up to the first other reply. Returns their length.
    fn messages(&mut self, buffer: &[u8]) -> usize {
        let mut taken = 0;
        if lane_message(buffer).is_some() {
            let routes = &mut self.routes;
            routes.follow();
            self.shared.context.events.messages(&mut |receive| {
                while let Some((message, len)) = lane_message(&buffer[taken..]) {
                    // Nothing else is published on lanes, and what somebody has put there is for nobody.
                    if let Some((channel, payload)) = read_message(message) {
                        routes.each(channel, |name| receive(name, channel, payload));
                    }
                    taken += len;
                }
            });
        }
        taken
    }
}

impl Session for LaneSession {
    type Input = LaneInput;
    const MASTER: bool = true;

    fn link(&self) -> &LinkId {
        &self.id
    }

    fn input(&mut self, input: LaneInput, now: u64) {
        if !self.connected {
            // The hub tells it again for the next connection.
            return;
        }
        let ask = |verb: &str, lane: Lane| cmd(verb).arg(self.shared.lanes.channel(lane)).to_owned();
        match input {
            LaneInput::Subscribe(lane) => {
                let command = ask("SSUBSCRIBE", lane);
                self.outgoing.append(&command);
                self.asked.push_back(Asked::Subscribe(lane));
            }
            LaneInput::Unsubscribe(lane) => {
                let command = ask("SUNSUBSCRIBE", lane);
                self.outgoing.append(&command);
                self.asked.push_back(Asked::Unsubscribe(lane));
            }
            LaneInput::Settled(refused) => {
                if !std::mem::replace(&mut self.is_up, true) {
                    self.shared.context.events.link_up(&self.id);
                }
                self.shared.context.events.subscriptions_refused(&self.id, &refused);
            }
            LaneInput::Probe(probe) => {
                self.heartbeats.probe(probe);
                self.ping(now);
            }
        }
    }

    fn opened(&mut self, opened: Opened, now: u64) {
        self.protocol = opened.protocol;
        // RESP2 has no way to ask while something is subscribed.
        self.asks_role = opened.role_known && opened.protocol == Protocol::Resp3;
        (self.connected, self.is_up) = (true, false);
        self.heartbeats.opened(now);
        self.tell(FromNode::Opened(now));
    }

    fn outgoing(&mut self, _now: u64) -> &[u8] {
        &self.outgoing.bytes
    }

    fn written(&mut self, bytes: usize, _now: u64) {
        let _ = self.outgoing.bytes.split_to(bytes);
    }

    fn received(&mut self, buffer: &[u8], now: u64) -> Result<usize, BusError> {
        self.heartbeats.read(now);
        self.shared.context.events.link_alive(&self.id, now);
        let mut taken = 0;
        loop {
            taken += self.messages(&buffer[taken..]);
            match decode(self.protocol, &buffer[taken..])? {
                Some((reply, len)) => {
                    self.take(reply)?;
                    taken += len;
                }
                None => break,
            }
        }
        Ok(taken)
    }

    fn deadline(&self) -> Option<u64> {
        self.connected.then(|| self.heartbeats.next_check(self.stores))
    }

    fn tick(&mut self, now: u64) -> Result<(), BusError> {
        if self.connected && self.heartbeats.is_due(self.stores, now)? {
            self.ping(now);
        }
        Ok(())
    }

    fn closed(&mut self, error: &BusError) {
        let last_read = std::mem::replace(&mut self.connected, false).then(|| self.last_read());
        self.tell(FromNode::Closed(last_read, error.clone()));
        self.is_up = false;
        self.heartbeats.closed();
        self.asked.clear();
        self.outgoing.bytes.clear();
    }

    fn ended(&mut self) {}
}
