//! Results, replies and notices that wait for the host. It is woken once until it takes them.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxbus_model::{BusError, ErrorKind, Outcome};
use serde_json::Value;

use super::{Answer, DeliveredLocally, Drained, Failed, Host, Notice, Published, SettledLocally};
use crate::host::event_loop;
use crate::host::event_loop::{BLOCKED, EVENT_LOOP_BLOCKED, Waits, Wakes};

/// The most notices that wait while the host does not drain. Beyond, the oldest are dropped, and a warning counts them.
const MAX_NOTICES: usize = 1024;

/// So many runs of results that nobody waits for are kept for the next drain; then the host is woken for them.
const MAX_QUIET: usize = 128;

/// How many drains in a row results of publishes are kept back, at the most. They bring as many events as the default
/// queue of a subscription holds.
const MAX_KEPT_BACK: u32 = 40;

pub(crate) struct Completions {
    host: Arc<dyn Host>,
    wakes: Wakes,
    ready: Mutex<Ready>,
}

#[derive(Default)]
struct Ready {
    drained: Drained,
    lost_notices: usize,
    waits: Waits,
    /// How many drains in a row results of publishes were kept back.
    kept_back: u32,
}

impl Completions {
    pub(crate) fn new(host: Arc<dyn Host>) -> Self {
        Completions { host, wakes: Wakes::new(), ready: Mutex::default() }
    }

    /// Wakes the host unless it has been woken and has not drained since.
    pub(crate) fn wake(&self) {
        if self.wakes.begin() {
            self.host.wake();
        }
    }

    /// The longest that the host has not answered a wake, in the last 30 to 60 s and now.
    pub(crate) fn blocked_ms(&self) -> u64 {
        self.lock().waits.longest(self.wakes.now_ms()).max(self.wakes.waiting_ms())
    }

    /// Publishes were settled. Everything is taken out of the lists.
    pub(crate) fn settled(
        &self,
        published: &mut Vec<Published>,
        settled_locally: &mut Vec<SettledLocally>,
        delivered_locally: &mut Vec<DeliveredLocally>,
        failed: &mut Vec<Failed>,
    ) {
        if published.is_empty()
            && settled_locally.is_empty()
            && delivered_locally.is_empty()
            && failed.is_empty()
        {
            return;
        }
        let is_quiet = failed.is_empty()
            && settled_locally.is_empty()
            && delivered_locally.is_empty()
            && published.iter().all(|run| run.is_quiet);
        let mut ready = self.lock();
        ready.drained.published.append(published);
        let is_enough = ready.drained.published.len() >= MAX_QUIET;
        ready.drained.delivered_locally.append(delivered_locally);
        // These are rare, but may be very many at once: their memory is not kept for the next time.
        ready.drained.settled_locally.extend(std::mem::take(settled_locally));
        ready.drained.failed.extend(std::mem::take(failed));
        drop(ready);
        if !is_quiet || is_enough {
            self.wake();
        }
    }

    fn failed(&self, failed: impl IntoIterator<Item = Failed>) {
        self.lock().drained.failed.extend(failed);
        self.wake();
    }

    /// Publishes were refused before anything was done for them.
    pub(crate) fn refused(&self, batch: u32, indexes: Range<u32>, kind: ErrorKind, why: &str) {
        let error = BusError::new(kind, why).with_outcome(Outcome::NotSent);
        self.failed(indexes.map(|index| Failed { batch, index, error: error.clone(), message_id: None }));
    }

    /// A reply without events.
    pub(crate) fn reply(&self, ticket: u32, result: Result<Value, BusError>) {
        self.answer(ticket, result.map(Answer::from));
    }

    pub(crate) fn answer(&self, ticket: u32, result: Result<Answer, BusError>) {
        self.lock().drained.replies.push((ticket, result));
        self.wake();
    }

    pub(crate) fn notice(&self, notice: Notice) {
        let mut ready = self.lock();
        if ready.drained.notices.len() >= MAX_NOTICES {
            ready.drained.notices.remove(0);
            ready.lost_notices += 1;
        }
        ready.drained.notices.push(notice);
        drop(ready);
        self.wake();
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().drained.is_empty()
    }

    /// Takes everything. The host may be woken again from now on.
    pub(crate) fn take(&self) -> Drained {
        let waited = self.wakes.end().unwrap_or(0);
        let mut ready = self.lock();
        ready.waits.record(waited, self.wakes.now_ms());
        let lost = std::mem::take(&mut ready.lost_notices);
        let mut drained = std::mem::take(&mut ready.drained);
        drop(ready);
        if waited >= BLOCKED {
            let message = event_loop::message(waited);
            drained.notices.push(Notice::Warning { code: EVENT_LOOP_BLOCKED, message });
        }
        if lost > 0 {
            drained.notices.push(Notice::Warning {
                code: "NOTICES_LOST",
                message: format!(
                    "{lost} events of the client were dropped: the event loop was blocked too long"
                ),
            });
        }
        drained
    }

    /// Keeps results of publishes back for the next drain, which must come, unless they were kept back for too long.
    pub(crate) fn keep_back(&self, published: &mut Vec<Published>) {
        let mut ready = self.lock();
        if ready.kept_back >= MAX_KEPT_BACK {
            ready.kept_back = 0;
            return;
        }
        ready.kept_back += 1;
        published.append(&mut ready.drained.published);
        std::mem::swap(published, &mut ready.drained.published);
    }

    fn lock(&self) -> MutexGuard<'_, Ready> {
        // A panic while the lock was held leaves at worst a partly extended list, which is still valid.
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Host for Woken {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn settle(completions: &Completions, is_quiet: bool, failed: Vec<Failed>) {
        let run = Published {
            batch: 1,
            first: 0,
            timestamp: "".into(),
            items: vec![(None, 1)],
            stored: None,
            is_quiet,
        };
        completions.settled(&mut vec![run], &mut Vec::new(), &mut Vec::new(), &mut { failed });
    }

    #[test]
    fn results_that_nobody_waits_for_come_with_what_the_host_takes_next() {
        let host = Arc::new(Woken::default());
        let completions = Completions::new(host.clone());
        let woken = || host.0.load(Ordering::Acquire);
        settle(&completions, true, Vec::new());
        assert_eq!(woken(), 0);
        settle(&completions, false, Vec::new());
        assert_eq!((woken(), completions.take().published.len()), (1, 2));
        let error = BusError::new(ErrorKind::ConnectionLost, "lost");
        let failed = Failed { batch: 1, index: 1, error, message_id: None };
        settle(&completions, true, vec![failed]);
        assert_eq!((woken(), completions.take().published.len()), (2, 1));
    }

    #[test]
    fn so_many_of_them_wait_and_no_more() {
        let host = Arc::new(Woken::default());
        let completions = Completions::new(host.clone());
        for _ in 1..MAX_QUIET {
            settle(&completions, true, Vec::new());
        }
        assert_eq!(host.0.load(Ordering::Acquire), 0);
        settle(&completions, true, Vec::new());
        assert_eq!(host.0.load(Ordering::Acquire), 1);
    }
}
