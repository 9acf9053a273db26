//! The end of subscriptions, and of the group in this client: what no handler has is handed back.

use crate::consumer::context::Context;
use crate::consumer::entry::Stage;
use crate::consumer::group::Group;
use crate::consumer::settle::end_if_done;

/// Ends a subscription. Entries that nobody here wants any more are handed back.
pub(super) fn remove(group: &mut Group, id: u32, now: u64, cx: &mut Context) {
    let Group { subscriptions, streams, .. } = group;
    let Some(s) = subscriptions.get_mut(id) else { return };
    s.removed = true;
    for (at, _) in &s.streams {
        if let Some(stream) = streams.get_mut(*at) {
            stream.users = stream.users.saturating_sub(1);
            stream.heartbeat.hurry();
            stream.starts.forget(id);
        }
    }
    end_waiting_calls(group, Some(id), now, cx);
    group.subscriptions.end(id);
    group.subscriptions_changed();
}

/// Takes in nothing more, and hands back everything that no handler has.
pub(super) fn stop(group: &mut Group, now: u64, cx: &mut Context) {
    group.stopping = true;
    end_waiting_calls(group, None, now, cx);
    for stream in group.streams.iter_mut().filter(|stream| stream.unmatched.wait_for_facts()) {
        stream.heartbeat.hurry();
    }
}

/// Ends the calls that no handler has: those of one subscription, or all; then other clients make them.
fn end_waiting_calls(group: &mut Group, of: Option<u32>, now: u64, cx: &mut Context) {
    let mut ended = Vec::new();
    for (slot, entry) in group.entries.iter_mut() {
        let ends = matches!(entry.stage, Stage::DeadLettering | Stage::Requeueing | Stage::Over);
        if !ends && entry.end_waiting_calls(of) {
            ended.push(slot);
        }
    }
    for &slot in &ended {
        let Some(entry) = group.entries.get_mut(slot) else { continue };
        entry.undone |= of.is_none();
        if !entry.is_open() {
            group.leave_waiting_in_lane(slot);
        }
    }
    for slot in ended {
        end_if_done(group, slot, now, cx);
    }
    group.purge_queues();
}
