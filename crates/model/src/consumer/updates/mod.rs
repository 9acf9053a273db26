//! What the store is to be told of the entries of a stream.
//!
//! # Layout
//!
//! - this file: which of it goes next;
//! - `retry_state`: what the store is told of an attempt that has ended;
//! - `acknowledgements`, `lease_extensions`, `dead_letters`, `requeues`: one kind each, with its requests.

pub(super) mod acknowledgements;
pub(super) mod dead_letters;
pub(super) mod lease_extensions;
pub(super) mod requeues;
mod retry_state;

use std::sync::Arc;

use crate::consumer::entry_table::EntryTable;
use crate::consumer::request_gate::RequestGate;
use crate::consumer::stream::slot_index::SlotIndex;
use crate::consumer::updates::acknowledgements::Acknowledgements;
use crate::consumer::updates::dead_letters::DeadLetters;
use crate::consumer::updates::lease_extensions::LeaseExtensions;
use crate::consumer::updates::requeues::Requeues;
use crate::stream_store::{ConsumerId, EntryId, Request};

/// What the store is to be told of the entries of one stream.
///
/// All but acknowledgements are fenced, and of fenced requests one is on its way at a time, as they may overtake each
/// other. The three kinds take turns: a client that never stops to retry always has leases to extend, and what it hands
/// back or buries would expire with them before it had been told.
#[derive(Debug)]
pub(super) struct StoreUpdates {
    pub(super) acknowledgements: Acknowledgements,
    pub(super) lease_extensions: LeaseExtensions,
    pub(super) dead_letters: DeadLetters,
    pub(super) requeues: Requeues,
    /// For requests that record the start of suspected poison.
    start_gate: RequestGate,
    /// Whether a fenced request is on its way.
    fenced_in_flight: bool,
    /// The kind of fenced request whose turn it is.
    turn: FencedKind,
}

#[derive(Debug, Default, Clone, Copy)]
enum FencedKind {
    #[default]
    LeaseExtension,
    DeadLetter,
    Requeue,
}

impl FencedKind {
    fn following(self) -> Self {
        match self {
            FencedKind::LeaseExtension => FencedKind::DeadLetter,
            FencedKind::DeadLetter => FencedKind::Requeue,
            FencedKind::Requeue => FencedKind::LeaseExtension,
        }
    }

    /// Each kind once, this one first.
    fn in_turn(self) -> [Self; 3] {
        [self, self.following(), self.following().following()]
    }
}

impl StoreUpdates {
    /// Nothing to tell. Dead letters go to the stream `dead_letters_to`.
    pub(super) fn new(dead_letters_to: Option<Arc<str>>) -> Self {
        StoreUpdates {
            acknowledgements: Acknowledgements::default(),
            lease_extensions: LeaseExtensions::default(),
            dead_letters: DeadLetters::new(dead_letters_to),
            requeues: Requeues::default(),
            start_gate: RequestGate::default(),
            fenced_in_flight: false,
            turn: FencedKind::default(),
        }
    }

    /// The next fenced request, if none is on its way.
    pub(super) fn next_fenced(
        &mut self,
        member: &ConsumerId,
        max_dead_letters: u64,
        held: (&SlotIndex, &EntryTable),
        lease: u64,
        now: u64,
    ) -> Option<Request> {
        if self.fenced_in_flight {
            return None;
        }
        let (kind, request) = self.turn.in_turn().into_iter().find_map(|kind| {
            let request = match kind {
                FencedKind::LeaseExtension => self.lease_extensions.next_request(member, held, now),
                FencedKind::DeadLetter => self.dead_letters.next_request(member, max_dead_letters, held, now),
                FencedKind::Requeue => self.requeues.next_request(member, held, lease, now),
            };
            Some((kind, request?))
        })?;
        self.turn = kind.following();
        self.fenced_in_flight = true;
        Some(request)
    }

    /// The request that records the start of an entry, if it may go now.
    pub(super) fn start_request(&mut self, member: &ConsumerId, id: EntryId, now: u64) -> Option<Request> {
        if self.fenced_in_flight || !self.start_gate.is_open(now, 1) {
            return None;
        }
        self.start_gate.sent();
        self.fenced_in_flight = true;
        Some(Request::MarkStarted { member: member.clone(), id })
    }

    pub(super) fn start_succeeded(&mut self) {
        self.start_gate.succeeded();
    }

    pub(super) fn start_failed(&mut self, now: u64, random: f64) {
        self.start_gate.failed(now, random);
    }

    /// A fenced request was answered.
    pub(super) fn fenced_answered(&mut self) {
        self.fenced_in_flight = false;
    }

    /// Nothing is to be told of entries that are other consumers' now, acknowledgements apart.
    pub(super) fn forget_fenced(&mut self) {
        self.lease_extensions.clear();
        self.dead_letters.clear();
        self.requeues.clear();
    }

    /// Whether the store knows everything that must not be forgotten at the end.
    pub(super) fn are_told(&self) -> bool {
        self.acknowledgements.is_idle() && self.dead_letters.is_idle() && self.requeues.is_idle()
    }

    /// From when on the next fenced request may go, of those there are to send. `starts`: an entry waits for the
    /// record of its start.
    pub(super) fn fenced_due(&self, starts: bool) -> impl Iterator<Item = u64> + use<> {
        let start = starts.then_some(self.start_gate.opens_at());
        let dues = [self.lease_extensions.due(), self.dead_letters.due(), self.requeues.due(), start];
        let free = !self.fenced_in_flight;
        dues.into_iter().flatten().filter(move |_| free)
    }
}
