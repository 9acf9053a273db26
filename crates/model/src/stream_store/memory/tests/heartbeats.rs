//! Heartbeats, leaving, and what is swept.

use super::*;
use crate::stream_store::{ConsumerInfo, FACTS_FORMAT, Missed};

fn remove_consumer(rig: &mut Rig, consumer: &str, instance: &str) -> u64 {
    rig.count(Request::RemoveConsumer { member: member(consumer), instance: instance.into() })
}

fn consumers(rig: &mut Rig) -> Vec<String> {
    rig.describe().groups[0].consumers.iter().map(|consumer| consumer.name.clone()).collect()
}

#[test]
fn the_facts_of_a_group() {
    let mut rig = Rig::with(3);
    rig.read("a", 2);
    let facts = rig.heartbeat("a", "i", &["b.*", "a"]);
    assert_eq!(
        facts,
        GroupFacts {
            lease: 30_000,
            foreign_lease: 600_000,
            taken_by: None,
            patterns: vec!["a".into(), "b.*".into()],
            version: 1,
            outdated: false,
            new_patterns: vec!["b.*".into(), "a".into()],
            last: Some(id(1002, 0)),
            skipped: Vec::new(),
            take_up: Vec::new(),
            position: id(1001, 0),
            oldest_pending: Some(id(1000, 0)),
            time: 1002,
            format: FACTS_FORMAT,
        }
    );
    let other = Request::Heartbeat {
        member: member("b"),
        instance: "j".into(),
        alive: 5000,
        alive_key: "alive".into(),
        lease: 10,
        foreign_lease: 600_000,
        patterns: vec!["c".into()],
        mark: Some(id(1, 1)),
        version: 0,
        take_up: Vec::new(),
    };
    assert!(
        matches!(rig.execute(other), Response::Facts(GroupFacts { lease: 30_000, patterns, .. }) if patterns.len() == 3)
    );
    // A pattern that nobody has had for an hour is forgotten, unless the whole group has slept.
    rig.now += 3_600_001;
    assert_eq!(rig.heartbeat("a", "i", &["d"]).patterns, ["a", "b.*", "c", "d"]);
    for _ in 0..7 {
        rig.now += 599_000;
        rig.heartbeat("a", "i", &["d"]);
    }
    assert_eq!(rig.heartbeat("a", "i", &["d"]).patterns, ["d"]);
}

#[test]
fn a_name_belongs_to_one_that_lives() {
    let mut rig = Rig::with(0);
    rig.heartbeat("a", "first", &["x"]);
    rig.now += 4999;
    let refused = rig.heartbeat("a", "second", &["y"]);
    assert_eq!(refused, GroupFacts { taken_by: Some("first".into()), ..GroupFacts::default() });
    rig.now += 1;
    assert_eq!(rig.heartbeat("a", "second", &["y"]).patterns, ["x", "y"]);
    assert_eq!(rig.heartbeat("a", "first", &["x"]).taken_by.as_deref(), Some("second"));
}

#[test]
fn who_leaves_goes_unless_it_owns_something() {
    let mut rig = Rig::with(2);
    rig.read("a", 1);
    rig.read("b", 1);
    rig.heartbeat("a", "i", &[]);
    rig.heartbeat("b", "j", &[]);
    rig.acknowledge(&[id(1000, 0)]);
    assert_eq!(remove_consumer(&mut rig, "a", "another"), 0);
    assert_eq!(consumers(&mut rig), ["a", "b"]);
    assert_eq!(remove_consumer(&mut rig, "a", "i"), 0);
    assert_eq!(remove_consumer(&mut rig, "b", "j"), 1);
    assert_eq!(consumers(&mut rig), ["b"]);
    assert_eq!(rig.heartbeat("b", "k", &[]).taken_by, None);
}

#[test]
fn the_dead_are_swept_once_they_own_nothing() {
    let mut rig = Rig::with(2);
    let remove_dead_consumers =
        |rig: &mut Rig| rig.count(Request::RemoveDeadConsumers { member: member("a"), pause: 0 });
    for consumer in ["a", "busy", "dead", "stranger"] {
        rig.read_foreign(consumer, usize::from(consumer == "busy"));
    }
    rig.heartbeat("a", "i", &[]);
    rig.heartbeat("busy", "j", &[]);
    rig.heartbeat("dead", "k", &[]);
    assert_eq!(remove_dead_consumers(&mut rig), 0);
    rig.now += 5000;
    rig.heartbeat("a", "i", &[]);
    assert_eq!(remove_dead_consumers(&mut rig), 1);
    assert_eq!(consumers(&mut rig), ["a", "busy", "stranger"]);
    rig.now += 55_001;
    rig.heartbeat("a", "i", &[]);
    assert_eq!(remove_dead_consumers(&mut rig), 1);
    rig.acknowledge(&[id(1000, 0)]);
    assert_eq!(remove_dead_consumers(&mut rig), 1);
    assert_eq!(consumers(&mut rig), ["a"]);
}

#[test]
fn what_was_trimmed_unread_is_reported_once() {
    let mut rig = Rig::with(6);
    rig.read("a", 2);
    rig.trim_to(3);
    let missed = |rig: &mut Rig| {
        let mut missed = rig.streams.take_missed(&["s".into()], "g");
        missed.pop().map(|(_, missed)| missed)
    };
    let expected = Missed { count: 1, from: id(1001, 0), to: id(1003, 0) };
    assert_eq!(missed(&mut rig), Some(expected));
    assert_eq!(missed(&mut rig), None);
    rig.read("a", 1);
    for _ in 0..2 {
        rig.now += 1;
        rig.streams.append("s", fields("x"), Some(2), rig.now);
    }
    rig.trim_to(0);
    let expected = Missed { count: 4, from: id(1003, 0), to: id(1007, 1) };
    assert_eq!(missed(&mut rig), Some(expected));
    // What a group was told to pass over, it does not miss.
    rig.append("y");
    rig.trim_to(0);
    rig.execute(Request::SetPosition { stream: "s".into(), group: "g".into(), to: Position::New });
    assert_eq!(missed(&mut rig), None);
}

/// A consumer that waits and has got nothing yet is listed, while it lives.
#[test]
fn consumers_that_have_read_nothing_are_listed_while_they_live() {
    let mut rig = Rig::with(1);
    let row = |name: &str, pending, idle, alive| ConsumerInfo { name: name.to_owned(), pending, idle, alive };
    rig.read("dead", 1);
    rig.heartbeat("waits", "i", &["a"]);
    rig.now += 100;
    let group = |rig: &mut Rig| rig.describe().groups.remove(0);
    let listed = group(&mut rig);
    assert_eq!(listed.consumers, [row("dead", 1, 100, Some(false)), row("waits", 0, 100, Some(true))]);
    assert_eq!((listed.waiting(), listed.unowned(), listed.backlog()), (1, 1, Some(1)));
    rig.now += 5000;
    let dead = group(&mut rig);
    assert_eq!(dead.consumers.iter().map(|consumer| &*consumer.name).collect::<Vec<_>>(), ["dead"]);
    assert_eq!(dead.waiting(), 0);
}
