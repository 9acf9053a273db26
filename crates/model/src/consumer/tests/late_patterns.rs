//! A pattern that is new to its group takes up what the group has read past.

use crate::ErrorKind;
use crate::config::DeadLetterConfig;
use crate::consumer::tests::members::member;
use crate::consumer::tests::world::*;
use crate::consumer::{Announcement, Work};
use crate::delivery::Settlement;
use crate::stream_store::{Position, Request, Response};

/// Handles everything that there is, and passes time until nothing more comes.
fn handled(client: &mut Client, world: &mut World) -> Vec<u64> {
    let mut numbers = Vec::new();
    for _ in 0..50 {
        client.run(world);
        for delivery in client.take(world) {
            numbers.push(number(&delivery));
            client.settle(delivery.token, Settlement::Succeeded, world.now);
        }
        world.now += 100;
    }
    client.run(world);
    numbers.sort_unstable();
    numbers
}

/// Publishes `count` rounds of an event of each type; the numbers of the events of each type.
fn backlog(world: &mut World, types: &[&str], count: u64) -> Vec<Vec<u64>> {
    let first = 1 + world.published;
    for _ in 0..count {
        for event_type in types {
            world.publish("s", event_type, None);
        }
    }
    let step = types.len() as u64;
    (0..step).map(|n| (0..count).map(|round| first + n + step * round).collect()).collect()
}

fn made(world: &mut World) {
    let ensure = Request::EnsureGroup {
        stream: "s".into(),
        group: "g".into(),
        from: Position::Beginning,
        restarted: false,
    };
    world.store.execute(ensure, world.now).unwrap();
}

fn warned(client: &Client) -> usize {
    let warning = |a: &&Announcement| matches!(a, Announcement::Warning { code: "EVENTS_SKIPPED", .. });
    client.announcements.iter().filter(warning).count()
}

#[test]
fn subscriptions_that_come_one_after_the_other_lose_nothing() {
    let mut world = World::new();
    made(&mut world);
    let numbers = backlog(&mut world, &["a", "b", "c"], 300);
    let mut worker = member("w", &["a"], &mut world);
    assert_eq!(handled(&mut worker, &mut world), numbers[0]);
    assert_eq!((worker.tally.skipped, warned(&worker)), (600, 2));
    for (n, event_type) in [(2, "b"), (3, "c")] {
        world.now += 300_000;
        worker.add(n, event_type, &options());
        assert_eq!(handled(&mut worker, &mut world), numbers[n as usize - 1], "{event_type}");
    }
    assert_eq!(world.pending("s"), []);
    // A type is taken up once.
    worker.add(4, "b*", &options());
    assert_eq!(handled(&mut worker, &mut world), [0; 0]);
}

#[test]
fn what_was_read_past_long_ago_is_given_up_unless_nobody_lived_when_it_came() {
    for (before, expected) in [(false, 0), (true, 20)] {
        let mut world = World::new();
        made(&mut world);
        let numbers = if before { backlog(&mut world, &["b"], 20) } else { Vec::new() };
        let mut worker = member("w", &["a"], &mut world);
        if !before {
            backlog(&mut world, &["b"], 20);
        }
        handled(&mut worker, &mut world);
        for _ in 0..12 {
            world.now += 60_000;
            worker.run(&mut world);
        }
        // A type that comes again is recorded again, and not warned of.
        world.publish("s", "c", None);
        handled(&mut worker, &mut world);
        world.now += 700_000;
        worker.run(&mut world);
        world.publish("s", "c", None);
        handled(&mut worker, &mut world);
        assert_eq!(warned(&worker), 2);
        worker.add(2, "b", &options());
        let late = handled(&mut worker, &mut world);
        assert_eq!(late.len(), expected);
        assert_eq!(late, numbers.concat());
    }
}

#[test]
fn what_waits_to_be_skipped_is_judged_again_when_a_pattern_has_come() {
    let mut world = World::new();
    made(&mut world);
    let numbers = backlog(&mut world, &["b"], 50);
    let mut one = member("one", &["a"], &mut world);
    let late = numbers[0].clone();
    // The second client makes its pattern known between the read of the first and its skip.
    let more = backlog(&mut world, &["b"], 5);
    let read = one.parked.take().unwrap();
    let entries = world.read(&read).unwrap().unwrap();
    one.consumer.arrived(one.key, entries, world.now);
    let skips = one.consumer.work(world.now);
    let mut two = member("two", &["b"], &mut world);
    skips.into_iter().for_each(|work| one.perform(work, &mut world));
    one.run(&mut world);
    world.now += 1_000;
    one.run(&mut world);
    let all = handled(&mut two, &mut world);
    assert_eq!(all, [late, more[0].clone()].concat());
    assert_eq!(world.pending("s"), []);
}

#[test]
fn a_skip_that_fails_is_not_tried_again_for_what_a_pattern_takes_meanwhile() {
    for fault in [Fault::Refuse(ErrorKind::ServerOom), Fault::Mute] {
        let mut world = World::new();
        made(&mut world);
        let mut worker = member("w", &["a"], &mut world);
        let numbers = backlog(&mut world, &["b"], 5);
        let entries = world.read(&worker.parked.take().unwrap()).unwrap().unwrap();
        worker.consumer.arrived(worker.key, entries, world.now);
        // The subscription becomes known first, and is answered before the skip fails.
        worker.add(2, "b", &options());
        worker.fault = Box::new(move |request| matches!(request, Request::Skip { .. }).then_some(fault));
        let works = worker.consumer.work(world.now);
        assert_eq!(works.iter().filter(|w| matches!(w, Work::Store(_, Request::Skip { .. }))).count(), 1);
        works.into_iter().for_each(|work| worker.perform(work, &mut world));
        worker.fault = Box::new(|_| None);
        assert_eq!(handled(&mut worker, &mut world), numbers[0]);
        assert_eq!(world.pending("s"), []);
    }
}

#[test]
fn two_newcomers_share_what_is_taken_up_and_a_death_loses_nothing() {
    let mut world = World::new();
    made(&mut world);
    let numbers = backlog(&mut world, &["b", "c"], 700);
    let mut first = member("first", &["c"], &mut world);
    assert_eq!(handled(&mut first, &mut world), numbers[1]);
    let mut newcomers = [member("x", &["b"], &mut world), member("y", &["b"], &mut world)];
    // One of them dies with what it has.
    let mut dying = member("z", &["b"], &mut world);
    assert!(!dying.take(&world).is_empty());
    drop(dying);
    let mut all = Vec::new();
    for _ in 0..600 {
        for newcomer in &mut newcomers {
            newcomer.run(&mut world);
            for delivery in newcomer.take(&world) {
                all.push(number(&delivery));
                newcomer.settle(delivery.token, Settlement::Succeeded, world.now);
            }
        }
        world.now += 100;
    }
    newcomers.iter_mut().for_each(|newcomer| newcomer.run(&mut world));
    all.sort_unstable();
    assert!(all == numbers[0], "{} of {} were handled", all.len(), numbers[0].len());
    assert_eq!(world.pending("s"), []);
}

#[test]
fn a_safe_trim_keeps_what_may_be_taken_up() {
    let mut world = World::new();
    made(&mut world);
    let numbers = backlog(&mut world, &["b"], 100);
    let mut worker = member("w", &["a"], &mut world);
    handled(&mut worker, &mut world);
    let trim = |world: &mut World| {
        let retention = Request::ApplyRetention {
            stream: "s".into(),
            instance: "w".into(),
            max_len: Some(10),
            max_age: None,
            safe: true,
        };
        world.store.execute(retention, world.now).unwrap()
    };
    assert_eq!(trim(&mut world), Response::Count(0));
    worker.add(2, "b", &options());
    assert_eq!(handled(&mut worker, &mut world), numbers[0]);
    assert_eq!(trim(&mut world), Response::Count(90));
}

/// What the client asks of the store now. A read stays open.
fn asked(client: &mut Client, world: &World) -> Vec<Request> {
    let mut requests = Vec::new();
    for work in client.consumer.work(world.now) {
        match work {
            Work::Store(_, request) => requests.push(request),
            Work::Read(read) => client.parked = Some(read),
        }
    }
    requests
}

/// Ends the open read.
fn arrive(client: &mut Client, world: &mut World) {
    let read = client.parked.take().unwrap();
    let entries = world.read(&read).unwrap().unwrap();
    client.consumer.arrived(client.key, entries, world.now);
}

#[test]
fn answers_that_overtake_each_other_hide_no_type_that_was_read_past() {
    let mut world = World::new();
    made(&mut world);
    let mut worker = member("w", &["a"], &mut world);
    handled(&mut worker, &mut world);
    // The facts are synchronized, for a pattern that the group has, and behind that the first entry of a type is skipped.
    worker.add(2, "a", &options());
    let beat = asked(&mut worker, &world).pop().unwrap();
    assert!(matches!(beat, Request::Heartbeat { .. }));
    world.publish("s", "b", None);
    arrive(&mut worker, &mut world);
    let skip = asked(&mut worker, &world).pop().unwrap();
    assert!(matches!(skip, Request::Skip { .. }));
    let answers = [&beat, &skip].map(|request| world.store.execute(request.clone(), world.now));
    let [of_beat, of_skip] = answers;
    worker.consumer.answered(worker.key, skip, of_skip, world.now, longest_wait, None);
    world.publish("s", "b", None);
    asked(&mut worker, &world);
    arrive(&mut worker, &mut world);
    let next = asked(&mut worker, &world).into_iter().find(|r| matches!(r, Request::Skip { .. })).unwrap();
    worker.consumer.answered(worker.key, beat, of_beat, world.now, longest_wait, None);
    let of_next = world.store.execute(next.clone(), world.now);
    worker.consumer.answered(worker.key, next, of_next, world.now, longest_wait, None);
    worker.add(3, "b", &options());
    assert_eq!(handled(&mut worker, &mut world), [1, 2]);
}

/// No time passes: it would not, on a clock that stands still.
#[test]
fn what_waits_for_new_patterns_is_judged_at_once_when_the_group_is_left() {
    for stops_first in [false, true] {
        let mut world = World::new();
        made(&mut world);
        let mut worker = member("w", &["a"], &mut world);
        // This one does not know yet that another client has come with a pattern.
        let mut other = Client::with("o", &options(), DeadLetterConfig::default());
        other.add(1, "b", &options());
        other.run(&mut world);
        let id = world.publish("s", "b", None);
        let (key, read) = (worker.key, worker.parked.take().unwrap());
        let entries = world.read(&read).unwrap().unwrap();
        worker.consumer.arrived(key, entries, world.now);
        if !stops_first {
            worker.run(&mut world);
            assert!(!worker.consumer.is_settled(None), "it waits to hear of the pattern");
        }
        worker.consumer.stop_reading(None, world.now);
        worker.run(&mut world);
        assert!(worker.consumer.is_settled(None), "stops first: {stops_first}");
        let pending: Vec<_> = world.pending("s").iter().map(|entry| (entry.id, entry.deliveries)).collect();
        assert_eq!(pending, [(id, 0)]);
        // The one whose pattern it is gets it.
        other.consumer.connected(other.key);
        assert_eq!(handled(&mut other, &mut world), [1]);
    }
}
