//! Publishing in hybrid mode: to this client's own subscriptions at once, on the caller's thread, and to the server.
//!
//! Why it is done here and not by the publisher's task: see `docs/design/hybrid.md`.

use std::sync::Arc;

use crate::host::{Apart, Taken};
use crate::observe::prometheus::row_of;
use crate::receive::reception::{InboundBatch, Reception};
use crate::redis::connection::pipeline::Pipeline;
use crate::redis::publisher::prepare::{Preparation, Prepared};
use crate::redis::publisher::replicated::{Group, PreparedBatch, Replicas, Replicated};
use crate::state::ClientState;
use crate::transport::Submission;

/// The side of a client's publishes that needs no server.
pub(in crate::redis) struct Hybrid {
    shared: Arc<ClientState>,
    preparation: Preparation,
    arrivals: InboundBatch,
}

impl Hybrid {
    pub(in crate::redis) fn new(shared: Arc<ClientState>, replicated: Arc<Replicated>) -> Hybrid {
        let replicas = Replicas::new(&shared, replicated);
        Hybrid {
            preparation: Preparation::new(&shared, Some(replicas)),
            shared,
            arrivals: InboundBatch::default(),
        }
    }

    /// Hands events to the subscriptions of this client that want them. Returns the commands for the server, if
    /// there are any.
    pub(in crate::redis) fn publish(&mut self, submission: Submission) -> Option<PreparedBatch> {
        let Hybrid { shared, preparation, arrivals } = self;
        let batch = submission.batch;
        let mut commands = Pipeline::new();
        // By index: those that subscriptions may take, those that no stream stores, and those that stay here.
        let (mut offered, mut unstored, mut staying) = (Vec::new(), Vec::new(), Vec::new());
        let router = shared.router();
        let reception = Reception::of(shared, &router, None);
        let prepared = preparation.prepare(shared, submission, &mut commands, |index, event| {
            let options = event.options;
            if !options.redis_only && event.live && reception.own(event, arrivals) {
                offered.push(index);
            } else if options.local_only {
                shared.keep_published(event.payload);
            }
            if options.local_only {
                staying.push((index, event.id, event.type_number));
            } else if event.stream.is_none() {
                unstored.push(index);
            }
            !options.local_only
        });
        drop(router);
        let Prepared { stamp, state, deadline, refused } = prepared;
        let mut offered = offered.into_iter();
        let mut items = Vec::with_capacity(offered.len());
        shared.accept_telling(arrivals, |takers| items.extend(offered.next().map(|index| (index, takers))));
        if !items.is_empty() {
            shared.outbox.taken(Taken { batch, items });
        }
        if !refused.is_empty() {
            shared.outbox.failed(refused);
        }
        if !staying.is_empty() {
            shared.stats.events_published.add(staying.len() as u64);
            shared.metrics.published(staying.iter().map(|(_, _, number)| (row_of(None), *number)));
            let apart = |(index, id, _)| Apart { batch, index, timestamp: stamp.clone(), id, remote: None };
            shared.outbox.apart(staying.into_iter().map(apart));
        }
        let mut state = state?;
        state.unstored = unstored;
        Some(PreparedBatch { batch, state, groups: vec![Group { wait: None, deadline, commands }] })
    }
}
