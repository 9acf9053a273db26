//! Entries that are put off until they are due.

use super::*;

const FIRST: EntryId = EntryId { ms: 1000, seq: 0 };

#[test]
fn what_is_put_off_is_found_when_it_is_due() {
    let mut rig = Rig::with(3);
    let ids = rig.read("a", 3);
    assert_eq!(rig.put_off("a", ids[0], 1, 90_000), []);
    assert_eq!(rig.put_off("a", ids[1], 2, 60_000), []);
    assert_eq!(rig.expired(false), (vec![], Some(60_000)));
    assert_eq!(rig.extend_lease("a", &[(ids[0], None)]), [ids[0]], "it is not the consumer's any more");
    rig.now += 59_999;
    rig.acknowledge(&[ids[2]]);
    assert_eq!(rig.expired(false), (vec![], Some(1)), "neither its age nor a dead owner makes it expire");
    assert_eq!(rig.claim("b", 0, &ids).0, []);
    rig.now += 1;
    assert_eq!(rig.expired(false), (vec![ids[1]], Some(30_000)));
    let (entries, _) = rig.claim("b", LEASE, &ids);
    assert_eq!((entries.len(), entries[0].deliveries, entries[0].due_in), (1, 3, Some(0)));
    assert_eq!(rig.claim("c", LEASE, &ids).0, [], "one of two wins");
    rig.now += 30_000;
    assert_eq!(rig.expired(false), (vec![ids[0], ids[1]], None), "what is due, and what has expired");
    let (entries, _) = rig.claim("c", LEASE, &ids);
    // Its owner has died with an attempt that had begun.
    assert_eq!((entries[1].deliveries, entries[1].due_in), (4, None));
}

#[test]
fn several_are_found_in_the_order_in_which_they_are_due() {
    let mut rig = Rig::with(4);
    let ids = rig.read("a", 4);
    for (id, wait) in ids.iter().zip([400, 200, 300, 100_000]) {
        rig.put_off("a", *id, 1, wait);
    }
    rig.now += 400;
    assert_eq!(rig.expired(false).0, [ids[1], ids[2], ids[0]]);
    assert_eq!(rig.expired(true), (ids, None), "before it is due, by its place in the stream");
}

#[test]
fn who_claims_early_learns_when_it_is_due_and_may_hand_it_back() {
    let mut rig = Rig::with(1);
    rig.read("a", 1);
    rig.put_off("a", FIRST, 1, 90_000);
    rig.now += 10_000;
    let early = |rig: &mut Rig, consumer: &str| {
        let (member, min_idle, early) = (member(consumer), LEASE, true);
        rig.claimed(Request::Claim { member, min_idle: min_idle.into(), early, ids: vec![FIRST] }).0
    };
    let entries = early(&mut rig, "b");
    assert_eq!((entries[0].deliveries, entries[0].due_in), (2, Some(80_000)));
    // Who does not know of the delay hands it back: it is kept.
    assert_eq!(rig.requeue("b", &[(FIRST, 1)], false), []);
    assert_eq!((rig.expired(false), &*rig.pending()[0].consumer), ((vec![], Some(80_000)), DELAYED));
    let entries = early(&mut rig, "b");
    assert_eq!((entries[0].deliveries, entries[0].due_in), (2, Some(80_000)));
    // It dies. Whoever takes it over has to wait as well, and no attempt was made.
    rig.now += LEASE;
    let (entries, _) = rig.claim("c", LEASE, &[FIRST]);
    assert_eq!((entries[0].deliveries, entries[0].due_in), (2, Some(50_000)));
    rig.now += 50_000;
    let (entries, _) = rig.claim("d", LEASE, &[FIRST]);
    assert_eq!((entries[0].deliveries, entries[0].due_in), (3, None), "its attempt may have begun");
}

#[test]
fn a_delay_is_kept_when_its_owner_dies() {
    let mut rig = Rig::with(1);
    rig.read("a", 1);
    let items = vec![(FIRST, Some(RetryState { deliveries: 2, due_in: Some(3_600_000) }))];
    assert_eq!(rig.lost(Request::ExtendLease { member: member("a"), items }), []);
    rig.now += LEASE;
    let (entries, _) = rig.claim("b", LEASE, &[FIRST]);
    assert_eq!((entries[0].deliveries, entries[0].due_in), (2, Some(3_570_000)));
    let request =
        Request::ClaimOwnPending { member: member("b"), after: EntryId::MIN, limit: 9, raise: true };
    let (entries, _) = rig.claimed(request);
    assert_eq!((entries[0].deliveries, entries[0].due_in), (2, Some(3_570_000)), "nor by its own restart");
}

#[test]
fn to_who_looks_at_idle_times_alone_it_expires_after_the_lease_or_when_it_is_due() {
    let mut rig = Rig::with(2);
    let ids = rig.read("a", 2);
    rig.put_off("a", ids[0], 1, 10_000);
    rig.put_off("a", ids[1], 1, 3_600_000);
    assert_eq!(rig.pending().iter().map(|e| e.idle).collect::<Vec<_>>(), [20_000, 0]);
}
