//! What a group asks of the store, and when.

use std::sync::Arc;

use super::{Read, Work};
use crate::consumer::entry::{CallState, Entry, Stage};
use crate::consumer::group::{Context, Group};
use crate::consumer::stream::{Opening, Own, Stream};
use crate::stream_store::{DeadLetterEntry, EntryId, Position, Request};

/// Between two heartbeats, and for how long one counts, in milliseconds.
pub(super) const BEAT: u64 = 1000;
const ALIVE: u64 = 5000;
/// Between two heartbeats while another process has the consumer's name.
pub(super) const BEAT_TAKEN: u64 = 500;
/// Between two searches for dead consumers.
const SWEEP: u64 = 30_000;
/// Room for which a read is worth while, however much more there could be.
const GOOD_READ: usize = 256;
/// The most entries of one request.
const MAX_ACKS: usize = 1000;
const MAX_HOLDS: usize = 500;
const MAX_LETTERS: usize = 100;
/// Entries settled in 100 ms from which on one read at a time is not enough.
const FLOWING: usize = 256;
/// Entries of one such read: a large one would keep handlers waiting for its first entry.
const SMOOTH_READ: usize = 512;
/// Acknowledgements of a stream on their way at once; others are gathered meanwhile.
const ACKS_AT_ONCE: usize = 2;

impl Group {
    /// What is to be done now.
    pub(super) fn work(&mut self, now: u64, cx: &mut Context, out: &mut Vec<Work>) {
        self.renew(now, cx);
        let Context { instance, dead_letter, reads_ahead, .. } = cx;
        let (dead_letters, ahead) = (dead_letter.max_length, *reads_ahead);
        let (room, window) = self.room(now);
        for at in 0..self.streams.len() {
            self.keep_up(at, now, instance, out);
            self.tell(at, now, dead_letters, out);
            if self.connected && !self.stopping && room > 0 {
                self.find(at, now, room, out);
            }
        }
        out.extend(self.read(now, room, window, ahead).map(Work::Read));
    }

    /// Opens the group of a stream, and says that this consumer lives.
    fn keep_up(&mut self, at: usize, now: u64, instance: &Arc<str>, out: &mut Vec<Work>) {
        let (key, lease) = (self.key, self.joining.lease);
        let Some(stream) = self.streams.get_mut(at) else { return };
        if stream.opening == Opening::Closed && now >= stream.open_at && stream.open_gate.open(now, 1) {
            let from = if stream.opened {
                stream.mark().map_or(Position::Beginning, Position::After)
            } else {
                stream.start
            };
            let (name, group) = (stream.name.clone(), self.joining.group.clone());
            out.push(Work::Store(
                key,
                Request::EnsureGroup { stream: name, group, from, restarted: stream.opened },
            ));
            stream.open_gate.sent();
            stream.asked_to_open(now);
        }
        if stream.opening != Opening::Open {
            return;
        }
        if !stream.beating && now >= stream.beat_at {
            let live = self.subscribers.values().filter(|s| !s.removed);
            let reading = live.filter(|s| s.streams.iter().any(|(index, _)| *index == at));
            let mut patterns: Vec<String> = reading.flat_map(|s| s.wishes()).collect();
            patterns.sort_unstable();
            patterns.dedup();
            let (member, mark) = (stream.member.clone(), stream.mark());
            let instance = instance.clone();
            let beat = Request::Heartbeat { member, instance, alive: ALIVE, lease, patterns, mark };
            out.push(Work::Store(key, beat));
            stream.beating = true;
            stream.beats += 1;
            stream.beaten_at = now;
            stream.beat.1 = stream.beat.0;
            stream.beat_at = now + if stream.taken { BEAT_TAKEN } else { BEAT };
        }
        if stream.sweep_at == 0 {
            stream.sweep_at = now + SWEEP;
        }
        if !stream.sweeping && now >= stream.sweep_at && !self.stopping {
            out.push(Work::Store(key, Request::RemoveDeadConsumers { member: stream.member.clone() }));
            stream.sweeping = true;
            stream.sweep_at = now + SWEEP;
        }
    }

    /// Tells the store what has become of entries.
    fn tell(&mut self, at: usize, now: u64, dead_letters: u64, out: &mut Vec<Work>) {
        let key = self.key;
        let Some(stream) = self.streams.get_mut(at) else { return };
        while !stream.acks.is_empty() && stream.ack_gate.open(now, ACKS_AT_ONCE) {
            let rest = stream.acks.split_off(stream.acks.len().min(MAX_ACKS));
            let ids = std::mem::replace(&mut stream.acks, rest);
            out.push(Work::Store(key, Request::Acknowledge { member: stream.member.clone(), ids }));
            stream.ack_gate.sent();
        }
        if stream.fenced || stream.taken || stream.opening != Opening::Open {
            return;
        }
        let request = self.hold(at, now).or_else(|| self.bury(at, now, dead_letters));
        if let Some(request) = request.or_else(|| self.release(at, now))
            && let Some(stream) = self.streams.get_mut(at)
        {
            stream.fenced = true;
            out.push(Work::Store(key, request));
        }
    }

    fn hold(&mut self, at: usize, now: u64) -> Option<Request> {
        loop {
            let stream = self.streams.get_mut(at)?;
            if stream.holds.is_empty() || !stream.hold_gate.open(now, 1) {
                return None;
            }
            let rest = stream.holds.split_off(stream.holds.len().min(MAX_HOLDS));
            let mut items = std::mem::replace(&mut stream.holds, rest);
            // Some may have been settled since.
            let held = |id| self.slot_of(at, id).and_then(|slot| self.entries.get(slot));
            items.retain(|(id, _)| held(*id).is_some_and(Entry::is_held));
            // Of several for one entry the latest attempt counts.
            items.sort_unstable();
            items.dedup_by(|later, kept| {
                let same = later.0 == kept.0;
                if same {
                    kept.1 = later.1;
                }
                same
            });
            if !items.is_empty() {
                let stream = self.streams.get_mut(at)?;
                stream.hold_gate.sent();
                return Some(Request::ExtendLease { member: stream.member.clone(), items });
            }
        }
    }

    fn bury(&mut self, at: usize, now: u64, max_len: u64) -> Option<Request> {
        let stream = self.streams.get_mut(at)?;
        if !stream.bury_gate.open(now, 1) {
            return None;
        }
        let mut listed = std::mem::take(&mut stream.letters);
        let mut letters = Vec::new();
        while letters.is_empty() && !listed.is_empty() {
            let rest = listed.split_off(listed.len().min(MAX_LETTERS));
            let letter = |id: EntryId| {
                let entry = self.leaving(at, id, Stage::Burying)?;
                let failure = entry.failure.as_ref()?;
                let (attempts, error) = (failure.attempts, failure.error.clone());
                Some(DeadLetterEntry { id, attempts, reason: failure.reason, error })
            };
            letters = std::mem::replace(&mut listed, rest).into_iter().filter_map(letter).collect();
        }
        let stream = self.streams.get_mut(at)?;
        stream.letters = listed;
        if letters.is_empty() {
            return None;
        }
        stream.bury_gate.sent();
        let (member, to) = (stream.member.clone(), stream.letters_to.clone());
        Some(Request::DeadLetter { member, to, max_len, letters })
    }

    fn release(&mut self, at: usize, now: u64) -> Option<Request> {
        if !self.streams.get_mut(at)?.release_gate.open(now, 1) {
            return None;
        }
        for unhandled in [false, true] {
            let list = self.streams.get_mut(at)?.releases.get_mut(usize::from(unhandled))?;
            let mut listed = std::mem::take(list);
            let mut items = Vec::new();
            while items.is_empty() && !listed.is_empty() {
                let rest = listed.split_off(listed.len().min(MAX_HOLDS));
                let item = |id: EntryId| Some((id, self.leaving(at, id, Stage::Releasing)?.made));
                items = std::mem::replace(&mut listed, rest).into_iter().filter_map(item).collect();
            }
            let stream = self.streams.get_mut(at)?;
            *stream.releases.get_mut(usize::from(unhandled))? = listed;
            if !items.is_empty() {
                stream.release_gate.sent();
                return Some(Request::Requeue { member: stream.member.clone(), items, unhandled });
            }
        }
        None
    }

    /// An entry of a stream, if it is still on its way out like that.
    fn leaving(&self, at: usize, id: EntryId, stage: Stage) -> Option<&Entry> {
        let slot = self.slot_of(at, id)?;
        self.entries.get(slot).filter(|entry| entry.stage == stage)
    }

    /// A read of new entries, once there is room for a good many.
    ///
    /// While entries flow, the next read is on its way when the answer to one comes, so that the store works on it
    /// while the entries are taken in.
    fn read(&mut self, now: u64, room: usize, window: usize, ahead: bool) -> Option<Read> {
        let room = room.saturating_sub(self.reads.iter().map(|(_, entries)| entries).sum());
        let flows = ahead && self.pace.entries(now) >= FLOWING;
        if self.reads.len() > usize::from(flows)
            || !self.connected
            || room < (window / 4).clamp(1, GOOD_READ)
            || !self.read_gate.open(now, 1)
        {
            return None;
        }
        let streams = self.readable()?;
        let room = if flows { room.min(SMOOTH_READ) } else { room };
        let limit = (room / streams.len().max(1)).max(1);
        self.reads.push_back((streams.clone(), limit.saturating_mul(streams.len())));
        Some(Read {
            key: self.key,
            group: self.joining.group.clone(),
            consumer: self.joining.consumer.clone(),
            limit,
            streams,
        })
    }

    /// The streams to read, once there is nothing to wait for. One that is in trouble does not hold up the others.
    pub(super) fn readable(&self) -> Option<Arc<[Arc<str>]>> {
        let used = || self.streams.iter().filter(|s| s.users > 0);
        // One stream that the server refuses would make the read of all fail.
        let readable = |s: &&Stream| s.is_ready() && s.own == Own::Done && !s.is_refused();
        let settled = used().all(|s| readable(&s) || s.trouble.is_some());
        let streams: Arc<[Arc<str>]> = used().filter(readable).map(|s| s.name.clone()).collect();
        (settled && !streams.is_empty()).then_some(streams)
    }

    /// Lists the claims that are to be renewed: each between a quarter and a third of the lease after it was
    /// made or renewed. One whose handler runs for longer than it may is not, and is lost with its lease.
    fn renew(&mut self, now: u64, cx: &mut Context) {
        if now < self.renew_at {
            return;
        }
        self.renew_at = now + (self.lease / 12).max(1);
        let age = (self.lease / 4).max(1);
        let Group { entries, streams, subscribers, lease, .. } = self;
        let mut overdue = Vec::new();
        for (_, entry) in entries.iter_mut() {
            if !entry.is_held() || now.saturating_sub(entry.renewed) < age {
                continue;
            }
            let overrun = |call: &crate::consumer::entry::Call| match call.state {
                CallState::Running { since, .. } | CallState::Zombie { since, .. } => {
                    let longest = subscribers.get(&call.subscription).map(|s| s.max_processing());
                    longest.is_some_and(|longest| now.saturating_sub(since) > longest)
                }
                _ => false,
            };
            let Some(stream) = streams.get_mut(entry.stream) else { continue };
            if entry.calls.as_slice().iter().any(overrun) {
                if now.saturating_sub(entry.renewed) > *lease {
                    overdue.push((entry.stream, entry.id));
                }
            } else if stream.holds.len() < stream.known.len() {
                // A list that is not taken holds them already.
                stream.holds.push((entry.id, (entry.count != entry.stored).then_some(entry.count)));
                entry.renewed = now;
            }
        }
        for (at, id) in overdue {
            self.lose(at, &[id], now, cx);
        }
    }

    /// When something is to be done by time alone, after `now`.
    pub(super) fn next_due(&self, now: u64) -> Option<u64> {
        let subscribers = self.subscribers.values().filter_map(|s| s.next_due(now));
        let streams = self.streams.iter().flat_map(|s| self.stream_dues(s));
        let renewal = (self.entries.len() > 0).then_some(self.renew_at);
        let read = (self.connected && self.reads.is_empty()).then_some(self.read_gate.opens_at());
        let group = [renewal, read].into_iter().flatten().chain(streams).filter(|at| *at > now);
        subscribers.chain(group).min()
    }

    fn stream_dues(&self, stream: &Stream) -> impl Iterator<Item = u64> + use<> {
        let open = stream.opening == Opening::Open;
        let when = |condition: bool, at: u64| condition.then_some(at);
        let fenced = open && !stream.fenced && !stream.taken;
        let looking = open && self.connected && !self.stopping;
        [
            when(stream.opening == Opening::Closed, stream.open_at.max(stream.open_gate.opens_at())),
            when(open && !stream.beating, stream.beat_at),
            when(open && !stream.sweeping && !self.stopping, stream.sweep_at),
            when(!stream.acks.is_empty(), stream.ack_gate.opens_at()),
            when(fenced && !stream.holds.is_empty(), stream.hold_gate.opens_at()),
            when(fenced && !stream.letters.is_empty(), stream.bury_gate.opens_at()),
            when(fenced && stream.releases.iter().any(|r| !r.is_empty()), stream.release_gate.opens_at()),
            when(fenced && !self.suspects.is_empty(), stream.begin_gate.opens_at()),
            when(looking && stream.own != Own::Done, stream.own_gate.opens_at()),
            when(looking && !stream.recovering && stream.users > 0, stream.recover_at),
        ]
        .into_iter()
        .flatten()
    }
}
