//! Publishing in hybrid mode: to this client's own subscriptions at once, on the caller's thread, and to the server.
//!
//! Why it is done here and not by the publisher's task: see `docs/design/hybrid.md`.

use std::sync::Arc;

use crate::host::{DeliveredLocally, SettledLocally};
use crate::redis::connection::lazy_link::LazyLink;
use crate::redis::connection::pipeline::Pipeline;
use crate::redis::publisher::input::Input;
use crate::redis::publisher::preparation::{Preparation, Prepared};
use crate::redis::publisher::prepared::{PreparedBatch, PreparedCommands};
use crate::redis::publisher::replicated::Replicas;
use crate::transport::Submission;
use crate::transport::context::TransportContext;
use crate::transport::events::PublishReport;
use crate::transport::inbound::InboundBatch;

/// The side of a client's publishes that needs no server.
pub(in crate::redis) struct Hybrid {
    context: Arc<TransportContext>,
    preparation: Preparation,
    batch: InboundBatch,
    report: PublishReport,
    held: Vec<PreparedBatch>,
}

impl Hybrid {
    pub(in crate::redis) fn new(context: Arc<TransportContext>, replicated: Arc<LazyLink<Input>>) -> Hybrid {
        let replicas = Replicas::new(&context, replicated);
        Hybrid {
            preparation: Preparation::new(&context, Some(replicas)),
            context,
            batch: InboundBatch::default(),
            report: PublishReport::default(),
            held: Vec::new(),
        }
    }

    /// Hands events to the subscriptions of this client that want them. The commands for the server, if there are any, are held
    /// until somebody takes them.
    pub(in crate::redis) fn publish(&mut self, submission: Submission) {
        let prepared = self.prepare(submission);
        self.held.extend(prepared);
    }

    /// What the server is to have, in the order in which it was published.
    pub(in crate::redis) fn take_held(&mut self) -> impl Iterator<Item = PreparedBatch> {
        self.held.drain(..)
    }

    fn prepare(&mut self, submission: Submission) -> Option<PreparedBatch> {
        let Hybrid { context, preparation, batch: taken, report, .. } = self;
        let batch = submission.batch;
        let mut commands = Pipeline::new();
        // By index: those that subscriptions may take, those that no stream stores, and those that stay here.
        let (mut offered, mut unstored, mut staying) = (Vec::new(), Vec::new(), Vec::new());
        let own = context.events.own_events();
        let keeps_recent = context.config.persistence.is_some();
        let mut recent = Vec::new();
        let prepared = preparation.prepare(context, submission, &mut commands, report, |index, event| {
            let options = event.options;
            if !options.redis_only && event.heard && own.take(event, taken) {
                offered.push(index);
            } else if options.local_only && keeps_recent {
                recent.push(event.messages.first().1.into());
            }
            if options.local_only {
                staying.push((index, event.id, event.type_number));
            } else if event.stream.is_none() {
                unstored.push(index);
            }
            !options.local_only
        });
        drop(own);
        let Prepared { stamp, state, deadline } = prepared;
        report.recent = recent;
        let items: Vec<(u32, u32)> = offered.into_iter().zip(context.events.accept_own(taken)).collect();
        if !items.is_empty() {
            report.delivered_locally.push(DeliveredLocally { batch, items });
        }
        for (index, id, type_number) in staying {
            report.count(None, type_number);
            report.settled_locally.push(SettledLocally {
                batch,
                index,
                timestamp: stamp.clone(),
                id,
                remote: None,
            });
        }
        if !report.is_empty() {
            context.events.published(report);
        }
        let mut state = state?;
        state.unstored = unstored;
        Some(PreparedBatch {
            batch,
            state,
            groups: vec![PreparedCommands { wait: None, deadline, commands }],
        })
    }
}
