//! Tokens: the numbers under which handler calls run.

use std::collections::hash_map::Entry;

// The keys are numbers of our own.
use rustc_hash::FxHashMap as HashMap;

/// Tokens of durable calls have this bit; those of live calls have not.
pub const DURABLE_TOKEN: u32 = 1 << 31;

/// The handler calls that run, by token.
#[derive(Debug)]
pub(crate) struct RunningCalls<T> {
    calls: HashMap<u32, T>,
    next: u32,
    /// [`DURABLE_TOKEN`] or 0: the bit that all tokens of this table have.
    mark: u32,
}

impl<T> RunningCalls<T> {
    /// No calls of live subscriptions.
    pub(crate) fn live() -> Self {
        RunningCalls { calls: HashMap::default(), next: 0, mark: 0 }
    }

    /// No calls of durable subscriptions.
    pub(crate) fn durable() -> Self {
        RunningCalls { mark: DURABLE_TOKEN, ..RunningCalls::live() }
    }

    /// Keeps a call under a token that no other call has.
    #[inline]
    pub(crate) fn start(&mut self, call: T) -> u32 {
        // Numbers start over after 2^31 calls, and a call may run for that long.
        loop {
            let token = self.next | self.mark;
            self.next = self.next.wrapping_add(1) & !DURABLE_TOKEN;
            if let Entry::Vacant(free) = self.calls.entry(token) {
                free.insert(call);
                return token;
            }
        }
    }

    /// Puts a call back that goes on under its token.
    pub(crate) fn put_back(&mut self, token: u32, call: T) {
        self.calls.insert(token, call);
    }

    pub(crate) fn get(&self, token: u32) -> Option<&T> {
        self.calls.get(&token)
    }

    pub(crate) fn get_mut(&mut self, token: u32) -> Option<&mut T> {
        self.calls.get_mut(&token)
    }

    pub(crate) fn remove(&mut self, token: u32) -> Option<T> {
        self.calls.remove(&token)
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.calls.retain(|_, call| keep(call));
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.calls.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Lets the next call get this number, if it is free.
    #[cfg(test)]
    pub(crate) fn continue_at(&mut self, next: u32) {
        self.next = next;
    }
}
