//! Subscriptions, and joins, that wait for the server's confirmation.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use oxbus_model::routing::router::{Router, ServerSubscription};
use oxbus_model::{BusError, ErrorKind};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::host::Notice;
use crate::host::completions::Completions;

/// Who waits for the confirmation.
pub(crate) enum Waiter {
    /// The host, by its ticket.
    Ticket(u32),
    /// A join.
    Join(oneshot::Sender<Result<(), BusError>>),
}

/// A subscription, or a join, that is not confirmed.
struct Unconfirmed {
    waiter: Waiter,
    missing: HashSet<ServerSubscription>,
    deadline: u64,
}

#[derive(Default)]
struct Table {
    unconfirmed: HashMap<u32, Unconfirmed>,
    by_server_subscription: HashMap<ServerSubscription, BTreeSet<u32>>,
    /// (deadline, subscription), so that time is kept without looking at all of them.
    deadlines: BTreeSet<(u64, u32)>,
}

/// Resolves those that wait when the server answers for what they need.
pub(crate) struct Confirmations {
    router: Arc<RwLock<Router>>,
    completions: Arc<Completions>,
    table: Mutex<Table>,
    /// Whether it was reported that broadcasts are not received.
    broadcast_denied: AtomicBool,
}

impl Table {
    /// The server has answered for a server subscription. Returns the waiters that wait for nothing else.
    fn answered(&mut self, server_subscription: &ServerSubscription) -> Vec<Waiter> {
        let mut complete = Vec::new();
        for subscription in self.by_server_subscription.remove(server_subscription).unwrap_or_default() {
            let Some(unconfirmed) = self.unconfirmed.get_mut(&subscription) else { continue };
            unconfirmed.missing.remove(server_subscription);
            if unconfirmed.missing.is_empty() {
                self.deadlines.remove(&(unconfirmed.deadline, subscription));
                complete.extend(self.unconfirmed.remove(&subscription).map(|removed| removed.waiter));
            }
        }
        complete
    }

    /// `subscription` no longer waits. Returns its waiter.
    fn remove(&mut self, subscription: u32) -> Option<Waiter> {
        let removed = self.unconfirmed.remove(&subscription)?;
        self.deadlines.remove(&(removed.deadline, subscription));
        for server_subscription in &removed.missing {
            if let Some(list) = self.by_server_subscription.get_mut(server_subscription) {
                list.remove(&subscription);
                if list.is_empty() {
                    self.by_server_subscription.remove(server_subscription);
                }
            }
        }
        Some(removed.waiter)
    }
}

impl Confirmations {
    pub(crate) fn new(router: Arc<RwLock<Router>>, completions: Arc<Completions>) -> Self {
        let broadcast_denied = AtomicBool::new(false);
        Confirmations { router, completions, table: Mutex::default(), broadcast_denied }
    }

    /// `subscription` waits for `server_subscriptions` until `deadline`, `u64::MAX` for ever; the answer goes to `waiter`.
    pub(crate) fn add(
        &self,
        subscription: u32,
        waiter: Waiter,
        server_subscriptions: &[ServerSubscription],
        deadline: u64,
    ) {
        let mut table = self.table();
        for server_subscription in server_subscriptions {
            let waiting = table.by_server_subscription.entry(server_subscription.clone()).or_default();
            waiting.insert(subscription);
        }
        if deadline < u64::MAX {
            table.deadlines.insert((deadline, subscription));
        }
        let missing = server_subscriptions.iter().cloned().collect();
        table.unconfirmed.insert(subscription, Unconfirmed { waiter, missing, deadline });
    }

    /// The server has confirmed a server subscription.
    pub(crate) fn confirmed(&self, server_subscription: &ServerSubscription) {
        if self.broadcast_denied.load(Ordering::Relaxed) && self.router().is_dispensable(server_subscription)
        {
            self.broadcast_denied.store(false, Ordering::Relaxed);
        }
        self.answered(server_subscription);
    }

    /// The server refuses a server subscription. Those that wait for it fail; the caller removes them.
    /// Established ones are reported, and stay.
    pub(crate) fn refused(&self, server_subscription: &ServerSubscription, error: &BusError) -> Vec<u32> {
        let waiting = self.waiting_for(server_subscription);
        let (failed, dispensable): (Vec<u32>, bool) = {
            let router = self.router();
            let failed =
                waiting.into_iter().filter(|s| !router.is_optional(*s, server_subscription)).collect();
            (failed, router.is_dispensable(server_subscription))
        };
        let channel = String::from_utf8_lossy(server_subscription.name()).into_owned();
        if dispensable {
            // Once, not with every subscription and every time that it is asked for again.
            if !self.broadcast_denied.swap(true, Ordering::Relaxed) {
                self.completions.notice(Notice::Warning {
                    code: "BROADCAST_DENIED",
                    message: format!("broadcasts are not received: {} ({channel})", error.message),
                });
            }
        } else if failed.is_empty() {
            let denied = BusError::new(ErrorKind::SubscribeDenied, format!("{channel}: {}", error.message));
            self.completions.notice(Notice::Error(denied));
        }
        for subscription in &failed {
            let message = format!("{channel}: {}", error.message);
            self.end_wait(*subscription, Err(BusError::new(ErrorKind::SubscribeDenied, message)));
        }
        // Those that are left work without it.
        self.answered(server_subscription);
        failed
    }

    /// A subscription, or a join, waits no longer: its waiter gets the result.
    pub(crate) fn end_wait(&self, subscription: u32, result: Result<(), BusError>) {
        let waiter = self.table().remove(subscription);
        if let Some(waiter) = waiter {
            self.resolve_waiter(waiter, result);
        }
    }

    /// All that wait are done, with this result.
    pub(crate) fn end_all(&self, result: &Result<(), BusError>) {
        let waiting: Vec<u32> = self.table().unconfirmed.keys().copied().collect();
        waiting.into_iter().for_each(|subscription| self.end_wait(subscription, result.clone()));
    }

    /// Those that wait for a server subscription.
    pub(crate) fn waiting_for(&self, server_subscription: &ServerSubscription) -> Vec<u32> {
        let table = self.table();
        table.by_server_subscription.get(server_subscription).into_iter().flatten().copied().collect()
    }

    /// Those whose deadline has passed.
    pub(crate) fn expired(&self, now_ms: u64) -> Vec<u32> {
        self.table().deadlines.range(..=(now_ms, u32::MAX)).map(|(_, s)| *s).collect()
    }

    /// The first deadline.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.table().deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Those that wait for a server subscription need not wait for it any more.
    fn answered(&self, server_subscription: &ServerSubscription) {
        let complete = self.table().answered(server_subscription);
        complete.into_iter().for_each(|waiter| self.resolve_waiter(waiter, Ok(())));
    }

    fn resolve_waiter(&self, waiter: Waiter, result: Result<(), BusError>) {
        match waiter {
            Waiter::Ticket(ticket) => self.completions.reply(ticket, result.map(|()| Value::Null)),
            // A join that nobody waits for any more takes itself back.
            Waiter::Join(sender) => drop(sender.send(result)),
        }
    }

    fn router(&self) -> RwLockReadGuard<'_, Router> {
        self.router.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
