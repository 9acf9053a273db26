//! Live events of a Cluster by sharded pub/sub: each event goes to one of a fixed number of lanes, and a client subscribes
//! the lanes that it needs, each at the master that has its slot. Patterns are matched here.
//!
//! - this file: the hub, which takes the place of the one subscriber; it has a link to each master that has lanes
//! - `session`: such a link; `node_link`: what is known of it; `routes`: for which server subscriptions a message is
//!
//! See `docs/design/cluster.md`.

mod node_link;
mod routes;
mod session;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use oxbus_model::config::Address;
use oxbus_model::routing::router::ServerSubscription;
use oxbus_model::server_error;
use oxbus_model::topology::lane_reconciler::{LaneReconciler, LaneStep};
use oxbus_model::topology::lanes::{Lane, Lanes};
use oxbus_model::topology::redirect::Redirect;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::time::sleep_until;
use tracing::debug;

use crate::host::Notice;
use crate::redis::connection::handle::{Handle, Inputs};
use crate::redis::connection::link::Connector;
use crate::redis::subscriber::outgoing::text;
use crate::redis::subscriber::{Input, Subscriber, hand_backs};
use crate::redis::topology::cluster::view::{ClusterView, Known};
use crate::runtime::clock::wall_ms;
use crate::runtime::joined::join_all;
use crate::runtime::panics::catch_panic;
use crate::transport::events::{ContinuityChange, Refused};
use crate::transport::link_id::LinkId;
use node_link::NodeLink;
use routes::LaneRoutes;
use session::{FromNode, LaneInput, LaneSession, LastRead, Shared};

/// Starts the hub. Its handle takes what that of a subscriber takes.
pub(in crate::redis) fn start(
    connector: Connector,
    view: Arc<ClusterView>,
    lanes: Arc<Lanes>,
) -> Handle<Input> {
    let tasks = connector.tasks.clone();
    connector.context.events.link_needed(&LinkId::Subscriber);
    Handle::of_task(&tasks, |inputs| LaneHub::new(connector, view, lanes).run(inputs))
}

struct LaneHub {
    connector: Connector,
    view: Arc<ClusterView>,
    known: watch::Receiver<Known>,
    shared: Shared,
    from_nodes: UnboundedReceiver<(Address, u64, FromNode)>,
    reconciler: LaneReconciler,
    nodes: HashMap<Address, NodeLink>,
    /// How many links there were.
    made: u64,
    hand_backs: ServerSubscription,
    /// The link for messages about entries that others hand back, which a script publishes: it cannot reach a lane.
    hand_backs_link: Option<Handle<Input>>,
    /// Since when established subscriptions hear nothing as they are refused: Unix milliseconds, and on the client's clock.
    deaf_since: HashMap<ServerSubscription, (i64, u64)>,
    /// Whether all lanes were reported as subscribed, since something was lost.
    is_up: bool,
}

impl LaneHub {
    fn new(connector: Connector, view: Arc<ClusterView>, lanes: Arc<Lanes>) -> LaneHub {
        let (hub, from_nodes) = unbounded_channel();
        let context = connector.context.clone();
        LaneHub {
            hand_backs: hand_backs::subscription(&context.channels),
            shared: Shared { context, lanes: lanes.clone(), routes: Arc::new(LaneRoutes::default()), hub },
            known: view.known(),
            view,
            connector,
            from_nodes,
            reconciler: LaneReconciler::new(lanes),
            nodes: HashMap::new(),
            made: 0,
            hand_backs_link: None,
            deaf_since: HashMap::new(),
            is_up: false,
        }
    }

    async fn run(mut self, mut inputs: Inputs<Input>) {
        self.known.mark_changed();
        loop {
            match catch_panic("the hub of lanes", self.serve(&mut inputs)).await {
                Ok(()) => break,
                Err(fault) => self.shared.context.events.notice(Notice::Error(fault)),
            }
        }
        let links = self.nodes.drain().map(|(_, link)| link.handle.end());
        join_all(links.chain(self.hand_backs_link.take().map(Handle::end))).await;
    }

    async fn serve(&mut self, inputs: &mut Inputs<Input>) {
        loop {
            self.advance();
            let clock = self.shared.context.clock.clone();
            let retry = clock.instant(self.reconciler.next_retry().unwrap_or(u64::MAX));
            tokio::select! {
                biased;
                Some((node, number, told)) = self.from_nodes.recv() => self.told(&node, number, told),
                Ok(()) = self.known.changed() => self.follow(),
                input = inputs.next() => match input {
                    Some(input) => self.input(input),
                    None => return,
                },
                () = sleep_until(retry) => {}
            }
            // What has come meanwhile is taken together, so that what is told is settled once.
            while let Ok((node, number, told)) = self.from_nodes.try_recv() {
                self.told(&node, number, told);
            }
        }
    }

    fn now(&self) -> u64 {
        self.shared.context.clock.now_ms()
    }

    fn continuity(&self, change: ContinuityChange<'_>) {
        self.shared.context.events.continuity(change);
    }

    fn input(&mut self, input: Input) {
        let is_hand_back = |name: &ServerSubscription| *name == self.hand_backs;
        match input {
            Input::Want(names) => {
                let (hand_backs, names): (Vec<_>, Vec<_>) = names.into_iter().partition(is_hand_back);
                if !hand_backs.is_empty() {
                    self.hand_backs_link().send(Input::Want(hand_backs));
                }
                for name in names {
                    let was_heard = self.reconciler.is_heard(&name);
                    self.shared.routes.add(&name);
                    match self.reconciler.want(name.clone()) {
                        true if was_heard => self.shared.context.events.confirmed(&name),
                        true => self.established(&[name]),
                        false => {}
                    }
                }
            }
            Input::Unwant(names) => {
                for name in &names {
                    self.unwant(name);
                    self.deaf_since.remove(name);
                    self.continuity(ContinuityChange::Ended { server_subscription: name });
                }
            }
            Input::Probe(probe) => self.probe(probe),
        }
    }

    fn unwant(&mut self, name: &ServerSubscription) {
        self.reconciler.unwant(name);
        self.shared.routes.remove(name);
    }

    fn hand_backs_link(&mut self) -> &Handle<Input> {
        let connector = &self.connector;
        self.hand_backs_link.get_or_insert_with(|| {
            connector.start(Subscriber::new(LinkId::HandBacks, connector.context.clone()))
        })
    }

    /// Has all nodes that are connected answer a heartbeat.
    fn probe(&self, probe: oneshot::Sender<()>) {
        if self.nodes.is_empty() {
            // A client that wants no lane has nothing to hear from anybody.
            self.shared.context.events.link_alive(&LinkId::Subscriber, self.now());
        }
        let mut waiting = Vec::new();
        for link in self.nodes.values() {
            let (sender, answered) = oneshot::channel();
            link.handle.send(LaneInput::Probe(sender));
            waiting.push(answered);
        }
        self.connector.tasks.spawn(async move {
            if join_all(waiting).await.iter().all(Result::is_ok) {
                // An asker may have given up.
                let _ = probe.send(());
            }
        });
    }

    /// Server subscriptions are heard that were not before.
    fn established(&mut self, names: &[ServerSubscription]) {
        let now = self.now();
        for name in names {
            debug!(name = %text(name), "a subscription is confirmed");
            self.continuity(ContinuityChange::Established { server_subscription: name, now });
            if let Some((since_unix, since)) = self.deaf_since.remove(name) {
                let server_subscription = name;
                self.continuity(ContinuityChange::Regained { server_subscription, since, since_unix, now });
            }
            self.shared.context.events.confirmed(name);
        }
    }

    fn told(&mut self, node: &Address, number: u64, told: FromNode) {
        let link = match self.nodes.get_mut(node) {
            Some(link) if link.number == number => link,
            // What is known of the node is that of its present link.
            Some(_) => return,
            None => {
                let is_over = matches!(told, FromNode::Ended);
                is_over.then(|| self.shared.context.events.link_gone(&LinkId::Subscriber.at(node)));
                return;
            }
        };
        match told {
            FromNode::Ended => {}
            FromNode::Opened(now) => {
                (link.connected, link.sound, link.settled) = (true, now, None);
                if self.nodes.values().filter(|link| link.connected).count() == 1 {
                    self.continuity(ContinuityChange::Opened { now });
                }
            }
            FromNode::Confirmed(lane) => {
                let established = self.reconciler.confirmed(lane, node);
                self.established(&established);
            }
            FromNode::Refused(lane, error) => self.refused(lane, node, &error),
            FromNode::Left(lane, last_read) => {
                debug!(lane, %node, "the slot of a lane has moved");
                let lost = self.reconciler.lost(lane, node);
                self.interrupted(lost, last_read);
                // The map may not know yet who has the slot.
                self.view.ask();
            }
            FromNode::Heartbeat(sent) => self.heartbeat(node, sent),
            FromNode::Closed(last_read, error) => {
                (link.connected, link.settled) = (false, None);
                let lost = self.reconciler.disconnected(node);
                if let Some(last_read) = last_read {
                    self.interrupted(lost, last_read);
                }
                if self.reconciler.uses(node) {
                    self.is_up = false;
                    self.shared.context.events.link_down(&LinkId::Subscriber, &error);
                }
            }
        }
    }

    fn interrupted(&self, lost: Vec<ServerSubscription>, LastRead { at, unix }: LastRead) {
        if !lost.is_empty() {
            self.continuity(ContinuityChange::Interrupted {
                server_subscriptions: lost,
                last_read: at,
                last_read_unix: unix,
            });
        }
    }

    /// A node has answered a heartbeat. What was published before the oldest of the last ones has come on all lanes.
    fn heartbeat(&mut self, node: &Address, sent: u64) {
        if let Some(link) = self.nodes.get_mut(node) {
            link.sound = link.sound.max(sent);
        }
        let of_lanes = self.nodes.values().filter(|link| link.connected).map(|link| link.sound);
        if let Some(sent) = of_lanes.min() {
            let now = self.now();
            self.continuity(ContinuityChange::Heartbeat { sent, now });
            self.shared.context.events.link_alive(&LinkId::Subscriber, now);
        }
    }

    fn refused(&mut self, lane: Lane, node: &Address, error: &str) {
        let now = self.now();
        if let Some(Redirect::Moved(slot, to)) = Redirect::read(error) {
            let to = self.view.moved(slot, &to, node);
            debug!(lane, %node, %to, "a lane is elsewhere");
            return self.reconciler.postponed(lane, node, true, now);
        }
        let refusal = server_error::classify(error);
        if refusal.action == server_error::Action::Backoff
            || refusal.action == server_error::Action::Reconnect
        {
            self.view.ask();
            return self.reconciler.postponed(lane, node, false, now);
        }
        let error = refusal.into_error(error);
        for name in self.reconciler.refused(lane, node, now) {
            let code = error.kind.code();
            debug!(name = %text(&name), lane, code, error = error.message, "a subscription is refused");
            let Refused { unneeded, is_missed } = self.shared.context.events.refused(&name, &error);
            unneeded.iter().for_each(|name| self.unwant(name));
            if is_missed {
                self.deaf_since.entry(name).or_insert_with(|| (wall_ms(), now));
            }
        }
    }

    /// What is known of the Cluster has changed.
    fn follow(&mut self) {
        let unreachable = self.known.borrow_and_update().unreachable.clone();
        if let Some(error) = unreachable
            && self.nodes.values().all(|link| !link.connected)
        {
            self.is_up = false;
            self.shared.context.events.link_down(&LinkId::Subscriber, &error);
        }
    }

    /// Asks for what is to be asked, and reports what is settled.
    fn advance(&mut self) {
        let (known, now) = (self.view.now(), self.now());
        let nodes = &self.nodes;
        let is_connected = |node: &Address| nodes.get(node).is_some_and(|link| link.connected);
        for step in self.reconciler.plan(|slot| known.owner(slot), is_connected, now) {
            match step {
                LaneStep::Connect(node) => self.connect(node),
                LaneStep::Subscribe(lane, node) => self.tell(&node, LaneInput::Subscribe(lane)),
                LaneStep::Unsubscribe(lane, node) => self.tell(&node, LaneInput::Unsubscribe(lane)),
            }
        }
        self.end_unused();
        self.shared.status_is(self.reconciler.status());
        let is_settled = self.reconciler.is_settled();
        if let Some(resumed) = self.reconciler.take_resumed() {
            // The gap is reported before the link, so that it is known when the client is ready.
            let wanted: Vec<_> = resumed.iter().collect();
            self.continuity(ContinuityChange::Resumed { wanted: &wanted });
            resumed.iter().for_each(|name| self.shared.context.events.confirmed(name));
        }
        self.settle_links();
        if is_settled && !std::mem::replace(&mut self.is_up, true) {
            self.shared.context.events.link_up(&LinkId::Subscriber);
        }
        self.shared.context.events.subscriptions_pending(&LinkId::Subscriber, !is_settled);
    }

    fn connect(&mut self, node: Address) {
        let LaneHub { nodes, made, connector, shared, .. } = self;
        nodes.entry(node).or_insert_with_key(|node| {
            *made += 1;
            NodeLink::new(connector.start(LaneSession::new(node.clone(), *made, shared.clone())), *made)
        });
    }

    fn tell(&self, node: &Address, input: LaneInput) {
        self.nodes.get(node).map(|link| link.handle.send(input));
    }

    /// Tells links whose lanes are all answered.
    fn settle_links(&mut self) {
        for (node, link) in self.nodes.iter_mut().filter(|(_, link)| link.connected) {
            let is_settled = self.reconciler.is_settled_at(node);
            if link.pending == is_settled {
                link.pending = !is_settled;
                let id = LinkId::Subscriber.at(node);
                self.shared.context.events.subscriptions_pending(&id, link.pending);
            }
            let refused = self.reconciler.refused_at(node);
            if is_settled && link.settled.as_ref() != Some(&refused) {
                link.handle.send(LaneInput::Settled(refused.clone()));
                link.settled = Some(refused);
            }
        }
    }

    /// Ends the links to nodes that have no lane of this client any more.
    fn end_unused(&mut self) {
        let unused: BTreeSet<Address> =
            self.nodes.keys().filter(|node| !self.reconciler.uses(node)).cloned().collect();
        for node in unused {
            let Some(link) = self.nodes.remove(&node) else { continue };
            let hub = self.shared.hub.clone();
            self.connector.tasks.spawn(async move {
                let _ = link.handle.end().await;
                // The hub may have ended by now.
                let _ = hub.send((node, link.number, FromNode::Ended));
            });
        }
    }
}
