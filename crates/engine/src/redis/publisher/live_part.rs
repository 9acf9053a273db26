//! With sharded pub/sub: what is published of an event once it is stored.
//!
//! A script can publish on a lane only where it has its keys, and the lane of an event is seldom in the slot of its stream. So the
//! event is stored first, and when the answer has come it is published on its lane. The publish is settled then: that the event
//! is stored cannot fail any more, so what goes wrong with the second step is told by a warning.

use oxbus_model::topology::lanes::{Lane, Lanes, head_of_message};

use crate::redis::connection::pipeline::Pipeline;
use crate::redis::publisher::in_flight::{Command, EntryRef};
use crate::redis::resp::command::append_spublish;

/// The second step of the publish of an event.
pub(in crate::redis) struct LivePart {
    pub(in crate::redis) lane: Lane,
    message: Box<[u8]>,
    pub(in crate::redis) deadline: u64,
    /// Once the first step is done: where the event is stored, unless it is only kept by its id.
    pub(in crate::redis) stored: Option<Option<EntryRef>>,
}

impl LivePart {
    pub(in crate::redis) fn new(lanes: &Lanes, channel: &[u8], payload: &[u8], deadline: u64) -> LivePart {
        let message = [head_of_message(channel).as_bytes(), channel, payload].concat().into();
        LivePart { lane: lanes.of(channel), message, deadline, stored: None }
    }

    /// Adds the command of the second step.
    pub(in crate::redis) fn push(
        &mut self,
        (batch, index): (u32, u32),
        lanes: &Lanes,
        limit: u64,
        commands: &mut Pipeline<Command>,
    ) {
        let LivePart { lane, message, deadline, .. } = self;
        let command = Command::Event { batch, index, deadline: *deadline, lane: Some(*lane) };
        let message = std::mem::take(message);
        commands.push(command, limit, |out| {
            append_spublish(out, lanes.channel(*lane).as_bytes(), &[&message]);
        });
    }
}
