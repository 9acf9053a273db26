//! How far the messages of a subscriber's connection are known to be complete.

use std::collections::HashMap;
use std::sync::Arc;

use oxbus_model::routing::router::ServerSubscription;

use super::filling::fill;
use super::missed_interval::{Gap, MissedInterval, REACH, RetentionGuard};
use super::recovery::Recovery;

/// What a subscriber session knows of its connection. Times are on the client's clock.
pub(super) struct Continuity {
    recovery: Arc<Recovery>,
    /// When the connection was opened.
    opened: u64,
    /// When the last heartbeat was sent that was answered: what was published before has come.
    sound: u64,
    /// When server subscriptions were confirmed, as far as missed intervals can reach back.
    fresh: HashMap<ServerSubscription, u64>,
    missed: Option<MissedInterval>,
}

impl Continuity {
    pub(super) fn new(recovery: Arc<Recovery>) -> Self {
        Continuity { recovery, opened: 0, sound: 0, fresh: HashMap::new(), missed: None }
    }

    /// There is a new connection.
    pub(super) fn opened(&mut self, now: u64) {
        (self.opened, self.sound) = (now, now);
    }

    /// A server subscription is established.
    pub(super) fn confirmed(&mut self, server_subscription: &ServerSubscription, now: u64) {
        // One that comes back has missed what was published before.
        if !self
            .missed
            .as_ref()
            .is_some_and(|missed| missed.server_subscriptions.contains_key(server_subscription))
        {
            self.fresh.insert(server_subscription.clone(), now);
        }
    }

    /// Nobody wants a server subscription any more.
    pub(super) fn ended(&mut self, server_subscription: &ServerSubscription) {
        self.fresh.remove(server_subscription);
        if let Some(missed) = &mut self.missed {
            missed.server_subscriptions.remove(server_subscription);
        }
    }

    /// A heartbeat that was sent at `sent` has been answered.
    pub(super) fn heartbeat(&mut self, sent: u64, now: u64) {
        self.sound = self.sound.max(sent);
        let reach = self.sound.saturating_sub(REACH);
        self.fresh.retain(|_, confirmed| *confirmed > reach);
        self.recovery.seen.lock().heartbeat(sent, now);
    }

    /// The connection is gone, and with it these server subscriptions, which were confirmed.
    pub(super) fn interrupted(
        &mut self,
        server_subscriptions: impl IntoIterator<Item = ServerSubscription>,
        last_read: u64,
    ) {
        let Continuity { recovery, sound, fresh, missed, .. } = self;
        let from = *sound;
        let missed = missed.get_or_insert_with(|| MissedInterval {
            from,
            last_read,
            server_subscriptions: HashMap::new(),
            _guard: RetentionGuard::new(recovery),
        });
        missed.last_read = missed.last_read.max(last_read);
        for server_subscription in server_subscriptions {
            let since = fresh.get(&server_subscription).copied().unwrap_or(0);
            missed.server_subscriptions.entry(server_subscription).or_insert(since);
        }
        fresh.clear();
    }

    /// All server subscriptions are confirmed again: fills the missed interval and reports the gap.
    pub(super) fn resumed(&mut self, gap: Gap) {
        match self.missed.take() {
            Some(missed) => fill(&self.recovery, missed, self.opened, gap),
            None => self.recovery.shared.notice(gap.notice(0, false)),
        }
    }

    /// Nobody wants to know of the gap.
    pub(super) fn forget(&mut self) {
        self.missed = None;
    }

    /// A server subscription that the server had refused since `from` is confirmed.
    pub(super) fn regained(
        &mut self,
        server_subscription: ServerSubscription,
        from: u64,
        now: u64,
        gap: Gap,
    ) {
        let server_subscriptions = HashMap::from([(server_subscription, from)]);
        let _guard = RetentionGuard::new(&self.recovery);
        fill(
            &self.recovery,
            MissedInterval { from, last_read: from, server_subscriptions, _guard },
            now,
            gap,
        );
    }
}
