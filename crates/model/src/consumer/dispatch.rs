//! Entries go to handlers.

use std::sync::Arc;

use rustc_hash::FxHashMap as HashMap;

use super::GroupKey;
use crate::consumer::entry::{CallState, Stage};
use crate::consumer::group::Group;
use crate::delivery::{CircuitChange, DURABLE_TOKEN, Delivery, StoredContext};
use crate::options::subscribe::OrderBy;

/// A handler call that runs.
#[derive(Debug)]
pub(super) struct Running {
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
    pub(super) zombie: bool,
}

impl Running {
    /// The slots of its entries.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> {
        std::iter::once(self.first).chain(self.rest.iter().copied())
    }
}

/// The handler calls that run, by token.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    pub(super) calls: HashMap<u32, Running>,
    /// How many of them have timed out.
    pub(super) zombies: usize,
    next: u32,
}

impl Tokens {
    /// A token that no call has.
    fn next(&mut self) -> u32 {
        // Numbers start over after 2^31 calls, and a call may run for that long.
        loop {
            let token = self.next | DURABLE_TOKEN;
            self.next = self.next.wrapping_add(1) & !DURABLE_TOKEN;
            if !self.calls.contains_key(&token) {
                return token;
            }
        }
    }

    /// Handler calls that run and have not timed out.
    pub(super) fn running(&self) -> usize {
        self.calls.len().saturating_sub(self.zombies)
    }
}

/// What is handed out, and how much of it there may be.
pub(super) struct DispatchBatch<'a> {
    pub(super) tokens: &'a mut Tokens,
    pub(super) out: &'a mut Vec<Delivery>,
    /// The length of `out` at which it is enough.
    pub(super) end: usize,
    /// The bytes that are left.
    pub(super) bytes: usize,
    pub(super) changes: Vec<CircuitChange>,
}

impl DispatchBatch<'_> {
    pub(super) fn is_full(&self) -> bool {
        self.out.len() >= self.end || self.bytes == 0
    }
}

impl Group {
    /// Hands events out, in turns over the subscriptions that have room.
    pub(super) fn take(&mut self, now: u64, to: &mut DispatchBatch<'_>) {
        self.list_due(now);
        for _ in 0..self.ready.len() {
            if to.is_full() {
                break;
            }
            let Some(id) = self.ready.pop_front() else { break };
            let Some(s) = self.subscribers.get_mut(&id) else { continue };
            s.listed = false;
            while !to.is_full() && self.take_call(id, now, to) {}
            self.list(id);
        }
    }

    /// Starts the next handler call of a subscription. Returns whether there was one.
    fn take_call(&mut self, id: u32, now: u64, to: &mut DispatchBatch<'_>) -> bool {
        let Some(s) = self.subscribers.get_mut(&id) else { return false };
        if !s.has_work(now) {
            return false;
        }
        let Some(first) = s.next(now) else { return false };
        let mut rest = Vec::new();
        while rest.len() + 1 < s.batch_size() {
            let Some(slot) = s.next(now) else { break };
            rest.push(slot);
        }
        self.hand_out(id, first, rest, now, to);
        true
    }

    /// Starts one handler call.
    pub(super) fn hand_out(
        &mut self,
        id: u32,
        first: u32,
        rest: Vec<u32>,
        now: u64,
        to: &mut DispatchBatch<'_>,
    ) {
        let Some(s) = self.subscribers.get_mut(&id) else { return };
        let mut epoch = 0;
        if let Some(breaker) = &mut s.breaker {
            let before = breaker.state();
            breaker.admits(now);
            epoch = breaker.epoch();
            if breaker.state() != before {
                to.changes.push(CircuitChange { subscription: id, state: breaker.state() });
            }
        }
        s.running += 1;
        let batch = s.batch().map_or(0, |_| u32::try_from(rest.len() + 1).unwrap_or(u32::MAX));
        let running =
            Running { key: self.key, subscription: id, epoch, first, rest, error: None, zombie: false };
        let attempt = |slot| Some(self.entries.get(slot)?.call(id)?.attempt);
        let attempt = if batch == 0 { None } else { running.slots().filter_map(attempt).max() };
        let token = to.tokens.next();
        for slot in running.slots() {
            let Some(mut delivery) = self.hand_over(id, slot, token, batch, now) else { continue };
            delivery.attempt = attempt.unwrap_or(delivery.attempt);
            to.bytes = to.bytes.saturating_sub(delivery.event.json.len());
            to.out.push(delivery);
        }
        to.tokens.calls.insert(token, running);
    }

    /// One event of a handler call.
    fn hand_over(&mut self, id: u32, slot: u32, token: u32, batch: u32, now: u64) -> Option<Delivery> {
        let entry = self.entries.get_mut(slot)?;
        debug_assert!(matches!(entry.stage, Stage::Active | Stage::Alone), "{:?}", entry.stage);
        let event = entry.event.clone()?;
        let stored = StoredContext {
            stream: self.streams.get(entry.stream)?.name.clone(),
            group: self.joining.group.clone(),
            id: entry.id,
            deliveries: entry.count,
            batch,
        };
        let call = entry.call_mut(id)?;
        call.state = CallState::Running { token, since: now };
        let (attempt, pattern) = (call.attempt, call.pattern);
        if entry.load != entry.current_load() {
            self.reload(slot);
        }
        if self.joining.order_by == OrderBy::Stream {
            self.lanes.start(None);
        }
        Some(Delivery { subscription: id, token, attempt, pattern, event, stored: Some(stored) })
    }

    /// Starts the calls of an entry that runs alone. Returns whether all of its subscriptions took it.
    pub(super) fn hand_out_alone(&mut self, slot: u32, now: u64, to: &mut DispatchBatch<'_>) -> bool {
        if !self.can_run(slot, now) {
            return false;
        }
        let Some(entry) = self.entries.get(slot) else { return false };
        let waits = |call: &&crate::consumer::entry::Call| call.state == CallState::Waiting;
        let ids: Vec<u32> =
            entry.calls.as_slice().iter().filter(waits).map(|call| call.subscription).collect();
        for id in ids {
            self.hand_out(id, slot, Vec::new(), now, to);
        }
        true
    }

    /// Whether all subscriptions that an entry waits for would take it now.
    pub(super) fn can_run(&self, slot: u32, now: u64) -> bool {
        let Some(entry) = self.entries.get(slot) else { return false };
        let mut waiting = entry.calls.as_slice().iter().filter(|call| call.state == CallState::Waiting);
        waiting.all(|call| self.subscribers.get(&call.subscription).is_some_and(|s| s.has_room(now)))
    }

    /// Whether all subscriptions that an entry waits for would take it if nothing ran but the calls that are
    /// `stuck`, by subscription.
    pub(super) fn could_run(&self, slot: u32, now: u64, stuck: impl Fn(u32) -> usize) -> bool {
        let Some(entry) = self.entries.get(slot) else { return false };
        let mut waiting = entry.calls.as_slice().iter().filter(|call| call.state == CallState::Waiting);
        waiting.all(|call| {
            let s = self.subscribers.get(&call.subscription);
            s.is_some_and(|s| s.is_willing(now) && stuck(call.subscription) < s.options.concurrency)
        })
    }
}
