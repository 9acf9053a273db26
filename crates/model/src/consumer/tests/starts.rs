//! `from` of a subscription: where it counts, for groups and for patterns that are new, and what is told where it does not.

use crate::consumer::tests::members::connected;
use crate::consumer::tests::world::*;
use crate::consumer::{Announcement, Source};
use crate::delivery::Settlement;
use crate::stream_store::{EntryId, Position, Request, Response};

/// Adds a subscription that asks for a start.
fn add(client: &mut Client, subscription: u32, pattern: &str, from: Position) {
    let sources = [Source { stream: arc("s"), from, given: true }];
    client.consumer.add(client.key, subscription, &[pattern.to_owned()], &sources, &options(), None).unwrap();
}

/// A client with a subscription that asks for a start.
fn started(name: &str, pattern: &str, from: Position, world: &mut World) -> Client {
    let mut client = Client::new(name, &options());
    add(&mut client, 1, pattern, from);
    connected(client, world)
}

/// A group that has read past events of the types `b` and `c` of several minutes, with the ids of those of type `b`.
fn read_past() -> (World, Client, Vec<EntryId>) {
    let mut world = World::new();
    let mut first = Client::new("first", &options());
    add(&mut first, 1, "a", Position::Beginning);
    let mut first = connected(first, &mut world);
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(world.publish("s", "b", None));
        world.publish("s", "c", None);
        first.run(&mut world);
        world.now += 15_000;
    }
    assert_eq!(first.tally.skipped, 24);
    (world, first, ids)
}

/// Handles everything that comes; the ids of it.
fn handled(client: &mut Client, world: &mut World) -> Vec<EntryId> {
    let mut ids = Vec::new();
    for _ in 0..20 {
        client.run(world);
        for delivery in client.take(world) {
            ids.push(delivery.stored.as_ref().unwrap().id);
            client.settle(delivery.token, Settlement::Succeeded, world.now);
        }
        world.now += 100;
    }
    client.run(world);
    ids.sort_unstable();
    ids
}

/// Why starts did not count, as the warnings say.
fn warned(client: &Client) -> Vec<&str> {
    fn why(a: &Announcement) -> Option<&str> {
        match a {
            Announcement::Warning { code: "START_IGNORED", message } => message.split("\"s\": ").nth(1),
            _ => None,
        }
    }
    client.announcements.iter().filter_map(why).collect()
}

fn lost(client: &Client) -> Vec<u64> {
    let lost = |a: &Announcement| match a {
        Announcement::MessagesLost { missed, .. } => Some(missed.count),
        _ => None,
    };
    client.announcements.iter().filter_map(lost).collect()
}

#[test]
fn a_new_pattern_takes_up_what_its_subscription_asks_for() {
    for (from, first) in [
        (None, 0),
        (Some(Position::Beginning), 0),
        (Some(Position::New), 12),
        // Behind an entry, within a minute and at the end of the last one; and from a time on.
        (Some(Position::After(EntryId { ms: 10_000_000, seq: 0 })), 1),
        (Some(Position::After(EntryId { ms: 10_075_000, seq: 0 })), 6),
        (Some(Position::After(EntryId::first_of(10_090_000).previous())), 6),
        (Some(Position::After(EntryId { ms: 10_165_000, seq: 0 })), 12),
    ] {
        let (mut world, mut client, ids) = read_past();
        match from {
            None => client.add(2, "b", &options()),
            Some(from) => add(&mut client, 2, "b", from),
        }
        assert_eq!(handled(&mut client, &mut world), ids[first..], "{from:?}");
        assert_eq!(lost(&client), [0; 0], "{from:?}");
        // The client has made the group within the time of which all is known.
        assert_eq!(warned(&client), [""; 0], "{from:?}");
        assert_eq!(world.pending("s"), []);
        // It counts once.
        add(&mut client, 3, "b", Position::Beginning);
        assert_eq!(handled(&mut client, &mut world), [], "{from:?}");
        assert_eq!(warned(&client).len(), 1, "{from:?}");
        // What comes then is handled, and other types were left alone.
        world.publish("s", "b", None);
        assert_eq!(handled(&mut client, &mut world).len(), 2, "two subscriptions have it");
        client.add(4, "c", &options());
        assert_eq!(handled(&mut client, &mut world).len(), 12);
    }
}

#[test]
fn of_several_new_patterns_that_take_a_type_the_earliest_start_counts() {
    let (mut world, mut client, ids) = read_past();
    add(&mut client, 2, "b", Position::New);
    add(&mut client, 3, "b*", Position::After(ids[6]));
    add(&mut client, 4, "b", Position::After(ids[8]));
    let taken = handled(&mut client, &mut world);
    let mut once = taken.clone();
    once.dedup();
    assert_eq!(once, ids[7..]);
}

#[test]
fn of_two_newcomers_with_the_same_pattern_the_first_wins_and_the_other_is_told() {
    let (mut world, _first, ids) = read_past();
    let mut newcomers = [Client::new("x", &options()), Client::new("y", &options())];
    add(&mut newcomers[0], 1, "b", Position::After(ids[8]));
    add(&mut newcomers[1], 1, "b", Position::Beginning);
    // Both know what was read past before either has made its pattern known.
    for _ in 0..2 {
        let works: Vec<_> = newcomers.iter_mut().map(|c| c.consumer.work(world.now)).collect();
        for (client, works) in newcomers.iter_mut().zip(works) {
            works.into_iter().for_each(|work| client.perform(work, &mut world));
        }
    }
    let mut all = Vec::new();
    for mut client in newcomers {
        client.consumer.connected(client.key);
        all.extend(handled(&mut client, &mut world));
        assert!(client.consumer.is_settled(None));
        let expected = usize::from(&*client.consumer.groups[&client.key].joining.consumer == "y");
        assert_eq!(warned(&client).len(), expected);
    }
    all.sort_unstable();
    assert_eq!(all, ids[9..]);
}

#[test]
fn a_start_that_was_told_without_an_answer_is_not_said_to_be_ignored() {
    let (mut world, mut client, ids) = read_past();
    let mut mutes = 1;
    client.fault = Box::new(move |request| {
        let told = matches!(request, Request::Heartbeat { take_up, .. } if !take_up.is_empty()) && mutes > 0;
        mutes -= i32::from(told);
        told.then_some(Fault::Mute)
    });
    add(&mut client, 2, "b", Position::After(ids[8]));
    assert_eq!(handled(&mut client, &mut world), ids[9..]);
    assert_eq!(warned(&client), [""; 0]);
}

#[test]
fn what_a_start_does_not_reach_is_told() {
    // The group is older than what it knows to have read past.
    let (mut world, mut first, ids) = read_past();
    world.now += 650_000 - 12 * 15_000;
    first.run(&mut world);
    let recent = Position::After(EntryId::first_of(world.now - 590_000).previous());
    for (name, pattern, from, times, told) in
        [("x", "b", Position::Beginning, 2, "of what it has read past"), ("y", "c", recent, 4, "")]
    {
        let mut late = started(name, pattern, from, &mut world);
        let taken: Vec<u64> = handled(&mut late, &mut world).iter().map(|id| id.ms).collect();
        let expected: Vec<u64> = ids[times..].iter().map(|id| id.ms).collect();
        assert_eq!(taken, expected);
        assert_eq!(warned(&late).len(), usize::from(!told.is_empty()));
        assert!(warned(&late).concat().starts_with(told), "{:?}", warned(&late));
    }
    // What the group has not read yet comes in any case.
    first.consumer.disconnected(first.key);
    first.parked = None;
    world.publish("s", "d", None);
    let mut late = started("z", "d", Position::New, &mut world);
    assert_eq!(handled(&mut late, &mut world).len(), 1);
    assert!(warned(&late).join("").starts_with("the group has not read"), "{:?}", warned(&late));
}

#[test]
fn a_loss_behind_the_start_is_told_and_one_before_it_is_not() {
    // Of two slices of four entries each: trimmed is what is before the start, or more.
    for (kept, told) in [(11, None), (8, None), (3, Some((4, 5)))] {
        let (mut world, mut client, ids) = read_past();
        let trim = Request::Trim { stream: arc("s"), max_len: Some(2 * kept), min_id: None };
        assert_eq!(world.store.execute(trim, world.now), Ok(Response::Count(24 - 2 * kept)));
        add(&mut client, 2, "b", Position::After(ids[5]));
        let first = 6.max(12 - kept as usize);
        assert_eq!(handled(&mut client, &mut world), ids[first..], "{kept}");
        // Three were lost; how many of the slice were before the start is not known.
        let sum: u64 = lost(&client).iter().sum();
        match told {
            None => assert_eq!(sum, 0, "{kept}"),
            Some((least, most)) => assert!((least - 1..=most).contains(&sum), "{kept}: {sum}"),
        }
    }
}

#[test]
fn a_group_that_is_made_for_another_start_says_so() {
    let mut world = World::new();
    let mut client = Client::new("c", &options());
    for (n, from) in (1..).zip([Position::Beginning, Position::Beginning, Position::New]) {
        add(&mut client, n, "a", from);
    }
    let client = connected(client, &mut world);
    assert_eq!(warned(&client), ["another subscription has made the group with another one"]);
}
