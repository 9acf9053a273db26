//! Streams in memory: what Redis does with [`Request`]s, as plain data.
//!
//! Ids, delivery counts and idle times are those that Redis 7 would give. Where Redis is vague, this is exact:
//! trimming keeps just the entries that were asked for, the lag of a group is always known, and so is what it
//! has missed.
//!
//! # Layout
//!
//! - this file: [`Streams`], and which request goes where; `expiring`: what is kept for a while
//! - `log`: the entries of a stream; `stream`: a stream with its groups, and how it is trimmed
//! - `group`: what a group has delivered, and the heartbeats of its consumers; `ownership`: who owns it, and what was put off;
//!   `read_past`, `skipping`: what it has skipped, and takes up
//! - `dead_letters`: copies of entries between streams
//! - `registry`: which streams were registered

mod dead_letters;
mod expiring;
mod group;
mod log;
mod ownership;
mod read_past;
mod registry;
mod skipping;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::{ConsumerId, EntryId, Fields, Missed, Request, Response, StoredEntry};
use crate::codec::Codec;
use crate::presence;
use crate::{BusError, ErrorKind};

use expiring::Expiring;
use group::{Group, Heartbeat};
use log::{Log, plain};
use registry::Registry;
use stream::Stream;

/// How many events are kept by their ids, and in a history, at the most: those that were kept first go first.
pub const MAX_KEPT_EVENTS: usize = 100_000;

/// An entry that was delivered as a new one.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivered {
    /// Its stream.
    pub stream: Arc<str>,
    /// Its id.
    pub id: EntryId,
    /// Its fields, shared with the stream.
    pub fields: Arc<Fields>,
}

/// All streams of a store.
#[derive(Debug)]
pub struct Streams {
    /// The format of the entries. Nobody but this process reads them, so it is always ours.
    codec: Codec,
    by_name: HashMap<Arc<str>, Stream>,
    events: Expiring<Box<[u8]>>,
    /// The streams that are histories, each with the time when it is gone.
    histories: HashMap<Arc<str>, u64>,
    /// Who is in which room, by its key. Without expiry: who dies takes the store along.
    attendance: HashMap<Arc<str>, BTreeSet<String>>,
    /// Until when client starts live, by key.
    living: HashMap<Arc<str>, u64>,
    /// The registries of streams, by key.
    registries: HashMap<Arc<str>, Registry>,
}

impl Default for Streams {
    fn default() -> Self {
        Streams {
            codec: Codec::Oxbus,
            by_name: HashMap::new(),
            events: Expiring::new(MAX_KEPT_EVENTS),
            histories: HashMap::new(),
            attendance: HashMap::new(),
            living: HashMap::new(),
            registries: HashMap::new(),
        }
    }
}

impl Streams {
    /// No streams.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an entry, and trims the stream to its newest `cap` entries.
    pub fn append(&mut self, stream: &str, fields: Fields, cap: Option<u64>, now_ms: u64) -> EntryId {
        self.with(stream, |s| s.append(fields.into(), cap, now_ms))
    }

    /// As [`Streams::append`], unless an entry for the same event was appended within `ttl_ms` milliseconds: then
    /// that one is told, and true.
    pub fn append_once(
        &mut self,
        stream: &str,
        fields: Fields,
        cap: Option<u64>,
        event_id: &str,
        ttl_ms: u64,
        now_ms: u64,
    ) -> (EntryId, bool) {
        self.with(stream, |s| {
            if let Some(id) = s.duplicates.get(event_id, now_ms) {
                return (*id, true);
            }
            let id = s.append(fields.into(), cap, now_ms);
            s.duplicates.set(event_id, id, ttl_ms, now_ms);
            (id, false)
        })
    }

    /// Appends an entry to a history, and removes from it what is older than `ttl_ms` milliseconds. The history is gone
    /// so long after its last entry.
    pub fn append_to_history(&mut self, history: &str, fields: Fields, ttl_ms: u64, now_ms: u64) -> EntryId {
        self.forget_histories(now_ms);
        let until = now_ms.saturating_add(ttl_ms);
        let gone_at = self.histories.entry(history.into()).or_default();
        *gone_at = until.max(*gone_at);
        self.with(history, |s| {
            let id = s.append(fields.into(), Some(MAX_KEPT_EVENTS as u64), now_ms);
            s.trim_before(EntryId::first_of(now_ms.saturating_sub(ttl_ms)));
            id
        })
    }

    /// Removes histories whose last entry is too old.
    fn forget_histories(&mut self, now_ms: u64) {
        let Streams { histories, by_name, .. } = self;
        histories.retain(|name, gone_at| {
            let stays = *gone_at > now_ms;
            if !stays {
                by_name.remove(name);
            }
            stays
        });
    }

    /// Keeps an event by its key, for `ttl_ms` milliseconds.
    pub fn keep_event(&mut self, key: &str, json: &[u8], ttl_ms: u64, now_ms: u64) {
        self.events.set(key, json.into(), ttl_ms, now_ms);
    }

    /// Delivers new entries of some streams to a consumer of a group, oldest first, at most `limit` of each stream.
    ///
    /// # Errors
    /// `NO_GROUP` where one of the streams has no such group; then nothing is delivered.
    pub fn deliver(
        &mut self,
        streams: &[Arc<str>],
        group: &str,
        consumer: &str,
        limit: usize,
        now_ms: u64,
    ) -> Result<Vec<Delivered>, BusError> {
        for stream in streams {
            self.group(stream, group)?;
        }
        let mut all = Vec::new();
        for stream in streams {
            let (log, group) = self.group(stream, group)?;
            let delivered = group.deliver(log, consumer, limit, now_ms).into_iter();
            all.extend(delivered.map(|(id, fields)| Delivered { stream: stream.clone(), id, fields }));
        }
        Ok(all)
    }

    /// What a group has missed of these streams since it was asked last. A reader asks before it reads.
    pub fn take_missed(&mut self, streams: &[Arc<str>], group: &str) -> Vec<(Arc<str>, Missed)> {
        let missed = |stream: &Arc<str>| {
            let (_, group) = self.group(stream, group).ok()?;
            Some((stream.clone(), group.missed.take()?))
        };
        streams.iter().filter_map(missed).collect()
    }

    /// As [`Streams::deliver`], of one stream, and with copies of the entries.
    ///
    /// # Errors
    /// `NO_GROUP`.
    pub fn read_group(
        &mut self,
        stream: &str,
        group: &str,
        consumer: &str,
        limit: usize,
        now_ms: u64,
    ) -> Result<Vec<StoredEntry>, BusError> {
        let (log, group) = self.group(stream, group)?;
        let delivered = group.deliver(log, consumer, limit, now_ms);
        Ok(delivered.iter().map(|(id, fields)| StoredEntry { deliveries: 1, ..plain(*id, fields) }).collect())
    }

    /// Executes a request.
    ///
    /// # Errors
    /// `NO_GROUP` where the stream or the group does not exist.
    pub fn execute(&mut self, request: Request, now_ms: u64) -> Result<Response, BusError> {
        self.forget_histories(now_ms);
        Ok(match request {
            Request::EnsureGroup { stream, group, from, restarted } => {
                self.with(&stream, |s| s.ensure_group(group, from, restarted))
            }
            Request::Acknowledge { member: ConsumerId { stream, group, .. }, ids } => {
                // As in Redis it is no error where there is nothing to acknowledge.
                if let Ok((_, group)) = self.group(&stream, &group) {
                    ids.into_iter().for_each(|id| group.settle(id));
                }
                Response::Done
            }
            Request::ExtendLease { member, items } => {
                let (log, group) = self.group_of(&member)?;
                group.extend_lease(log, &member, &items, now_ms)
            }
            Request::Requeue { member, items, lease, unhandled } => {
                let (log, group) = self.group_of(&member)?;
                group.requeue(log, &member, &items, lease, unhandled, now_ms)
            }
            Request::DeadLetter { member, to, max_len, letters } => {
                self.dead_letter(&member, to.as_deref(), max_len, &letters, now_ms)?
            }
            Request::MarkStarted { member, id } => {
                let (log, group) = self.group_of(&member)?;
                group.mark_started(log, &member, id)
            }
            Request::AnyExpired { member, min_idle } => {
                let (_, group) = self.group_of(&member)?;
                Response::Pending(group.pending(EntryId::MIN, min_idle, 1, None, now_ms))
            }
            Request::ListExpired { member, min_idle, limit, early, set_right } => {
                let (_, group) = self.group_of(&member)?;
                if set_right {
                    group.set_right(now_ms);
                }
                group.list_expired(min_idle, limit, early, now_ms)
            }
            Request::Claim { member, min_idle, early, ids } => {
                let (log, group) = self.group_of(&member)?;
                group.claim(log, &member, (min_idle, early), &ids, now_ms)
            }
            Request::ClaimOwnPending { member, after, limit, raise } => {
                let (log, group) = self.group_of(&member)?;
                group.claim_own_pending(log, &member, (after, limit), raise, now_ms)
            }
            Request::Heartbeat {
                member,
                instance,
                alive,
                alive_key,
                lease,
                foreign_lease,
                patterns,
                mark: _,
                version,
                take_up,
            } => {
                // The mark is for the day when a group is lost; here a group goes only with its facts.
                let (log, group) = self.group_of(&member)?;
                let heartbeat = Heartbeat {
                    alive_key,
                    instance,
                    alive,
                    lease,
                    foreign_lease,
                    patterns,
                    version,
                    take_up,
                };
                Response::Facts(group.heartbeat(log, &member.consumer, heartbeat, now_ms))
            }
            Request::KeepAlive { key, ttl } => {
                let groups = self.by_name.values_mut().flat_map(|s| s.groups.values_mut());
                groups.for_each(|group| group.keep_alive(&key, ttl, now_ms));
                self.living.retain(|_, until| *until > now_ms);
                Response::Count(self.living.insert(key, now_ms.saturating_add(ttl)).is_some().into())
            }
            Request::Skip { member, version, entries } => {
                let (_, group) = self.group_of(&member)?;
                skipping::skip(group, &member, version, &entries, now_ms)
            }
            Request::TakeUp { member, told, tasks, limit } => {
                let codec = self.codec.clone();
                let (log, group) = self.group_of(&member)?;
                skipping::take_up(group, log, &codec, &member, (&told, &tasks), limit, now_ms)
            }
            Request::RemoveConsumer { member, instance } => {
                Response::Count(self.group_of(&member)?.1.remove_consumer(&member.consumer, &instance))
            }
            Request::RemoveDeadConsumers { member, pause } => {
                Response::Count(self.group_of(&member)?.1.remove_dead_consumers(pause, now_ms))
            }
            Request::ApplyRetention { stream, instance, max_len, max_age, safe } => {
                let retain = |s: &mut Stream| s.apply_retention(&instance, max_len, max_age, safe, now_ms);
                Response::Count(self.by_name.get_mut(&stream).map_or(0, retain))
            }
            Request::Range { stream, from, to, limit, reverse } => {
                let range = |s: &Stream| s.log.range(from, to, limit, reverse);
                Response::Entries(self.by_name.get(&stream).map(range).unwrap_or_default())
            }
            Request::Describe { stream } => {
                Response::Stream(self.by_name.get(&stream).map(|s| s.describe(now_ms)))
            }
            Request::Pending { stream, group, from, limit, min_idle, consumer } => {
                let (_, group) = self.group(&stream, &group)?;
                Response::Pending(group.pending(from, min_idle, limit, consumer.as_deref(), now_ms))
            }
            Request::Delete { stream, ids } => {
                let delete = |s: &mut Stream| ids.iter().filter(|id| s.log.remove(**id)).count();
                Response::Count(self.by_name.get_mut(&stream).map_or(0, delete) as u64)
            }
            Request::Trim { stream, max_len, min_id } => {
                let trim = |s: &mut Stream| {
                    max_len.map_or(0, |length| s.trim_to(length)) + min_id.map_or(0, |id| s.trim_before(id))
                };
                Response::Count(self.by_name.get_mut(&stream).map_or(0, trim))
            }
            Request::SetPosition { stream, group, to } => {
                let (log, group) = self.group(&stream, &group)?;
                group.set_position(log.position(to));
                Response::Done
            }
            Request::RemoveGroup { stream, group } => {
                let removed = self.by_name.get_mut(&stream).and_then(|s| s.groups.remove(&group));
                Response::Count(removed.is_some().into())
            }
            Request::RequeueDeadLetter { letters, id, for_group } => {
                Response::Appended(self.requeue_dead_letter(&letters, id, for_group, now_ms))
            }
            Request::Redeliver { stream, group, id } => {
                Response::Appended(self.redeliver(&stream, &group, id, now_ms))
            }
            Request::Event { key } => Response::Event(self.events.get(&key, now_ms).cloned()),
            Request::UpdatePresence { key, add, remove, ttl: _ } => {
                let present = self.attendance.entry(key.clone()).or_default();
                for entry in &remove {
                    present.remove(entry);
                }
                present.extend(add);
                if present.is_empty() {
                    self.attendance.remove(&key);
                }
                Response::Done
            }
            Request::ListPresence { key } => {
                Response::Names(self.attendance.get(&key).into_iter().flatten().cloned().collect())
            }
            Request::Exists { stream } => Response::Count(self.by_name.contains_key(&stream).into()),
            Request::RegisterStreams { key, streams } => {
                self.registries.entry(key).or_default().register(streams, now_ms);
                Response::Done
            }
            Request::ListRegistered { key } => {
                Response::Registered(self.registries.get(&key).map(Registry::streams).unwrap_or_default())
            }
            Request::ScanStreams { .. } => Response::Scanned {
                next: None,
                names: self.by_name.keys().map(|name| name.to_string()).collect(),
            },
            Request::Time | Request::TimeOfStream { .. } => Response::Time(now_ms),
        })
    }

    /// Takes a client start out of all rooms.
    pub fn depart(&mut self, instance_id: &str) {
        self.attendance.retain(|_, present| {
            present.retain(|entry| presence::instance_of(entry) != instance_id);
            !present.is_empty()
        });
    }

    /// What `act` makes of a stream, which is made where it is missing.
    fn with<T>(&mut self, name: &str, act: impl FnOnce(&mut Stream) -> T) -> T {
        match self.by_name.get_mut(name) {
            Some(stream) => act(stream),
            None => act(self.by_name.entry(name.into()).or_default()),
        }
    }

    fn group_of(&mut self, member: &ConsumerId) -> Result<(&Log, &mut Group), BusError> {
        self.group(&member.stream, &member.group)
    }

    fn group(&mut self, stream: &str, group: &str) -> Result<(&Log, &mut Group), BusError> {
        let found = self.by_name.get_mut(stream).and_then(|s| Some((&s.log, s.groups.get_mut(group)?)));
        found.ok_or_else(|| {
            let message = format!("NOGROUP No such key '{stream}' or consumer group '{group}'");
            BusError::new(ErrorKind::NoGroup, message)
        })
    }
}
