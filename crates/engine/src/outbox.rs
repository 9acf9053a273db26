//! What waits for the host, but for deliveries: results, replies and notices. One wake at a time.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxbus_model::{BusError, ErrorKind, Outcome};
use serde_json::Value;

use crate::clock::Clock;
use crate::host::{Apart, Drained, Failed, Host, Notice, Published, Taken};

/// Notices that may wait while the host does not drain; then the oldest go, and a warning says so.
const MAX_NOTICES: usize = 1024;

pub(crate) struct Outbox {
    host: Arc<dyn Host>,
    woken: AtomicBool,
    /// When, on `clock`.
    woken_at: AtomicU64,
    clock: Clock,
    ready: Mutex<Ready>,
}

#[derive(Default)]
struct Ready {
    drained: Drained,
    lost_notices: usize,
}

impl Outbox {
    pub(crate) fn new(host: Arc<dyn Host>, clock: Clock) -> Self {
        Outbox {
            host,
            woken: AtomicBool::new(false),
            woken_at: AtomicU64::new(0),
            clock,
            ready: Mutex::default(),
        }
    }

    /// Wakes the host unless it has been woken and has not drained since.
    pub(crate) fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.woken_at.store(self.clock.now_ms(), Ordering::Relaxed);
            self.host.wake();
        }
    }

    /// How long the host has not answered a wake: its event loop is busy with something else.
    pub(crate) fn blocked_ms(&self) -> u64 {
        if self.woken.load(Ordering::Acquire) {
            self.clock.now_ms().saturating_sub(self.woken_at.load(Ordering::Relaxed))
        } else {
            0
        }
    }

    pub(crate) fn published(&self, published: Published) {
        self.lock().drained.published.push(published);
        self.wake();
    }

    pub(crate) fn failed(&self, failed: impl IntoIterator<Item = Failed>) {
        self.lock().drained.failed.extend(failed);
        self.wake();
    }

    pub(crate) fn taken(&self, taken: Taken) {
        self.lock().drained.taken.push(taken);
        self.wake();
    }

    pub(crate) fn apart(&self, apart: impl IntoIterator<Item = Apart>) {
        self.lock().drained.apart.extend(apart);
        self.wake();
    }

    /// Publishes were refused before anything was done for them.
    pub(crate) fn refused(&self, batch: u32, indexes: Range<u32>, kind: ErrorKind, why: &str) {
        let error = BusError::new(kind, why).with_outcome(Outcome::NotSent);
        self.failed(indexes.map(|index| Failed { batch, index, error: error.clone(), message_id: None }));
    }

    pub(crate) fn reply(&self, ticket: u32, result: Result<Value, BusError>) {
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
        self.woken.store(false, Ordering::Release);
        let mut ready = self.lock();
        let lost = std::mem::take(&mut ready.lost_notices);
        let mut drained = std::mem::take(&mut ready.drained);
        drop(ready);
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

    fn lock(&self) -> MutexGuard<'_, Ready> {
        // A panic while the lock was held leaves at worst a partly extended list, which is still valid.
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
