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
use crate::redis::publisher::prepared::{HandedOver, PreparedBatch, PreparedCommands};
use crate::redis::publisher::target::{Target, Targets};
use crate::transport::context::TransportContext;

/// How long a target waits that nodes send to each other, or whose keys lie on two nodes, in milliseconds.
const PAUSE: u64 = 20;

/// What a link tells the router.
pub(in crate::redis) enum FromLink {
    /// Its node says that a target is elsewhere.
    Redirected(Option<Address>, Target, Redirect),
    /// All that it had of a target which it was told to hand over.
    HandedOver(Target, Box<HandedOver>),
    /// Its node does not let this stream be trimmed.
    MayNotTrim(usize),
    /// Events that are stored, and are to be published on their lanes.
    Live(Box<PreparedBatch>),
    /// All links have settled what they had when targets had moved so often; for these who wait for it.
    Flushed(u64, Vec<oneshot::Sender<()>>),
}

impl FromLink {
    /// The client is closed: what is on its way fails.
    pub(in crate::redis) fn refuse(self, context: &TransportContext) {
        match self {
            FromLink::HandedOver(_, rest) => rest.refuse(context),
            FromLink::Live(prepared) => prepared.into_rest().refuse(context),
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
    leaving: BTreeMap<Target, Leaving>,
    /// Targets whose rest has not come yet, and what came behind it.
    arriving: BTreeMap<Target, Vec<PreparedCommands>>,
    /// Targets that the node takes though their slots are only on their way to it.
    asking: BTreeSet<Target>,
    /// The most replicas, and the longest time for them, that publishes of this link wait for.
    wait: Option<(u32, u64)>,
}

/// A target that is to leave, or waits.
struct Leaving {
    /// It is at rest when so many commands are answered.
    answers: u64,
    /// What the node has refused.
    refused: Pipeline<Command>,
    /// What was not sent.
    unsent: Vec<PreparedCommands>,
    /// The router has said that it leaves.
    is_told: bool,
    /// When it goes on here, should the router not say so.
    resumes: Option<u64>,
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
            leaving: BTreeMap::new(),
            arriving: BTreeMap::new(),
            asking: BTreeSet::new(),
            wait: None,
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

    /// Has events published on their lanes, by the links of the nodes that have these.
    pub(in crate::redis) fn publish_live(&self, prepared: PreparedBatch) {
        let _ = self.router.send(FromLink::Live(Box::new(prepared)));
    }

    pub(in crate::redis) fn may_not_trim(&self, stream: usize) {
        let _ = self.router.send(FromLink::MayNotTrim(stream));
    }

    /// The node has refused a command, which was not executed, as its keys are elsewhere.
    pub(in crate::redis) fn redirected(
        &mut self,
        command: Command,
        written: &[u8],
        redirect: Redirect,
        limit: u64,
        pipeline: &mut Pipeline<Command>,
        now: u64,
    ) {
        let Some(target) = self.targets.of(&command) else { return };
        let again = match command {
            Command::Call(call) => call.again(written).map(|(call, bytes)| (Command::Call(call), bytes)),
            other => Some((other, written.to_vec())),
        };
        let leaving = self.leave(target, pipeline);
        if let Some((command, bytes)) = again {
            leaving.refused.push(command, limit, |out| out.put_slice(&bytes));
        }
        match redirect {
            // It lasts until the keys are on one node, which another answer will name.
            Redirect::TryAgain => leaving.resumes = Some(now + PAUSE),
            redirect if !leaving.is_told => {
                let node = self.node.clone();
                let _ = self.router.send(FromLink::Redirected(node, target, redirect));
            }
            _ => {}
        }
    }

    /// Keeps all of a target from being sent.
    fn leave(&mut self, target: Target, pipeline: &mut Pipeline<Command>) -> &mut Leaving {
        let (answers, targets, wait) =
            (self.answered + pipeline.unanswered() as u64, self.targets, self.wait);
        self.leaving.entry(target).or_insert_with(|| {
            let commands = pipeline.split_off_unsent(|command| targets.of(command) == Some(target));
            let unsent = prepared(wait, commands).into_iter().collect();
            Leaving { answers, refused: Pipeline::new(), unsent, is_told: false, resumes: None }
        })
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
                let leaving = self.leave(target, pipeline);
                leaving.is_told = true;
                // What is held back waits for a group, not for the order: the new link holds it back as well.
                leaving.unsent.extend(held);
                self.asking.remove(&target);
            }
            Input::Resume(target) => {
                if let Some(leaving) = self.leaving.get_mut(&target) {
                    leaving.resumes = Some(now + PAUSE);
                }
            }
            Input::Expect(target, asking) => {
                self.arriving.entry(target).or_default();
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

    /// Keeps those commands back whose targets come or go. Returns the rest, as it is to be sent.
    pub(in crate::redis) fn admit(&mut self, mut commands: PreparedCommands) -> PreparedCommands {
        if let Some((replicas, timeout)) = commands.wait {
            let (most, longest) = self.wait.unwrap_or_default();
            self.wait = Some((most.max(replicas), longest.max(timeout)));
        }
        let (targets, wait) = (self.targets, commands.wait);
        let leaving = self.leaving.iter_mut().map(|(target, leaving)| (*target, &mut leaving.unsent));
        let arriving = self.arriving.iter_mut().map(|(target, behind)| (*target, behind));
        for (target, kept) in arriving.chain(leaving) {
            let of_target = commands.commands.split_off_unsent(|command| targets.of(command) == Some(target));
            kept.extend(prepared(wait, of_target));
        }
        if !self.asking.is_empty() {
            let mut asking = Pipeline::new();
            for (command, bytes, limit, _) in commands.commands.take_apart() {
                if targets.of(&command).is_some_and(|target| self.asking.contains(&target)) {
                    let ask = cmd("ASKING").get_packed_command();
                    asking.push(Command::Settled, limit, |out| out.put_slice(&ask));
                }
                asking.push(command, limit, |out| out.put_slice(&bytes));
            }
            commands.commands = asking;
        }
        commands
    }

    /// Hands over what has come to rest, and gives back what goes on here.
    pub(in crate::redis) fn advance(&mut self, batches: &mut Batches, now: u64) -> Vec<PreparedCommands> {
        if self.leaving.is_empty() {
            return Vec::new();
        }
        let (answered, wait) = (self.answered, self.wait);
        let is_at_rest = |leaving: &Leaving| answered >= leaving.answers;
        let ends = |leaving: &Leaving| leaving.is_told || leaving.resumes.is_some_and(|at| at <= now);
        let is_over = |(_, leaving): &(&Target, &Leaving)| is_at_rest(leaving) && ends(leaving);
        let over: Vec<Target> = self.leaving.iter().filter(is_over).map(|(target, _)| *target).collect();
        let mut here = Vec::new();
        for target in over {
            let Some(leaving) = self.leaving.remove(&target) else { continue };
            let groups: Vec<_> = prepared(wait, leaving.refused).into_iter().chain(leaving.unsent).collect();
            if !leaving.is_told {
                here.extend(groups);
                continue;
            }
            let states = states_of(&groups, batches);
            let _ = self.router.send(FromLink::HandedOver(target, Box::new(HandedOver { states, groups })));
        }
        here
    }

    /// When something goes on by itself.
    pub(in crate::redis) fn due(&self) -> u64 {
        self.leaving.values().filter_map(|leaving| leaving.resumes).min().unwrap_or(u64::MAX)
    }

    /// What is kept back, in pipelines of which nothing was sent.
    pub(in crate::redis) fn pipelines(&mut self) -> impl Iterator<Item = &mut Pipeline<Command>> {
        let leaving = self.leaving.values_mut().flat_map(|leaving| {
            std::iter::once(&mut leaving.refused)
                .chain(leaving.unsent.iter_mut().map(|group| &mut group.commands))
        });
        leaving.chain(self.arriving.values_mut().flatten().map(|group| &mut group.commands))
    }
}

/// Commands as a group, if there are any.
fn prepared(wait: Option<(u32, u64)>, commands: Pipeline<Command>) -> Option<PreparedCommands> {
    let deadline = commands.commands().filter_map(Command::deadline).min().unwrap_or(u64::MAX);
    (!commands.is_idle()).then_some(PreparedCommands { wait, deadline, commands })
}

/// Takes what is known of the events of commands.
fn states_of(groups: &[PreparedCommands], batches: &mut Batches) -> Vec<(u32, Batch)> {
    let mut events: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for command in groups.iter().flat_map(|group| group.commands.commands()) {
        command.each_event(|batch, index| _ = events.entry(batch).or_default().insert(index));
    }
    events.iter().filter_map(|(batch, indexes)| Some((*batch, batches.split(*batch, indexes)?))).collect()
}
