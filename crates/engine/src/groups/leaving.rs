//! How groups are left: what runs is finished, what has not begun is handed back, the consumer leaves.

use std::sync::Arc;

use oxbus_model::BusError;
use oxbus_model::consumer::GroupKey;
use oxbus_model::stream_store::{ConsumerId, EntryId, Request, Response};
use tokio::task::JoinSet;

use super::pump::GroupDriver;
use crate::state::lifecycle::State;
use crate::transport::store::Store;

/// Entries that are handed back at a time.
const HANDED_BACK: usize = 500;

/// For how long an entry that was handed back counts as idle at least, in milliseconds.
const REQUEUED_IDLE: u64 = 3_600_000;

impl GroupDriver {
    /// Ends a durable subscription; one that is not confirmed fails with `error`. The group is left, in the
    /// background, when it was the last one. False when there is no such subscription.
    pub(crate) fn unsubscribe(self: &Arc<Self>, subscription: u32, error: BusError) -> bool {
        if !self.state.groups.in_use() {
            return false;
        }
        let removed = self.subscriptions.remove(subscription, error);
        if let Some(key) = removed.emptied {
            let driver = self.clone();
            self.tasks.spawn(async move {
                driver.leave(key).await;
                driver.subscriptions.add_deferred();
                driver.schedule();
            });
        }
        self.schedule();
        removed.found
    }

    /// The first stage of closing: nothing more is read, and what has not begun is handed back.
    pub(crate) fn stop(self: &Arc<Self>) {
        self.subscriptions.refuse_all();
        self.state.groups.claims().stop_reading(None, self.state.clock.now_ms());
        self.schedule();
    }

    /// Waits until all groups have finished and leaves them.
    pub(crate) async fn finish(self: &Arc<Self>) {
        if !self.state.groups.in_use() {
            return;
        }
        // All at once: a handler that does not end holds up its own group only.
        let mut finishing = JoinSet::new();
        for key in self.state.groups.claims().keys() {
            let driver = self.clone();
            self.tasks.spawn_in(&mut finishing, async move { driver.leave(key).await });
        }
        while finishing.join_next().await.is_some() {}
    }

    /// The client is closed: those that wait for groups see that it is over.
    pub(crate) fn close(self: &Arc<Self>) {
        self.schedule();
        self.state.groups.changed.notify_waiters();
    }

    /// Leaves a group that was told to stop reading.
    async fn leave(self: &Arc<Self>, key: GroupKey) {
        let groups = &self.state.groups;
        // What was on its way to the reader arrives first, and is handed back with the rest.
        self.transport.leave(key).await;
        self.schedule();
        loop {
            let changed = groups.changed.notified();
            if groups.claims().is_settled(Some(key)) {
                break;
            }
            if self.state.lifecycle.state() == State::Closed {
                return;
            }
            changed.await;
        }
        let store = self.transport.store();
        let (consumers, lease) = {
            let claims = groups.claims();
            (claims.members(key), claims.lease(key))
        };
        for consumer in &consumers {
            hand_back_rest(&*store, consumer, lease).await;
        }
        let leaves = groups.claims().leave(key);
        for leave in leaves {
            // Without an answer the heartbeat runs out by itself.
            let _ = store.execute(leave).await;
        }
    }
}

/// Hands back the entries that were delivered into a connection that broke: they are this consumer's, and nobody else
/// knows of them.
async fn hand_back_rest(store: &dyn Store, id: &ConsumerId, lease: u64) {
    let ConsumerId { stream, group, consumer, .. } = id;
    let mut from = EntryId::MIN;
    loop {
        let (stream, group, consumer) = (stream.clone(), group.clone(), Some(consumer.clone()));
        let limit = HANDED_BACK;
        let pending = Request::Pending { stream, group, from, limit, min_idle: 0, consumer };
        let Ok(Response::Pending(entries)) = store.execute(pending).await else { return };
        let Some(last) = entries.last() else { return };
        from = last.id.next();
        // An entry that was handed back already has its right count: handing it back again would take away an attempt
        // that was made.
        let rest = entries.iter().filter(|e| e.idle < REQUEUED_IDLE);
        let items: Vec<_> = rest.map(|e| (e.id, e.deliveries.saturating_sub(1).into())).collect();
        if items.is_empty() {
            continue;
        }
        let requeue = Request::Requeue { member: id.clone(), items, lease, unhandled: false };
        if store.execute(requeue).await.is_err() {
            return;
        }
    }
}
