//! Entries that may have killed processes.

use crate::ErrorKind;
use crate::consumer::tests::world::*;
use crate::delivery::Settlement;
use crate::options::subscribe::SubscribeOptions;
use crate::stream_store::{EntryId, Request};

/// A client that takes over `deaths` times from a process that dies with the entry.
fn after_deaths(deaths: usize, others: usize) -> (Bench, EntryId) {
    let mut world = World::new();
    let mut first = Client::new("x0", &options());
    first.add(1, "*", &options());
    first.consumer.connected(first.key);
    first.run(&mut world);
    let id = world.publish("s", "a.b", None);
    first.run(&mut world);
    assert_eq!(first.take(&world).len(), 1);
    for n in 1..deaths {
        world.now += LEASE;
        let mut next = Client::new(&format!("x{n}"), &options());
        next.add(1, "*", &options());
        next.consumer.connected(next.key);
        next.run(&mut world);
        let out = next.take(&world);
        assert_eq!((out.len(), out[0].attempt), (1, n as u32 + 1));
    }
    world.now += LEASE;
    (0..others).for_each(|_| _ = world.publish("s", "a.b", None));
    let mut client = Client::new("c", &options());
    client.add(1, "*", &options());
    client.consumer.connected(client.key);
    let mut bench = Bench { world, client };
    bench.run();
    (bench, id)
}

#[test]
fn the_deliveries_of_dead_processes_are_attempts() {
    let (mut b, id) = after_deaths(2, 0);
    assert_eq!(b.client.tally.recovered, 1);
    let out = b.take();
    assert_eq!((out[0].attempt, out[0].stored.as_ref().unwrap().deliveries), (3, 3));
    b.settle(out[0].token, RETRYABLE);
    assert_eq!(b.pending(), [(id, 4)]);
    b.pass(4000);
    let out = b.take();
    assert_eq!(out[0].attempt, 4);
    b.settle(out[0].token, RETRYABLE);
    assert_eq!(b.world.letters("s"), [(id.to_string(), "failed".into(), "4".into())]);
}

#[test]
fn a_suspect_runs_alone_and_its_neighbours_later() {
    let (mut b, id) = after_deaths(3, 5);
    let (tokens, numbers) = b.take_numbers();
    assert_eq!(numbers, [1], "nothing beside it");
    assert!(b.client.asked.contains(&Request::MarkStarted { member: b.member(), id }));
    assert!(!b.client.consumer.has_ready(b.world.now) && b.take().is_empty());
    b.settle(tokens[0], Settlement::Succeeded);
    assert_eq!(b.take_numbers().1, [2, 3, 4, 5, 6]);
    assert_eq!(b.pending().len(), 5);
}

#[test]
fn a_suspect_that_fails_is_buried_and_one_that_began_and_never_ended_uncalled() {
    let (mut b, id) = after_deaths(3, 0);
    let (tokens, _) = b.take_numbers();
    b.settle(tokens[0], RETRYABLE);
    assert_eq!(b.world.letters("s"), [(id.to_string(), "failed".into(), "4".into())]);

    let (mut b, id) = after_deaths(3, 0);
    assert_eq!(b.take().len(), 1);
    let mut world = b.world;
    world.now += LEASE;
    let mut client = Client::new("last", &options());
    client.add(1, "*", &options());
    client.consumer.connected(client.key);
    client.run(&mut world);
    assert!(client.take(&world).is_empty());
    // Three processes died with it, and one that ran it alone.
    assert_eq!(world.letters("s"), [(id.to_string(), "crashed".into(), "4".into())]);
    assert_eq!(world.pending("s"), []);

    // The same where the next process has the name of the dead one.
    let (mut b, id) = after_deaths(3, 0);
    assert_eq!(b.take().len(), 1);
    let mut world = b.world;
    world.now += LEASE;
    let mut client = Client::new("c", &options());
    client.add(1, "*", &options());
    client.consumer.connected(client.key);
    client.run(&mut world);
    assert_eq!(world.letters("s"), [(id.to_string(), "crashed".into(), "4".into())]);
}

#[test]
fn it_waits_for_running_handlers_but_not_for_ever_at_their_expense() {
    let mut b = Bench::new(&options());
    b.publish(1);
    let (long, _) = b.take_numbers();
    // A neighbour's entry, delivered too often.
    let id = b.world.publish("s", "a.b", None);
    b.world.read_by_dead("dead");
    let hold = Request::ExtendLease {
        member: crate::stream_store::ConsumerId {
            consumer: "dead".into(),
            instance: "dead".into(),
            ..b.member()
        },
        items: vec![(id, Some(4.into()))],
    };
    b.world.store.execute(hold, b.world.now).unwrap();
    b.pass(LEASE + 1000);
    b.publish(1);
    assert!(b.take().is_empty(), "it waits, and so do others");
    b.pass(5000);
    let (other, numbers) = b.take_numbers();
    assert_eq!(numbers, [3], "others go on for a while");
    b.pass(5000);
    b.publish(1);
    assert!(b.take().is_empty());
    b.settle(long[0], Settlement::Succeeded);
    b.settle(other[0], Settlement::Succeeded);
    let (suspect, numbers) = b.take_numbers();
    assert_eq!(numbers, [2]);
    b.settle(suspect[0], Settlement::Succeeded);
    assert_eq!(b.take_numbers().1, [4]);
}

#[test]
fn a_start_that_cannot_be_recorded_is_tried_again() {
    let (mut b, _) = after_deaths(3, 1);
    // Hand back the start: the request is refused from now on.
    let (tokens, _) = b.take_numbers();
    assert_eq!(tokens.len(), 1);
    b.settle(tokens[0], Settlement::NotHandled);
    b.client.fault =
        Box::new(|r| matches!(r, Request::MarkStarted { .. }).then_some(Fault::Refuse(ErrorKind::ServerOom)));
    b.pass(1000);
    assert!(b.take().is_empty());
    b.pass(5000);
    let (tokens, numbers) = b.take_numbers();
    assert_eq!(numbers, [2], "the neighbour is not held up for ever");
    b.settle(tokens[0], Settlement::Succeeded);
    b.client.fault = Box::new(|_| None);
    b.pass(5000);
    assert_eq!(b.take_numbers().1, [1]);
}

#[test]
fn a_suspect_of_a_paused_subscription_does_not_hold_up_the_others() {
    let (mut b, _) = after_deaths(3, 0);
    b.client.consumer.pause(1, true);
    assert!(b.take().is_empty());
    b.client.add(2, "other", &options());
    b.run();
    b.world.publish("s", "other", None);
    b.run();
    assert_eq!(b.take().iter().filter(|d| d.subscription == 2).count(), 1);
}

/// A bench whose next event is a suspect, while handlers run without a pause.
fn overdue(b: &mut Bench) {
    let id = b.world.publish("s", "a.b", None);
    let member = crate::stream_store::ConsumerId { consumer: "dead".into(), ..b.member() };
    b.world.read_by_dead(&member.instance);
    b.world
        .store
        .execute(Request::ExtendLease { member, items: vec![(id, Some(4.into()))] }, b.world.now)
        .unwrap();
    b.world.now += LEASE;
}

#[test]
fn a_suspect_gets_its_turn_however_long_handlers_run() {
    for concurrency in [1, 16] {
        let mut b = Bench::new(&SubscribeOptions { concurrency, ..options() });
        overdue(&mut b);
        let mut running: Vec<(u64, u32)> = Vec::new();
        let start = b.world.now;
        let ran = loop {
            assert!(b.world.now < start + 120_000, "it starves");
            let now = b.world.now;
            for (_, token) in running.extract_if(.., |(end, _)| *end <= now).collect::<Vec<_>>() {
                b.settle(token, Settlement::Succeeded);
            }
            b.publish(1);
            let out = b.take();
            if out.iter().any(|d| d.attempt == 5) {
                break (running.len(), out.len());
            }
            running.extend(out.iter().map(|d| (now + 12_000, d.token)));
            b.pass(500);
        };
        assert_eq!(ran, (0, 1), "nothing beside it");
    }
}

#[test]
fn the_wait_of_a_suspect_grows_up_to_the_longest_handler_and_is_not_begun_anew() {
    let mut b = Bench::new(&SubscribeOptions { timeout: 15_000, concurrency: 1000, ..options() });
    b.publish(1);
    assert_eq!(b.take().len(), 1, "it never ends");
    overdue(&mut b);
    b.run();
    let start = b.world.now;
    let mut changes = Vec::new();
    let mut open = true;
    while b.world.now < start + 66_000 {
        b.publish(1);
        // One that is paused holds up nobody, and its wait goes on.
        b.client.consumer.pause(1, true);
        _ = b.take();
        b.client.consumer.pause(1, false);
        let opens = !b.take().is_empty();
        if opens != open {
            changes.push(b.world.now - start);
            open = opens;
        }
        b.pass(500);
    }
    assert_eq!(changes, [0, 5000, 10_000, 20_000, 25_000, 40_000, 45_000, 60_000, 65_000]);
}
