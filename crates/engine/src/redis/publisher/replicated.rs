//! Publishes that wait until replicas have them. They have a link of their own, as waiting holds up
//! everything else on a connection.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use crate::publish::encoder::Encoded;
use crate::redis::connection::lazy_link::LazyLink;
use crate::redis::connection::pipeline::Pipeline;
use crate::redis::publisher::batches::Batch;
use crate::redis::publisher::command_writer::{CommandWriter, EventRef};
use crate::redis::publisher::in_flight::Command;
use crate::redis::publisher::input::Input;
use crate::redis::publisher::prepared::{PreparedBatch, PreparedCommands};
use crate::redis::resp::command::append_wait;
use crate::transport::context::TransportContext;

/// Gathers the events of a submission that are to be replicated.
pub(in crate::redis) struct Replicas {
    writer: CommandWriter,
    groups: Vec<PreparedCommands>,
    link: Arc<LazyLink<Input>>,
    most: Arc<AtomicU32>,
}

impl Replicas {
    pub(in crate::redis) fn new(context: &TransportContext, link: Arc<LazyLink<Input>>) -> Replicas {
        let writer = CommandWriter::new(context);
        Replicas { writer, groups: Vec::new(), link, most: context.most_replicas.clone() }
    }

    /// Adds an event.
    pub(in crate::redis) fn add(&mut self, of: EventRef, event: &Encoded<'_>) {
        let (replicas, timeout, deadline) = (event.options.replicas, event.timeout, of.deadline);
        self.most.fetch_max(replicas, Relaxed);
        let wait = Some((replicas, timeout));
        let last = self.groups.pop_if(|last| {
            let same = last.wait == wait;
            if !same {
                self.writer.finish(&mut last.commands);
            }
            same
        });
        let mut group =
            last.unwrap_or_else(|| PreparedCommands { wait, deadline, commands: Pipeline::new() });
        self.writer.add(of, event, &mut group.commands);
        self.groups.push(group);
    }

    /// Cancels an event that was sent to the link.
    pub(in crate::redis) fn cancel(&self, batch: u32, index: u32) {
        self.link.send_if_started(Input::Cancel { batch, index });
    }

    /// Sends what was gathered.
    pub(in crate::redis) fn send(&mut self, context: &TransportContext, batch: u32, mut state: Batch) {
        state.later = self.writer.take_later();
        if let Some(last) = self.groups.last_mut() {
            self.writer.finish(&mut last.commands);
        }
        let groups = std::mem::take(&mut self.groups);
        let prepared = Box::new(PreparedBatch { batch, state, groups });
        if let Err(Input::PreparedBatch(prepared)) = self.link.send(Input::PreparedBatch(prepared)) {
            prepared.refuse(&*context.events);
        }
    }
}

/// Appends commands, and behind them the question how many replicas have got what they did. Each may take `limit`
/// milliseconds.
pub(in crate::redis) fn append_awaited(
    pipeline: &mut Pipeline<Command>,
    commands: Pipeline<Command>,
    wait: Option<(u32, u64)>,
    limit: u64,
) {
    let Some((replicas, timeout)) = wait else { return pipeline.append(commands) };
    if commands.is_idle() {
        return;
    }
    // One WAIT at the end serves all commands that ask for the same replicas.
    let same = |command: &Command| matches!(command, Command::Wait { replicas: r, timeout: t } if (*r, *t) == (replicas, timeout));
    pipeline.remove_last_unsent(same);
    pipeline.append(commands);
    let command = Command::Wait { replicas, timeout };
    pipeline.push_barrier(command, timeout.saturating_add(limit), |bytes| {
        append_wait(bytes, replicas, timeout);
    });
}
