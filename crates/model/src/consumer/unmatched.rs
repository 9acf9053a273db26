//! Entries of a type that no client of the group is known to want.
//!
//! What is known is as old as the last heartbeat, and another client may have subscribed since. Such an
//! entry is settled only when a heartbeat that was sent after it came has told the same.

use crate::consumer::entry::{Entry, Stage};
use crate::consumer::group::{Context, Group};
use crate::stream_store::EntryId;

/// Between heartbeats that are sent for the sake of such entries, in milliseconds.
const PAUSE: u64 = 20;

/// An entry of a type that nobody is known to want.
#[derive(Debug)]
pub(super) struct Doubtful {
    slot: u32,
    id: EntryId,
    event_type: Box<str>,
    /// How many heartbeats had been sent when it came.
    sent: u64,
}

impl Group {
    /// Keeps an entry until it is known whether anybody wants it.
    pub(super) fn doubt(&mut self, mut entry: Entry, event_type: Box<str>, now: u64) {
        let (at, id) = (entry.stream, entry.id);
        entry.stage = Stage::Doubtful;
        let slot = self.keep(entry);
        let Some(stream) = self.streams.get_mut(at) else { return };
        stream.doubtful.push(Doubtful { slot, id, event_type, sent: stream.beats });
        stream.beat_at = stream.beat_at.min(now.max(stream.beaten_at.saturating_add(PAUSE)));
    }

    /// The latest heartbeat has been answered: what came before it was sent is decided.
    pub(super) fn decide_doubtful(&mut self, at: usize, now: u64, cx: &mut Context) {
        let Some(stream) = self.streams.get_mut(at) else { return };
        let beats = stream.beats;
        // In the order in which they came, so the first are decided.
        let decided = stream.doubtful.partition_point(|doubtful| doubtful.sent < beats);
        let decided: Vec<Doubtful> = stream.doubtful.drain(..decided).collect();
        for Doubtful { slot, id, event_type, .. } in decided {
            let waits = |e: &&Entry| e.id == id && e.stream == at && e.stage == Stage::Doubtful;
            let Some(event) = self.entries.get(slot).filter(waits).map(|e| e.event.clone()) else { continue };
            let Some(event) = event else { continue };
            let route = self.route(at, &event_type, &event, cx);
            let here = !route.takers.is_empty();
            let wanted = here || route.wanted;
            let Some(entry) = self.entries.get_mut(slot) else { continue };
            entry.stage = if wanted { Stage::Releasing } else { Stage::Over };
            if !wanted {
                cx.tally.skipped += 1;
                self.settled(at, id, now);
                self.free(slot, cx);
                continue;
            }
            let until = now.saturating_add(self.lease.saturating_mul(2));
            let Some(stream) = self.streams.get_mut(at) else { continue };
            if here {
                // A subscription that is younger than the entry's delivery: it is found again.
                stream.releases[0].push(id);
            } else {
                stream.pass_over(id, until);
                stream.releases[1].push(id);
            }
        }
    }
}
