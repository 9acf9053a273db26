//! The end of groups: what runs is finished, what has not begun is handed back, the consumer leaves.

use std::sync::Arc;

use oxbus_model::consumer::GroupKey;
use oxbus_model::stream_store::{ConsumerId, EntryId, Request, Response};
use tokio::task::JoinSet;

use crate::state::ClientState;
use crate::state::lifecycle::State;

/// Entries that are handed back at a time.
const HANDED_BACK: usize = 500;

/// For how long an entry that was handed back counts as idle at least, in milliseconds.
const RELEASED_IDLE: u64 = 3_600_000;

impl ClientState {
    /// Leaves a group that was told to stop reading, in the background.
    pub(super) fn leave_group(self: &Arc<Self>, key: GroupKey) {
        let shared = self.clone();
        let leaving = async move {
            shared.finish_group(key).await;
            shared.subscribe_deferred();
        };
        if let Some(runtime) = self.groups.runtime() {
            runtime.spawn(leaving);
        }
    }

    /// The first stage of closing: nothing more is read, and what has not begun is handed back.
    pub(crate) fn stop_groups(self: &Arc<Self>) {
        self.refuse_all();
        self.groups.claims().stop_reading(None, self.clock.now_ms());
        self.kick();
    }

    /// Waits until all groups have finished and leaves them.
    pub(crate) async fn finish_groups(self: &Arc<Self>) {
        if !self.groups.in_use() {
            return;
        }
        // At once: a handler that does not end holds up its own group only.
        let mut finishing = JoinSet::new();
        for key in self.groups.claims().keys() {
            let shared = self.clone();
            finishing.spawn(async move { shared.finish_group(key).await });
        }
        while finishing.join_next().await.is_some() {}
    }

    async fn finish_group(self: &Arc<Self>, key: GroupKey) {
        let Some(transport) = self.groups.transport() else { return };
        // What was on its way to the reader arrives first, and is handed back with the rest.
        transport.leave(key).await;
        self.kick();
        loop {
            let changed = self.groups.changed.notified();
            if self.groups.claims().is_settled(Some(key)) {
                break;
            }
            if self.lifecycle.state() == State::Closed {
                return;
            }
            changed.await;
        }
        let members = self.groups.claims().members(key);
        for member in &members {
            self.hand_back_rest(member).await;
        }
        let leaves = self.groups.claims().leave(key);
        for leave in leaves {
            // Without an answer the heartbeat runs out by itself.
            let _ = transport.store().execute(leave).await;
        }
    }

    /// Entries that were delivered into a connection that broke are this consumer's, and nobody else knows.
    async fn hand_back_rest(&self, member: &ConsumerId) {
        let Some(transport) = self.groups.transport() else { return };
        let ConsumerId { stream, group, consumer, .. } = member;
        let mut from = EntryId::MIN;
        loop {
            let (stream, group, consumer) = (stream.clone(), group.clone(), Some(consumer.clone()));
            let limit = HANDED_BACK;
            let pending = Request::Pending { stream, group, from, limit, min_idle: 0, consumer };
            let Ok(Response::Pending(entries)) = transport.store().execute(pending).await else { return };
            let Some(last) = entries.last() else { return };
            from = last.id.next();
            // What was handed back already has its count, and would lose an attempt that was made.
            let rest = entries.iter().filter(|e| e.idle < RELEASED_IDLE);
            let items: Vec<_> = rest.map(|e| (e.id, e.deliveries.saturating_sub(1))).collect();
            if items.is_empty() {
                continue;
            }
            let release = Request::Requeue { member: member.clone(), items, unhandled: false };
            if transport.store().execute(release).await.is_err() {
                return;
            }
        }
    }
}
