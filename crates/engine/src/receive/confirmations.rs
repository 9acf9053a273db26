//! Subscriptions, and joins, that wait for the server's confirmation.

use std::collections::{BTreeSet, HashMap, HashSet};

use oxbus_model::BusError;
use oxbus_model::routing::router::ServerSubscription;
use tokio::sync::oneshot;

/// Who is told of the confirmation.
pub(crate) enum Waiter {
    /// The host, by its ticket.
    Ticket(u32),
    /// A join.
    Join(oneshot::Sender<Result<(), BusError>>),
}

/// One that waits.
struct Waiting {
    waiter: Waiter,
    missing: HashSet<ServerSubscription>,
    deadline: u64,
}

/// The subscriptions that no answer has come for yet.
#[derive(Default)]
pub(crate) struct Confirmations {
    waiting: HashMap<u32, Waiting>,
    by_wire: HashMap<ServerSubscription, BTreeSet<u32>>,
    /// (deadline, subscription), so that time is kept without looking at all of them.
    deadlines: BTreeSet<(u64, u32)>,
}

impl Confirmations {
    /// `subscription` waits for `server_subscriptions` until `deadline`; the answer goes to `waiter`.
    pub(crate) fn add(
        &mut self,
        subscription: u32,
        waiter: Waiter,
        server_subscriptions: &[ServerSubscription],
        deadline: u64,
    ) {
        for server_subscription in server_subscriptions {
            self.by_wire.entry(server_subscription.clone()).or_default().insert(subscription);
        }
        self.deadlines.insert((deadline, subscription));
        let missing = server_subscriptions.iter().cloned().collect();
        self.waiting.insert(subscription, Waiting { waiter, missing, deadline });
    }

    /// The server has confirmed `server_subscription`. Returns who waits for those that are complete now.
    pub(crate) fn confirmed(&mut self, server_subscription: &ServerSubscription) -> Vec<Waiter> {
        let mut complete = Vec::new();
        for subscription in self.by_wire.remove(server_subscription).unwrap_or_default() {
            let Some(waiting) = self.waiting.get_mut(&subscription) else { continue };
            waiting.missing.remove(server_subscription);
            if waiting.missing.is_empty() {
                self.deadlines.remove(&(waiting.deadline, subscription));
                complete.extend(self.waiting.remove(&subscription).map(|waiting| waiting.waiter));
            }
        }
        complete
    }

    /// Those that wait for `server_subscription`.
    pub(crate) fn waiting_for(&self, server_subscription: &ServerSubscription) -> Vec<u32> {
        self.by_wire.get(server_subscription).into_iter().flatten().copied().collect()
    }

    /// `subscription` no longer waits. Returns who does for it.
    pub(crate) fn remove(&mut self, subscription: u32) -> Option<Waiter> {
        let waiting = self.waiting.remove(&subscription)?;
        self.deadlines.remove(&(waiting.deadline, subscription));
        for server_subscription in &waiting.missing {
            if let Some(list) = self.by_wire.get_mut(server_subscription) {
                list.remove(&subscription);
                if list.is_empty() {
                    self.by_wire.remove(server_subscription);
                }
            }
        }
        Some(waiting.waiter)
    }

    /// Those whose time is over.
    pub(crate) fn expired(&self, now_ms: u64) -> Vec<u32> {
        self.deadlines.range(..=(now_ms, u32::MAX)).map(|(_, s)| *s).collect()
    }

    /// All that wait.
    pub(crate) fn all(&self) -> Vec<u32> {
        self.waiting.keys().copied().collect()
    }

    /// When the next one's time is over.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }
}
