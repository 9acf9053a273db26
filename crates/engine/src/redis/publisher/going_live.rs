//! With sharded pub/sub: from events that are stored to the commands that publish them on their lanes.

use std::collections::BTreeSet;

use crate::redis::connection::pipeline::Pipeline;
use crate::redis::publisher::batches::Batches;
use crate::redis::publisher::prepared::{PreparedBatch, PreparedCommands};
use crate::redis::publisher::routed::Routed;
use crate::transport::context::TransportContext;

/// Has those events published that were stored just now: by the links of the nodes that have their lanes.
pub(in crate::redis) fn publish_live(batches: &mut Batches, routed: &Routed, context: &TransportContext) {
    let stored = std::mem::take(&mut batches.to_publish);
    let Some(lanes) = &context.lanes else { return };
    let limit = context.config.redis.command_timeout;
    for events in stored.chunk_by(|(a, _), (b, _)| a == b) {
        let Some((batch, _)) = events.first() else { continue };
        let indexes: BTreeSet<u32> = events.iter().map(|(_, index)| *index).collect();
        let Some(mut state) = batches.split(*batch, &indexes) else { continue };
        let (mut commands, mut deadline) = (Pipeline::new(), u64::MAX);
        for (_, index) in events {
            let Some(at) = state.live_of(*index) else { continue };
            let Some((_, part)) = state.live.get_mut(at) else { continue };
            deadline = deadline.min(part.deadline);
            part.push((*batch, *index), lanes, limit, &mut commands);
        }
        let groups = vec![PreparedCommands { wait: None, deadline, commands }];
        routed.publish_live(PreparedBatch { batch: *batch, state, groups });
    }
}
