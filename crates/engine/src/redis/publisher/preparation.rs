//! From the records of a submission to commands: the [`Encoder`] makes an event of each record, and the [`CommandWriter`]
//! a command of each event. What is known of the events while they are under way comes with it.

use std::sync::Arc;

use crate::host::Failed;
use crate::publish::encoder::{Encoded, Encoder, Stamp};
use crate::redis::connection::pipeline::Pipeline;
use crate::redis::publisher::batches::Batch;
use crate::redis::publisher::command_writer::{CommandWriter, EventRef};
use crate::redis::publisher::in_flight::Command;
use crate::redis::publisher::replicated::Replicas;
use crate::transport::Submission;
use crate::transport::context::TransportContext;
use crate::transport::events::PublishReport;

/// Makes the commands of submissions.
pub(in crate::redis) struct Preparation {
    encoder: Encoder,
    pub(in crate::redis) writer: CommandWriter,
    /// Gathers events that wait for replicas; `None` in the publisher that sends these.
    pub(in crate::redis) replicas: Option<Replicas>,
    /// Whether events are kept by their id.
    keeps: bool,
}

/// A submission whose commands are made.
pub(in crate::redis) struct Prepared {
    /// The timestamp of events that have none of their own.
    pub(in crate::redis) stamp: Arc<str>,
    /// The state of its events that are under way, if any is.
    pub(in crate::redis) state: Option<Batch>,
    /// When the first of them has to be settled.
    pub(in crate::redis) deadline: u64,
}

impl Preparation {
    pub(in crate::redis) fn new(context: &TransportContext, replicas: Option<Replicas>) -> Preparation {
        Preparation {
            encoder: Encoder::new(context),
            writer: CommandWriter::new(context),
            replicas,
            keeps: context.config.persistence.is_some(),
        }
    }

    /// Makes the commands of a submission, at the end of `pipeline`; those of events that are to be replicated go
    /// to the link for them. Only events that `goes_out` says so of get one; it is told of every valid event, with
    /// its index. Those that were refused, and the room that is free again, go into `report`.
    pub(in crate::redis) fn prepare(
        &mut self,
        context: &TransportContext,
        submission: Submission,
        pipeline: &mut Pipeline<Command>,
        report: &mut PublishReport,
        mut goes_out: impl FnMut(u32, &Encoded<'_>) -> bool,
    ) -> Prepared {
        let Submission { batch, count, records } = submission;
        let (stamp, now) = (Stamp::now(&context.clock), context.clock.now_ms());
        let mut known = Vec::with_capacity(count as usize);
        let (mut open, mut moved, mut moved_bytes, mut texts) = (0, 0, 0, Vec::new());
        let mut prepared = Prepared { stamp: stamp.text.clone(), state: None, deadline: u64::MAX };
        for (index, record) in (0..count).zip(records.iter()) {
            let event = match self.encoder.encode(record, &stamp) {
                Ok(event) => event,
                Err(error) => {
                    known.push((None, 0));
                    report.failed.push(Failed { batch, index, error, message_id: None });
                    continue;
                }
            };
            known.push((event.id, event.type_number));
            if !goes_out(index, &event) {
                continue;
            }
            let deadline = now.saturating_add(event.timeout);
            let event_ref = EventRef { batch, index, deadline };
            if self.keeps {
                texts.push((index, event.messages.first().1.into()));
            }
            match &mut self.replicas {
                Some(replicas) if event.options.replicas > 0 => {
                    replicas.add(event_ref, &event);
                    moved += 1;
                    moved_bytes += record.bytes();
                }
                _ => {
                    prepared.deadline = prepared.deadline.min(deadline);
                    open += 1;
                    self.writer.add(event_ref, &event, pipeline);
                }
            }
        }
        self.writer.finish(pipeline);
        if moved > 0
            && let Some(replicas) = &mut self.replicas
        {
            let mut state = Batch::new(stamp.text.clone(), known.clone(), moved, moved_bytes);
            state.texts.clone_from(&texts);
            replicas.send(context, batch, state);
        }
        let (settled, bytes) = (count as usize - moved - open, records.bytes() - moved_bytes);
        report.release(settled, if open == 0 { bytes } else { 0 });
        if open > 0 {
            let mut state = Batch::new(stamp.text, known, open, bytes);
            state.texts = texts;
            state.live = self.writer.take_live();
            prepared.state = Some(state);
        }
        prepared
    }
}
