//! Appending, reading, acknowledging, and what there is to see of it.

use super::*;
use crate::stream_store::{ConsumerInfo, GroupInfo};

#[test]
fn ids_are_the_time_and_never_go_back() {
    let mut rig = Rig::new();
    assert_eq!(rig.append("a"), id(1000, 0));
    assert_eq!(rig.append("b"), id(1000, 1));
    rig.now = 500;
    assert_eq!(rig.append("c"), id(1000, 2));
    rig.now = 1001;
    assert_eq!(rig.append("d"), id(1001, 0));
    assert_eq!(rig.trim_to(0), 4);
    rig.now = 900;
    assert_eq!(rig.append("e"), id(1001, 1));
}

#[test]
fn a_cap_keeps_the_newest() {
    let mut rig = Rig::new();
    for n in 0..5 {
        rig.streams.append("s", fields(&n.to_string()), Some(2), rig.now);
    }
    let values: Vec<_> = rig.entries("s").into_iter().map(|e| e.fields).collect();
    assert_eq!(values, [fields("3"), fields("4")]);
}

#[test]
fn an_event_is_stored_once_within_its_time() {
    let mut rig = Rig::new();
    let mut once = |event: &str, now| rig.streams.append_once("s", fields("1"), None, event, 100, now);
    assert_eq!(once("a", 1000), (id(1000, 0), false));
    assert_eq!(once("a", 1099), (id(1000, 0), true));
    assert_eq!(once("b", 1099), (id(1099, 0), false));
    assert_eq!(once("a", 1100), (id(1100, 0), false));
    assert_eq!(once("a", 1101), (id(1100, 0), true));
    assert_eq!(rig.entries("s").len(), 3);
}

#[test]
fn a_group_starts_where_it_is_told() {
    for (from, position) in [
        (Position::New, id(1000, 1)),
        (Position::Beginning, EntryId::MIN),
        (Position::After(id(1000, 0)), id(1000, 0)),
        (Position::After(id(2000, 0)), id(2000, 0)),
    ] {
        let mut rig = Rig::new();
        rig.append("a");
        rig.append("b");
        assert_eq!(rig.ensure_group(from), (true, position));
        assert_eq!(rig.ensure_group(Position::New), (false, position));
    }
    let mut rig = Rig::new();
    assert_eq!(rig.ensure_group(Position::New), (true, EntryId::MIN));
    assert_eq!(rig.describe().length, 0);
}

#[test]
fn a_group_of_a_stream_that_started_again_starts_with_it() {
    let mut rig = Rig::new();
    rig.append("a");
    assert_eq!(rig.open_again(Position::After(id(1000, 1)), true), (true, EntryId::MIN));
    let mut rig = Rig::new();
    rig.append("a");
    assert_eq!(rig.open_again(Position::After(id(1000, 0)), true), (true, id(1000, 0)));
}

#[test]
fn each_entry_goes_to_one_consumer_of_a_group() {
    let mut rig = Rig::with(5);
    assert_eq!(rig.read("a", 2), [id(1000, 0), id(1001, 0)]);
    assert_eq!(rig.read("b", 100), [id(1002, 0), id(1003, 0), id(1004, 0)]);
    assert_eq!(rig.read("a", 100), []);
    rig.now += 7;
    let pending = rig.pending();
    assert_eq!(pending.len(), 5);
    assert_eq!(state(&pending[0]), ("a", 7, 1));
    assert_eq!(state(&pending[4]), ("b", 7, 1));
    rig.acknowledge(&[id(1000, 0), id(1003, 0), id(9, 9)]);
    assert_eq!(rig.pending().len(), 3);
}

#[test]
fn what_is_read_says_what_it_is() {
    let mut rig = Rig::with(1);
    let entries = rig.streams.read_group("s", "g", "a", 1, 1000).unwrap();
    assert_eq!(
        entries,
        [StoredEntry {
            id: id(1000, 0),
            deliveries: 1,
            started: false,
            unhandled_since: None,
            due_in: None,
            fields: fields("0")
        }]
    );
}

#[test]
fn several_streams_are_read_at_once_or_not_at_all() {
    let mut rig = Rig::with(3);
    rig.streams.append("t", fields("t"), None, 1000);
    let streams: [Arc<str>; 2] = ["s".into(), "t".into()];
    assert!(rig.streams.deliver(&streams, "g", "a", 2, 1000).is_err());
    assert_eq!(rig.pending(), []);
    let (group, from) = ("g".into(), Position::Beginning);
    rig.execute(Request::EnsureGroup { stream: "t".into(), group, from, restarted: false });
    let delivered = rig.streams.deliver(&streams, "g", "a", 2, 1000).unwrap();
    let told: Vec<_> = delivered.iter().map(|d| (&*d.stream, d.id.ms, d.fields[0].1.clone())).collect();
    let value = |text: &str| Box::from(text.as_bytes());
    assert_eq!(told, [("s", 1000, value("0")), ("s", 1001, value("1")), ("t", 1000, value("t"))]);
}

#[test]
fn without_a_group_there_is_an_error() {
    let mut rig = Rig::new();
    rig.append("a");
    let m = || member("a");
    for request in [
        Request::ExtendLease { member: m(), items: vec![] },
        Request::Requeue { member: m(), items: vec![], lease: 1, unhandled: false },
        Request::DeadLetter { member: m(), to: None, max_len: 1, letters: vec![] },
        Request::MarkStarted { member: m(), id: EntryId::MIN },
        Request::AnyExpired { member: m(), min_idle: 0 },
        Request::ListExpired { member: m(), min_idle: 0.into(), limit: 1, early: false, set_right: false },
        Request::Claim { member: m(), min_idle: 0.into(), early: false, ids: vec![] },
        Request::ClaimOwnPending { member: m(), after: EntryId::MIN, limit: 1, raise: false },
        Request::Heartbeat {
            member: m(),
            instance: "i".into(),
            alive: 1,
            alive_key: "alive".into(),
            lease: 1,
            foreign_lease: 600_000,
            patterns: vec![],
            mark: None,
            version: 0,
            take_up: Vec::new(),
        },
        Request::RemoveConsumer { member: m(), instance: "i".into() },
        Request::RemoveDeadConsumers { member: m(), pause: 0 },
        Request::Pending {
            stream: "s".into(),
            group: "g".into(),
            from: EntryId::MIN,
            limit: 1,
            min_idle: 0,
            consumer: None,
        },
        Request::SetPosition { stream: "s".into(), group: "g".into(), to: Position::New },
    ] {
        let error = rig.streams.execute(request.clone(), 0).unwrap_err();
        assert_eq!(error.kind, ErrorKind::NoGroup, "{request:?}");
        assert_eq!(error.message, "NOGROUP No such key 's' or consumer group 'g'");
    }
    assert!(rig.streams.read_group("t", "g", "a", 1, 0).is_err());
    // In Redis there is nothing wrong with these.
    assert_eq!(rig.execute(Request::Acknowledge { member: m(), ids: vec![id(1, 1)] }), Response::Done);
    assert_eq!(rig.count(Request::RemoveGroup { stream: "s".into(), group: "g".into() }), 0);
    assert_eq!(rig.execute(Request::Describe { stream: "t".into() }), Response::Stream(None));
    assert_eq!(rig.entries("t"), []);
    assert_eq!(rig.count(Request::Delete { stream: "t".into(), ids: vec![id(1, 1)] }), 0);
    assert_eq!(rig.count(Request::Trim { stream: "t".into(), max_len: Some(0), min_id: None }), 0);
}

#[test]
fn a_range_goes_both_ways() {
    let mut rig = Rig::with(5);
    let mut range = |from, to, limit, reverse| {
        let request = Request::Range { stream: "s".into(), from, to, limit, reverse };
        match rig.execute(request) {
            Response::Entries(entries) => entries.into_iter().map(|e| e.id.ms).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(range(EntryId::MIN, EntryId::MAX, 2, false), [1000, 1001]);
    assert_eq!(range(EntryId::MIN, EntryId::MAX, 2, true), [1004, 1003]);
    assert_eq!(range(id(1001, 0), id(1003, 0), 10, false), [1001, 1002, 1003]);
    assert_eq!(range(id(1001, 1), EntryId::last_of(1002), 10, true), [1002]);
    assert_eq!(range(id(1003, 0), id(1001, 0), 10, false), [0; 0]);
    assert_eq!(range(EntryId::MIN, EntryId::MAX, 0, false), [0; 0]);
}

#[test]
fn a_stream_is_described() {
    let mut rig = Rig::with(4);
    rig.read("b", 1);
    rig.read("a", 2);
    rig.now += 10;
    rig.acknowledge(&[id(1000, 0)]);
    let consumer =
        |name: &str, pending| ConsumerInfo { name: name.to_owned(), pending, idle: 10, alive: Some(false) };
    assert_eq!(rig.delete(&[id(1000, 0), id(7, 7)]), 1);
    assert_eq!(
        rig.describe(),
        StreamInfo {
            length: 3,
            first: Some(id(1001, 0)),
            last: Some(id(1003, 0)),
            last_generated: id(1003, 0),
            added: Some(4),
            groups: vec![GroupInfo {
                name: "g".into(),
                consumers: vec![consumer("a", 2), consumer("b", 0)],
                pending: 2,
                last_delivered: id(1002, 0),
                lag: Some(1),
                oldest_pending: Some(id(1001, 0)),
                lease: None,
                foreign_lease: None,
                skipped: Vec::new(),
            }],
        }
    );
    rig.delete(&[id(1003, 0)]);
    assert_eq!(rig.trim_to(0), 2);
    let facts = rig.describe();
    assert_eq!((facts.first, facts.last, facts.last_generated), (None, None, id(1003, 0)));
    assert_eq!((facts.groups[0].lag, facts.groups[0].pending), (Some(0), 2));
}

#[test]
fn the_lag_is_what_a_group_has_not_read() {
    let mut rig = Rig::with(6);
    let mut lags = Vec::new();
    for _ in 0..3 {
        lags.push(rig.describe().groups[0].lag);
        rig.read("a", 2);
    }
    rig.trim_to(1);
    rig.append("more");
    lags.push(rig.describe().groups[0].lag);
    assert_eq!(lags, [Some(6), Some(4), Some(2), Some(1)]);
}

#[test]
fn a_position_can_be_set() {
    let mut rig = Rig::with(3);
    rig.read("a", 3);
    let set = |to| Request::SetPosition { stream: "s".into(), group: "g".into(), to };
    rig.execute(set(Position::After(id(1000, 0))));
    // What was pending belongs to who reads it now, as if for the first time.
    rig.extend_lease("a", &[(id(1001, 0), Some(5))]);
    assert_eq!(rig.read("b", 1), [id(1001, 0)]);
    let pending = rig.pending();
    assert_eq!(pending.len(), 3);
    assert_eq!(state(&pending[1]), ("b", 0, 1));
    rig.execute(set(Position::Beginning));
    assert_eq!(rig.read("b", 9).len(), 3);
    rig.execute(set(Position::New));
    assert_eq!(rig.read("b", 9), []);
    rig.append("new");
    assert_eq!(rig.read("b", 9).len(), 1);
}

#[test]
fn a_group_goes_with_its_facts() {
    let mut rig = Rig::with(1);
    rig.read("a", 1);
    rig.heartbeat("a", "i", &["x.*"]);
    assert_eq!(rig.count(Request::RemoveGroup { stream: "s".into(), group: "g".into() }), 1);
    assert_eq!(rig.ensure_group(Position::Beginning), (true, EntryId::MIN));
    assert_eq!(rig.pending(), []);
    assert_eq!(rig.heartbeat("a", "j", &["y"]).patterns, ["y"]);
    assert_eq!(rig.read("a", 9).len(), 1);
}

#[test]
fn events_and_a_history_are_kept_for_a_while() {
    let mut rig = Rig::new();
    rig.streams.keep_event("event:1", b"{}", 100, 1000);
    let mut event = |now| rig.streams.execute(Request::Event { key: "event:1".into() }, now);
    assert_eq!(event(1099), Ok(Response::Event(Some(b"{}".as_slice().into()))));
    assert_eq!(event(1100), Ok(Response::Event(None)));
    for now in [1000, 1050, 1100, 1101] {
        rig.streams.append_to_history("history", fields("x"), 100, now);
    }
    let times: Vec<_> = rig.entries("history").iter().map(|e| e.id.ms).collect();
    assert_eq!(times, [1050, 1100, 1101]);
    assert_eq!(rig.execute(Request::Time), Response::Time(1000));
}
