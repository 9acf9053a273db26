//! What a group has delivered, and to whom; heartbeats of its consumers, and what depends on them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::stream_store::memory::log::Log;
use crate::stream_store::memory::read_past::ReadPast;
use crate::stream_store::{
    ConsumerId, ConsumerInfo, DELAYED, EntryId, FACTS_FORMAT, Fields, GroupFacts, GroupInfo, Missed,
    PendingEntry, Position,
};

/// For how long a pattern and a group are remembered after they were last heard of, in milliseconds.
const MEMORY: u64 = 3_600_000;
/// After how long without a heartbeat a group has slept: its patterns are those of clients that may come back.
const SLEEP: u64 = 600_000;

/// The client start that has a consumer's name.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) instance: Arc<str>,
    /// The key by which it lives.
    key: Arc<str>,
    /// When it last showed that it lives, and until when it counts as alive.
    shown: u64,
    pub(super) until: u64,
}

impl Holder {
    /// A client start that has left its consumer, or has never lived under that name.
    pub(super) fn left(instance: &Arc<str>) -> Self {
        Holder { instance: instance.clone(), key: "".into(), shown: 0, until: 0 }
    }
}

/// What a heartbeat tells.
pub(super) struct Heartbeat {
    pub(super) alive_key: Arc<str>,
    pub(super) instance: Arc<str>,
    /// The milliseconds for which the consumer counts as alive.
    pub(super) alive: u64,
    pub(super) lease: u64,
    pub(super) foreign_lease: u64,
    pub(super) patterns: Vec<String>,
    pub(super) version: u64,
    pub(super) take_up: Vec<(String, Position)>,
}

/// A consumer group of a stream.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// The last entry that was delivered as a new one.
    position: EntryId,
    pub(super) pending: BTreeMap<EntryId, Pending>,
    pub(super) consumers: BTreeMap<Arc<str>, Consumer>,
    /// Which client start lives behind a consumer's name, and until when it counts as alive.
    pub(super) alive: HashMap<Arc<str>, Holder>,
    pub(super) lease: Option<u64>,
    pub(super) foreign_lease: Option<u64>,
    /// When dead consumers were last removed.
    pub(super) swept_at: Option<u64>,
    /// When a client of the group was last heard of.
    pub(super) heard_of: Option<u64>,
    /// When a client last had a pattern.
    pub(super) patterns: BTreeMap<String, u64>,
    /// What was read past, and is to be taken up.
    pub(super) read_past: ReadPast,
    /// What was trimmed unread and not reported yet.
    pub(super) missed: Option<Missed>,
}

/// An entry that was delivered and not acknowledged.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) consumer: Arc<str>,
    /// When it was delivered, claimed or renewed; an entry that was handed back has this long before.
    pub(super) since: i64,
    pub(super) deliveries: u32,
    pub(super) started: bool,
    pub(super) unhandled_since: Option<u64>,
    /// When it is due, where a delay was asked for.
    pub(super) due: Option<u64>,
}

impl Pending {
    pub(super) fn idle(&self, now: i64) -> u64 {
        u64::try_from(now.saturating_sub(self.since)).unwrap_or(0)
    }

    /// Whether it was put off.
    pub(super) fn is_delayed(&self) -> bool {
        *self.consumer == *DELAYED
    }

    /// In how many milliseconds it is due; `None` if it is.
    pub(super) fn due_in(&self, now_ms: u64) -> Option<u64> {
        self.due?.checked_sub(now_ms).filter(|wait| *wait > 0)
    }

    /// Notes a delay. Where none is asked for, one that was asked for before goes on.
    pub(super) fn delay(&mut self, due_in: Option<u64>, now_ms: u64) {
        if let Some(wait) = due_in {
            self.due = Some(now_ms.saturating_add(wait));
        }
    }
}

/// A consumer of a group.
#[derive(Debug, Default)]
pub(super) struct Consumer {
    /// When it last asked for entries.
    pub(super) seen: u64,
    /// The pending entries that are its own.
    pub(super) pending: BTreeSet<EntryId>,
}

impl Consumer {
    pub(super) fn idle(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.seen)
    }
}

pub(super) fn signed(now_ms: u64) -> i64 {
    i64::try_from(now_ms).unwrap_or(i64::MAX)
}

impl Group {
    pub(super) fn new(position: EntryId) -> Self {
        Group { position, ..Group::default() }
    }

    pub(super) fn position(&self) -> EntryId {
        self.position
    }

    /// Goes on behind `position`. What is passed over is not missed.
    pub(super) fn set_position(&mut self, position: EntryId) {
        self.position = position;
        self.missed = None;
        self.read_past.forget();
    }

    pub(super) fn oldest_pending(&self) -> Option<EntryId> {
        self.pending.first_key_value().map(|(id, _)| *id)
    }

    /// The entry `id` was trimmed; the stream begins, or will begin, with `next`.
    pub(super) fn miss(&mut self, id: EntryId, next: EntryId) {
        if id > self.position {
            let from = self.position;
            let missed = self.missed.get_or_insert(Missed { count: 0, from, to: next });
            missed.count += 1;
            missed.to = next;
        }
    }

    /// Delivers new entries, oldest first.
    pub(super) fn deliver(
        &mut self,
        log: &Log,
        consumer: &str,
        limit: usize,
        now_ms: u64,
    ) -> Vec<(EntryId, Arc<Fields>)> {
        let consumer = self.see(consumer, now_ms);
        let new: Vec<_> =
            log.behind(self.position).take(limit).map(|(id, fields)| (id, fields.clone())).collect();
        for (id, _) in &new {
            self.position = *id;
            self.give(*id, &consumer, now_ms);
        }
        new
    }

    /// Makes a consumer the owner of a new entry, or of one that is delivered as if it were new.
    pub(super) fn give(&mut self, id: EntryId, consumer: &Arc<str>, now_ms: u64) {
        self.settle(id);
        if let Some(consumer) = self.consumers.get_mut(consumer) {
            consumer.pending.insert(id);
        }
        let (consumer, since) = (consumer.clone(), signed(now_ms));
        let pending =
            Pending { consumer, since, deliveries: 1, started: false, unhandled_since: None, due: None };
        self.pending.insert(id, pending);
    }

    /// An entry is pending no more.
    pub(super) fn settle(&mut self, id: EntryId) {
        if let Some(pending) = self.pending.remove(&id)
            && let Some(consumer) = self.consumers.get_mut(&pending.consumer)
        {
            consumer.pending.remove(&id);
        }
    }

    /// Notes that a consumer is there. Returns its name.
    pub(super) fn see(&mut self, consumer: &str, now_ms: u64) -> Arc<str> {
        let name = match self.consumers.get_key_value(consumer) {
            Some((name, _)) => name.clone(),
            None => consumer.into(),
        };
        self.consumers.entry(name.clone()).or_default().seen = now_ms;
        name
    }

    /// Whether no other client start has taken a consumer's name.
    pub(super) fn is_mine(&self, member: &ConsumerId) -> bool {
        self.alive.get(&member.consumer).is_none_or(|holder| holder.instance == member.instance)
    }

    pub(super) fn is_owned(&self, id: EntryId, member: &ConsumerId) -> bool {
        self.is_mine(member)
            && self.pending.get(&id).is_some_and(|pending| pending.consumer == member.consumer)
    }

    /// Whether a consumer is of another program.
    pub(super) fn is_foreign(&self, consumer: &str) -> bool {
        consumer != DELAYED && !self.alive.contains_key(consumer)
    }

    /// The pending entries from `from` on that are idle for `min_idle`, of all consumers or one, oldest first.
    pub(super) fn pending(
        &self,
        from: EntryId,
        min_idle: u64,
        limit: usize,
        consumer: Option<&str>,
        now_ms: u64,
    ) -> Vec<PendingEntry> {
        let entry = |(id, pending): (&EntryId, &Pending)| row(*id, pending, now_ms);
        let its = |entry: &PendingEntry| consumer.is_none_or(|name| *entry.consumer == *name);
        let entries =
            self.pending.range(from..).map(entry).filter(|entry| entry.idle >= min_idle && its(entry));
        entries.take(limit).collect()
    }

    pub(super) fn describe(&self, name: &str, log: &Log, now_ms: u64) -> GroupInfo {
        let lives = |holder: &Holder| holder.until > now_ms;
        let known = self.consumers.iter().map(|(name, consumer)| ConsumerInfo {
            name: name.to_string(),
            pending: consumer.pending.len() as u64,
            idle: consumer.idle(now_ms),
            alive: self.alive.get(name).map(lives),
        });
        let read_nothing =
            |(name, holder): &(&Arc<str>, &Holder)| lives(holder) && !self.consumers.contains_key(*name);
        let waiting = self.alive.iter().filter(read_nothing).map(|(name, holder)| ConsumerInfo {
            name: name.to_string(),
            pending: 0,
            idle: now_ms.saturating_sub(holder.shown),
            alive: Some(true),
        });
        let mut consumers: Vec<ConsumerInfo> = known.chain(waiting).collect();
        consumers.sort_by(|a, b| a.name.cmp(&b.name));
        GroupInfo {
            name: name.to_owned(),
            consumers,
            pending: self.pending.len() as u64,
            last_delivered: self.position,
            lag: Some(log.count_behind(self.position)),
            oldest_pending: self.oldest_pending(),
            lease: self.lease,
            foreign_lease: self.foreign_lease,
            skipped: self.read_past.counts(),
        }
    }

    /// A consumer says that it lives.
    pub(super) fn heartbeat(
        &mut self,
        log: &Log,
        consumer: &Arc<str>,
        heartbeat: Heartbeat,
        now_ms: u64,
    ) -> GroupFacts {
        let Heartbeat { alive_key, instance, alive, lease, foreign_lease, patterns, version, take_up } =
            heartbeat;
        if let Some(other) = self.alive.get(consumer)
            && other.instance != instance
            && other.until > now_ms
        {
            return GroupFacts { taken_by: Some(other.instance.to_string()), ..GroupFacts::default() };
        }
        if self.alive.values().all(|holder| holder.until <= now_ms) {
            self.read_past.backlog = log.last();
        }
        let until = now_ms.saturating_add(alive);
        self.alive.insert(consumer.clone(), Holder { instance, key: alive_key, shown: now_ms, until });
        let slept = self.heard_of.is_some_and(|last| last.saturating_add(SLEEP) < now_ms);
        self.heard_of = Some(now_ms);
        self.read_past.prune(now_ms);
        let kept = self.keep_patterns(patterns, slept, version, &take_up, now_ms);
        let outdated = kept.is_none();
        let new_patterns = kept.unwrap_or_default();
        GroupFacts {
            lease: *self.lease.get_or_insert(lease),
            foreign_lease: *self.foreign_lease.get_or_insert(foreign_lease),
            taken_by: None,
            patterns: self.patterns.keys().cloned().collect(),
            version: self.read_past.version,
            outdated,
            last: (!new_patterns.is_empty()).then(|| log.last()),
            new_patterns,
            skipped: self.read_past.types(),
            take_up: self.read_past.tasks(),
            position: self.position(),
            oldest_pending: self.oldest_pending(),
            time: now_ms,
            format: FACTS_FORMAT,
        }
    }

    /// Takes the patterns of a client. Those of a group that `slept` are kept for another hour. Returns those that are
    /// new; `None` where they are outdated, and not taken.
    fn keep_patterns(
        &mut self,
        patterns: Vec<String>,
        slept: bool,
        version: u64,
        take_up: &[(String, Position)],
        now_ms: u64,
    ) -> Option<Vec<String>> {
        if slept {
            self.patterns.values_mut().for_each(|last| *last = now_ms);
        }
        let before = self.patterns.len();
        self.patterns.retain(|_, last| is_remembered(*last, now_ms));
        if self.patterns.len() < before {
            self.read_past.version += 1;
        }
        let is_new = |pattern: &&String| !self.patterns.contains_key(*pattern);
        let new: Vec<String> = patterns.iter().filter(is_new).cloned().collect();
        if !new.is_empty() {
            if self.read_past.refuses(version) {
                return None;
            }
            self.read_past.take_up(take_up, &self.pending);
            self.read_past.version += 1;
        }
        self.patterns.extend(patterns.into_iter().map(|pattern| (pattern, now_ms)));
        Some(new)
    }

    /// The client start with that key lives for so many milliseconds.
    pub(super) fn keep_alive(&mut self, key: &str, ttl: u64, now_ms: u64) {
        for holder in self.alive.values_mut().filter(|holder| *holder.key == *key) {
            holder.shown = now_ms;
            holder.until = holder.until.max(now_ms.saturating_add(ttl));
        }
    }

    /// A client start leaves its consumer, which goes unless entries are its own. Returns how many are.
    pub(super) fn remove_consumer(&mut self, consumer: &Arc<str>, instance: &Arc<str>) -> u64 {
        let pending = self.consumers.get(consumer).map_or(0, |c| c.pending.len() as u64);
        if let Some(holder) = self.alive.get_mut(consumer).filter(|holder| holder.instance == *instance) {
            if pending == 0 {
                self.alive.remove(consumer);
                self.consumers.remove(consumer);
            } else {
                *holder = Holder::left(instance);
            }
        }
        pending
    }

    /// The first entry that the group still needs; `None` when no client of it was heard of for long. Nothing is to be
    /// missed before the first subscription.
    pub(super) fn needs(&self, now_ms: u64) -> Option<EntryId> {
        let is_live = match self.heard_of {
            Some(last) => is_remembered(last, now_ms),
            None => {
                let mut consumers = self.consumers.values();
                consumers.len() == 0 || consumers.any(|consumer| is_remembered(consumer.seen, now_ms))
            }
        };
        let needed = || self.oldest_pending().unwrap_or(self.position().next());
        is_live.then(|| self.read_past.oldest().map_or_else(needed, |oldest| oldest.min(needed())))
    }
}

/// A pending entry as it is listed.
pub(super) fn row(id: EntryId, pending: &Pending, now_ms: u64) -> PendingEntry {
    PendingEntry {
        id,
        consumer: pending.consumer.clone(),
        idle: pending.idle(signed(now_ms)),
        deliveries: pending.deliveries,
        foreign: false,
    }
}

fn is_remembered(last: u64, now_ms: u64) -> bool {
    last.saturating_add(MEMORY) >= now_ms
}
