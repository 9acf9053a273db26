//! Dead letters, and the way back.

use super::*;
use crate::codec::Codec;
use crate::codec::dead_letter::DeadLetter;

fn dead(rig: &mut Rig) -> Vec<DeadLetter> {
    rig.entries("s:dlq").into_iter().map(|entry| Codec::Oxbus.read_dead_letter(entry, None)).collect()
}

fn dead_letter(rig: &mut Rig, letters: &[(EntryId, &'static str)], max_len: u64) -> Vec<EntryId> {
    let letters = letters.iter().map(|(id, reason)| letter(*id, reason)).collect();
    rig.lost(Request::DeadLetter { member: member("a"), to: Some("s:dlq".into()), max_len, letters })
}

fn appended(rig: &mut Rig, request: Request) -> Option<EntryId> {
    match rig.execute(request) {
        Response::Appended(id) => id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_buried_entry_is_moved() {
    let mut rig = Rig::with(3);
    rig.read("a", 2);
    rig.now = 5000;
    let first = id(1000, 0);
    assert_eq!(dead_letter(&mut rig, &[(first, "failed"), (id(1002, 0), "failed")], 10), [id(1002, 0)]);
    assert_eq!(rig.pending().len(), 1);
    let letters = dead(&mut rig);
    assert_eq!(letters.len(), 1);
    let l = &letters[0];
    assert_eq!((&*l.stream, &*l.group, &*l.consumer, &*l.message_id), ("s", "g", "a", "1000-0"));
    assert_eq!((l.attempts, &*l.reason, l.time_ms, l.id), (4, "failed", 5000, id(5000, 0)));
    assert_eq!((l.error["message"].as_str(), &l.fields), (Some("no"), &fields("0")));
    let names: Vec<_> = rig.entries("s:dlq")[0].fields.iter().map(|(n, _)| n.clone()).collect();
    let expected = [
        "data",
        "dlq-id",
        "dlq-stream",
        "dlq-group",
        "dlq-consumer",
        "dlq-attempts",
        "dlq-error",
        "dlq-reason",
        "dlq-time",
    ];
    assert_eq!(names, expected.map(|name| Box::from(name.as_bytes())));
    // The entry itself stays for other groups.
    assert_eq!(rig.describe().length, 3);
}

#[test]
fn without_dead_letters_an_entry_is_acknowledged() {
    let mut rig = Rig::with(1);
    rig.read("a", 1);
    let letters = vec![letter(id(1000, 0), "failed")];
    assert_eq!(rig.lost(Request::DeadLetter { member: member("a"), to: None, max_len: 0, letters }), []);
    assert_eq!(rig.pending(), []);
}

#[test]
fn a_deleted_entry_leaves_no_letter() {
    let mut rig = Rig::with(1);
    rig.read("a", 1);
    rig.delete(&[id(1000, 0)]);
    assert_eq!(dead_letter(&mut rig, &[(id(1000, 0), "failed")], 10), [id(1000, 0)]);
    assert_eq!((rig.pending(), dead(&mut rig)), (vec![], vec![]));
}

#[test]
fn dead_letters_are_bounded() {
    let mut rig = Rig::with(5);
    let letters: Vec<_> = rig.read("a", 5).into_iter().map(|id| (id, "failed")).collect();
    assert_eq!(dead_letter(&mut rig, &letters, 2), []);
    let kept: Vec<_> = dead(&mut rig).into_iter().map(|l| l.message_id).collect();
    assert_eq!(kept, ["1003-0", "1004-0"]);
}

#[test]
fn a_letter_goes_back_for_its_group_or_for_all() {
    for (for_group, group) in [(true, Some("g")), (false, None)] {
        let mut rig = Rig::with(1);
        rig.read("a", 1);
        dead_letter(&mut rig, &[(id(1000, 0), "failed")], 10);
        let buried = dead(&mut rig)[0].id;
        rig.now = 2000;
        let revive = Request::RequeueDeadLetter { letters: "s:dlq".into(), id: buried, for_group };
        assert_eq!(appended(&mut rig, revive.clone()), Some(id(2000, 0)));
        assert_eq!(dead(&mut rig), []);
        let mut expected = fields("0");
        expected.extend(group.map(|g| (Box::from(b"group".as_slice()), Box::from(g.as_bytes()))));
        assert_eq!(rig.entries("s")[1].fields, expected);
        assert_eq!(appended(&mut rig, revive), None);
        // Buried again it can go back to all.
        let again = rig.read("a", 1)[0];
        dead_letter(&mut rig, &[(again, "failed")], 10);
        let buried = dead(&mut rig)[0].id;
        let revive = Request::RequeueDeadLetter { letters: "s:dlq".into(), id: buried, for_group: false };
        appended(&mut rig, revive);
        assert_eq!(rig.entries("s")[2].fields, fields("0"));
    }
}

#[test]
fn what_does_not_say_where_it_came_from_stays_a_letter() {
    let mut rig = Rig::new();
    let letter = rig.streams.append("dead", fields("1"), None, 1000);
    assert_eq!(
        appended(
            &mut rig,
            Request::RequeueDeadLetter { letters: "dead".into(), id: letter, for_group: true }
        ),
        None
    );
    assert_eq!(rig.entries("dead").len(), 1);
}

#[test]
fn an_entry_is_delivered_again_to_one_group() {
    let mut rig = Rig::with(1);
    let redeliver = |group: &str, id| Request::Redeliver { stream: "s".into(), group: group.into(), id };
    let copy = appended(&mut rig, redeliver("g", id(1000, 0)));
    assert_eq!(copy, Some(id(1000, 1)));
    appended(&mut rig, redeliver("h", id(1000, 1)));
    assert_eq!(appended(&mut rig, redeliver("g", id(5, 5))), None);
    let groups: Vec<_> = rig.entries("s").iter().map(|e| e.fields.get(1).cloned()).collect();
    let group = |g: &str| Some((Box::from(b"group".as_slice()), Box::from(g.as_bytes())));
    assert_eq!(groups, [None, group("g"), group("h")]);
    assert!(rig.entries("s").iter().all(|e| e.fields.len() <= 2));
}
