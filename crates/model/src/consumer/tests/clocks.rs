//! The store's clock is set while ours goes on.

use crate::consumer::Announcement;
use crate::consumer::tests::world::*;
use crate::delivery::Settlement;
use crate::stream_store::EntryId;

const HOUR: i64 = 3_600_000;

/// A bench whose client has an event in a handler, and another client of the group that has read nothing yet.
fn bench() -> (Bench, Client, EntryId, u32) {
    let mut b = Bench::new(&options());
    let id = b.publish(1)[0];
    let token = b.take()[0].token;
    let mut other = peer(&mut b, "p");
    for _ in 0..20 {
        b.world.now += 500;
        b.run();
        other.run(&mut b.world);
    }
    (b, other, id, token)
}

fn jumps(announcements: &[Announcement]) -> usize {
    announcements.iter().filter(|a| matches!(a, Announcement::ClockJumped { .. })).count()
}

#[test]
fn a_clock_that_goes_ahead_takes_nothing_from_those_who_live() {
    let (mut b, mut other, id, token) = bench();
    b.world.ahead = HOUR;
    for _ in 0..240 {
        b.world.now += 500;
        // The other one looks first.
        other.run(&mut b.world);
        assert!(other.take(&b.world).is_empty());
        b.run();
    }
    assert_eq!((b.pending(), jumps(&other.announcements), jumps(&b.announced())), (vec![(id, 1)], 1, 1));
    b.settle(token, Settlement::Succeeded);
    assert_eq!(b.pending(), []);
}

#[test]
fn after_a_clock_went_ahead_the_dead_are_found_after_a_lease() {
    let (mut b, mut other, _, _) = bench();
    b.world.ahead = HOUR;
    let start = b.world.now;
    while other.take(&b.world).is_empty() {
        b.world.now += 500;
        other.run(&mut b.world);
        assert!(b.world.now <= start + LEASE + 2000);
    }
    assert!(b.world.now >= start + LEASE, "{}", b.world.now - start);
}

#[test]
fn after_a_clock_went_back_the_dead_are_found_all_the_same() {
    let (mut b, mut other, _, _) = bench();
    b.world.ahead = -HOUR;
    let start = b.world.now;
    while other.take(&b.world).is_empty() {
        b.world.now += 500;
        other.run(&mut b.world);
        assert!(b.world.now <= start + 2 * LEASE, "its entry is of the future");
    }
    assert_eq!(jumps(&other.announcements), 1);
    // Who lives loses nothing.
    let (mut b, mut other, id, _) = bench();
    b.world.ahead = -HOUR;
    for _ in 0..240 {
        b.world.now += 500;
        other.run(&mut b.world);
        assert!(other.take(&b.world).is_empty());
        b.run();
    }
    assert_eq!(b.pending(), [(id, 1)]);
}

#[test]
fn what_nobody_handles_is_not_given_up_because_a_clock_went_ahead() {
    let mut b = Bench::new(&options());
    b.client.consumer.remove(1, b.world.now);
    b.client.add(2, "x", &options());
    b.run();
    // For long it has been clear that nobody here handles them, so only the store's clock says since when.
    b.publish(1);
    b.pass(LEASE * 2 + 1000);
    assert_eq!(b.world.letters("s").len(), 1);
    b.publish(1);
    b.pass(LEASE);
    b.world.ahead = HOUR;
    b.pass(LEASE * 2 - 1000);
    assert_eq!(b.world.letters("s").len(), 1);
    b.pass(LEASE);
    assert_eq!(b.world.letters("s").len(), 2);
}
