//! The handler calls of all groups that run.

use std::sync::Arc;

use crate::consumer::membership::GroupKey;
use crate::delivery::token::RunningCalls;

/// A handler call that runs.
#[derive(Debug)]
pub(super) struct HandlerCall {
    pub(super) key: GroupKey,
    pub(super) subscription: u32,
    /// The breaker's epoch when it started.
    pub(super) epoch: u32,
    /// The slots of its entries: the first, and the others of a batch.
    pub(super) first: u32,
    pub(super) rest: Vec<u32>,
    /// The error that it failed with, as JSON.
    pub(super) error: Option<Arc<str>>,
    /// Whether it has timed out, and keeps its slot until it ends.
    pub(super) timed_out: bool,
}

impl HandlerCall {
    /// The slots of its entries.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> {
        std::iter::once(self.first).chain(self.rest.iter().copied())
    }
}

/// The handler calls that run, by token.
#[derive(Debug)]
pub(super) struct HandlerCalls {
    calls: RunningCalls<HandlerCall>,
    /// How many of them have timed out.
    timed_out: usize,
}

impl Default for HandlerCalls {
    fn default() -> Self {
        HandlerCalls { calls: RunningCalls::durable(), timed_out: 0 }
    }
}

impl HandlerCalls {
    /// A call starts. Returns its token.
    #[inline]
    pub(super) fn start(&mut self, call: HandlerCall) -> u32 {
        self.calls.start(call)
    }

    /// A call ends.
    #[inline]
    pub(super) fn end(&mut self, token: u32) -> Option<HandlerCall> {
        let call = self.calls.remove(token)?;
        self.timed_out = self.timed_out.saturating_sub(usize::from(call.timed_out));
        Some(call)
    }

    /// A call that was ended has only timed out: it goes on.
    pub(super) fn keep_timed_out(&mut self, token: u32, mut call: HandlerCall) {
        call.timed_out = true;
        self.timed_out += 1;
        self.calls.put_back(token, call);
    }

    pub(super) fn get(&self, token: u32) -> Option<&HandlerCall> {
        self.calls.get(token)
    }

    /// Gives the error of a call, as JSON.
    pub(super) fn set_error(&mut self, token: u32, error: Arc<str>) {
        if let Some(call) = self.calls.get_mut(token) {
            call.error = Some(error);
        }
    }

    /// Forgets the calls of a group.
    pub(super) fn forget_group(&mut self, key: GroupKey) {
        self.calls.retain(|call| call.key != key);
        self.timed_out = self.calls.values().filter(|call| call.timed_out).count();
    }

    /// Calls that run and have not timed out.
    pub(super) fn running(&self) -> usize {
        self.calls.len().saturating_sub(self.timed_out)
    }

    /// Whether calls run that have not timed out, of one group or all.
    pub(super) fn any_running(&self, key: Option<GroupKey>) -> bool {
        self.calls.values().any(|call| !call.timed_out && key.is_none_or(|key| call.key == key))
    }

    /// The calls of a subscription that have timed out.
    pub(super) fn timed_out_of(&self, subscription: u32) -> usize {
        self.calls.values().filter(|call| call.timed_out && call.subscription == subscription).count()
    }
}
