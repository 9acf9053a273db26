//! What came of what a group asked of the store.

use super::{Announcement, Work};
use crate::consumer::entry::Stage;
use crate::consumer::group::{Context, Group, start_ignored};
use crate::consumer::requests::BEAT_TAKEN;
use crate::consumer::stream::Opening;
use crate::error::Outcome;
use crate::stream_store::{DeadLetterEntry, EntryId, GroupFacts, Request, Response};
use crate::{BusError, ErrorKind};

type Answer = Result<Response, BusError>;

impl Group {
    /// The stream that a request is about.
    fn stream_of(&self, request: &Request) -> Option<usize> {
        match request {
            Request::EnsureGroup { stream, .. } => self.stream_index(stream),
            Request::Acknowledge { member, .. }
            | Request::ExtendLease { member, .. }
            | Request::Requeue { member, .. }
            | Request::DeadLetter { member, .. }
            | Request::MarkStarted { member, .. }
            | Request::ListExpired { member, .. }
            | Request::Claim { member, .. }
            | Request::ClaimOwnPending { member, .. }
            | Request::Heartbeat { member, .. }
            | Request::RemoveDeadConsumers { member } => self.stream_index(&member.stream),
            _ => None,
        }
    }

    /// Takes an answer. Returns what is to be done at once.
    pub(super) fn answered(
        &mut self,
        request: Request,
        result: Answer,
        now: u64,
        cx: &mut Context,
    ) -> Option<Work> {
        let at = self.stream_of(&request)?;
        if let Err(error) = &result
            && error.kind == ErrorKind::NoGroup
            && let Some(stream) = self.streams.get_mut(at)
        {
            stream.group_gone();
        }
        match request {
            Request::EnsureGroup { .. } => self.opened(at, result, now, cx),
            Request::Heartbeat { .. } => self.beaten(at, result, now, cx),
            Request::Acknowledge { ids, .. } => self.acknowledged(at, ids, result, now),
            Request::ExtendLease { items, .. } => self.renewed(at, &items, result, now, cx),
            Request::Requeue { items, unhandled, .. } => {
                let ids: Vec<EntryId> = items.into_iter().map(|(id, _)| id).collect();
                self.released(at, &ids, unhandled, result, now, cx);
            }
            Request::DeadLetter { letters, to, .. } => {
                self.buried(at, &letters, to.is_some(), result, now, cx)
            }
            Request::ListExpired { .. } => return self.overdue(at, result, now),
            Request::Claim { ids, .. } => self.claimed(at, ids.len(), result, now, cx),
            Request::ClaimOwnPending { after, .. } => self.owned(at, after, result, now, cx),
            Request::RemoveDeadConsumers { .. } => {
                if let Some(stream) = self.streams.get_mut(at) {
                    stream.sweeping = false;
                }
            }
            _ => {}
        }
        None
    }

    fn opened(&mut self, at: usize, result: Answer, now: u64, cx: &mut Context) {
        let Some(stream) = self.streams.get_mut(at) else { return };
        let group = &self.joining.group;
        match result {
            Ok(Response::Ensured { created, position, recreated }) => {
                stream.open_gate.succeeded();
                stream.opening = Opening::Open;
                stream.trouble = None;
                stream.beat_at = 0;
                if created && (stream.opened || recreated) {
                    // What is held is read once more, which makes it this consumer's again.
                    self.entries
                        .iter_mut()
                        .filter(|(_, e)| e.stream == at)
                        .for_each(|(_, e)| e.renewed = now);
                    let (stream, group) = (stream.name.clone(), group.clone());
                    cx.announcements.push(Announcement::GroupRecreated { stream, group, from: position });
                } else if !created && !stream.opened && stream.given {
                    cx.announcements.push(start_ignored(&stream.name, group));
                }
                if created || !stream.opened {
                    stream.position = Some(position);
                }
                stream.opened = true;
                stream.search_own();
            }
            result => {
                stream.open_gate.failed(now);
                stream.opening = Opening::Closed;
                let Err(error) = result else { return };
                if matches!(error.kind, ErrorKind::WrongType | ErrorKind::PermissionDenied) {
                    let waiting = self.subscribers.iter().filter(|(_, s)| !s.confirmed && !s.removed);
                    let mine = waiting.filter(|(_, s)| s.streams.iter().any(|(index, _)| *index == at));
                    let refused = mine.map(|(id, _)| *id);
                    cx.announcements.extend(
                        refused
                            .map(|subscription| Announcement::Refused { subscription, error: error.clone() }),
                    );
                }
                // A link that is down says so itself.
                let told = matches!(error.outcome, Some(Outcome::NotSent | Outcome::Unknown));
                if stream.opened && stream.trouble.is_none() && !told {
                    let message = format!(
                        "group {group:?} of stream {:?} cannot be made: {}",
                        stream.name, error.message
                    );
                    cx.announcements.push(Announcement::Error(BusError { message, ..error.clone() }));
                }
                stream.trouble = Some(error);
            }
        }
    }

    fn beaten(&mut self, at: usize, result: Answer, now: u64, cx: &mut Context) {
        let Some(stream) = self.streams.get_mut(at) else { return };
        stream.beating = false;
        let facts = match result {
            Ok(Response::Facts(facts)) => facts,
            Ok(_) => return,
            Err(error) => {
                stream.trouble = (error.kind != ErrorKind::NoGroup).then_some(error);
                return;
            }
        };
        if facts.taken_by.is_some() {
            let message = format!(
                "a live consumer {:?} of group {:?} exists elsewhere",
                self.joining.consumer, self.joining.group
            );
            let error = BusError::new(ErrorKind::ConsumerInUse, message);
            if !stream.taken && stream.facts.is_some() {
                cx.announcements.push(Announcement::Error(error.clone()));
            }
            stream.taken = true;
            stream.trouble = Some(error);
            stream.beat_at = stream.beat_at.min(now + BEAT_TAKEN);
            self.lose_all(at, now, cx);
            return;
        }
        if std::mem::take(&mut stream.taken) {
            stream.search_own();
        }
        stream.trouble = None;
        stream.beat.2 = stream.beat.1;
        if stream.beat.1 != stream.beat.0 {
            stream.beat_at = 0;
        }
        self.learn(at, facts, now, cx);
        self.decide_doubtful(at, now, cx);
        self.confirm(cx);
    }

    fn learn(&mut self, at: usize, mut facts: GroupFacts, now: u64, cx: &mut Context) {
        let Some(stream) = self.streams.get_mut(at) else { return };
        let (name, group) = (&stream.name, &self.joining.group);
        if let Some(missed) = facts.missed.take() {
            let (stream, group) = (name.clone(), group.clone());
            cx.announcements.push(Announcement::MessagesLost { stream, group, missed });
        }
        if facts.lease != self.joining.lease && facts.lease > 0 && !self.lease_warned {
            self.lease_warned = true;
            let message = format!(
                "group {group:?} of stream {name:?} has a lease of {} ms, here it is {} ms; the group's is used",
                facts.lease, self.joining.lease
            );
            cx.announcements.push(Announcement::Warning { code: "LEASE_DIFFERS", message });
        }
        stream.learn(facts, now);
        let leases = self.streams.iter().filter_map(|s| s.facts.as_ref().map(|facts| facts.lease));
        self.lease = leases.filter(|lease| *lease > 0).min().unwrap_or(self.joining.lease).max(1);
    }

    /// Confirms the subscriptions whose streams have all heard of them.
    fn confirm(&mut self, cx: &mut Context) {
        for (id, s) in self.subscribers.iter_mut().filter(|(_, s)| !s.confirmed && !s.removed) {
            let known = |&(at, wanted): &(usize, u32)| {
                let stream = self.streams.get(at);
                stream.is_some_and(|stream| !stream.taken && stream.beat.2 >= wanted)
            };
            if s.streams.iter().all(known) {
                s.confirmed = true;
                cx.announcements.push(Announcement::Confirmed { subscription: *id });
            }
        }
    }

    fn acknowledged(&mut self, at: usize, ids: Vec<EntryId>, result: Answer, now: u64) {
        let Some(stream) = self.streams.get_mut(at) else { return };
        match result {
            Ok(_) => {
                stream.ack_gate.succeeded();
                for id in ids {
                    // One that has been claimed again meanwhile is held.
                    if stream.late.is_empty() || !stream.late.remove(&id) {
                        stream.forget(id);
                    }
                }
            }
            // Without the group nothing is pending; and whatever comes back, comes back as a new delivery.
            Err(_) => {
                stream.ack_gate.failed(now);
                stream.acks.extend(ids);
            }
        }
    }

    /// The entries that a fenced request did not find to be this consumer's, and those that are gone.
    fn lost(result: Answer) -> Result<(Vec<EntryId>, Vec<EntryId>), BusError> {
        match result {
            Ok(Response::Fenced { not_owned: taken, deleted: gone }) => Ok((taken, gone)),
            Ok(_) => Ok(Default::default()),
            Err(error) => Err(error),
        }
    }

    fn renewed(
        &mut self,
        at: usize,
        items: &[(EntryId, Option<u32>)],
        result: Answer,
        now: u64,
        cx: &mut Context,
    ) {
        let Some(stream) = self.streams.get_mut(at) else { return };
        stream.fenced = false;
        let lost = Self::lost(result);
        match &lost {
            Ok(_) => stream.hold_gate.succeeded(),
            Err(_) => _ = stream.hold_gate.failed(now),
        }
        for (id, count) in items {
            let Some(slot) = self.slot_of(at, *id) else { continue };
            let Some(entry) = self.entries.get_mut(slot) else { continue };
            match (&lost, count) {
                // The next round is for it again.
                (Err(_), _) => entry.renewed = 0,
                (Ok(_), Some(count)) => entry.stored = *count,
                (Ok(_), None) => cx.tally.renewed += 1,
            }
        }
        if let Ok((taken, gone)) = lost {
            let lost = |id: &EntryId| taken.contains(id) || gone.contains(id);
            let of_renewals = items.iter().filter(|(id, count)| count.is_none() && lost(id)).count();
            cx.tally.renewed = cx.tally.renewed.saturating_sub(of_renewals as u64);
            self.lose(at, &taken, now, cx);
            self.vanish(at, &gone, now, cx);
        }
    }

    fn released(
        &mut self,
        at: usize,
        ids: &[EntryId],
        unhandled: bool,
        result: Answer,
        now: u64,
        cx: &mut Context,
    ) {
        let slots: Vec<u32> = ids.iter().filter_map(|id| self.slot_of(at, *id)).collect();
        let Some(stream) = self.streams.get_mut(at) else { return };
        stream.fenced = false;
        match Self::lost(result) {
            Ok((_, gone)) => {
                stream.release_gate.succeeded();
                self.vanish(at, &gone, now, cx);
                let Some(stream) = self.streams.get_mut(at) else { return };
                ids.iter().for_each(|id| stream.forget(*id));
                let over = |slot: &u32| self.entries.get(*slot).is_some_and(|e| ids.contains(&e.id));
                let slots: Vec<u32> = slots.into_iter().filter(over).collect();
                self.finish(&slots, now, cx);
            }
            Err(_) => {
                stream.release_gate.failed(now);
                stream.releases[usize::from(unhandled)].extend(ids);
            }
        }
    }

    /// Entries need nothing more.
    fn finish(&mut self, slots: &[u32], now: u64, cx: &mut Context) {
        for &slot in slots {
            if let Some(entry) = self.entries.get_mut(slot) {
                entry.stage = Stage::Over;
            }
            self.reload(slot);
            self.leave_lane(slot, now);
            self.free(slot, cx);
        }
    }

    fn buried(
        &mut self,
        at: usize,
        letters: &[DeadLetterEntry],
        kept: bool,
        result: Answer,
        now: u64,
        cx: &mut Context,
    ) {
        let slots: Vec<Option<u32>> = letters.iter().map(|letter| self.slot_of(at, letter.id)).collect();
        let Some(stream) = self.streams.get_mut(at) else { return };
        stream.fenced = false;
        let (taken, missing) = match Self::lost(result) {
            Ok(lost) => lost,
            Err(error) => {
                let unsure = error.outcome == Some(Outcome::Unknown);
                for (letter, slot) in letters.iter().zip(&slots) {
                    stream.letters.push(letter.id);
                    if let Some(entry) = slot.and_then(|slot| self.entries.get_mut(slot)) {
                        entry.unsure |= unsure;
                    }
                }
                if stream.bury_gate.failed(now) {
                    cx.announcements.push(Announcement::Error(error));
                }
                return;
            }
        };
        stream.bury_gate.succeeded();
        let mut gone = Vec::new();
        for (letter, slot) in letters.iter().zip(&slots) {
            let Some(entry) = slot.and_then(|slot| self.entries.get(slot)) else { continue };
            // A request that seemed to fail may have moved it.
            if missing.contains(&letter.id) || (taken.contains(&letter.id) && !entry.unsure) {
                continue;
            }
            cx.tally.dead_lettered += u64::from(kept);
            stream.forget(letter.id);
            gone.extend(*slot);
            cx.announcements.push(Announcement::DeadLettered {
                stream: stream.name.clone(),
                group: self.joining.group.clone(),
                id: letter.id,
                event: entry.event.clone(),
                attempts: letter.attempts,
                reason: letter.reason,
                error: letter.error.clone(),
                kept,
            });
        }
        self.finish(&gone, now, cx);
        self.lose(at, &taken, now, cx);
        self.vanish(at, &missing, now, cx);
    }
}
