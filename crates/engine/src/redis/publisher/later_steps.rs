//! In a Cluster: what is done for an event once it is stored.
//!
//! A script reaches the keys and lanes of one slot only. An event is stored first, in its stream if one stores it. What is in
//! another slot follows when the answer has come, one step after the other: with sharded pub/sub the event is published on its
//! lane, and with `persistence` an event that a stream stores is kept by its id and in the history. That the event is stored
//! cannot fail any more then, so what goes wrong with a later step is told by a warning.

use std::collections::VecDeque;

use oxbus_model::topology::lanes::{Lane, Lanes, head_of_message};

use crate::redis::connection::pipeline::Pipeline;
use crate::redis::publisher::in_flight::{Command, EntryRef};
use crate::redis::resp::command::{Args, Mark, append_spublish};
use crate::redis::scripts::script_call::{PERSIST, ScriptCall};

/// The steps of the publish of an event after the first one.
pub(in crate::redis) struct LaterSteps {
    steps: VecDeque<LaterStep>,
    deadline: u64,
    /// Once the first step is done: where the event is stored, unless it is only kept by its id.
    pub(in crate::redis) stored: Option<Option<EntryRef>>,
    /// How many received it, in the steps that are done.
    pub(in crate::redis) receivers: i64,
}

/// What a step does.
enum LaterStep {
    /// Publishes a message on a lane.
    Publish(Lane, Box<[u8]>),
    /// Keeps the event by its id: the arguments of `persist.lua`.
    Keep(Args),
}

impl LaterSteps {
    /// None so far; those that follow are to be done before `deadline`.
    pub(in crate::redis) fn new(deadline: u64) -> LaterSteps {
        LaterSteps { steps: VecDeque::new(), deadline, stored: None, receivers: 0 }
    }

    /// Then the event is published on its lane.
    pub(in crate::redis) fn publish(&mut self, lanes: &Lanes, channel: &[u8], payload: &[u8]) {
        let message = [head_of_message(channel).as_bytes(), channel, payload].concat().into();
        self.steps.push_back(LaterStep::Publish(lanes.of(channel), message));
    }

    /// Then the event is kept, by a call with these arguments.
    pub(in crate::redis) fn keep(&mut self, args: Args) {
        self.steps.push_back(LaterStep::Keep(args));
    }

    /// Whether there is no further step.
    pub(in crate::redis) fn is_done(&self) -> bool {
        self.steps.is_empty()
    }

    /// Nothing more is done.
    pub(in crate::redis) fn give_up(&mut self) {
        self.steps.clear();
    }

    /// When the event has to be settled.
    pub(in crate::redis) fn deadline(&self) -> u64 {
        self.deadline
    }

    /// Adds the command of the next step.
    pub(in crate::redis) fn push_next(
        &mut self,
        (batch, index): (u32, u32),
        lanes: Option<&Lanes>,
        limit: u64,
        commands: &mut Pipeline<Command>,
    ) {
        let deadline = self.deadline;
        match (self.steps.pop_front(), lanes) {
            (Some(LaterStep::Publish(lane, message)), Some(lanes)) => {
                let command = Command::Event { batch, index, deadline, lane: Some(lane) };
                commands.push(command, limit, |out| {
                    append_spublish(out, lanes.channel(lane).as_bytes(), &[&message]);
                });
            }
            (Some(LaterStep::Keep(args)), _) => {
                let mut call = ScriptCall::new(&PERSIST, batch, deadline, None, Mark::default());
                call.add(index, args.mark());
                commands.push_of(Command::Call(Box::new(call)), limit, |command, out| {
                    if let Command::Call(call) = command {
                        call.pack(out, &[], args.bytes());
                    }
                });
            }
            // Only with lanes is something published on one.
            (Some(LaterStep::Publish(..)), None) | (None, _) => {}
        }
    }
}
