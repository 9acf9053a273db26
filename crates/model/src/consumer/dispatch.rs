//! Entries go to handlers.

use crate::consumer::entry::{CallState, Stage};
use crate::consumer::entry_table::EntryTable;
use crate::consumer::group::Group;
use crate::consumer::handler_calls::{HandlerCall, HandlerCalls};
use crate::consumer::membership::{GroupKey, Joining};
use crate::consumer::ordering::Ordering;
use crate::consumer::stream::Stream;
use crate::consumer::subscriber::Subscriber;
use crate::delivery::dispatch_batch::DispatchBatch;
use crate::delivery::event::{Delivery, StoredContext};
use crate::options::subscribe::OrderBy;

/// What the start of a handler call changes in a group, its subscription apart.
struct Dispatcher<'a> {
    key: GroupKey,
    joining: &'a Joining,
    streams: &'a [Stream],
    entries: &'a mut EntryTable,
    ordering: &'a mut Ordering,
    calls: &'a mut HandlerCalls,
}

/// Starts handler calls until the batch is full, in turns over the subscriptions that have room.
pub(super) fn take(group: &mut Group, now: u64, calls: &mut HandlerCalls, batch: &mut DispatchBatch<'_>) {
    if !group.may_begin(now) {
        return;
    }
    let Group { key, joining, streams, entries, ordering, subscriptions, .. } = group;
    let mut dispatcher = Dispatcher { key: *key, joining, streams, entries, ordering, calls };
    subscriptions.take_turns(now, batch, |id, s, batch| {
        let Some(first) = s.next(now) else { return false };
        let mut rest = Vec::new();
        while rest.len() + 1 < s.batch_size() {
            let Some(slot) = s.next(now) else { break };
            rest.push(slot);
        }
        dispatcher.start_call(id, s, first, rest, now, batch);
        true
    });
}

/// Starts the calls of an entry that runs with nothing beside it. Returns whether all of its subscriptions took it.
pub(super) fn take_isolated(
    group: &mut Group,
    slot: u32,
    now: u64,
    calls: &mut HandlerCalls,
    batch: &mut DispatchBatch<'_>,
) -> bool {
    if !can_run(group, slot, now) {
        return false;
    }
    let Some(entry) = group.entries.get(slot) else { return false };
    let awaited: Vec<u32> = entry.awaited().collect();
    let Group { key, joining, streams, entries, ordering, subscriptions, .. } = group;
    let mut dispatcher = Dispatcher { key: *key, joining, streams, entries, ordering, calls };
    for id in awaited {
        if let Some(s) = subscriptions.get_mut(id) {
            dispatcher.start_call(id, s, slot, Vec::new(), now, batch);
        }
    }
    true
}

/// Whether all subscriptions that an entry waits for would take it now.
pub(super) fn can_run(group: &Group, slot: u32, now: u64) -> bool {
    let Some(entry) = group.entries.get(slot) else { return false };
    entry.awaited().all(|id| group.subscriptions.get(id).is_some_and(|s| s.has_room(now)))
}

/// Whether all subscriptions that an entry waits for would take it if nothing ran but the calls that are `stuck`, by
/// subscription.
pub(super) fn could_run(group: &Group, slot: u32, now: u64, stuck: impl Fn(u32) -> usize) -> bool {
    let Some(entry) = group.entries.get(slot) else { return false };
    let mut awaited = entry.awaited().map(|id| (id, group.subscriptions.get(id)));
    awaited
        .all(|(id, s)| s.is_some_and(|s| s.is_willing(now) && stuck(id) < s.handlers.options().concurrency))
}

impl Dispatcher<'_> {
    /// Starts one handler call, with the entry of the slot `first` and, in a batch, the others.
    fn start_call(
        &mut self,
        id: u32,
        s: &mut Subscriber,
        first: u32,
        rest: Vec<u32>,
        now: u64,
        batch: &mut DispatchBatch<'_>,
    ) {
        let started = s.handlers.start(now);
        if let Some(state) = started.circuit {
            batch.circuit_changed(id, state);
        }
        let size = s.batch().map_or(0, |_| u32::try_from(rest.len() + 1).unwrap_or(u32::MAX));
        let call = HandlerCall {
            key: self.key,
            subscription: id,
            epoch: started.epoch,
            first,
            rest,
            error: None,
            timed_out: false,
        };
        let attempt = |slot| Some(self.entries.get(slot)?.call(id)?.attempt);
        let attempt = if size == 0 { None } else { call.slots().filter_map(attempt).max() };
        let token = self.calls.start(call);
        let Dispatcher { joining, streams, entries, ordering, calls, .. } = self;
        let Some(call) = calls.get(token) else { return };
        for slot in call.slots() {
            let Some(mut delivery) = deliver(joining, streams, entries, slot, (id, token), size, now) else {
                continue;
            };
            if joining.order_by == OrderBy::Stream {
                ordering.start(None);
            }
            delivery.attempt = attempt.unwrap_or(delivery.attempt);
            delivery.raw = s.handlers.options().raw_data;
            batch.push(delivery);
        }
    }
}

/// One event of the handler call of a subscription and its token.
fn deliver(
    joining: &Joining,
    streams: &[Stream],
    entries: &mut EntryTable,
    slot: u32,
    (subscription, token): (u32, u32),
    batch: u32,
    now: u64,
) -> Option<Delivery> {
    let entry = entries.get_mut(slot)?;
    debug_assert!(matches!(entry.stage, Stage::Active | Stage::Isolated), "{:?}", entry.stage);
    let event = entry.event.clone()?;
    let stored = StoredContext {
        stream: streams.get(entry.stream)?.name.clone(),
        group: joining.group.clone(),
        id: entry.id,
        deliveries: entry.count,
        batch,
    };
    let call = entry.call_mut(subscription)?;
    call.state = CallState::Running { token, since: now };
    let (attempt, pattern) = (call.attempt, call.pattern);
    if entry.load != entry.current_load() {
        entries.recount(slot);
    }
    Some(Delivery { subscription, token, attempt, pattern, event, raw: false, stored: Some(stored) })
}
