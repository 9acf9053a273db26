//! Consumers of other programs in the group: they renew no claim, and their deliveries are no attempts of ours.

use crate::consumer::Announcement;
use crate::consumer::tests::world::*;
use crate::delivery::Settlement;
use crate::stream_store::{ConsumerId, EntryId, Request};

/// A bench that has read nothing, and an entry that a consumer of another program holds.
fn bench() -> (Bench, EntryId) {
    let mut b = Bench::new(&options());
    unread(&mut b);
    let id = b.world.publish("s", "a.b", None);
    b.world.store.read_group("s", "g", "worker.py", 1, b.world.now).unwrap();
    b.client.consumer.connected(b.client.key);
    b.run();
    (b, id)
}

/// Lets a consumer of another program deliver an entry to itself once more.
fn deliver_again(b: &mut Bench, id: EntryId, deliveries: u32) {
    let member = ConsumerId { consumer: "worker.py".into(), instance: "".into(), ..b.member() };
    let items = vec![(id, Some(deliveries.into()))];
    b.world.store.execute(Request::ExtendLease { member, items }, b.world.now).unwrap();
}

#[test]
fn an_entry_of_another_program_is_claimed_after_the_foreign_lease() {
    let (mut b, id) = bench();
    b.pass(FOREIGN_LEASE - 1);
    assert!(b.take().is_empty(), "a slow handler of another program has it");
    b.pass(1);
    let out = b.take();
    assert_eq!(out.iter().map(|d| d.attempt).collect::<Vec<_>>(), [1]);
    assert_eq!(b.pending(), [(id, 1)]);
    assert_eq!(b.client.tally.recovered, 1);
}

#[test]
fn who_waits_for_an_entry_of_another_program_looks_as_seldom_as_ever() {
    let (mut b, _) = bench();
    b.pass(LEASE * 2);
    b.client.asked.clear();
    b.pass(LEASE * 10);
    let looks = |r: &&Request| matches!(r, Request::ListExpired { .. } | Request::AnyExpired { .. });
    let (looks, all) = (b.client.asked.iter().filter(looks).count(), LEASE * 10 / 500);
    // The bench is told of no hand-back, so it looks twice a second.
    assert!(looks as u64 <= all + 1, "{looks} looks");
    assert!(b.client.asked.iter().all(|r| !matches!(r, Request::Claim { .. })));
}

#[test]
fn deliveries_of_another_program_are_neither_attempts_nor_deaths() {
    let (mut b, id) = bench();
    deliver_again(&mut b, id, 9);
    b.pass(FOREIGN_LEASE);
    for attempt in 1..=4 {
        let out = b.take();
        assert_eq!(out.iter().map(|d| d.attempt).collect::<Vec<_>>(), [attempt]);
        assert!(b.client.asked.iter().all(|r| !matches!(r, Request::MarkStarted { .. })), "no suspect");
        b.settle(out[0].token, RETRYABLE);
        b.pass(60_000);
    }
    assert_eq!(b.world.letters("s"), [(id.to_string(), "failed".into(), "4".into())]);
}

#[test]
fn an_entry_of_another_program_does_not_hide_those_of_our_dead() {
    let (mut b, _) = bench();
    for _ in 0..300 {
        b.world.publish("s", "a.b", None);
    }
    b.world.store.read_group("s", "g", "worker.py", 300, b.world.now).unwrap();
    let ours = b.world.publish("s", "a.b", None);
    b.world.read_by_dead("dead");
    b.pass(LEASE);
    let out = b.take();
    assert_eq!(out.iter().map(|d| d.stored.as_ref().unwrap().id).collect::<Vec<_>>(), [ours]);
    assert_eq!(out[0].attempt, 2);
}

#[test]
fn a_client_that_has_left_its_entries_is_still_ours() {
    let (mut b, _) = bench();
    let ours = b.world.publish("s", "a.b", None);
    b.world.read_by_dead("dead");
    let member = ConsumerId { consumer: "dead".into(), instance: "dead".into(), ..b.member() };
    let instance = member.instance.clone();
    b.world.store.execute(Request::RemoveConsumer { member: member.clone(), instance }, b.world.now).unwrap();
    b.world.store.execute(Request::RemoveDeadConsumers { member, pause: 0 }, b.world.now).unwrap();
    b.pass(LEASE);
    let out = b.take();
    assert_eq!(out.iter().map(|d| d.stored.as_ref().unwrap().id).collect::<Vec<_>>(), [ours]);
    b.settle(out[0].token, Settlement::Succeeded);
}

#[test]
fn the_foreign_lease_is_that_of_the_group_and_another_is_told_once() {
    let (mut b, _) = bench();
    let mut client = Client::new("d", &options());
    client.consumer.leave(client.key);
    client.key = client.consumer.join(crate::consumer::Joining {
        group: "g".into(),
        consumer: "d".into(),
        instance: "d".into(),
        lease: LEASE,
        foreign_lease: 1000,
        order_by: crate::options::subscribe::OrderBy::None,
    });
    client.add(1, "*", &options());
    client.consumer.connected(client.key);
    client.run(&mut b.world);
    let told = |a: &&Announcement| {
        matches!(a, Announcement::Warning { code: "FOREIGN_LEASE_DIFFERS", message }
            if message.contains("600000 ms, here it is 1000 ms"))
    };
    assert_eq!(client.announcements.iter().filter(told).count(), 1);
    b.world.now += LEASE * 2;
    client.run(&mut b.world);
    assert!(client.take(&b.world).is_empty());
    assert_eq!(client.announcements.iter().filter(told).count(), 1);
}
