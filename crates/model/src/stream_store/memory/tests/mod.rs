//! One file for each part; here is what they share.

mod dead_letters;
mod delays;
mod heartbeats;
mod ownership;
mod properties;
mod reading;
mod retention;

use std::sync::Arc;

use super::group::Holder;
use super::*;
use crate::stream_store::{
    DELAYED, DeadLetterEntry, GroupFacts, PendingEntry, Position, RetryState, StreamInfo,
};

/// The lease that entries are handed back under, in milliseconds.
const LEASE: u64 = 30_000;

/// A store with a stream `s`, and a time that stands still unless it is moved.
struct Rig {
    streams: Streams,
    now: u64,
}

fn member(consumer: &str) -> ConsumerId {
    ConsumerId { stream: "s".into(), group: "g".into(), consumer: consumer.into(), instance: "i".into() }
}

fn id(ms: u64, seq: u64) -> EntryId {
    EntryId { ms, seq }
}

fn fields(value: &str) -> Fields {
    vec![(b"data".as_slice().into(), value.as_bytes().into())]
}

impl Rig {
    fn new() -> Rig {
        Rig { streams: Streams::new(), now: 1000 }
    }

    /// With a group `g` from the beginning, and `count` entries, one in each millisecond.
    fn with(count: u64) -> Rig {
        let mut rig = Rig::new();
        rig.ensure_group(Position::Beginning);
        for n in 0..count {
            rig.now = 1000 + n;
            rig.append(&n.to_string());
        }
        rig
    }

    fn append(&mut self, value: &str) -> EntryId {
        self.streams.append("s", fields(value), None, self.now)
    }

    fn execute(&mut self, request: Request) -> Response {
        self.streams.execute(request, self.now).unwrap()
    }

    fn ensure_group(&mut self, from: Position) -> (bool, EntryId) {
        self.open_again(from, false)
    }

    fn open_again(&mut self, from: Position, restarted: bool) -> (bool, EntryId) {
        let request = Request::EnsureGroup { stream: "s".into(), group: "g".into(), from, restarted };
        match self.execute(request) {
            Response::Ensured { created, position, .. } => (created, position),
            other => panic!("{other:?}"),
        }
    }

    /// A consumer of ours reads, one that does not live.
    fn read(&mut self, consumer: &str, limit: usize) -> Vec<EntryId> {
        let (_, group) = self.streams.group("s", "g").unwrap();
        group.alive.entry(consumer.into()).or_insert_with(|| Holder::left(&"i".into()));
        self.read_foreign(consumer, limit)
    }

    /// A consumer reads that was never heard of.
    fn read_foreign(&mut self, consumer: &str, limit: usize) -> Vec<EntryId> {
        let entries = self.streams.read_group("s", "g", consumer, limit, self.now).unwrap();
        entries.into_iter().map(|entry| entry.id).collect()
    }

    fn acknowledge(&mut self, ids: &[EntryId]) {
        let request = Request::Acknowledge { member: member("anyone"), ids: ids.to_vec() };
        assert_eq!(self.execute(request), Response::Done);
    }

    fn lost(&mut self, request: Request) -> Vec<EntryId> {
        match self.execute(request) {
            Response::Fenced { not_owned: taken, deleted: gone, .. } => {
                let mut lost = [taken, gone].concat();
                lost.sort();
                lost
            }
            other => panic!("{other:?}"),
        }
    }

    fn extend_lease(&mut self, consumer: &str, items: &[(EntryId, Option<u32>)]) -> Vec<EntryId> {
        let items = items.iter().map(|(id, count)| (*id, count.map(RetryState::from))).collect();
        self.lost(Request::ExtendLease { member: member(consumer), items })
    }

    fn requeue(&mut self, consumer: &str, items: &[(EntryId, u32)], unhandled: bool) -> Vec<EntryId> {
        let items = items.iter().map(|(id, count)| (*id, (*count).into())).collect();
        self.lost(Request::Requeue { member: member(consumer), items, lease: LEASE, unhandled })
    }

    /// Hands an entry back until it is due.
    fn put_off(&mut self, consumer: &str, id: EntryId, deliveries: u32, wait: u64) -> Vec<EntryId> {
        let items = vec![(id, RetryState { deliveries, due_in: Some(wait) })];
        self.lost(Request::Requeue { member: member(consumer), items, lease: LEASE, unhandled: false })
    }

    /// The entries that can be claimed, and in how long the next can be.
    fn expired(&mut self, early: bool) -> (Vec<EntryId>, Option<u64>) {
        let (min_idle, limit) = (LEASE, 1000);
        match self.execute(Request::ListExpired {
            member: member("b"),
            min_idle: min_idle.into(),
            limit,
            early,
            set_right: false,
        }) {
            Response::Expired { entries, next_due_in, .. } => {
                (entries.iter().map(|e| e.id).collect(), next_due_in)
            }
            other => panic!("{other:?}"),
        }
    }

    fn claimed(&mut self, request: Request) -> (Vec<StoredEntry>, Vec<EntryId>) {
        match self.execute(request) {
            Response::Claimed { entries, deleted } => (entries, deleted),
            other => panic!("{other:?}"),
        }
    }

    fn claim(&mut self, consumer: &str, min_idle: u64, ids: &[EntryId]) -> (Vec<StoredEntry>, Vec<EntryId>) {
        self.claimed(Request::Claim {
            member: member(consumer),
            min_idle: min_idle.into(),
            early: false,
            ids: ids.to_vec(),
        })
    }

    fn pending(&mut self) -> Vec<PendingEntry> {
        let request = Request::Pending {
            stream: "s".into(),
            group: "g".into(),
            from: EntryId::MIN,
            limit: 1000,
            min_idle: 0,
            consumer: None,
        };
        match self.execute(request) {
            Response::Pending(entries) => entries,
            other => panic!("{other:?}"),
        }
    }

    fn count(&mut self, request: Request) -> u64 {
        match self.execute(request) {
            Response::Count(count) => count,
            other => panic!("{other:?}"),
        }
    }

    fn trim_to(&mut self, length: u64) -> u64 {
        self.count(Request::Trim { stream: "s".into(), max_len: Some(length), min_id: None })
    }

    fn delete(&mut self, ids: &[EntryId]) -> u64 {
        self.count(Request::Delete { stream: "s".into(), ids: ids.to_vec() })
    }

    fn describe(&mut self) -> StreamInfo {
        match self.execute(Request::Describe { stream: "s".into() }) {
            Response::Stream(Some(facts)) => facts,
            other => panic!("{other:?}"),
        }
    }

    fn entries(&mut self, stream: &str) -> Vec<StoredEntry> {
        let (from, to) = (EntryId::MIN, EntryId::MAX);
        match self.execute(Request::Range { stream: stream.into(), from, to, limit: 1000, reverse: false }) {
            Response::Entries(entries) => entries,
            other => panic!("{other:?}"),
        }
    }

    fn heartbeat(&mut self, consumer: &str, instance: &str, patterns: &[&str]) -> GroupFacts {
        let request = Request::Heartbeat {
            member: member(consumer),
            instance: instance.into(),
            alive: 5000,
            alive_key: "alive".into(),
            lease: 30_000,
            foreign_lease: 600_000,
            patterns: patterns.iter().map(|p| (*p).to_owned()).collect(),
            mark: None,
            version: 0,
            take_up: Vec::new(),
        };
        match self.execute(request) {
            Response::Facts(facts) => facts,
            other => panic!("{other:?}"),
        }
    }
}

/// Owner, idle time and delivery count.
fn state(entry: &PendingEntry) -> (&str, u64, u32) {
    (&entry.consumer, entry.idle, entry.deliveries)
}

fn letter(id: EntryId, reason: &'static str) -> DeadLetterEntry {
    DeadLetterEntry { id, attempts: 4, reason, error: Arc::from(r#"{"name":"E","message":"no"}"#) }
}
