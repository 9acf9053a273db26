//! The search for entries that nobody works on: this consumer's own of before, and others'.

use super::{ReceivedEntry, Work};
use crate::BusError;
use crate::consumer::entry::Stage;
use crate::consumer::group::{Context, Group};
use crate::consumer::intake::Origin;
use crate::consumer::stream::Own;
use crate::stream_store::{EntryId, PendingEntry, Request, Response, StoredEntry};

/// The longest between two searches for overdue entries, in milliseconds.
const RECOVERY: u64 = 500;
/// The most entries claimed at once.
const MAX_CLAIMS: usize = 100;
/// Overdue entries asked for at the most.
const MAX_OVERDUE: usize = 10_000;

type Answer = Result<Response, BusError>;

impl Group {
    /// Looks for entries that nobody works on: this consumer's own of before, then others'.
    pub(super) fn find(&mut self, at: usize, now: u64, room: usize, out: &mut Vec<Work>) {
        let (key, lease) = (self.key, self.lease);
        let Some(stream) = self.streams.get_mut(at) else { return };
        if !stream.is_ready() || stream.users == 0 {
            return;
        }
        if let Own::Wanted { after } = stream.own
            && stream.own_gate.open(now, 1)
        {
            let (member, raise) = (stream.member.clone(), !stream.inherited);
            let own = Request::ClaimOwnPending { member, after, limit: room.min(MAX_CLAIMS), raise };
            out.push(Work::Store(key, own));
            stream.own_gate.sent();
            stream.own = Own::Asked { after };
        }
        if stream.own == Own::Done && !stream.recovering && now >= stream.recover_at {
            stream.strangers.retain(|_, until| *until > now);
            let limit = (MAX_CLAIMS + stream.passed_over).min(MAX_OVERDUE);
            let member = stream.member.clone();
            out.push(Work::Store(key, Request::ListExpired { member, min_idle: lease, limit }));
            stream.recovering = true;
            stream.recover_at = now + RECOVERY.min((lease / 4).max(1));
        }
    }

    /// Claims what is overdue and not held here.
    pub(super) fn overdue(&mut self, at: usize, result: Answer, now: u64) -> Option<Work> {
        let (room, _) = self.room(now);
        let connected = self.connected;
        let stream = self.streams.get_mut(at)?;
        stream.recovering = false;
        let Ok(Response::Pending(pending)) = result else { return None };
        let wanted = |entry: &&PendingEntry| {
            !stream.known.contains_key(&entry.id) && !stream.strangers.contains_key(&entry.id)
        };
        let mut ids: Vec<EntryId> = pending.iter().filter(wanted).map(|entry| entry.id).collect();
        stream.passed_over = pending.len() - ids.len();
        ids.truncate(room.min(MAX_CLAIMS));
        if ids.is_empty() || !connected || !stream.is_ready() {
            return None;
        }
        stream.recovering = true;
        let member = stream.member.clone();
        Some(Work::Store(self.key, Request::Claim { member, min_idle: self.lease, ids }))
    }

    pub(super) fn claimed(&mut self, at: usize, asked: usize, result: Answer, now: u64, cx: &mut Context) {
        let Some(stream) = self.streams.get_mut(at) else { return };
        stream.recovering = false;
        let Ok(Response::Claimed { entries, deleted }) = result else { return };
        if asked >= MAX_CLAIMS {
            // There may be more.
            stream.recover_at = now;
        }
        self.take_in(at, entries, Origin::Claimed, now, cx);
        self.deleted(at, &deleted, now, cx);
    }

    pub(super) fn owned(&mut self, at: usize, after: EntryId, result: Answer, now: u64, cx: &mut Context) {
        let Some(stream) = self.streams.get_mut(at) else { return };
        let Ok(Response::Claimed { entries, deleted }) = result else {
            stream.own_gate.failed(now);
            stream.found_own(Own::Wanted { after });
            return;
        };
        stream.own_gate.succeeded();
        let last = entries.iter().map(|entry| entry.id).chain(deleted.iter().copied()).max();
        self.take_in(at, entries, Origin::Own, now, cx);
        self.deleted(at, &deleted, now, cx);
        let Some(stream) = self.streams.get_mut(at) else { return };
        stream.inherited |= last.is_none();
        stream.found_own(last.map_or(Own::Done, |after| Own::Wanted { after }));
    }

    fn take_in(&mut self, at: usize, entries: Vec<StoredEntry>, origin: Origin, now: u64, cx: &mut Context) {
        let Some(name) = self.streams.get(at).map(|stream| stream.name.clone()) else { return };
        for entry in entries {
            let received = ReceivedEntry::pending(cx.codec, name.clone(), entry, &cx.instance);
            #[cfg(test)]
            let received = received.with_channel(cx.channel);
            self.accept(received, origin, now, cx);
        }
    }

    /// Pending entries were found to be deleted. What is held here for a handler is handled all the same.
    fn deleted(&mut self, at: usize, ids: &[EntryId], now: u64, cx: &mut Context) {
        let Some(stream) = self.streams.get(at) else { return };
        let (held, gone): (Vec<_>, Vec<_>) = ids.iter().partition(|id| stream.known.contains_key(id));
        self.tell_lost(at, &gone, cx);
        for id in held {
            let entry = self.slot_of(at, id).and_then(|slot| self.entries.get_mut(slot));
            match entry.filter(|entry| entry.is_open()) {
                Some(entry) if entry.stage != Stage::Suspect => entry.gone = true,
                _ => self.vanish(at, &[id], now, cx),
            }
        }
    }
}
