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
    TimedOut { since: u64, retry_at: Option<u64> },
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

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Call> {
        match self {
            Calls::One(call) => std::slice::from_ref(call),
            Calls::Many(calls) => calls,
        }
        .iter()
    }

    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Call> {
        match self {
            Calls::One(call) => std::slice::from_mut(call),
            Calls::Many(calls) => calls,
        }
        .iter_mut()
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Calls::Many(calls) if calls.is_empty())
    }
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits for an earlier one, for the order's sake.
    Blocked,
    /// Its calls wait, run, or are tried again.
    Active,
    /// It may have killed processes, and waits until it can run with nothing beside it.
    SuspectedPoison,
    /// It is prepared to run with nothing beside it, or runs.
    Isolated,
    /// Nobody is known to want it; it waits until that is certain.
    Unmatched,
    /// It is on its way to the dead letters.
    DeadLettering,
    /// It is handed back to the group.
    Requeueing,
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

/// An entry that this client holds.
#[derive(Debug)]
pub(super) struct HeldEntry {
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
    /// When the delays that were asked for are over, of all its calls; 0 where none was.
    pub(super) due: u64,
    /// When its claim was made or renewed, or a renewal was last asked for.
    pub(super) renewed: u64,
    /// As of when the claim is known: from a lease later on it may be another consumer's.
    pub(super) known: u64,
    pub(super) stage: Stage,
    pub(super) load: Load,
    pub(super) calls: Calls,
    /// The number of its type.
    pub(super) type_number: u16,
    /// Whether it may have killed processes.
    pub(super) suspected_poison: bool,
    /// Whether its start was recorded.
    pub(super) started: bool,
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

impl HeldEntry {
    pub(super) fn call(&self, subscription: u32) -> Option<&Call> {
        self.calls.iter().find(|call| call.subscription == subscription)
    }

    pub(super) fn call_mut(&mut self, subscription: u32) -> Option<&mut Call> {
        self.calls.iter_mut().find(|call| call.subscription == subscription)
    }

    /// Whether a call waits, runs or will be tried again.
    pub(super) fn is_open(&self) -> bool {
        let open = |call: &Call| {
            !matches!(call.state, CallState::Done { .. } | CallState::TimedOut { retry_at: None, .. })
        };
        self.calls.iter().any(open)
    }

    /// Whether a handler has it.
    pub(super) fn is_live(&self) -> bool {
        let live = |call: &Call| matches!(call.state, CallState::Running { .. } | CallState::TimedOut { .. });
        self.calls.iter().any(live)
    }

    /// Whether a call waits for a handler, or a handler has it.
    pub(super) fn runs(&self) -> bool {
        self.is_live() || self.awaited().next().is_some()
    }

    /// Whether a call of it may be made that has not begun.
    pub(super) fn has_calls_to_make(&self) -> bool {
        let to_make = |call: &Call| match call.state {
            CallState::Waiting
            | CallState::Backoff { .. }
            | CallState::TimedOut { retry_at: Some(_), .. } => true,
            CallState::Running { .. } | CallState::TimedOut { .. } | CallState::Done { .. } => false,
        };
        self.calls.iter().any(to_make)
    }

    /// The subscriptions that it waits for.
    pub(super) fn awaited(&self) -> impl Iterator<Item = u32> {
        self.calls.iter().filter(|call| call.state == CallState::Waiting).map(|call| call.subscription)
    }

    /// The tokens of the calls that run and have not timed out.
    pub(super) fn running_tokens(&self) -> impl Iterator<Item = u32> {
        self.calls.iter().filter_map(|call| match call.state {
            CallState::Running { token, .. } => Some(token),
            _ => None,
        })
    }

    /// Ends the calls that no handler has: those of one subscription, or all. Returns whether there were any.
    pub(super) fn end_waiting_calls(&mut self, of: Option<u32>) -> bool {
        let mut any = false;
        for call in self.calls.iter_mut().filter(|c| of.is_none_or(|id| c.subscription == id)) {
            match &mut call.state {
                CallState::TimedOut { retry_at, .. } => any |= retry_at.take().is_some(),
                CallState::Waiting | CallState::Backoff { .. } => {
                    call.state = CallState::Done { succeeded: false };
                    any = true;
                }
                CallState::Running { .. } | CallState::Done { .. } => {}
            }
        }
        any
    }

    /// In how many milliseconds it is due; `None` if it is.
    pub(super) fn due_in(&self, now: u64) -> Option<u64> {
        self.due.checked_sub(now).filter(|wait| *wait > 0)
    }

    /// Whether its claim is to be renewed until it is settled.
    pub(super) fn is_held(&self) -> bool {
        !self.gone && !matches!(self.stage, Stage::Requeueing | Stage::Over)
    }

    pub(super) fn bytes(&self) -> usize {
        self.event.as_ref().map_or(0, |event| event.size())
    }

    pub(super) fn key(&self) -> Option<&Arc<str>> {
        self.event.as_ref()?.key.as_ref()
    }

    /// What it takes room for now.
    pub(super) fn current_load(&self) -> Load {
        match self.stage {
            Stage::Blocked => Load::Blocked,
            Stage::SuspectedPoison | Stage::Isolated => Load::Busy,
            Stage::Unmatched | Stage::DeadLettering | Stage::Requeueing | Stage::Over => Load::Settling,
            Stage::Active => {
                let busy =
                    |call: &Call| !matches!(call.state, CallState::Backoff { .. } | CallState::Done { .. });
                if self.calls.iter().any(busy) { Load::Busy } else { Load::Backoff }
            }
        }
    }
}
