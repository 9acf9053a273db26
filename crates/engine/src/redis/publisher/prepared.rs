//! The commands of a submission, ready to be sent.

use oxbus_model::{BusError, ErrorKind, Outcome};

use crate::host::Failed;
use crate::redis::connection::pipeline::Pipeline;
use crate::redis::publisher::batches::{Batch, Batches};
use crate::redis::publisher::in_flight::Command;
use crate::transport::context::TransportContext;
use crate::transport::events::{PublishReport, TransportEvents};

/// The commands of a submission, and what is known of its events.
pub(crate) struct PreparedBatch {
    pub(in crate::redis) batch: u32,
    pub(in crate::redis) state: Batch,
    pub(in crate::redis) groups: Vec<PreparedCommands>,
}

/// Commands that wait for the same replicas.
pub(in crate::redis) struct PreparedCommands {
    /// So many replicas, and so many milliseconds for them at the most; `None` where nothing is waited for.
    pub(in crate::redis) wait: Option<(u32, u64)>,
    /// When the first of their events has to be settled.
    pub(in crate::redis) deadline: u64,
    pub(in crate::redis) commands: Pipeline<Command>,
}

impl PreparedBatch {
    /// The client is closed, and sends nothing any more: all events fail.
    pub(in crate::redis) fn refuse(self, events: &dyn TransportEvents) {
        let PreparedBatch { batch, state, groups } = self;
        let mut report = PublishReport::default();
        report.release(state.open, state.bytes);
        let error = closed();
        for command in groups.iter().flat_map(|group| group.commands.commands()) {
            command.each_event(|_, index| {
                report.failed.push(Failed { batch, index, error: error.clone(), message_id: None });
            });
        }
        events.published(&mut report);
    }

    /// What is left of the publishes of a link.
    pub(in crate::redis) fn into_rest(self) -> HandedOver {
        HandedOver { states: vec![(self.batch, self.state)], groups: self.groups }
    }
}

/// What was not sent of a target, or was refused as its node has it no more.
pub(in crate::redis) struct HandedOver {
    pub(in crate::redis) states: Vec<(u32, Batch)>,
    pub(in crate::redis) groups: Vec<PreparedCommands>,
}

impl HandedOver {
    /// The client is closed: all of it fails, but for what is stored.
    pub(in crate::redis) fn refuse(self, context: &TransportContext) {
        let mut batches = Batches::new(&context.config.streams);
        self.states.into_iter().for_each(|(batch, state)| batches.add(batch, state));
        let error = closed();
        for command in self.groups.iter().flat_map(|group| group.commands.commands()) {
            command.each_event(|batch, index| batches.fail(batch, index, error.clone()));
        }
        batches.report(&*context.events);
    }
}

fn closed() -> BusError {
    BusError::new(ErrorKind::Closed, "the client is closed").with_outcome(Outcome::NotSent)
}
