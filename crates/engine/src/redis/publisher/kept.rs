//! What the link of a node keeps back of a target, and why.
//!
//! A node that has begun to give a slot away refuses a command of several keys while it has some of them only (`TRYAGAIN`),
//! and goes on to execute those of one key. So what comes behind a command of several keys waits for its answer, unless
//! the node would refuse it as well.

use std::collections::VecDeque;
use std::iter::{repeat, repeat_n};

use bytes::BufMut;

use crate::redis::connection::pipeline::Pipeline;
use crate::redis::publisher::in_flight::Command;
use crate::redis::publisher::prepared::PreparedCommands;
use crate::redis::publisher::target::{Target, Targets};

/// What is kept back of a target.
#[derive(Default)]
pub(super) struct Kept {
    /// What the node has refused; it comes before the queue.
    pub(super) refused: Vec<PreparedCommands>,
    /// What was not sent.
    pub(super) queue: VecDeque<PreparedCommands>,
    /// `None` of a target that only waits for answers to what is before it.
    pub(super) leaving: Option<Leaving>,
}

/// A target that is to leave, or waits.
pub(super) struct Leaving {
    /// It is at rest when so many commands are answered.
    pub(super) answers: u64,
    /// The router knows that the node has refused it.
    pub(super) is_reported: bool,
    /// The router has said that it leaves.
    pub(super) is_told: bool,
    /// When it goes on here, should the router not say so.
    pub(super) resumes: Option<u64>,
}

impl Kept {
    /// Adds commands at the end.
    pub(super) fn push(&mut self, wait: Option<(u32, u64)>, commands: Pipeline<Command>) {
        self.queue.extend(prepared(wait, commands));
    }

    /// Adds a command that the node has refused.
    pub(super) fn refuse(&mut self, wait: Option<(u32, u64)>, command: Command, limit: u64, bytes: &[u8]) {
        append(&mut self.refused, wait, command, limit, bytes);
    }

    /// All of it, in order.
    pub(super) fn into_groups(self) -> Vec<PreparedCommands> {
        self.refused.into_iter().chain(self.queue).filter(|group| !group.commands.is_idle()).collect()
    }

    /// It stays: what was refused goes on first.
    pub(super) fn stay(&mut self) {
        self.leaving = None;
        std::mem::take(&mut self.refused).into_iter().rev().for_each(|group| self.queue.push_front(group));
    }

    /// Takes out what need not wait for an answer any more.
    pub(super) fn release(&mut self, order: &mut Order<'_>, out: &mut Vec<PreparedCommands>) {
        while let Some(mut group) = self.queue.pop_front() {
            let Some(first) = group.commands.commands().next() else { continue };
            if order.holds(first) {
                return self.queue.push_front(group);
            }
            let mut is_first = true;
            // The first one was asked about already.
            let rest = group
                .commands
                .split_off_unsent(|command| !std::mem::take(&mut is_first) && order.holds(command));
            let PreparedCommands { wait, deadline, .. } = group;
            out.push(group);
            if !rest.is_idle() {
                return self.queue.push_front(PreparedCommands { wait, deadline, commands: rest });
            }
        }
    }

    /// The pipelines, each with commands that are not sent.
    pub(super) fn pipelines(&mut self) -> impl Iterator<Item = &mut Pipeline<Command>> {
        self.refused.iter_mut().chain(&mut self.queue).map(|group| &mut group.commands)
    }
}

/// What is known of a target that makes its order uncertain.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Doubts {
    /// It has come, and the node has executed nothing of it yet: nodes that learn of a slot one after the other
    /// refuse a command, and execute the next one.
    pub(super) is_unproven: bool,
    /// Its keys may be on two nodes: the node refuses commands of several keys until the slot has moved.
    pub(super) is_torn: bool,
}

/// Says which commands of a target have to wait for answers, in their order: where one waits, all behind it do.
pub(super) struct Order<'a> {
    target: Target,
    targets: Targets,
    doubts: Doubts,
    pipeline: &'a Pipeline<Command>,
    /// Whether the pipeline may have commands of several keys of this target.
    pub(super) may_have_several: bool,
    has_any: bool,
    has_several: bool,
    pub(super) stops: bool,
}

impl<'a> Order<'a> {
    pub(super) fn of(
        target: Target,
        targets: Targets,
        doubts: Doubts,
        pipeline: &'a Pipeline<Command>,
        may_have_several: bool,
    ) -> Order<'a> {
        let (has_any, has_several, stops) = (false, false, false);
        Order { target, targets, doubts, pipeline, may_have_several, has_any, has_several, stops }
    }

    /// Whether the next command has to wait.
    pub(super) fn holds(&mut self, command: &Command) -> bool {
        if self.stops {
            return true;
        }
        let several = command.has_several_keys();
        let Doubts { is_unproven, is_torn } = self.doubts;
        self.stops = (is_unproven && self.is_any_unanswered())
            || ((is_torn || !several) && self.are_several_unanswered());
        if !self.stops {
            self.has_any = true;
            self.has_several |= several;
        }
        self.stops
    }

    /// Whether a command of several keys may be unanswered when what was asked about so far is sent.
    pub(super) fn leaves_several(&self) -> bool {
        self.has_several || self.may_have_several
    }

    fn is_any_unanswered(&mut self) -> bool {
        self.has_any |= self.pipeline.commands().any(|command| self.targets.of(command) == Some(self.target));
        self.has_any
    }

    fn are_several_unanswered(&mut self) -> bool {
        if !self.has_several && self.may_have_several {
            let is_it = |command: &Command| {
                command.has_several_keys() && self.targets.of(command) == Some(self.target)
            };
            self.has_several = self.pipeline.commands().any(is_it);
            self.may_have_several = self.has_several;
        }
        self.has_several
    }
}

/// Adds a command to the last group, or to a new one where that asks for other replicas.
fn append(
    groups: &mut Vec<PreparedCommands>,
    wait: Option<(u32, u64)>,
    command: Command,
    limit: u64,
    bytes: &[u8],
) {
    let deadline = command.deadline().unwrap_or(u64::MAX);
    let last = groups.pop_if(|last| last.wait == wait);
    let mut group = last.unwrap_or_else(|| PreparedCommands { wait, deadline, commands: Pipeline::new() });
    group.deadline = group.deadline.min(deadline);
    group.commands.push(command, limit, |out| out.put_slice(bytes));
    groups.push(group);
}

/// Takes what was not sent of a target out, each with the replicas that are asked for behind it.
pub(super) fn take_unsent(
    target: Target,
    targets: Targets,
    pipeline: &mut Pipeline<Command>,
) -> Vec<PreparedCommands> {
    let is_its = |command: &Command| targets.of(command) == Some(target);
    let (mut waits, mut open) = (Vec::new(), 0);
    for command in pipeline.unsent() {
        match command.wait() {
            Some(wait) => waits.extend(repeat_n(Some(wait), std::mem::take(&mut open))),
            None => open += usize::from(is_its(command)),
        }
    }
    let its = pipeline.split_off_unsent(is_its);
    if waits.is_empty() {
        return prepared(None, its).into_iter().collect();
    }
    let mut groups = Vec::new();
    for ((command, bytes, limit, _), wait) in its.take_apart().zip(waits.into_iter().chain(repeat(None))) {
        append(&mut groups, wait, command, limit, &bytes);
    }
    groups
}

/// Commands as a group, if there are any.
pub(super) fn prepared(wait: Option<(u32, u64)>, commands: Pipeline<Command>) -> Option<PreparedCommands> {
    let deadline = commands.commands().filter_map(Command::deadline).min().unwrap_or(u64::MAX);
    (!commands.is_idle()).then_some(PreparedCommands { wait, deadline, commands })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u32, stream: usize) -> Command {
        Command::Entry { batch: 1, index, deadline: 100 - u64::from(index), stream }
    }

    fn push(pipeline: &mut Pipeline<Command>, command: Command) {
        pipeline.push(command, 9, |out| out.put_slice(b"x"));
    }

    fn pipeline(commands: impl IntoIterator<Item = Command>) -> Pipeline<Command> {
        let mut pipeline = Pipeline::new();
        commands.into_iter().for_each(|command| push(&mut pipeline, command));
        pipeline
    }

    /// The replicas that each group asks for, its deadline, and how many commands it has.
    fn told(groups: &[PreparedCommands]) -> Vec<(u32, u64, usize)> {
        let wait = |group: &PreparedCommands| group.wait.map_or(0, |(replicas, _)| replicas);
        groups.iter().map(|group| (wait(group), group.deadline, group.commands.commands().count())).collect()
    }

    #[test]
    fn what_was_not_sent_keeps_the_replicas_that_were_asked_for_behind_it() {
        let wait = |replicas| Command::Wait { replicas, timeout: 5 };
        let commands = [entry(0, 0), entry(1, 1), wait(2), entry(2, 0), entry(3, 0), wait(1), entry(4, 0)];
        let mut pipeline = pipeline(commands);
        let groups = take_unsent(0, Targets::new(2, 0, true), &mut pipeline);
        assert_eq!(told(&groups), [(2, 100, 1), (1, 97, 2), (0, 96, 1)]);
        assert_eq!(pipeline.commands().count(), 3);
    }

    #[test]
    fn what_was_refused_comes_first_and_each_with_its_own_replicas() {
        let mut kept = Kept::default();
        kept.push(Some((3, 5)), pipeline([entry(9, 0)]));
        for (index, wait) in [(0, Some((2, 5))), (1, Some((2, 5))), (2, Some((1, 7)))] {
            kept.refuse(wait, entry(index, 0), 9, b"x");
        }
        let groups = kept.into_groups();
        assert_eq!(told(&groups), [(2, 99, 2), (1, 98, 1), (3, 91, 1)]);
    }

    #[test]
    fn after_a_target_has_come_one_command_goes_first() {
        let doubts = Doubts { is_unproven: true, is_torn: false };
        let mut kept = Kept::default();
        kept.push(None, pipeline([entry(0, 0), entry(1, 0)]));
        let (targets, mut out) = (Targets::new(2, 0, true), Vec::new());
        kept.release(&mut Order::of(0, targets, doubts, &Pipeline::new(), false), &mut out);
        assert_eq!((told(&out), told(kept.queue.make_contiguous())), (vec![(0, 99, 1)], vec![(0, 99, 1)]));
        // The first one is not answered yet; then the node has shown that it takes them.
        let under_way = pipeline([entry(0, 0)]);
        kept.release(&mut Order::of(0, targets, doubts, &under_way, false), &mut out);
        assert_eq!(out.len(), 1);
        kept.release(&mut Order::of(0, targets, Doubts::default(), &under_way, false), &mut out);
        assert_eq!((out.len(), kept.queue.len()), (2, 0));
    }
}
