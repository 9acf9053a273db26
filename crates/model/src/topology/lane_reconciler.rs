//! Which lanes of sharded pub/sub should be subscribed, and on which nodes, against what the nodes have confirmed.
//!
//! The reconciler is told what is wanted, who has which slots, and what the nodes answer; it says what to ask next. A lane that
//! was lost, because its slot moved or its node is gone, is asked for where its slot is now. The server subscriptions that it
//! carries are interrupted until all lanes are answered again; then they are resumed together, so that one gap tells of all.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::config::Address;
use crate::routing::server_subscription::ServerSubscription;
use crate::routing::subscription_reconciler::REFUSED_RETRY;
use crate::topology::lanes::{Lane, Lanes};

/// How long a lane waits that a node has sent elsewhere more than once, or cannot serve for now, in milliseconds.
pub const LANE_PAUSE: u64 = 50;

/// What a node has of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    Off,
    /// As `Off`, and not to be asked for before.
    Waits(u64),
    Asked,
    On,
    /// The server refuses it, and is asked again then.
    Refused(u64),
}

#[derive(Clone, Debug)]
struct LaneState {
    /// How many server subscriptions it carries.
    needed: usize,
    /// The node that it was last asked of, or is to be.
    node: Option<Address>,
    server: Server,
    /// How often it was sent elsewhere since it was last confirmed.
    redirects: u32,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaneStep {
    /// A connection to this node is needed for a lane.
    Connect(Address),
    /// Ask this node, which is connected, for the lane.
    Subscribe(Lane, Address),
    /// Tell this node that the lane is not wanted there any more.
    Unsubscribe(Lane, Address),
}

/// Where the lanes are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneStatus {
    /// How many there are.
    pub lanes: u16,
    /// How many of them are wanted.
    pub wanted: u16,
    /// How many of these are confirmed at each node.
    pub subscribed: BTreeMap<Address, u16>,
    /// Those that are wanted and not confirmed.
    pub missing: Vec<Lane>,
}

/// The reconciler of all lanes of a client.
#[derive(Debug)]
pub struct LaneReconciler {
    lanes: Arc<Lanes>,
    states: Vec<LaneState>,
    /// What is wanted, and whether it is established: all its lanes were confirmed since it is wanted.
    wanted: HashMap<ServerSubscription, bool>,
    /// Those that have missed something since all lanes were answered for the last time.
    interrupted: Option<HashSet<ServerSubscription>>,
}

impl LaneReconciler {
    /// One that wants nothing.
    pub fn new(lanes: Arc<Lanes>) -> LaneReconciler {
        let state = LaneState { needed: 0, node: None, server: Server::Off, redirects: 0 };
        LaneReconciler {
            states: vec![state; usize::from(lanes.count())],
            lanes,
            wanted: HashMap::new(),
            interrupted: None,
        }
    }

    /// `server_subscription` should be heard. Returns whether it is heard already.
    pub fn want(&mut self, server_subscription: ServerSubscription) -> bool {
        if let Some(established) = self.wanted.get(&server_subscription) {
            let is_established = *established;
            // Someone new wants what was refused: worth asking now rather than at the next retry.
            self.carrying(&server_subscription).for_each(|state| {
                if let Server::Refused(_) = state.server {
                    state.server = Server::Off;
                }
            });
            return is_established;
        }
        self.carrying(&server_subscription).for_each(|state| state.needed += 1);
        let is_heard = self.is_carried(&server_subscription);
        self.wanted.insert(server_subscription, is_heard);
        is_heard
    }

    /// `server_subscription` should no longer be heard.
    pub fn unwant(&mut self, server_subscription: &ServerSubscription) {
        if self.wanted.remove(server_subscription).is_some() {
            self.carrying(server_subscription)
                .for_each(|state| state.needed = state.needed.saturating_sub(1));
            if let Some(interrupted) = &mut self.interrupted {
                interrupted.remove(server_subscription);
            }
        }
    }

    /// What is to be done now. `owner`: the node that has a slot; `is_connected`: whether a node can be asked.
    pub fn plan<'a>(
        &mut self,
        owner: impl Fn(u16) -> Option<&'a Address>,
        is_connected: impl Fn(&Address) -> bool,
        now: u64,
    ) -> Vec<LaneStep> {
        let mut steps = Vec::new();
        for (lane, state) in (0..).zip(&mut self.states) {
            if state.needed == 0 {
                let had = std::mem::replace(&mut state.server, Server::Off);
                let node = state.node.take();
                state.redirects = 0;
                if let (Server::On | Server::Asked, Some(node)) = (had, node) {
                    steps.push(LaneStep::Unsubscribe(lane, node));
                }
                continue;
            }
            let is_due = match state.server {
                Server::Off => true,
                Server::Waits(until) | Server::Refused(until) => until <= now,
                Server::Asked | Server::On => false,
            };
            if !is_due {
                continue;
            }
            // A node that is gone stays its home until another one has the slot.
            if let Some(at) = self.lanes.slot(lane).and_then(&owner) {
                state.node = Some(at.clone());
            }
            let Some(node) = state.node.clone() else { continue };
            if is_connected(&node) {
                state.server = Server::Asked;
                steps.push(LaneStep::Subscribe(lane, node));
            } else if !steps.iter().any(|step| matches!(step, LaneStep::Connect(to) if *to == node)) {
                steps.push(LaneStep::Connect(node));
            }
        }
        steps
    }

    /// A node has confirmed a lane. Returns what is established by it.
    pub fn confirmed(&mut self, lane: Lane, node: &Address) -> Vec<ServerSubscription> {
        let Some(state) = self.state_at(lane, node).filter(|state| state.server == Server::Asked) else {
            return Vec::new();
        };
        (state.server, state.redirects) = (Server::On, 0);
        let pending = self.wanted.iter().filter(|(_, established)| !**established);
        let heard: Vec<_> =
            pending.map(|(name, _)| name).filter(|name| self.is_carried(name)).cloned().collect();
        heard.iter().for_each(|name| _ = self.wanted.insert(name.clone(), true));
        heard
    }

    /// A node refuses a lane. Returns what cannot be heard because of it.
    pub fn refused(&mut self, lane: Lane, node: &Address, now: u64) -> Vec<ServerSubscription> {
        match self.state_at(lane, node).filter(|state| state.server == Server::Asked) {
            Some(state) => state.server = Server::Refused(now.saturating_add(REFUSED_RETRY)),
            None => return Vec::new(),
        }
        let denied: Vec<_> = self.carried_by(lane).cloned().collect();
        denied.iter().for_each(|name| _ = self.wanted.insert(name.clone(), false));
        denied
    }

    /// A node has not taken a lane, because another one has its slot, or for a reason that passes.
    pub fn postponed(&mut self, lane: Lane, node: &Address, is_redirect: bool, now: u64) {
        if let Some(state) = self.state_at(lane, node).filter(|state| state.server == Server::Asked) {
            let waits = !is_redirect || state.redirects > 0;
            state.redirects += u32::from(is_redirect);
            state.server = if waits { Server::Waits(now.saturating_add(LANE_PAUSE)) } else { Server::Off };
        }
    }

    /// A node does not send a lane any more. Returns what has missed something since.
    pub fn lost(&mut self, lane: Lane, node: &Address) -> Vec<ServerSubscription> {
        self.lost_all(&[lane], node)
    }

    /// The connection to a node is gone. Returns what has missed something since.
    pub fn disconnected(&mut self, node: &Address) -> Vec<ServerSubscription> {
        let lanes: Vec<Lane> = self.lanes.all().collect();
        self.lost_all(&lanes, node)
    }

    fn lost_all(&mut self, lanes: &[Lane], node: &Address) -> Vec<ServerSubscription> {
        let mut lost = BTreeSet::new();
        for lane in lanes {
            let Some(state) = self.state_at(*lane, node) else { continue };
            let had = std::mem::replace(&mut state.server, Server::Off);
            if had == Server::On && state.needed > 0 {
                lost.insert(*lane);
            }
        }
        if lost.is_empty() {
            return Vec::new();
        }
        let is_hit = |name: &ServerSubscription| self.lanes.carrying(name).any(|lane| lost.contains(&lane));
        let established = self.wanted.iter().filter(|(_, established)| **established);
        let hit: Vec<_> = established.map(|(name, _)| name).filter(|name| is_hit(name)).cloned().collect();
        self.interrupted.get_or_insert_default().extend(hit.iter().cloned());
        hit
    }

    /// Once all lanes are answered again after some were lost: what was interrupted and is wanted still.
    pub fn take_resumed(&mut self) -> Option<Vec<ServerSubscription>> {
        if !self.is_settled() {
            return None;
        }
        self.interrupted.take().map(|interrupted| interrupted.into_iter().collect())
    }

    /// Whether each wanted lane is confirmed or refused: nothing is under way.
    pub fn is_settled(&self) -> bool {
        self.states.iter().all(LaneState::is_answered)
    }

    /// Whether each wanted lane of this node is confirmed or refused, and there is one.
    pub fn is_settled_at(&self, node: &Address) -> bool {
        let mut of_node = self.states.iter().filter(|state| state.is_at(node)).peekable();
        of_node.peek().is_some() && of_node.all(LaneState::is_answered)
    }

    /// Whether a wanted lane is at this node, or asked of it.
    pub fn uses(&self, node: &Address) -> bool {
        self.states.iter().any(|state| state.is_at(node))
    }

    /// What cannot be heard because this node refuses lanes.
    pub fn refused_at(&self, node: &Address) -> Vec<ServerSubscription> {
        let is_refused = |lane: Lane| {
            self.states.get(usize::from(lane)).is_some_and(|state| {
                state.node.as_ref() == Some(node) && matches!(state.server, Server::Refused(_))
            })
        };
        let refused: Vec<Lane> = self.lanes.all().filter(|lane| is_refused(*lane)).collect();
        if refused.is_empty() {
            return Vec::new();
        }
        let is_denied =
            |name: &&ServerSubscription| self.lanes.carrying(name).any(|lane| refused.contains(&lane));
        self.wanted.keys().filter(is_denied).cloned().collect()
    }

    /// Whether this is wanted, and was heard since.
    pub fn is_heard(&self, server_subscription: &ServerSubscription) -> bool {
        self.wanted.get(server_subscription).is_some_and(|established| *established)
    }

    /// When something is to be asked for again.
    pub fn next_retry(&self) -> Option<u64> {
        let due = |state: &LaneState| match state.server {
            Server::Waits(until) | Server::Refused(until) if state.needed > 0 => Some(until),
            _ => None,
        };
        self.states.iter().filter_map(due).min()
    }

    /// Where the lanes are.
    pub fn status(&self) -> LaneStatus {
        let mut status = LaneStatus { lanes: self.lanes.count(), ..LaneStatus::default() };
        for (lane, state) in (0..).zip(&self.states).filter(|(_, state)| state.needed > 0) {
            status.wanted += 1;
            match &state.node {
                Some(node) if state.server == Server::On => {
                    *status.subscribed.entry(node.clone()).or_default() += 1;
                }
                _ => status.missing.push(lane),
            }
        }
        status
    }

    fn carrying(&mut self, name: &ServerSubscription) -> impl Iterator<Item = &mut LaneState> {
        let lanes = self.lanes.carrying(name);
        let range = usize::from(lanes.start)..usize::from(lanes.end);
        self.states.get_mut(range).into_iter().flatten()
    }

    fn is_carried(&self, name: &ServerSubscription) -> bool {
        let is_on = |lane: Lane| self.states.get(usize::from(lane)).is_some_and(|it| it.server == Server::On);
        self.lanes.carrying(name).all(is_on)
    }

    fn carried_by(&self, lane: Lane) -> impl Iterator<Item = &ServerSubscription> {
        self.wanted.keys().filter(move |name| self.lanes.carrying(name).contains(&lane))
    }

    fn state_at(&mut self, lane: Lane, node: &Address) -> Option<&mut LaneState> {
        self.states.get_mut(usize::from(lane)).filter(|state| state.node.as_ref() == Some(node))
    }
}

impl LaneState {
    fn is_at(&self, node: &Address) -> bool {
        self.needed > 0 && self.node.as_ref() == Some(node)
    }

    fn is_answered(&self) -> bool {
        self.needed == 0 || matches!(self.server, Server::On | Server::Refused(_))
    }
}
