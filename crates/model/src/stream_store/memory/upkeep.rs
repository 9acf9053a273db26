//! Heartbeats of consumers, and what depends on them.

use std::sync::Arc;

use crate::stream_store::memory::group::Group;
use crate::stream_store::{EntryId, GroupFacts};

/// For how long a pattern and a group are remembered after they were last heard of, in milliseconds.
const MEMORY: u64 = 3_600_000;
/// How long a consumer that never had a heartbeat must have been idle before it is removed, in milliseconds.
const STRANGER_IDLE: u64 = 60_000;

impl Group {
    /// A consumer says that it lives.
    pub(super) fn heartbeat(
        &mut self,
        consumer: &Arc<str>,
        instance: &Arc<str>,
        alive: u64,
        lease: u64,
        patterns: Vec<String>,
        now_ms: u64,
    ) -> GroupFacts {
        if let Some((other, until)) = self.alive.get(consumer)
            && other != instance
            && *until > now_ms
        {
            return GroupFacts { taken_by: Some(other.to_string()), ..GroupFacts::default() };
        }
        self.alive.insert(consumer.clone(), (instance.clone(), now_ms.saturating_add(alive)));
        self.heard_of = Some(now_ms);
        self.patterns.extend(patterns.into_iter().map(|pattern| (pattern, now_ms)));
        self.patterns.retain(|_, last| is_remembered(*last, now_ms));
        GroupFacts {
            lease: *self.lease.get_or_insert(lease),
            taken_by: None,
            patterns: self.patterns.keys().cloned().collect(),
            position: self.position(),
            oldest_pending: self.oldest_pending(),
            missed: self.missed.take(),
            time: now_ms,
        }
    }

    /// A client start leaves its consumer, which goes unless entries are its own. Returns how many are.
    pub(super) fn remove_consumer(&mut self, consumer: &Arc<str>, instance: &Arc<str>) -> u64 {
        let pending = self.consumers.get(consumer).map_or(0, |c| c.pending.len() as u64);
        if self.alive.get(consumer).is_some_and(|(owner, _)| owner == instance) {
            self.alive.remove(consumer);
            if pending == 0 {
                self.consumers.remove(consumer);
            }
        }
        pending
    }

    /// Removes consumers that do not live and own nothing. Returns how many.
    pub(super) fn remove_dead_consumers(&mut self, now_ms: u64) -> u64 {
        let before = self.consumers.len();
        let alive = &self.alive;
        self.consumers.retain(|name, consumer| {
            let gone = match alive.get(name) {
                Some((_, until)) => *until <= now_ms,
                None => consumer.idle(now_ms) > STRANGER_IDLE,
            };
            !gone || !consumer.pending.is_empty()
        });
        let consumers = &self.consumers;
        self.alive.retain(|name, (_, until)| *until > now_ms || consumers.contains_key(name));
        (before - self.consumers.len()) as u64
    }

    /// The first entry that the group still needs; `None` when no client of it was heard of for long.
    pub(super) fn needs(&self, now_ms: u64) -> Option<EntryId> {
        let heard_of = self.heard_of.is_some_and(|last| is_remembered(last, now_ms));
        heard_of.then(|| self.oldest_pending().unwrap_or(self.position().next()))
    }
}

fn is_remembered(last: u64, now_ms: u64) -> bool {
    last.saturating_add(MEMORY) >= now_ms
}
