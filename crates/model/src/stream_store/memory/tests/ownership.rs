//! Who owns an entry, how often it was delivered, and for how long it was idle.

use super::*;

const FIRST: EntryId = EntryId { ms: 1000, seq: 0 };
const SECOND: EntryId = EntryId { ms: 1001, seq: 0 };

#[test]
fn holding_renews_and_sets_the_count() {
    let mut rig = Rig::with(2);
    rig.read("a", 2);
    rig.now += 50;
    assert_eq!(rig.extend_lease("a", &[(FIRST, None), (SECOND, Some(4)), (id(5, 5), None)]), [id(5, 5)]);
    let pending = rig.pending();
    assert_eq!((state(&pending[0]), state(&pending[1])), (("a", 0, 1), ("a", 0, 4)));
}

#[test]
fn only_the_owner_holds_releases_begins_and_buries() {
    let mut rig = Rig::with(1);
    rig.read("a", 1);
    rig.now += 50;
    let before = rig.describe();
    assert_eq!(rig.extend_lease("b", &[(FIRST, Some(9))]), [FIRST]);
    assert_eq!(rig.requeue("b", &[(FIRST, 9)], true), [FIRST]);
    assert_eq!(rig.lost(Request::MarkStarted { member: member("b"), id: FIRST }), [FIRST]);
    let letters = vec![letter(FIRST, "failed")];
    let bury = Request::DeadLetter { member: member("b"), to: Some("dead".into()), max_len: 9, letters };
    assert_eq!(rig.lost(bury), [FIRST]);
    assert_eq!(state(&rig.pending()[0]), ("a", 50, 1));
    assert_eq!((rig.describe(), rig.entries("dead")), (before, vec![]));
    // An acknowledgement is good from anyone.
    rig.acknowledge(&[FIRST]);
    assert_eq!(rig.pending(), []);
}

#[test]
fn what_was_handed_back_can_be_claimed_at_once() {
    let mut rig = Rig::with(2);
    rig.read("a", 2);
    assert_eq!(rig.requeue("a", &[(FIRST, 0), (id(5, 5), 0)], false), [id(5, 5)]);
    assert_eq!(state(&rig.pending()[0]), ("a", 3_600_000, 0));
    let overdue = |rig: &mut Rig| match rig.execute(Request::ListExpired {
        member: member("b"),
        min_idle: 30_000.into(),
        limit: 10,
        early: false,
        set_right: false,
    }) {
        Response::Expired { entries, next_due_in: None, .. } => {
            entries.iter().map(|e| e.id).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(overdue(&mut rig), [FIRST]);
    let (entries, deleted) = rig.claim("b", 30_000, &[FIRST, SECOND]);
    assert_eq!((entries.len(), entries[0].id, entries[0].deliveries, deleted), (1, FIRST, 1, vec![]));
    assert_eq!((entries[0].started, entries[0].unhandled_since), (false, None));
    assert_eq!(entries[0].fields, fields("0"));
    let pending = rig.pending();
    assert_eq!((state(&pending[0]), state(&pending[1])), (("b", 0, 1), ("a", 0, 1)));
    assert_eq!(overdue(&mut rig), []);
    // Too late for whoever else has seen it overdue.
    assert_eq!(rig.claim("c", 30_000, &[FIRST]), (vec![], vec![]));
    assert!(rig.describe().groups[0].consumers.iter().all(|consumer| consumer.name != "c"));
}

#[test]
fn claims_end_with_their_lease() {
    let mut rig = Rig::with(1);
    rig.read("a", 1);
    rig.now += 29_999;
    assert_eq!(rig.claim("b", 30_000, &[FIRST]).0, []);
    rig.now += 1;
    let (entries, _) = rig.claim("b", 30_000, &[FIRST, id(5, 5)]);
    assert_eq!((entries.len(), entries[0].deliveries), (1, 2));
    assert_eq!(rig.extend_lease("a", &[(FIRST, None)]), [FIRST]);
    assert_eq!(rig.extend_lease("b", &[(FIRST, None)]), []);
}

#[test]
fn what_was_begun_is_told_until_it_ends() {
    let mut rig = Rig::with(1);
    rig.read("a", 1);
    let started = |rig: &mut Rig| rig.claim("a", 0, &[FIRST]).0[0].started;
    let mark_started = || Request::MarkStarted { member: member("a"), id: FIRST };
    assert_eq!(rig.lost(mark_started()), []);
    // Renewed while it runs.
    rig.extend_lease("a", &[(FIRST, None)]);
    assert!(started(&mut rig));
    // A retry is scheduled: the call has ended.
    rig.extend_lease("a", &[(FIRST, Some(2))]);
    assert!(!started(&mut rig));
    rig.lost(mark_started());
    rig.requeue("a", &[(FIRST, 2)], false);
    assert!(!started(&mut rig));
}

#[test]
fn who_renews_an_entry_or_hands_it_back_with_a_handler_ends_the_time_without_one() {
    let mut rig = Rig::with(2);
    rig.read("a", 2);
    let both = [(FIRST, 0), (SECOND, 0)];
    assert_eq!(rig.requeue("a", &both, true), []);
    let since =
        |entries: &[StoredEntry]| entries.iter().map(|e| e.unhandled_since.is_some()).collect::<Vec<_>>();
    assert_eq!(since(&rig.claim("b", 1, &[FIRST, SECOND]).0), [true, true]);
    assert_eq!(rig.extend_lease("b", &[(FIRST, None)]), []);
    assert_eq!(rig.requeue("b", &both[1..], false), []);
    rig.now += 10;
    assert_eq!(since(&rig.claim("c", 1, &[FIRST, SECOND]).0), [false, false]);
}

#[test]
fn the_first_time_that_an_entry_was_unhandled_is_told() {
    let mut rig = Rig::with(1);
    rig.read("a", 1);
    for _ in 0..3 {
        rig.now += 10;
        rig.requeue("a", &[(FIRST, 0)], true);
    }
    assert_eq!(rig.claim("b", 1, &[FIRST]).0[0].unhandled_since, Some(1010));
}

#[test]
fn a_consumer_finds_its_own_entries() {
    let mut rig = Rig::with(4);
    rig.read("a", 3);
    rig.read("b", 1);
    rig.now += 9;
    let mut claim_own_pending = |after, limit, raise| {
        let (entries, deleted) =
            rig.claimed(Request::ClaimOwnPending { member: member("a"), after, limit, raise });
        assert_eq!(deleted, []);
        entries.into_iter().map(|e| (e.id.ms, e.deliveries)).collect::<Vec<_>>()
    };
    assert_eq!(claim_own_pending(EntryId::MIN, 2, false), [(1000, 1), (1001, 1)]);
    assert_eq!(claim_own_pending(SECOND, 2, true), [(1002, 2)]);
    assert_eq!(claim_own_pending(id(1002, 0), 2, true), []);
    assert_eq!(rig.pending().iter().map(|e| e.idle).collect::<Vec<_>>(), [0, 0, 0, 9]);
    let stranger =
        Request::ClaimOwnPending { member: member("z"), after: EntryId::MIN, limit: 2, raise: true };
    assert_eq!(rig.claimed(stranger), (vec![], vec![]));
    assert_eq!(rig.describe().groups[0].consumers.len(), 2);
}

#[test]
fn own_entries_are_told_about_one_megabyte_at_a_time() {
    let mut rig = Rig::with(0);
    for _ in 0..10 {
        rig.append(&"x".repeat(300_000));
    }
    rig.read("a", 10);
    let mut after = EntryId::MIN;
    let mut counts = Vec::new();
    loop {
        let claim_own_pending =
            Request::ClaimOwnPending { member: member("a"), after, limit: 100, raise: false };
        let entries = rig.claimed(claim_own_pending).0;
        let Some(last) = entries.last() else { break };
        (after, counts) = (last.id, [counts, vec![entries.len()]].concat());
    }
    assert_eq!(counts, [4, 4, 2]);
}

#[test]
fn a_deleted_entry_is_pending_no_more_when_it_is_asked_for() {
    let mut rig = Rig::with(5);
    rig.read("a", 5);
    rig.trim_to(1);
    rig.now += 100;
    assert_eq!(rig.pending().len(), 5);
    assert_eq!(rig.claim("b", 50, &[FIRST]), (vec![], vec![FIRST]));
    assert_eq!(rig.extend_lease("a", &[(SECOND, None)]), [SECOND]);
    assert_eq!(rig.requeue("a", &[(id(1002, 0), 1)], true), [id(1002, 0)]);
    let claim_own_pending =
        Request::ClaimOwnPending { member: member("a"), after: EntryId::MIN, limit: 9, raise: false };
    let (entries, deleted) = rig.claimed(claim_own_pending);
    assert_eq!((entries.len(), entries[0].id.ms, deleted), (1, 1004, vec![id(1003, 0)]));
    assert_eq!(rig.pending().len(), 1);
}
