//! The recovery of expired entries: those that their owners have not renewed for a lease.

// The keys are ids that the store has given.
use rustc_hash::FxHashMap as HashMap;

use crate::consumer::request_gate::RequestGate;
use crate::stream_store::{ConsumerId, EntryId, MinIdle, Request};

/// The longest between two looks where nobody tells of entries that are handed back, in milliseconds.
const INTERVAL: u64 = 500;
/// How many looks in turn only ask whether there is anything. A list brings the store's time, by which its clock is watched.
const SHORT_LOOKS: u32 = 2;
/// The most entries claimed at once.
pub(crate) const MAX_CLAIMS: usize = 100;
/// The most expired entries listed at once.
const MAX_LISTED: usize = 10_000;
/// The most entries that are remembered to be left to peers.
const MAX_LEFT: usize = 10_000;

/// When expired entries are looked for, and which of them are left to other clients.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    at: u64,
    in_flight: bool,
    /// After a failure: the next look must not wait for its interval, as something may have been found or told.
    gate: RequestGate,
    /// When the request was sent that is on its way, or was answered last.
    sent_at: u64,
    /// How often the store's clock had gone back when the entries were last set right, and whether a request does that.
    went_back: u32,
    sets_right: bool,
    /// How many looks only asked whether there is any, since the last list.
    short_looks: u32,
    /// How many expired entries were not to be claimed, the last time.
    passed_over: usize,
    /// Whether the last look found neither an expired entry nor one that was put off.
    quiet: bool,
    /// Entries that nobody here handles, and until when they are left to other clients.
    left_to_peers: HashMap<EntryId, u64>,
}

impl Recovery {
    /// The request for the entries that have expired, and those that will before the next look would be due, if it is time
    /// for it. `early`: entries that were put off are listed before they are due. `hears`: this client is told of entries
    /// that are handed back.
    ///
    /// Where the look before found nothing at all, it is first asked whether there is any, two looks of three: that is one
    /// command, and an entry that was put off has expired by its idle time when it is due, if not before. `went_back`: how
    /// often the store's clock has gone back; entries of before have times in the future, which are set right.
    pub(crate) fn next_request(
        &mut self,
        member: &ConsumerId,
        lease: MinIdle,
        (early, hears): (bool, bool),
        went_back: u32,
        now: u64,
    ) -> Option<Request> {
        if self.in_flight || now < self.at || !self.gate.is_open(now, 1) {
            return None;
        }
        self.left_to_peers.retain(|_, until| *until > now);
        self.in_flight = true;
        self.sent_at = now;
        let interval = if hears { lease.ours / 3 } else { INTERVAL.min(lease.ours / 4) }.max(1);
        self.at = now + interval;
        let until = self.left_to_peers.values().min();
        self.at = until.map_or(self.at, |until| self.at.min(*until));
        let member = member.clone();
        let min_idle = MinIdle {
            ours: lease.ours.saturating_sub(interval),
            foreign: lease.foreign.saturating_sub(interval),
        };
        self.sets_right = self.went_back != went_back;
        self.short_looks = if self.quiet && !self.sets_right { self.short_looks + 1 } else { 0 };
        Some(if self.short_looks > 0 && self.short_looks <= SHORT_LOOKS {
            Request::AnyExpired { member, min_idle: min_idle.ours }
        } else {
            self.short_looks = 0;
            self.went_back = went_back;
            let limit = (MAX_CLAIMS + self.passed_over).min(MAX_LISTED);
            let set_right = self.sets_right;
            Request::ListExpired { member, min_idle, limit, early, set_right }
        })
    }

    /// Whether there is an expired entry was answered. Which, and of what was put off, is asked at once.
    pub(crate) fn any_expired(&mut self, any: bool, now: u64) {
        if any {
            self.quiet = false;
            self.look_by(now);
        }
    }

    /// This client tells the store when an entry is due; a look forgets that when the time has come.
    pub(crate) fn puts_off(&mut self) {
        self.quiet = false;
    }

    /// A list was answered: `listed` entries, of which `wanted` could be claimed. `more`: there may be some that were put off
    /// and are not due, or that other programs have, which whoever asks whether there is any is told of.
    pub(crate) fn listed(&mut self, listed: usize, wanted: usize, more: bool) {
        self.passed_over = listed - wanted;
        self.quiet = listed == 0 && !more;
    }

    /// Entries were handed back: the next look goes as soon as possible.
    pub(crate) fn look_now(&mut self) {
        self.at = 0;
        self.quiet = false;
    }

    /// Something is due at `at`: the next look is then, at the latest.
    pub(crate) fn look_by(&mut self, at: u64) {
        self.at = self.at.min(at);
    }

    /// A claim goes.
    pub(crate) fn claiming(&mut self) {
        self.in_flight = true;
    }

    /// When the request was sent that was answered last.
    pub(crate) fn sent_at(&self) -> u64 {
        self.sent_at
    }

    /// A request was answered.
    pub(crate) fn succeeded(&mut self) {
        self.sets_right = false;
        self.in_flight = false;
        self.gate.succeeded();
    }

    /// A request failed: the next look is soon, as what it was to find waits.
    pub(crate) fn failed(&mut self, now: u64, random: f64) {
        // Where it was a list, entries were not set right.
        self.went_back = self.went_back.wrapping_sub(u32::from(std::mem::take(&mut self.sets_right)));
        self.in_flight = false;
        self.gate.failed(now, random);
        self.at = self.gate.opens_at();
    }

    /// Of `claimed` entries that were asked for all may have come, so there may be more.
    pub(crate) fn claimed(&mut self, asked: usize, now: u64) {
        if asked >= MAX_CLAIMS {
            self.at = now;
        }
    }

    /// Leaves an entry to other clients for a while.
    pub(crate) fn leave_to_peers(&mut self, id: EntryId, until: u64) {
        if self.left_to_peers.len() >= MAX_LEFT {
            self.left_to_peers.clear();
        }
        self.left_to_peers.insert(id, until);
    }

    pub(crate) fn is_left_to_peers(&self, id: EntryId) -> bool {
        self.left_to_peers.contains_key(&id)
    }

    /// What the clients of the group want has changed.
    pub(crate) fn forget_left_to_peers(&mut self) {
        self.left_to_peers.clear();
    }

    /// When the next look is due, unless one is on its way.
    pub(crate) fn due(&self) -> Option<u64> {
        (!self.in_flight).then_some(self.at.max(self.gate.opens_at()))
    }
}
