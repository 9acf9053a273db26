//! Trimming.

use super::*;

fn apply_retention(
    rig: &mut Rig,
    instance: &str,
    max_len: Option<u64>,
    max_age: Option<u64>,
    safe: bool,
) -> u64 {
    rig.count(Request::ApplyRetention {
        stream: "s".into(),
        instance: instance.into(),
        max_len,
        max_age,
        safe,
    })
}

fn first(rig: &mut Rig) -> Option<u64> {
    rig.describe().first.map(|id| id.ms)
}

#[test]
fn a_stream_is_trimmed_exactly() {
    let mut rig = Rig::with(10);
    assert_eq!((rig.trim_to(8), rig.trim_to(8), first(&mut rig)), (2, 0, Some(1002)));
    let min_id = Some(id(1004, 1));
    assert_eq!(rig.count(Request::Trim { stream: "s".into(), max_len: None, min_id }), 3);
    assert_eq!(first(&mut rig), Some(1005));
    assert_eq!(rig.count(Request::Trim { stream: "s".into(), max_len: Some(4), min_id }), 1);
}

#[test]
fn one_janitor_trims_at_a_time() {
    let mut rig = Rig::with(10);
    assert_eq!(apply_retention(&mut rig, "a", Some(9), None, false), 1);
    assert_eq!(apply_retention(&mut rig, "b", Some(8), None, false), 0);
    assert_eq!(apply_retention(&mut rig, "a", Some(8), None, false), 1);
    rig.now += 15_000;
    assert_eq!(apply_retention(&mut rig, "b", Some(7), None, false), 1);
    assert_eq!(apply_retention(&mut rig, "a", Some(6), None, false), 0);
    assert_eq!(
        rig.count(Request::ApplyRetention {
            stream: "other".into(),
            instance: "a".into(),
            max_len: Some(0),
            max_age: None,
            safe: false
        }),
        0
    );
}

#[test]
fn what_is_too_old_goes() {
    let mut rig = Rig::with(10);
    rig.now = 1109;
    assert_eq!(apply_retention(&mut rig, "a", None, Some(105), false), 4);
    assert_eq!(first(&mut rig), Some(1004));
    assert_eq!(apply_retention(&mut rig, "a", Some(2), Some(103), false), 4);
    assert_eq!(first(&mut rig), Some(1008));
}

#[test]
fn nothing_goes_that_a_live_group_needs() {
    let mut rig = Rig::with(10);
    rig.read("a", 4);
    rig.acknowledge(&[id(1000, 0), id(1001, 0), id(1003, 0)]);
    // A group that was not heard of for long is not waited for.
    rig.heartbeat("a", "i", &[]);
    assert_eq!(apply_retention(&mut rig, "a", Some(0), Some(0), true), 2);
    assert_eq!(first(&mut rig), Some(1002));
    rig.acknowledge(&[id(1002, 0)]);
    assert_eq!(apply_retention(&mut rig, "a", Some(0), Some(0), true), 2);
    assert_eq!(first(&mut rig), Some(1004));
    rig.now += 3_600_001;
    assert_eq!(apply_retention(&mut rig, "a", Some(3), None, true), 3);
    assert_eq!(apply_retention(&mut rig, "a", Some(0), None, true), 3);
}

#[test]
fn a_group_that_nobody_has_subscribed_to_yet_misses_nothing() {
    let mut rig = Rig::with(10);
    rig.now += 7_200_000;
    assert_eq!(apply_retention(&mut rig, "a", Some(2), None, true), 0);
    // A group of another program is live while its consumers are.
    rig.read("other", 5);
    rig.acknowledge(&(1000..1005).map(|ms| id(ms, 0)).collect::<Vec<_>>());
    assert_eq!(apply_retention(&mut rig, "a", Some(2), None, true), 5);
    rig.now += 3_600_001;
    assert_eq!(apply_retention(&mut rig, "b", Some(2), None, true), 3);
}

#[test]
fn a_janitor_goes_step_by_step() {
    let mut rig = Rig::new();
    for _ in 0..10_100 {
        rig.append("x");
    }
    assert_eq!(apply_retention(&mut rig, "a", Some(50), None, false), 10_000);
    assert_eq!(apply_retention(&mut rig, "a", Some(50), None, false), 50);
}
