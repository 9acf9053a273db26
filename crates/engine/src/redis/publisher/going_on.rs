//! In a Cluster: from events that are stored to the commands of their next steps.

use std::collections::BTreeSet;

use crate::redis::connection::pipeline::Pipeline;
use crate::redis::publisher::batches::Batches;
use crate::redis::publisher::prepared::{PreparedBatch, PreparedCommands};
use crate::redis::publisher::routed::Routed;
use crate::transport::context::TransportContext;

/// Has the next step done of those events that are stored: by the links of the nodes that have what it needs.
pub(in crate::redis) fn go_on(batches: &mut Batches, routed: &Routed, context: &TransportContext) {
    let stored = std::mem::take(&mut batches.to_go_on);
    let (lanes, limit) = (context.lanes.as_deref(), context.config.redis.command_timeout);
    for events in stored.chunk_by(|(a, _), (b, _)| a == b) {
        let Some((batch, _)) = events.first() else { continue };
        let indexes: BTreeSet<u32> = events.iter().map(|(_, index)| *index).collect();
        let Some(mut state) = batches.split(*batch, &indexes) else { continue };
        let (mut commands, mut deadline) = (Pipeline::new(), u64::MAX);
        for (_, index) in events {
            let Some(at) = state.later_of(*index) else { continue };
            let Some((_, later)) = state.later.get_mut(at) else { continue };
            deadline = deadline.min(later.deadline());
            later.push_next((*batch, *index), lanes, limit, &mut commands);
        }
        let groups = vec![PreparedCommands { wait: None, deadline, commands }];
        routed.go_on(PreparedBatch { batch: *batch, state, groups });
    }
}
