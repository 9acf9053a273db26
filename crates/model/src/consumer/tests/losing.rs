//! Entries that are deleted while they are held, and names that are taken.

use crate::consumer::Announcement;
use crate::consumer::tests::world::*;
use crate::delivery::Settlement;
use crate::stream_store::{ConsumerId, EntryId, Request};

/// The entries that were told to be lost: how many, the first, the last.
fn lost(announced: &[Announcement]) -> Vec<(u64, EntryId, EntryId)> {
    let lost = |a: &Announcement| match a {
        Announcement::MessagesLost { missed, .. } => Some((missed.count, missed.from, missed.to)),
        _ => None,
    };
    announced.iter().filter_map(lost).collect()
}

fn claims_lost(announced: &[Announcement]) -> usize {
    announced.iter().filter(|a| matches!(a, Announcement::ClaimLost { .. })).count()
}

fn delete(b: &mut Bench, ids: &[EntryId]) {
    let request = Request::Delete { stream: "s".into(), ids: ids.to_vec() };
    b.world.store.execute(request, b.world.now).unwrap();
}

#[test]
fn what_is_deleted_is_told_once_unless_a_handler_succeeds_with_it() {
    let mut b = Bench::new(&options());
    let ids = b.publish(19);
    let out = b.take();
    assert_eq!(out.len(), 16);
    delete(&mut b, &[ids[0], ids[1], ids[2], ids[16], ids[18]]);
    b.pass(LEASE / 2);
    let announced = b.announced();
    assert_eq!((lost(&announced), claims_lost(&announced)), (vec![(2, ids[16], ids[18])], 0));
    b.settle(out[0].token, Settlement::Succeeded);
    assert_eq!(lost(&b.announced()), []);
    b.settle(out[1].token, RETRYABLE);
    assert_eq!(lost(&b.announced()), [(1, ids[1], ids[1])]);
    b.settle(out[2].token, Settlement::Failed { retryable: false });
    assert_eq!(lost(&b.announced()), [(1, ids[2], ids[2])]);
    for d in &out[3..] {
        b.settle(d.token, Settlement::Succeeded);
    }
    let last = b.take();
    assert_eq!(last.iter().map(|d| d.stored.as_ref().unwrap().id).collect::<Vec<_>>(), [ids[17]]);
    b.settle(last[0].token, Settlement::Succeeded);
    b.pass(LEASE);
    assert_eq!((lost(&b.announced()), b.pending(), b.world.letters("s")), (vec![], vec![], vec![]));
    assert!(b.client.consumer.is_settled(None) && b.client.consumer.waiting() == (0, 0));
}

#[test]
fn what_is_deleted_before_it_is_buried_or_handed_back_is_told() {
    let mut b = Bench::new(&options());
    let ids = b.publish(3);
    let out = b.take();
    delete(&mut b, &ids);
    b.settle(out[0].token, Settlement::Failed { retryable: false });
    assert_eq!(lost(&b.announced()), [(1, ids[0], ids[0])]);
    b.settle(out[1].token, Settlement::NotHandled);
    assert_eq!(lost(&b.announced()), [(1, ids[1], ids[1])]);
    b.settle(out[2].token, RETRYABLE);
    assert_eq!(lost(&b.announced()), [(1, ids[2], ids[2])]);
    b.pass(LEASE);
    assert!(b.take().is_empty() && b.client.consumer.is_settled(None));
    assert_eq!((b.pending(), b.world.letters("s"), b.client.consumer.waiting()), (vec![], vec![], (0, 0)));
}

#[test]
fn who_lost_the_name_holds_nothing() {
    let mut b = Bench::new(&options());
    let ids = b.publish(18);
    let out = b.take();
    b.announced();
    // It stalls, and another process takes the name.
    b.world.now += 11_000;
    let other = |b: &mut Bench, alive| {
        let member = ConsumerId { instance: "other".into(), ..b.member() };
        let beat = Request::Heartbeat {
            member,
            instance: "other".into(),
            alive,
            alive_key: "alive".into(),
            lease: LEASE,
            foreign_lease: 600_000,
            patterns: Vec::new(),
            mark: None,
            version: 0,
            take_up: Vec::new(),
        };
        b.world.store.execute(beat, b.world.now).unwrap();
    };
    other(&mut b, LEASE * 10);
    b.run();
    let announced = b.announced();
    assert_eq!((claims_lost(&announced), lost(&announced)), (16, vec![]));
    b.client.asked.clear();
    b.settle(out[0].token, Settlement::Succeeded);
    b.settle(out[1].token, RETRYABLE);
    b.settle(out[2].token, Settlement::Failed { retryable: false });
    b.pass(LEASE);
    let fenced = |r: &Request| {
        !matches!(
            r,
            Request::Heartbeat { .. }
                | Request::KeepAlive { .. }
                | Request::Acknowledge { .. }
                | Request::RemoveDeadConsumers { .. }
        )
    };
    assert!(!b.client.asked.iter().any(fenced), "{:?}", b.client.asked);
    assert_eq!(b.pending(), ids[1..].iter().map(|id| (*id, 1)).collect::<Vec<_>>());
    assert!(b.take().is_empty());
    // The other dies: the name is this one's again, and what is pending under it.
    other(&mut b, 0);
    b.pass(2000);
    for d in &out[3..] {
        b.settle(d.token, Settlement::Succeeded);
    }
    b.pass(2000);
    assert!(!b.take().is_empty());
}

/// The stream begins again while events of it are held: they are handled, and those that cannot be are told.
#[test]
fn what_is_held_of_a_stream_that_begins_again_is_handled_or_told() {
    let mut b = Bench::new(&options());
    let ids = b.publish(19);
    let out = b.take();
    b.pass(1000);
    b.announced();
    b.world.store = crate::stream_store::Streams::new();
    b.publish(1);
    // No other consumer has them, though none of their claims can be renewed.
    b.pass(3 * LEASE);
    let announced = b.announced();
    assert_eq!((lost(&announced), claims_lost(&announced)), (vec![], 0));
    b.settle(out[0].token, RETRYABLE);
    assert_eq!(lost(&b.announced()), [(1, ids[0], ids[0])]);
    b.settle(out[1].token, Settlement::Failed { retryable: false });
    assert_eq!(lost(&b.announced()), [(1, ids[1], ids[1])]);
    for d in &out[2..] {
        b.settle(d.token, Settlement::Succeeded);
    }
    let rest = b.take();
    let taken: Vec<EntryId> = rest.iter().map(|d| d.stored.as_ref().unwrap().id).collect();
    assert_eq!(taken[..3], ids[16..]);
    assert_eq!(taken.len(), 4, "and the one that came since");
    for d in &rest {
        b.settle(d.token, Settlement::Succeeded);
    }
    b.pass(LEASE);
    let announced = b.announced();
    assert_eq!((lost(&announced), claims_lost(&announced)), (vec![], 0));
    assert_eq!((b.pending(), b.world.letters("s")), (vec![], vec![]));
    assert!(b.client.consumer.is_settled(None) && b.client.consumer.waiting() == (0, 0));
}
