//! Publishes that may not be sent yet, because a group that must not miss them is not there.

use oxbus_model::{BusError, ErrorKind, Outcome};

use crate::redis::connection::pipeline::Pipeline;
use crate::redis::publisher::group_gate::Gate;
use crate::redis::publisher::in_flight::Command;
use crate::redis::publisher::prepared::PreparedCommands;

/// The publishes that are held back, in their order. The admission bounds them, as it does all that are in flight.
pub(in crate::redis) struct Held {
    gate: Gate,
    commands: Vec<PreparedCommands>,
}

impl Held {
    pub(in crate::redis) fn new(gate: Gate) -> Held {
        Held { gate, commands: Vec::new() }
    }

    /// Whether everything may be sent, and nothing is held back.
    pub(in crate::redis) fn is_open(&self) -> bool {
        self.gate.is_open()
    }

    /// Holds back what may not be sent. Returns the rest.
    pub(in crate::redis) fn filter(&mut self, mut commands: PreparedCommands) -> PreparedCommands {
        if self.gate.is_open() {
            return commands;
        }
        let held = commands.commands.split_off_unsent(|command| !self.gate.admits(command.stream()));
        if !held.is_idle() {
            let PreparedCommands { wait, deadline, .. } = commands;
            self.commands.push(PreparedCommands { wait, deadline, commands: held });
        }
        commands
    }

    /// From now on `gate` says what may be sent. Returns what was held back and may be sent now.
    pub(in crate::redis) fn change(&mut self, gate: Gate) -> Vec<PreparedCommands> {
        self.gate = gate;
        let held = std::mem::take(&mut self.commands);
        let free: Vec<_> = held.into_iter().map(|commands| self.filter(commands)).collect();
        free.into_iter().filter(|commands| !commands.commands.is_idle()).collect()
    }

    /// Takes out the commands for which `take` says so.
    pub(in crate::redis) fn remove(&mut self, mut take: impl FnMut(&Command) -> bool) -> Vec<Command> {
        let removed =
            self.commands.iter_mut().flat_map(|held| held.commands.remove_unsent(&mut take)).collect();
        self.commands.retain(|held| !held.commands.is_idle());
        removed
    }

    /// Takes out the commands for which `take` says so, as they are.
    pub(in crate::redis) fn take_out(&mut self, take: impl Fn(&Command) -> bool) -> Vec<PreparedCommands> {
        let mut out = Vec::new();
        for PreparedCommands { wait, deadline, commands } in &mut self.commands {
            let commands = commands.split_off_unsent(&take);
            if !commands.is_idle() {
                out.push(PreparedCommands { wait: *wait, deadline: *deadline, commands });
            }
        }
        self.commands.retain(|held| !held.commands.is_idle());
        out
    }

    /// The pipelines, each with commands that were never sent.
    pub(in crate::redis) fn pipelines(&mut self) -> impl Iterator<Item = &mut Pipeline<Command>> {
        self.commands.iter_mut().map(|held| &mut held.commands)
    }

    /// The commands.
    pub(in crate::redis) fn commands(&self) -> impl Iterator<Item = &Command> {
        self.commands.iter().flat_map(|held| held.commands.commands())
    }

    /// The error of a command that was held back for too long; `None` where no missing group is the reason.
    pub(in crate::redis) fn why(&self, command: &Command) -> Option<BusError> {
        let cause = self.gate.why(command.stream())?;
        let message = format!("the event was not stored, because no group may miss it: {}", cause.message);
        Some(BusError::new(ErrorKind::GroupUnavailable, message).with_outcome(Outcome::NotSent))
    }
}
