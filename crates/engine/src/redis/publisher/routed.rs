//! A publisher of a Cluster: what it does beyond one of a single server.
//!
//! Each target (see [`Target`]) is at home on one node, and its commands go to the link of that node, so that they stay in
//! their order. A target moves in one piece. The link that it leaves sends nothing more of it, waits for the answers to what
//! it has sent, and gives the rest to the router; the link that it comes to keeps what is newer until the rest has come.
//! The router tells both, in this order, and from then on sends to the new one. See `docs/design/cluster.md`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::BufMut;
use oxbus_model::config::Address;
use oxbus_model::topology::redirect::Redirect;
use redis::cmd;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use crate::redis::connection::pipeline::Pipeline;
use crate::redis::publisher::batches::{Batch, Batches};
use crate::redis::publisher::held::Held;
use crate::redis::publisher::in_flight::Command;
use crate::redis::publisher::input::Input;
use crate::redis::publisher::kept::{Doubts, Kept, Leaving, Order, prepared, take_unsent};
use crate::redis::publisher::prepared::{HandedOver, PreparedBatch, PreparedCommands};
use crate::redis::publisher::target::{Target, Targets};
use crate::transport::context::TransportContext;

/// How long a target waits that nodes send to each other, or whose keys lie on two nodes, in milliseconds.
pub(super) const PAUSE: u64 = 20;

/// What a link tells the router.
pub(in crate::redis) enum FromLink {
    /// Its node says that a target is elsewhere.
    Redirected(Redirected),
    /// All that it had of a target which it was told to hand over.
    HandedOver(Target, Box<HandedOver>),
    /// Its node does not let this stream be trimmed.
    MayNotTrim(usize),
    /// Events that are stored, and the commands of their next steps.
    GoesOn(Box<PreparedBatch>),
    /// All links have settled what they had when targets had moved so often; for these who wait for it.
    Flushed(u64, Vec<oneshot::Sender<()>>),
    /// The link that was to a node has ended.
    Ended(Option<Address>),
}

/// A node says that a target is elsewhere.
pub(in crate::redis) struct Redirected {
    pub(in crate::redis) from: Option<Address>,
    pub(in crate::redis) target: Target,
    pub(in crate::redis) redirect: Redirect,
    /// If the router has waited, as nodes send the target to each other or to themselves: how often the target had moved before.
    pub(in crate::redis) paused_after: Option<u64>,
}

impl FromLink {
    /// The client is closed: what is on its way fails.
    pub(in crate::redis) fn refuse(self, context: &TransportContext) {
        match self {
            FromLink::HandedOver(_, rest) => rest.refuse(context),
            FromLink::GoesOn(prepared) => prepared.into_rest().refuse(context),
            _ => {}
        }
    }
}

/// What the session of one node knows of targets that come and go.
pub(in crate::redis) struct Routed {
    /// `None` of the link that keeps what has no node.
    node: Option<Address>,
    router: UnboundedSender<FromLink>,
    targets: Targets,
    /// The bytes of the commands that were written and have no answer.
    written: VecDeque<Option<Box<[u8]>>>,
    /// How many commands were answered on all connections.
    answered: u64,
    /// Targets of which something is kept back.
    kept: BTreeMap<Target, Kept>,
    doubts: BTreeMap<Target, Doubts>,
    /// Targets of which commands of several keys may be unanswered.
    several: BTreeSet<Target>,
    /// Targets whose rest has not come yet, and what came behind it.
    arriving: BTreeMap<Target, Vec<PreparedCommands>>,
    /// Targets that the node takes though their slots are only on their way to it.
    asking: BTreeSet<Target>,
}

impl Routed {
    pub(in crate::redis) fn new(
        node: Option<Address>,
        router: UnboundedSender<FromLink>,
        targets: Targets,
    ) -> Routed {
        Routed {
            node,
            router,
            targets,
            written: VecDeque::new(),
            answered: 0,
            kept: BTreeMap::new(),
            doubts: BTreeMap::new(),
            several: BTreeSet::new(),
            arriving: BTreeMap::new(),
            asking: BTreeSet::new(),
        }
    }

    /// A command is being written.
    pub(in crate::redis) fn sent(&mut self, command: &Command, bytes: &[u8]) {
        let is_kept = matches!(command, Command::Entry { .. } | Command::Call(_) | Command::Event { .. });
        self.written.push_back(is_kept.then(|| bytes.into()));
    }

    /// The bytes of the command that was answered.
    pub(in crate::redis) fn answered(&mut self) -> Option<Box<[u8]>> {
        self.answered += 1;
        self.written.pop_front().flatten()
    }

    /// The connection is gone: nothing is answered any more.
    pub(in crate::redis) fn disconnected(&mut self) {
        self.answered += self.written.len() as u64;
        self.written.clear();
    }

    /// Has the next step of events done, by the links of the nodes that have what it needs.
    pub(in crate::redis) fn go_on(&self, prepared: PreparedBatch) {
        let _ = self.router.send(FromLink::GoesOn(Box::new(prepared)));
    }

    pub(in crate::redis) fn may_not_trim(&self, stream: usize) {
        let _ = self.router.send(FromLink::MayNotTrim(stream));
    }

    /// The node has executed a command; `adds`: one of several keys, whose mark was not there before.
    pub(in crate::redis) fn executed(&mut self, command: &Command, adds: bool) {
        if self.doubts.is_empty() {
            return;
        }
        let Some(target) = self.targets.of(command) else { return };
        if let Some(doubts) = self.doubts.get_mut(&target) {
            doubts.is_unproven = false;
            // While a slot is on its way, no node executes that.
            doubts.is_torn &= !adds;
            if *doubts == Doubts::default() {
                self.doubts.remove(&target);
            }
        }
    }

    /// Whether a command that the node has not executed is to be kept with the others of its target.
    pub(in crate::redis) fn is_leaving(&self, command: &Command) -> bool {
        let kept = self.targets.of(command).and_then(|target| self.kept.get(&target));
        kept.is_some_and(|kept| kept.leaving.is_some())
    }

    /// The node has refused a command, which was not executed: as its keys are elsewhere, or, without `redirect`, for another
    /// reason while its target leaves.
    pub(in crate::redis) fn refused(
        &mut self,
        command: Command,
        written: &[u8],
        redirect: Option<Redirect>,
        limit: u64,
        pipeline: &mut Pipeline<Command>,
        now: u64,
    ) {
        let Some(target) = self.targets.of(&command) else { return };
        let again = match command {
            Command::Call(call) => call.again(written).map(|(call, bytes)| (Command::Call(call), bytes)),
            other => Some((other, written.to_vec())),
        };
        // What asks for replicas is behind the commands that it asks for.
        let wait = pipeline.commands().find_map(Command::wait);
        self.leave(target, pipeline);
        if redirect == Some(Redirect::TryAgain) {
            self.doubts.entry(target).or_default().is_torn = true;
        }
        let Some(kept) = self.kept.get_mut(&target) else { return };
        if let Some((command, bytes)) = again {
            kept.refuse(wait, command, limit, &bytes);
        }
        let Some(leaving) = &mut kept.leaving else { return };
        match redirect {
            // It lasts until the keys are on one node, which another answer will name.
            Some(Redirect::TryAgain) => leaving.resumes = Some(now + PAUSE),
            Some(redirect) if !leaving.is_told && !leaving.is_reported => {
                leaving.is_reported = true;
                let from = self.node.clone();
                let told = Redirected { from, target, redirect, paused_after: None };
                let _ = self.router.send(FromLink::Redirected(told));
            }
            _ => {}
        }
    }

    /// Keeps all of a target from being sent.
    fn leave(&mut self, target: Target, pipeline: &mut Pipeline<Command>) {
        let kept = self.kept.entry(target).or_default();
        if kept.leaving.is_none() {
            let answers = self.answered + pipeline.unanswered() as u64;
            kept.leaving = Some(Leaving { answers, is_reported: false, is_told: false, resumes: None });
            let unsent = take_unsent(target, self.targets, pipeline);
            unsent.into_iter().rev().for_each(|group| kept.queue.push_front(group));
        }
    }

    /// What the router says of a target.
    pub(in crate::redis) fn input(
        &mut self,
        input: Input,
        pipeline: &mut Pipeline<Command>,
        held: &mut Held,
        now: u64,
    ) {
        match input {
            Input::HandOver(target) => {
                let targets = self.targets;
                let held = held.take_out(|command| targets.of(command) == Some(target));
                self.leave(target, pipeline);
                if let Some(kept) = self.kept.get_mut(&target) {
                    kept.leaving.iter_mut().for_each(|leaving| leaving.is_told = true);
                    // What is held back waits for a group, not for the order: the new link holds it back as well.
                    kept.queue.extend(held);
                }
                self.asking.remove(&target);
                self.doubts.remove(&target);
            }
            Input::Resume(target) => {
                if let Some(leaving) = self.kept.get_mut(&target).and_then(|kept| kept.leaving.as_mut()) {
                    // The router has waited.
                    leaving.resumes = Some(now);
                }
            }
            Input::Expect(target, asking) => {
                self.arriving.entry(target).or_default();
                self.doubts.insert(target, Doubts { is_unproven: true, is_torn: asking });
                if asking {
                    self.asking.insert(target);
                }
            }
            Input::Arrived(target) => _ = self.asking.remove(&target),
            _ => {}
        }
    }

    /// The rest of a target has come. Returns what may be sent, in order.
    pub(in crate::redis) fn take_rest(
        &mut self,
        target: Target,
        rest: Vec<PreparedCommands>,
    ) -> Vec<PreparedCommands> {
        let behind = self.arriving.remove(&target).unwrap_or_default();
        rest.into_iter().chain(behind).collect()
    }

    /// Keeps those commands back whose targets come or go, or that have to wait for answers. Returns the rest, as it is to be
    /// sent.
    pub(in crate::redis) fn admit(
        &mut self,
        mut commands: PreparedCommands,
        pipeline: &Pipeline<Command>,
    ) -> PreparedCommands {
        let (targets, wait) = (self.targets, commands.wait);
        for (target, behind) in &mut self.arriving {
            let of_target =
                commands.commands.split_off_unsent(|command| targets.of(command) == Some(*target));
            behind.extend(prepared(wait, of_target));
        }
        for (target, kept) in &mut self.kept {
            kept.push(
                wait,
                commands.commands.split_off_unsent(|command| targets.of(command) == Some(*target)),
            );
        }
        self.keep_order(&mut commands, pipeline);
        self.with_asking(commands)
    }

    /// Keeps those back that have to wait for the answers to what is before them.
    fn keep_order(&mut self, commands: &mut PreparedCommands, pipeline: &Pipeline<Command>) {
        let Routed { targets, doubts, several, kept, .. } = self;
        let targets = *targets;
        let may_wait = |command: &Command| {
            let is_known = |target| several.contains(&target) || doubts.contains_key(&target);
            command.has_several_keys() || targets.of(command).is_some_and(is_known)
        };
        if !commands.commands.commands().any(may_wait) {
            return;
        }
        let mut orders: BTreeMap<Target, Order<'_>> = BTreeMap::new();
        let mut waiting = commands.commands.split_off_unsent(|command| {
            let Some(target) = targets.of(command) else { return false };
            let order = || {
                let doubts = doubts.get(&target).copied().unwrap_or_default();
                Order::of(target, targets, doubts, pipeline, several.contains(&target))
            };
            orders.entry(target).or_insert_with(order).holds(command)
        });
        for (target, order) in orders {
            if order.leaves_several() {
                several.insert(target);
            } else {
                several.remove(&target);
            }
            if order.stops {
                let its = waiting.split_off_unsent(|command| targets.of(command) == Some(target));
                kept.entry(target).or_default().push(commands.wait, its);
            }
        }
    }

    /// Puts `ASKING` before each command whose slot is only on its way.
    fn with_asking(&self, commands: PreparedCommands) -> PreparedCommands {
        if self.asking.is_empty() {
            return commands;
        }
        let PreparedCommands { wait, deadline, commands } = commands;
        let mut asking = Pipeline::new();
        for (command, bytes, limit, _) in commands.take_apart() {
            if self.targets.of(&command).is_some_and(|target| self.asking.contains(&target)) {
                let ask = cmd("ASKING").get_packed_command();
                asking.push(Command::Settled, limit, |out| out.put_slice(&ask));
            }
            asking.push(command, limit, |out| out.put_slice(&bytes));
        }
        PreparedCommands { wait, deadline, commands: asking }
    }

    /// Hands over what has come to rest. Returns what goes on here, as it is to be sent.
    pub(in crate::redis) fn advance(
        &mut self,
        batches: &mut Batches,
        pipeline: &Pipeline<Command>,
        now: u64,
    ) -> Vec<PreparedCommands> {
        if self.kept.is_empty() {
            return Vec::new();
        }
        let mut here = Vec::new();
        for target in self.kept.keys().copied().collect::<Vec<_>>() {
            let Some(kept) = self.kept.get_mut(&target) else { continue };
            match &kept.leaving {
                Some(leaving) if leaving.answers > self.answered => continue,
                Some(leaving) if leaving.is_told => {
                    let groups = self.kept.remove(&target).map(Kept::into_groups).unwrap_or_default();
                    let states = states_of(&groups, batches);
                    let rest = Box::new(HandedOver { states, groups });
                    let _ = self.router.send(FromLink::HandedOver(target, rest));
                    continue;
                }
                Some(leaving) if leaving.resumes.is_none_or(|at| at > now) => continue,
                Some(_) => kept.stay(),
                None => {}
            }
            let doubts = self.doubts.get(&target).copied().unwrap_or_default();
            let mut order = Order::of(target, self.targets, doubts, pipeline, self.several.contains(&target));
            kept.release(&mut order, &mut here);
            if order.leaves_several() {
                self.several.insert(target);
            }
            if kept.queue.is_empty() {
                self.kept.remove(&target);
            }
        }
        here.into_iter().map(|commands| self.with_asking(commands)).collect()
    }

    /// When something goes on by itself.
    pub(in crate::redis) fn due(&self) -> u64 {
        let leaving = self.kept.values().filter_map(|kept| kept.leaving.as_ref());
        leaving.filter_map(|leaving| leaving.resumes).min().unwrap_or(u64::MAX)
    }

    /// What is kept back, in pipelines of which nothing was sent.
    pub(in crate::redis) fn pipelines(&mut self) -> impl Iterator<Item = &mut Pipeline<Command>> {
        let kept = self.kept.values_mut().flat_map(Kept::pipelines);
        kept.chain(self.arriving.values_mut().flatten().map(|group| &mut group.commands))
    }
}

/// Takes what is known of the events of commands.
fn states_of(groups: &[PreparedCommands], batches: &mut Batches) -> Vec<(u32, Batch)> {
    let mut events: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for command in groups.iter().flat_map(|group| group.commands.commands()) {
        command.each_event(|batch, index| _ = events.entry(batch).or_default().insert(index));
    }
    events.iter().filter_map(|(batch, indexes)| Some((*batch, batches.split(*batch, indexes)?))).collect()
}
