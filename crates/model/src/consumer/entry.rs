//! An entry that this client holds, and its handler calls.

use std::sync::Arc;

use crate::delivery::LiveEvent;
use crate::stream_store::EntryId;

/// Where a handler call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallState {
    /// For a handler.
    Waiting,
    /// Since when, and under which token.
    Running { token: u32, since: u64 },
    /// It has timed out, but keeps its slot until it ends; then it is tried again at `retry_at` or later.
    Zombie { since: u64, retry_at: Option<u64> },
    /// It is tried again: when, and a number that tells retries of one millisecond apart.
    Backoff { due: (u64, u64) },
    /// It is over.
    Done { succeeded: bool },
}

/// A handler call of an entry: one for each subscription that it goes to.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) subscription: u32,
    /// Which pattern of the subscription matched.
    pub(super) pattern: u32,
    /// From 1.
    pub(super) attempt: u32,
    pub(super) state: CallState,
}

/// The calls of an entry; nearly always one.
#[derive(Debug)]
pub(super) enum Calls {
    One(Call),
    Many(Vec<Call>),
}

impl Calls {
    pub(super) const NONE: Calls = Calls::Many(Vec::new());

    pub(super) fn push(&mut self, call: Call) {
        match self {
            Calls::Many(calls) if calls.is_empty() => *self = Calls::One(call),
            Calls::Many(calls) => calls.push(call),
            Calls::One(_) => {
                if let Calls::One(first) = std::mem::replace(self, Calls::NONE) {
                    *self = Calls::Many(vec![first, call]);
                }
            }
        }
    }

    pub(super) fn as_slice(&self) -> &[Call] {
        match self {
            Calls::One(call) => std::slice::from_ref(call),
            Calls::Many(calls) => calls,
        }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [Call] {
        match self {
            Calls::One(call) => std::slice::from_mut(call),
            Calls::Many(calls) => calls,
        }
    }
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits for an earlier one, for the order's sake.
    Blocked,
    /// Its calls wait, run, or are tried again.
    Active,
    /// It waits until it can run alone.
    Suspect,
    /// It is prepared to run alone, or runs.
    Alone,
    /// It waits until it is known whether anybody wants it.
    Doubtful,
    /// It is on its way to the dead letters.
    Burying,
    /// It is handed back.
    Releasing,
    /// It is acknowledged or another consumer's. It stays only for the calls that still run.
    Over,
}

/// What an entry takes room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// Handlers: its calls wait or run.
    Busy,
    /// The order: it waits for another.
    Blocked,
    /// Time: it will be tried again.
    Backoff,
    /// Nothing but an answer.
    Settling,
}

/// Why an entry is given up.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) attempts: u32,
    pub(super) reason: &'static str,
    pub(super) error: Arc<str>,
}

/// An entry.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: EntryId,
    /// The index of its stream in the group.
    pub(super) stream: usize,
    /// `None` where it is not an event.
    pub(super) event: Option<Arc<LiveEvent>>,
    /// Its delivery count as it should be: that of its latest attempt.
    pub(super) count: u32,
    /// Its delivery count as the store has it.
    pub(super) stored: u32,
    /// Attempts that have ended, here or elsewhere: its delivery count if it is handed back.
    pub(super) made: u32,
    /// When its claim was made or renewed.
    pub(super) renewed: u64,
    pub(super) stage: Stage,
    pub(super) load: Load,
    pub(super) calls: Calls,
    /// The number of its type.
    pub(super) type_number: u16,
    /// Whether it may have killed processes.
    pub(super) suspect: bool,
    /// Whether its start was recorded.
    pub(super) begun: bool,
    /// Whether it has been let through a lane that it must leave.
    pub(super) in_lane: bool,
    /// Whether a call of it must be made by another consumer, or again.
    pub(super) undone: bool,
    /// Whether it is not in the stream any more: nobody else can have it.
    pub(super) gone: bool,
    /// Whether a request that ends it may have been executed without an answer.
    pub(super) unsure: bool,
    pub(super) failure: Option<Box<Failure>>,
}

impl Entry {
    pub(super) fn call(&self, subscription: u32) -> Option<&Call> {
        self.calls.as_slice().iter().find(|call| call.subscription == subscription)
    }

    pub(super) fn call_mut(&mut self, subscription: u32) -> Option<&mut Call> {
        self.calls.as_mut_slice().iter_mut().find(|call| call.subscription == subscription)
    }

    /// Whether a call waits, runs or will be tried again.
    pub(super) fn is_open(&self) -> bool {
        let open = |call: &Call| {
            !matches!(call.state, CallState::Done { .. } | CallState::Zombie { retry_at: None, .. })
        };
        self.calls.as_slice().iter().any(open)
    }

    /// Whether a handler has it.
    pub(super) fn is_live(&self) -> bool {
        let live = |call: &Call| matches!(call.state, CallState::Running { .. } | CallState::Zombie { .. });
        self.calls.as_slice().iter().any(live)
    }

    /// Whether a call waits for a handler, or a handler has it.
    pub(super) fn runs(&self) -> bool {
        let state = |call: &Call| matches!(call.state, CallState::Waiting);
        self.is_live() || self.calls.as_slice().iter().any(state)
    }

    /// Whether its claim is to be renewed until it is settled.
    pub(super) fn is_held(&self) -> bool {
        !self.gone && !matches!(self.stage, Stage::Releasing | Stage::Over)
    }

    pub(super) fn bytes(&self) -> usize {
        self.event.as_ref().map_or(0, |event| event.json.len())
    }

    pub(super) fn key(&self) -> Option<&Arc<str>> {
        self.event.as_ref()?.key.as_ref()
    }

    /// What it takes room for now.
    pub(super) fn current_load(&self) -> Load {
        match self.stage {
            Stage::Blocked => Load::Blocked,
            Stage::Suspect | Stage::Alone => Load::Busy,
            Stage::Doubtful | Stage::Burying | Stage::Releasing | Stage::Over => Load::Settling,
            Stage::Active => {
                let busy =
                    |call: &Call| !matches!(call.state, CallState::Backoff { .. } | CallState::Done { .. });
                if self.calls.as_slice().iter().any(busy) { Load::Busy } else { Load::Backoff }
            }
        }
    }
}

/// The entries of a group, by slots that are used again.
#[derive(Debug, Default)]
pub(super) struct Entries {
    slots: Vec<Option<Entry>>,
    free: Vec<u32>,
}

impl Entries {
    /// The slot that the next entry gets.
    pub(super) fn next_slot(&self) -> u32 {
        // Entries are bounded far below 2^32.
        self.free.last().copied().unwrap_or(self.slots.len() as u32)
    }

    pub(super) fn insert(&mut self, entry: Entry) -> u32 {
        let slot = self.next_slot();
        match self.free.pop() {
            Some(_) => {
                if let Some(place) = self.slots.get_mut(slot as usize) {
                    *place = Some(entry);
                }
            }
            None => self.slots.push(Some(entry)),
        }
        slot
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Entry> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    pub(super) fn remove(&mut self, slot: u32) -> Option<Entry> {
        let entry = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(entry)
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Entry)> {
        (0u32..).zip(&self.slots).filter_map(|(slot, entry)| Some((slot, entry.as_ref()?)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Entry)> {
        (0u32..).zip(&mut self.slots).filter_map(|(slot, entry)| Some((slot, entry.as_mut()?)))
    }
}
