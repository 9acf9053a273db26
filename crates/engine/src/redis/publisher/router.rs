//! Publishing to a Cluster: which node each publish goes to.
//!
//! It makes the commands of a submission, as the publisher of a single server does, and gives them to the links of the nodes.
//! What a target is, and how it moves, is described in `routed`; the links are in `router_links`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use oxbus_model::config::Address;
use oxbus_model::topology::redirect::Redirect;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tracing::debug;

use crate::host::Notice;
use crate::redis::connection::handle::{Handle, Inputs};
use crate::redis::connection::lazy_link::LazyLink;
use crate::redis::connection::link::Connector;
use crate::redis::connection::pipeline::Pipeline;
use crate::redis::publisher::batches::Batch;
use crate::redis::publisher::group_gate::GroupGate;
use crate::redis::publisher::hops::Hops;
use crate::redis::publisher::in_flight::Command;
use crate::redis::publisher::input::Input;
use crate::redis::publisher::preparation::{Preparation, Prepared};
use crate::redis::publisher::prepared::{HandedOver, PreparedBatch, PreparedCommands};
use crate::redis::publisher::replicated::Replicas;
use crate::redis::publisher::routed::{FromLink, PAUSE, Redirected};
use crate::redis::publisher::target::{Target, Targets};
use crate::redis::streams::command_link::CommandLink;
use crate::redis::topology::cluster::view::{ClusterView, Known};
use crate::runtime::clock;
use crate::runtime::joined::join_all;
use crate::runtime::panics::catch_panic;
use crate::transport::Submission;
use crate::transport::events::PublishReport;
use crate::transport::link_id::LinkId;

/// A node; `None`: the link that keeps what has no node yet.
pub(super) type Home = Option<Address>;

/// What is needed to start it.
pub(in crate::redis) struct RouterStart {
    pub(in crate::redis) connector: Connector,
    pub(in crate::redis) view: Arc<ClusterView>,
    pub(in crate::redis) gate: Arc<GroupGate>,
    /// Where events that wait for replicas go. `None` of the router of these.
    pub(in crate::redis) replicated: Option<Arc<LazyLink<Input>>>,
    /// The command links, of which those are ended here whose nodes have gone.
    pub(in crate::redis) commands: Option<Arc<CommandLink>>,
}

impl RouterStart {
    /// Starts the router. Its handle takes what that of a publisher takes.
    pub(in crate::redis) fn start(self) -> Handle<Input> {
        let tasks = self.connector.tasks.clone();
        Handle::of_task(&tasks, |inputs| Router::new(self).run(inputs))
    }
}

pub(super) struct Router {
    pub(super) start: RouterStart,
    pub(super) kind: LinkId,
    preparation: Preparation,
    pub(super) targets: Targets,
    /// Live events have none.
    slots: Vec<Option<u16>>,
    /// Where each target is at home.
    pub(super) homes: Vec<Home>,
    /// Targets on their way to their homes, and whether what is known may have changed since.
    pub(super) moving: BTreeMap<Target, bool>,
    /// Targets whose home takes them though their slots are only on their way.
    asking: BTreeMap<Target, Address>,
    /// How often targets were sent on, lately.
    hops: BTreeMap<Target, Hops>,
    pub(super) links: HashMap<Home, Handle<Input>>,
    pub(super) ending: Vec<JoinHandle<()>>,
    pub(super) to_router: UnboundedSender<FromLink>,
    from_links: UnboundedReceiver<FromLink>,
    known: watch::Receiver<Known>,
    /// Events that were cancelled while targets were on their way.
    cancelled: Vec<(u32, u32)>,
    pub(super) flushes: Vec<oneshot::Sender<()>>,
    /// How often a target has moved.
    pub(super) moves: u64,
    /// The targets that can have publishes.
    pub(super) used: Vec<Target>,
    /// Spreads the live events of many clients.
    spread: usize,
    report: PublishReport,
}

impl Router {
    pub(super) fn new(start: RouterStart) -> Router {
        let context = &start.connector.context;
        let targets = Targets::of_client(context);
        let keeps = context.config.persistence.is_some();
        let replicas = start.replicated.clone().map(|link| Replicas::new(context, link));
        let (to_router, from_links) = unbounded_channel();
        Router {
            kind: if replicas.is_some() { LinkId::Publisher } else { LinkId::Replicated },
            preparation: Preparation::new(context, replicas),
            slots: Targets::slots(context),
            targets,
            homes: vec![None; targets.all().len()],
            moving: BTreeMap::new(),
            asking: BTreeMap::new(),
            hops: BTreeMap::new(),
            links: HashMap::new(),
            ending: Vec::new(),
            to_router,
            from_links,
            known: start.view.known(),
            cancelled: Vec::new(),
            flushes: Vec::new(),
            moves: 0,
            used: targets.all().filter(|target| keeps || *target != targets.history()).collect(),
            spread: (clock::random() * 1_000.0) as usize,
            report: PublishReport::default(),
            start,
        }
    }

    async fn run(mut self, mut inputs: Inputs<Input>) {
        self.link(None);
        self.known.mark_changed();
        loop {
            match catch_panic("the router of a cluster", self.serve(&mut inputs)).await {
                Ok(()) => break,
                Err(fault) => self.start.connector.context.events.notice(Notice::Error(fault)),
            }
        }
        let links = self.links.drain().map(|(_, link)| link.end());
        join_all(links.chain(self.ending.drain(..))).await;
        // What was on its way between two links.
        while let Ok(told) = self.from_links.try_recv() {
            told.refuse(&self.start.connector.context);
        }
    }

    async fn serve(&mut self, inputs: &mut Inputs<Input>) {
        loop {
            tokio::select! {
                biased;
                Some(told) = self.from_links.recv() => self.told(told),
                Ok(()) = self.known.changed() => self.follow(),
                input = inputs.next() => match input {
                    Some(input) => self.input(input),
                    None => return,
                },
            }
        }
    }

    fn input(&mut self, input: Input) {
        match input {
            Input::Publish(submission) => self.publish(submission),
            Input::PreparedBatch(prepared) => self.distribute(*prepared),
            Input::Cancel { batch, index } => {
                self.links.values().for_each(|link| _ = link.send(Input::Cancel { batch, index }));
                if !self.moving.is_empty() {
                    self.cancelled.push((batch, index));
                }
                if let Some(replicas) = &self.preparation.replicas {
                    replicas.cancel(batch, index);
                }
            }
            Input::Ask(command, sender) => {
                let home = self.homes.get(self.targets.live()).cloned().flatten();
                self.link(home).send(Input::Ask(command, sender));
            }
            Input::Flush(flushed) => {
                self.flushes.push(flushed);
                self.flush();
            }
            Input::GateChanged => self.links.values().for_each(|link| _ = link.send(Input::GateChanged)),
            Input::HandOver(_)
            | Input::Expect(..)
            | Input::Resume(_)
            | Input::Arrived(_)
            | Input::Rest(..) => {}
        }
    }

    fn publish(&mut self, submission: Submission) {
        let Router { preparation, start, report, .. } = self;
        let (batch, mut commands) = (submission.batch, Pipeline::new());
        let context = &start.connector.context;
        let Prepared { state, deadline, .. } =
            preparation.prepare(context, submission, &mut commands, report, |_, _| true);
        if !report.is_empty() {
            context.events.published(report);
        }
        if let Some(state) = state {
            let groups = vec![PreparedCommands { wait: None, deadline, commands }];
            self.distribute(PreparedBatch { batch, state, groups });
        }
    }

    /// Gives commands to the links of their nodes.
    fn distribute(&mut self, PreparedBatch { batch, mut state, groups }: PreparedBatch) {
        let home_of = |command: &Command| self.homes.get(self.targets.of(command)?)?.as_ref();
        let is_of_one = {
            let mut homes = groups.iter().flat_map(|group| group.commands.commands()).map(home_of);
            let first = homes.next().flatten();
            homes.all(|home| home == first).then(|| first.cloned())
        };
        if let Some(first) = is_of_one {
            self.link(first).send(Input::PreparedBatch(Box::new(PreparedBatch { batch, state, groups })));
            return;
        }
        let mut parts: HashMap<Home, Vec<PreparedCommands>> = HashMap::new();
        for PreparedCommands { wait, deadline, commands } in groups {
            let mut of_group: HashMap<Home, Pipeline<Command>> = HashMap::new();
            for (command, bytes, limit, _) in commands.take_apart() {
                let part = of_group.entry(home_of(&command).cloned()).or_insert_with(Pipeline::new);
                part.push(command, limit, |out| out.extend_from_slice(&bytes));
            }
            for (home, commands) in of_group {
                parts.entry(home).or_default().push(PreparedCommands { wait, deadline, commands });
            }
        }
        for (home, groups) in parts {
            let mut indexes = std::collections::BTreeSet::new();
            let commands = groups.iter().flat_map(|group| group.commands.commands());
            commands.for_each(|command| command.each_event(|_, index| _ = indexes.insert(index)));
            let state: Batch = state.split(&indexes);
            self.link(home).send(Input::PreparedBatch(Box::new(PreparedBatch { batch, state, groups })));
        }
    }

    fn told(&mut self, told: FromLink) {
        match told {
            FromLink::MayNotTrim(stream) => self.preparation.writer.may_not_trim(stream),
            FromLink::Redirected(told) => self.redirected(told),
            FromLink::HandedOver(target, rest) => self.handed_over(target, rest),
            FromLink::GoesOn(prepared) => {
                self.moves += 1; // Flushes wait for it.
                self.distribute(*prepared);
            }
            FromLink::Flushed(moves, flushes) => self.flushed(moves, flushes),
            FromLink::Ended(home) => self.ended(home),
        }
    }

    fn redirected(&mut self, told: Redirected) {
        let Some(told_by) = told.from.clone() else { return };
        if self.moving.contains_key(&told.target) || self.homes.get(told.target) != Some(&told.from) {
            return;
        }
        let hops = self.hops.entry(told.target).or_default();
        if told.paused_after.is_some_and(|moves| moves != hops.moves()) {
            return;
        }
        let has_waited = told.paused_after.is_some();
        let (are_many, moves) = (!has_waited && hops.are_many(Instant::now()), hops.moves());
        let view = self.start.view.clone();
        let (to, asking) = match &told.redirect {
            Redirect::Moved(_, to) => (view.address(to, &told_by), false),
            Redirect::Ask(_, to) => (view.address(to, &told_by), true),
            Redirect::TryAgain => return,
        };
        // Nodes may send a target to each other, or to themselves, for as long as they learn of a slot one after the other.
        if are_many || (!has_waited && to == told_by) {
            let router = self.to_router.clone();
            self.start.connector.tasks.spawn(async move {
                sleep(Duration::from_millis(PAUSE)).await;
                let _ = router.send(FromLink::Redirected(Redirected { paused_after: Some(moves), ..told }));
            });
            return;
        }
        let Redirected { from, target, redirect, .. } = told;
        if let Redirect::Moved(slot, to) = &redirect {
            // From now on all of the client knows it, and follows.
            view.moved(*slot, to, &told_by);
        }
        debug!(target, from = %told_by, %to, asking, "elsewhere");
        if to == told_by {
            self.link(from).send(Input::Resume(target));
        } else {
            self.relocate(target, to, asking);
        }
    }

    /// Has a target move.
    fn relocate(&mut self, target: Target, to: Address, asking: bool) {
        let Some(home) = self.homes.get_mut(target) else { return };
        let from = home.replace(to.clone());
        self.asking.remove(&target);
        if asking && let Some(from) = &from {
            self.asking.insert(target, from.clone());
        }
        self.moving.insert(target, false);
        self.hops.entry(target).or_default().moved();
        self.moves += 1;
        self.link(from).send(Input::HandOver(target));
        self.link(Some(to)).send(Input::Expect(target, asking));
    }

    fn handed_over(&mut self, target: Target, rest: Box<HandedOver>) {
        let home = self.homes.get(target).cloned().flatten();
        let again = self.moving.remove(&target).unwrap_or_default();
        let cancelled = self.cancelled.clone();
        let link = self.link(home);
        link.send(Input::Rest(target, rest));
        cancelled.into_iter().for_each(|(batch, index)| _ = link.send(Input::Cancel { batch, index }));
        if self.moving.is_empty() {
            self.cancelled.clear();
        }
        if again {
            self.follow();
        } else {
            self.end_unused();
        }
        self.flush();
    }

    /// Brings all targets to where they belong.
    fn follow(&mut self) {
        let known = self.known.borrow_and_update().clone();
        let Some(map) = &known.map else { return };
        if let Some(commands) = &self.start.commands {
            commands.end_links_of_gone_nodes(&known, &self.start.connector.tasks);
        }
        for target in self.used.clone() {
            let Some(to) = self.place_of(target, &known) else { continue };
            if let Some(again) = self.moving.get_mut(&target) {
                *again = true;
                continue;
            }
            let home = self.homes.get(target).cloned().flatten();
            match self.asking.get(&target) {
                // The slot is still on its way: its old node owns it.
                Some(from) if *from == to && map.is_master(&to) => continue,
                Some(_) if home.as_ref() == Some(&to) => {
                    self.asking.remove(&target);
                    self.link(home).send(Input::Arrived(target));
                    continue;
                }
                _ => {}
            }
            if home.as_ref() != Some(&to) {
                self.relocate(target, to, false);
            }
        }
        self.end_unused();
    }

    /// The node where a target belongs.
    fn place_of(&self, target: Target, known: &Known) -> Home {
        if target == self.targets.live() {
            let home = self.homes.get(target)?.clone();
            let is_well = |node: &Address| {
                !known.suspects.contains(node) && known.map.as_ref().is_some_and(|map| map.is_master(node))
            };
            return home.filter(is_well).or_else(|| known.any_master(self.spread));
        }
        let slot = (*self.slots.get(target)?)?;
        known.owner(slot).cloned()
    }
}
