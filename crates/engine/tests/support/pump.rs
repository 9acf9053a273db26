//! The task that drains the client, resolves what waits, and runs handlers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use oxbus_engine::Drained;
use oxbus_engine::host::{DeliveredLocally, Failed, Published, SettledLocally};
use oxbus_model::delivery::{Delivery, Settlement};

use super::event::{Event, Verdict};
use super::handler::{Handler, Running};
use super::host::{Inner, lock};
use super::outcome::{Remote, Settled, Stored, Success};

/// Runs until it is aborted.
pub(super) async fn run(inner: Arc<Inner>) {
    loop {
        inner.waker.0.notified().await;
        let gate = inner.gate.lock().await;
        let drained = inner.client.drain();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| dispatch(&inner, drained))) {
            inner.fault(message(&*panic));
        }
        drop(gate);
    }
}

fn dispatch(inner: &Arc<Inner>, drained: Drained) {
    let started = Instant::now();
    let Drained {
        published,
        failed,
        deliveries,
        replies,
        notices,
        settled_locally,
        delivered_locally,
        shape_changes: _,
        shape_generation: _,
    } = drained;
    for DeliveredLocally { batch, items } in delivered_locally {
        let mut waiting = lock(&inner.waiting);
        let open = waiting.batches.get_mut(&batch);
        let open = open.unwrap_or_else(|| panic!("batch {batch} was taken after it was settled"));
        items.into_iter().for_each(|(index, by)| open.taken(index, by));
    }
    for SettledLocally { batch, index, timestamp, id, remote } in settled_locally {
        let success = Success {
            generated: id.as_ref().map(|id| id.as_str()),
            receivers: 0,
            timestamp: &timestamp,
            stored: None,
            remote: remote.map_or(Remote::Skipped, Remote::Failed),
        };
        settle(inner, batch, index, Ok(success));
    }
    for Published { batch, first, timestamp, items, stored, .. } in published {
        if let Some(stored) = &stored {
            assert_eq!(stored.entries.len(), items.len(), "each has its entry");
        }
        for (at, (id, receivers)) in items.iter().enumerate() {
            let index = first + u32::try_from(at).expect("an index that fits");
            let stored = stored.as_ref().map(|stored| Stored {
                stream: stored.stream.to_string(),
                message_id: stored.entries[at].0.to_string(),
                duplicate: stored.entries[at].1,
            });
            let success = Success {
                generated: id.as_ref().map(|id| id.as_str()),
                receivers: *receivers,
                timestamp: &timestamp,
                stored,
                remote: Remote::Resolved,
            };
            settle(inner, batch, index, Ok(success));
        }
    }
    for Failed { batch, index, error, message_id } in failed {
        lock(&inner.stored_nevertheless).extend(message_id.map(|id| (batch, index, id)));
        settle(inner, batch, index, Err(error));
    }
    let took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    inner.dispatching.fetch_max(took, Ordering::AcqRel);
    for (ticket, result) in replies {
        match lock(&inner.waiting).tickets.remove(&ticket) {
            // The test may not wait for it.
            Some(sender) => drop(sender.send(result.map(|answer| answer.value))),
            None => inner.fault(format!("a reply that nobody asked for: {ticket} {result:?}")),
        }
    }
    inner.notices.add(notices);
    deliver(inner, deliveries);
}

fn settle(inner: &Inner, batch: u32, index: u32, outcome: Settled<'_>) {
    let mut waiting = lock(&inner.waiting);
    let Some(open) = waiting.batches.get_mut(&batch) else {
        drop(waiting);
        return inner.fault(format!("publish {index} of batch {batch} was settled twice: {outcome:?}"));
    };
    open.settle(index, outcome);
    if open.left == 0 {
        waiting.batches.remove(&batch);
    }
}

fn deliver(inner: &Arc<Inner>, deliveries: Vec<Delivery>) {
    let mut settled = Vec::with_capacity(deliveries.len());
    let mut deliveries = deliveries.into_iter();
    while let Some(delivery) = deliveries.next() {
        let handler = lock(&inner.handlers).get(&delivery.subscription).cloned();
        let (token, started) = (delivery.token, Instant::now());
        let events = batch(inner, &delivery, &mut deliveries);
        match handler {
            None => settled.push((token, Settlement::NotHandled, 0)),
            Some(Handler::Sync(handler)) => {
                let call = AssertUnwindSafe(|| handler(Event::new(&delivery)));
                let verdict = catch_unwind(call).unwrap_or_else(|panic| {
                    inner.fault(message(&*panic));
                    Settlement::Failed { retryable: false }.into()
                });
                settled.push((token, explained(inner, token, verdict), microseconds(started)));
            }
            Some(Handler::Async(handler)) => run_call(inner, token, handler(Event::new(&delivery))),
            Some(Handler::Batch(handler)) => run_call(inner, token, handler(events)),
        }
    }
    if !settled.is_empty() {
        inner.client.settle(settled);
    }
}

/// The events of the call that `first` begins: itself, and what follows it in its batch.
fn batch(inner: &Inner, first: &Delivery, rest: &mut std::vec::IntoIter<Delivery>) -> Vec<Event> {
    let size = first.stored.as_ref().map_or(0, |stored| stored.batch);
    let mut events = vec![Event::new(first)];
    while events.len() < size as usize {
        match rest.next() {
            Some(next)
                if next.token == first.token && next.stored.as_ref().is_some_and(|s| s.batch == size) =>
            {
                events.push(Event::new(&next));
            }
            other => {
                inner.fault(format!("a batch of {size} was cut after {}: {other:?}", events.len()));
                break;
            }
        }
    }
    events
}

/// Runs a call that takes its time.
fn run_call(inner: &Arc<Inner>, token: u32, call: Running) {
    let (started, running, inner) = (Instant::now(), tokio::spawn(call), inner.clone());
    tokio::spawn(async move {
        let verdict = running.await.unwrap_or_else(|error| {
            inner.fault(format!("a handler panicked: {error}"));
            Settlement::Failed { retryable: false }.into()
        });
        let settlement = explained(&inner, token, verdict);
        inner.client.settle([(token, settlement, microseconds(started))]);
    });
}

fn explained(inner: &Inner, token: u32, verdict: Verdict) -> Settlement {
    if let Some(error) = verdict.error {
        inner.client.set_error(token, error);
    }
    verdict.settlement
}

fn microseconds(started: Instant) -> u32 {
    u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX)
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
}
