//! What a client does when a time has come: a retry, a subscription without an answer, or work of its groups.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use oxbus_model::config::Mode;
use oxbus_model::{BusError, ErrorKind};

use super::core::Core;
use crate::memory::Timed;
use crate::receive::dropped;
use crate::state::lifecycle::State;

impl Timed for Core {
    fn run_due(&self) -> Option<u64> {
        self.act_on_deadlines().map(|at| self.state.clock.wall_of(at))
    }
}

impl Core {
    /// Starts, once, the task that keeps time; it is told that a deadline has changed.
    pub(super) fn keep_time(self: &Arc<Self>) {
        if self.keeps_time.swap(true, Ordering::AcqRel) {
            return self.state.deadlines.notify_waiters();
        }
        if self.state.clock.is_virtual() {
            // The broker keeps the time.
            return;
        }
        let core = Arc::downgrade(self);
        let state = self.state.clone();
        self.tasks.spawn(async move {
            while state.lifecycle.state() != State::Closed {
                let changed = state.deadlines.notified();
                let Some(next) = core.upgrade().map(|core| core.act_on_deadlines()) else { return };
                match next {
                    Some(at) => {
                        let _ = tokio::time::timeout_at(state.clock.instant(at), changed).await;
                    }
                    None => changed.await,
                }
            }
        });
    }

    /// Does what is due. Returns when something is due next, on the client's clock.
    fn act_on_deadlines(&self) -> Option<u64> {
        let state = &self.state;
        let now = state.clock.now_ms();
        for subscription in state.confirmations.expired(now) {
            self.expire(subscription);
        }
        dropped::report(state);
        let queue = state.live_queue();
        let (ready, retry) = (queue.deliveries.has_due(now), queue.deliveries.next_due(now));
        let drops = queue.deliveries.next_drops_report();
        drop(queue);
        if ready {
            state.completions.wake();
        }
        let groups = self.groups.run_due();
        [retry, drops, state.confirmations.next_deadline(), groups].into_iter().flatten().min()
    }

    /// The server has not confirmed a subscription, or a join, in time.
    fn expire(&self, subscription: u32) {
        let state = &self.state;
        if state.config.mode == Mode::Hybrid {
            // It works here, and the server is asked for it as long as it is wanted.
            return state.confirmations.end_wait(subscription, Ok(()));
        }
        let cause = state.lifecycle.watch().borrow().error.clone();
        let cause = state.lifecycle.lasting_fault().or(cause);
        let why = cause.map_or_else(|| "no confirmation from the server".to_owned(), |e| e.message);
        let late = BusError::new(ErrorKind::CommandTimeout, format!("not subscribed in time: {why}"));
        let error = state.lifecycle.explain(late);
        if !self.unsubscribe(subscription, error.kind, &error.message) {
            // A join, which takes itself back.
            state.confirmations.end_wait(subscription, Err(error));
        }
    }
}
