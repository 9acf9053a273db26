//! Streams in a broker: who reads what, and when a read ends.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use oxbus_model::config::{Config, Environment};
use oxbus_model::consumer::{GroupKey, Read};
use oxbus_model::routing::router::ServerSubscription;
use oxbus_model::stream_store::{ConsumerId, EntryId, Fields, Position, Request, Response};
use oxbus_model::{BusError, ErrorKind};

use crate::client::ClientEvents;
use crate::host::Host;
use crate::memory::broker::{Appended, Broker, NewEntry, PersistedEvent};
use crate::memory::readers::EndedRead;
use crate::memory::store::MemoryStore;
use crate::publish::messages::Messages;
use crate::runtime::clock::Clock;
use crate::state::ClientState;
use crate::transport::context::TransportContext;
use crate::transport::store::Store;

struct Deaf;

impl Host for Deaf {
    fn wake(&self) {}
}

fn context() -> Arc<TransportContext> {
    let config = Config::resolve(r#"{"mode":"memory"}"#, &Environment::default()).unwrap();
    let state = ClientState::new(config, "instance", Arc::new(Deaf), Clock::start(None));
    let events = ClientEvents::detached(Arc::new(state));
    Arc::new(events.context(events.clone()))
}

fn fields(value: &str) -> Fields {
    vec![(b"data".as_slice().into(), value.as_bytes().into())]
}

fn entry<'a>(stream: &'a str, value: &str) -> NewEntry<'a> {
    NewEntry { stream, fields: fields(value), cap: 1000, once: None, live: None }
}

/// A broker at 1000 ms with streams `s` and `t`, and groups `g` and `h` on both.
struct Rig {
    broker: Broker,
}

impl Rig {
    fn new() -> Rig {
        let rig = Rig { broker: Broker::with_virtual_time(1000) };
        for (stream, group) in [("s", "g"), ("s", "h"), ("t", "g"), ("t", "h")] {
            let (stream, group, from) = (stream.into(), group.into(), Position::Beginning);
            rig.broker.execute(Request::EnsureGroup { stream, group, from, restarted: false }).unwrap();
        }
        rig
    }

    /// A client with so many readers.
    fn client(&self, readers: u32) -> u64 {
        let number = self.broker.join(context());
        assert!((0..readers).all(|key| self.broker.add_reader(number, GroupKey(key))));
        number
    }

    fn read_of(
        &self,
        number: u64,
        key: u32,
        group: &str,
        limit: usize,
    ) -> Result<Option<EndedRead>, BusError> {
        let streams = Arc::new([Arc::from("s"), Arc::from("t")]);
        let (group, consumer) = (group.into(), format!("c{number}").into());
        self.broker.read(number, Read { key: GroupKey(key), group, consumer, streams, limit, behind: None })
    }

    fn read(&self, number: u64, limit: usize) -> Option<EndedRead> {
        self.read_of(number, 0, "g", limit).unwrap()
    }

    /// Stores as the broker does, but tells nobody.
    fn store(&self, stream: &str, value: &str) -> Vec<EndedRead> {
        self.broker.store(entry(stream, value)).1
    }
}

fn values(ended: &EndedRead) -> Vec<String> {
    let value = |fields: &Fields| String::from_utf8_lossy(&fields[0].1).into_owned();
    ended.result.as_ref().unwrap().iter().map(|d| format!("{}{}", d.stream, value(&d.fields))).collect()
}

fn all_values(ended: &[EndedRead]) -> Vec<(u32, Vec<String>)> {
    ended.iter().map(|e| (e.key.0, values(e))).collect()
}

fn poll(future: &mut (impl Future<Output = ()> + Unpin)) -> Poll<()> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn what_is_there_is_read_at_once() {
    let rig = Rig::new();
    for n in ["1", "2", "3"] {
        assert!(rig.store("s", n).is_empty());
    }
    rig.store("t", "4");
    let client = rig.client(1);
    assert_eq!(values(&rig.read(client, 2).unwrap()), ["s1", "s2", "t4"]);
    assert_eq!(values(&rig.read(client, 2).unwrap()), ["s3"]);
    assert!(rig.read(client, 2).is_none());
}

#[test]
fn a_read_waits_for_an_entry_of_any_of_its_streams() {
    let rig = Rig::new();
    let client = rig.client(1);
    assert!(rig.read(client, 2).is_none());
    assert_eq!(all_values(&rig.store("t", "1")), [(0, vec!["t1".to_owned()])]);
    assert!(rig.store("s", "2").is_empty());
    assert_eq!(values(&rig.read(client, 2).unwrap()), ["s2"]);
}

#[test]
fn the_first_to_wait_is_the_first_served() {
    let rig = Rig::new();
    let clients: Vec<_> = (0..3).map(|_| rig.client(1)).collect();
    for client in [2, 0, 1].map(|n| clients[n]) {
        assert!(rig.read(client, 9).is_none());
    }
    let consumer = |rig: &Rig| {
        let request = Request::Pending {
            stream: "s".into(),
            group: "g".into(),
            from: EntryId::MIN,
            limit: 9,
            min_idle: 0,
            consumer: None,
        };
        match rig.broker.execute(request) {
            Ok(Response::Pending(entries)) => entries.last().unwrap().consumer.to_string(),
            other => panic!("{other:?}"),
        }
    };
    for client in [2, 0, 1].map(|n| clients[n]) {
        assert_eq!(rig.store("s", "x").len(), 1);
        assert_eq!(consumer(&rig), format!("c{client}"));
    }
    assert!(rig.store("s", "x").is_empty());
}

#[test]
fn each_group_gets_an_entry() {
    let rig = Rig::new();
    let client = rig.client(2);
    assert!(rig.read_of(client, 0, "g", 9).unwrap().is_none());
    assert!(rig.read_of(client, 1, "h", 9).unwrap().is_none());
    let expected = [(0, vec!["s1".to_owned()]), (1, vec!["s1".to_owned()])];
    assert_eq!(all_values(&rig.store("s", "1")), expected);
}

#[test]
fn requests_end_reads_too() {
    let rig = Rig::new();
    let client = rig.client(1);
    rig.store("s", "1");
    drop(rig.read(client, 9));
    assert!(rig.read(client, 9).is_none());
    let (stream, group) = (Arc::<str>::from("s"), Arc::<str>::from("g"));
    let id = EntryId { ms: 1000, seq: 0 };
    let again = Request::Redeliver { stream: stream.clone(), group: group.clone(), id };
    let (result, ended) = rig.broker.execute_untold(again);
    assert_eq!(result, Ok(Response::Appended(Some(EntryId { ms: 1000, seq: 1 }))));
    assert_eq!(all_values(&ended), [(0, vec!["s1".to_owned()])]);
    assert!(rig.read(client, 9).is_none());
    let (result, ended) = rig.broker.execute_untold(Request::RemoveGroup { stream, group });
    assert_eq!((result, ended.len()), (Ok(Response::Count(1)), 1));
    assert_eq!(ended[0].result.as_ref().unwrap_err().kind, ErrorKind::NoGroup);
    let refused = rig.read(client, 9).unwrap();
    assert_eq!(refused.result.as_ref().unwrap_err().kind, ErrorKind::NoGroup);
}

#[test]
fn a_letter_that_goes_back_ends_a_read() {
    let rig = Rig::new();
    let client = rig.client(1);
    let letter = vec![(b"dlq-stream".as_slice().into(), b"t".as_slice().into())];
    let id = rig.broker.store(NewEntry { fields: letter, ..entry("dead", "") }).0.id;
    assert!(rig.read(client, 9).is_none());
    let (_, ended) = rig.broker.execute_untold(Request::RequeueDeadLetter {
        letters: "dead".into(),
        id,
        for_group: false,
    });
    assert_eq!(ended.len(), 1);
}

#[test]
fn who_has_left_gets_nothing_more() {
    let rig = Rig::new();
    let (client, other) = (rig.client(1), rig.client(1));
    assert!(rig.read(client, 9).is_none());
    assert!(rig.read(other, 9).is_none());
    let (reader, waited) = rig.broker.remove_reader(client, GroupKey(0)).unwrap();
    assert!(waited);
    assert_eq!(poll(&mut Box::pin(reader.told())), Poll::Ready(()));
    assert_eq!(rig.read_of(client, 0, "g", 9).err().unwrap().kind, ErrorKind::Closed);
    assert!(rig.broker.remove_reader(client, GroupKey(0)).is_none());
    assert_eq!(rig.store("s", "1").len(), 1);
    assert!(rig.read(other, 9).is_none());
    assert_eq!(rig.broker.leave(other), [GroupKey(0)]);
    assert_eq!(rig.broker.leave(client), []);
    assert!(rig.store("s", "2").is_empty());
    assert!(!rig.broker.add_reader(other, GroupKey(0)));
    // What nobody has read is there for the next one.
    assert_eq!(values(&rig.read(rig.client(1), 9).unwrap()), ["s2"]);
}

#[test]
fn leaving_ends_when_all_is_told() {
    let rig = Rig::new();
    let client = rig.client(1);
    assert!(rig.read(client, 9).is_none());
    let untold = rig.store("s", "1");
    let (reader, waited) = rig.broker.remove_reader(client, GroupKey(0)).unwrap();
    assert!(!waited);
    let mut left = Box::pin(reader.told());
    assert_eq!(poll(&mut left), Poll::Pending);
    untold.into_iter().for_each(EndedRead::report);
    assert_eq!(poll(&mut left), Poll::Ready(()));
}

#[test]
fn an_event_is_stored_and_published_in_one_step() {
    let rig = Rig::new();
    let client = rig.client(0);
    assert!(rig.broker.subscribe(client, &ServerSubscription::Channel(b"a".as_slice().into())));
    let messages = Messages::of("a", b"{}");
    let event = || NewEntry { once: Some(("event", 100)), live: Some(&messages), ..entry("s", "1") };
    let id = EntryId { ms: 1000, seq: 0 };
    assert_eq!(rig.broker.store(event()).0, Appended { id, duplicate: false, receivers: 1 });
    assert_eq!(rig.broker.store(event()).0, Appended { id, duplicate: true, receivers: 0 });
    rig.broker.advance_to(1100);
    let again = EntryId { ms: 1100, seq: 0 };
    assert_eq!(rig.broker.store(event()).0, Appended { id: again, duplicate: false, receivers: 1 });
}

#[test]
fn time_stands_still_and_never_goes_back() {
    let rig = Rig::new();
    rig.broker.advance_to(5000);
    rig.broker.advance_to(4000);
    assert_eq!(rig.broker.execute(Request::Time), Ok(Response::Time(5000)));
    let wall = Broker::new();
    wall.advance_to(u64::MAX);
    assert!(wall.now_ms() < u64::MAX);
}

#[test]
fn events_are_kept_by_their_ids() {
    let rig = Rig::new();
    let kept = |key, history| PersistedEvent { key, json: b"{}", ttl: 100, history };
    rig.broker.keep(kept("event:1", Some(("history", fields("1")))));
    rig.broker.keep(kept("event:2", None));
    for (key, expected) in [("event:1", Some(Box::from(*b"{}"))), ("event:3", None)] {
        let event = rig.broker.execute(Request::Event { key: key.into() });
        assert_eq!(event, Ok(Response::Event(expected.map(|json: Box<[u8; 2]>| json as Box<[u8]>))));
    }
    match rig.broker.execute(Request::Describe { stream: "history".into() }) {
        Ok(Response::Stream(Some(facts))) => assert_eq!(facts.length, 1),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_is_executed_when_its_answer_is_taken() {
    let store = MemoryStore { broker: Arc::new(Broker::new()) };
    let open = || Request::EnsureGroup {
        stream: "s".into(),
        group: "g".into(),
        from: Position::Beginning,
        restarted: false,
    };
    drop(store.execute(open()));
    let created = |created| {
        Poll::Ready(Ok(Response::Ensured {
            created,
            position: EntryId::MIN,
            recreated: false,
            entries: None,
        }))
    };
    for expected in [created(true), created(false)] {
        let answer = store.execute(open()).as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(answer, expected);
    }
}

#[test]
fn of_many_that_write_and_read_at_once_each_entry_is_read_once() {
    const WRITERS: usize = 4;
    const READERS: usize = 3;
    const EACH: usize = 500;
    let rig = Rig::new();
    let (ended, told) = mpsc::channel();
    std::thread::scope(|scope| {
        let rig = &rig;
        for writer in 0..WRITERS {
            let ended = ended.clone();
            scope.spawn(move || {
                for n in 0..EACH {
                    let stream = if n % 2 == 0 { "s" } else { "t" };
                    rig.store(stream, &format!("{writer}-{n}"))
                        .into_iter()
                        .for_each(|e| ended.send(e).unwrap());
                }
            });
        }
        // A client for each reader, which has its number for a key.
        let clients: Vec<_> = (0..READERS).map(|_| rig.client(READERS as u32)).collect();
        let read = |key: u32| rig.read_of(clients[key as usize], key, "g", 7).unwrap();
        let (mut seen, mut count) = (HashSet::new(), 0);
        let mut open: Vec<_> = (0..READERS as u32).filter_map(read).collect();
        while count < WRITERS * EACH {
            let next = open.pop().unwrap_or_else(|| told.recv_timeout(Duration::from_secs(20)).unwrap());
            let values = values(&next);
            count += values.len();
            seen.extend(values);
            open.extend(read(next.key.0));
        }
        assert_eq!((seen.len(), count), (WRITERS * EACH, WRITERS * EACH));
    });
}

#[test]
fn what_a_group_has_left_over_is_told_once_for_each_group() {
    let rig = Rig::new();
    for n in ["1", "2"] {
        rig.store("s", n);
    }
    let client = rig.client(1);
    rig.read(client, 1);
    let left = |stream: &str| {
        let all = rig.broker.unsettled(stream);
        all.into_iter().map(|one| (one.id.seq, one.group.to_string(), one.read)).collect::<Vec<_>>()
    };
    let row = |seq, group: &str, read| (seq, group.to_owned(), read);
    assert_eq!(left("s"), [row(0, "g", true), row(0, "h", false), row(1, "g", false), row(1, "h", false)]);
    let (stream, group, consumer) = ("s".into(), "g".into(), "c1".into());
    let member = ConsumerId { stream, group, consumer, instance: "i".into() };
    rig.broker.execute(Request::Acknowledge { member, ids: vec![EntryId::first_of(1000)] }).unwrap();
    assert_eq!(left("s"), [row(0, "h", false), row(1, "g", false), row(1, "h", false)]);
    assert_eq!(left("t"), []);
    assert_eq!(left("none"), []);
}
