//! Claims between clients: taken over, handed on, lost with the name.

use crate::config::DeadLetterConfig;
use crate::consumer::tests::members::member;
use crate::consumer::tests::world::*;
use crate::consumer::{Announcement, Work};
use crate::delivery::Settlement;
use crate::options::subscribe::SubscribeOptions;
use crate::stream_store::{Request, Response};
use crate::{BusError, ErrorKind};

#[test]
fn after_a_reconnection_what_a_dead_socket_got_comes_first() {
    let mut b = Bench::new(&options());
    unread(&mut b);
    let id = b.world.publish("s", "a.b", None);
    b.world.store.read_group("s", "g", "c", 10, b.world.now).unwrap();
    b.publish(1);
    b.client.consumer.connected(b.client.key);
    b.run();
    assert_eq!((b.take_numbers().1, b.pending()[0]), (vec![1, 2], (id, 1)));
}

#[test]
fn a_process_of_the_same_name_takes_up_what_the_dead_one_had() {
    let mut b = Bench::new(&options());
    b.publish(150);
    assert_eq!(b.take().len(), 16);
    let held = b.pending().len();
    assert!(held > 16);
    b.world.now += 10_001;
    let mut next = Client::started("c", "c2", &options(), DeadLetterConfig::default());
    next.add(1, "*", &options());
    next.run(&mut b.world);
    next.consumer.connected(next.key);
    next.run(&mut b.world);
    let out = next.take(&b.world);
    assert!(out.iter().all(|d| d.attempt == 2 && d.stored.as_ref().unwrap().deliveries == 2));
    assert_eq!(out[0].stored.as_ref().unwrap().id, b.pending()[0].0);
    assert_eq!(next.tally.recovered, 0);
}

#[test]
fn a_name_that_is_alive_elsewhere_is_refused_until_it_is_not() {
    let mut b = Bench::new(&options());
    let mut next = Client::started("c", "c2", &options(), DeadLetterConfig::default());
    next.add(1, "*", &options());
    next.consumer.connected(next.key);
    next.run(&mut b.world);
    assert_eq!(next.consumer.trouble(1).unwrap().kind, ErrorKind::ConsumerInUse);
    assert!(next.parked.is_none() && next.announcements.is_empty());
    b.publish(1);
    b.world.now += 9900;
    next.run(&mut b.world);
    assert!(next.announcements.is_empty());
    b.world.now += 600;
    next.run(&mut b.world);
    assert!(matches!(next.announcements[..], [Announcement::Confirmed { .. }]));
    assert_eq!(next.take(&b.world).len(), 1);
    assert!(next.consumer.trouble(1).is_none());
    // The first comes to life again.
    b.run();
    assert_eq!(b.client.consumer.trouble(1).unwrap().kind, ErrorKind::ConsumerInUse);
    assert!(
        b.announced()
            .iter()
            .any(|a| matches!(a, Announcement::Error(e) if e.kind == ErrorKind::ConsumerInUse))
    );
    assert!(
        b.client
            .consumer
            .work(b.world.now)
            .iter()
            .all(|w| matches!(w, Work::Store(_, Request::Heartbeat { .. })))
    );
}

#[test]
fn deleted_entries_are_reported_and_never_handled() {
    let mut b = Bench::new(&options());
    let ids = b.publish(3);
    b.take();
    let mut peer = peer(&mut b, "p");
    b.world
        .store
        .execute(Request::Delete { stream: "s".into(), ids: ids[..2].to_vec() }, b.world.now)
        .unwrap();
    b.world.now += LEASE + 1;
    peer.run(&mut b.world);
    assert_eq!(peer.take(&b.world).len(), 1);
    let lost = peer.announcements.iter().find_map(|a| match a {
        Announcement::MessagesLost { missed, .. } => Some(missed.clone()),
        _ => None,
    });
    let lost = lost.unwrap();
    assert_eq!((lost.count, lost.from, lost.to), (2, ids[0], ids[1]));
    assert_eq!(b.pending().len(), 1);
}

#[test]
fn an_entry_without_a_handler_goes_round_and_is_buried_after_two_leases() {
    let mut b = Bench::new(&options());
    b.client.consumer.remove(1, b.world.now);
    b.client.add(2, "x", &options());
    b.run();
    let id = b.publish(1)[0];
    assert!(b.take().is_empty());
    assert_eq!(b.pending(), [(id, 0)]);
    b.client.asked.clear();
    b.pass(LEASE * 2 - 1000);
    assert!(b.client.asked.iter().all(|r| !matches!(r, Request::Claim { .. })), "left to others");
    assert_eq!(b.world.letters("s"), []);
    b.pass(2000);
    assert_eq!(b.world.letters("s"), [(id.to_string(), "unhandled".into(), "1".into())]);
    // One that has a handler again meanwhile is handled.
    b.publish(1);
    b.client.add(3, "a.*", &options());
    b.pass(1000);
    assert_eq!(b.take().len(), 1);
}

#[test]
fn a_client_gives_up_nothing_while_it_subscribes() {
    let mut b = Bench::new(&options());
    b.client.consumer.remove(1, b.world.now);
    b.client.add(2, "x", &options());
    b.run();
    let id = b.publish(1)[0];
    b.pass(LEASE * 2 - 1000);
    // The next one may be what the entry waits for.
    b.client.add(3, "y", &options());
    b.pass(LEASE * 2 - 1000);
    assert_eq!(b.world.letters("s"), []);
    b.pass(3000);
    assert_eq!(b.world.letters("s"), [(id.to_string(), "unhandled".into(), "1".into())]);
}

#[test]
fn a_client_gives_up_nothing_for_the_time_in_which_it_was_stopped() {
    let mut b = Bench::new(&options());
    b.client.consumer.remove(1, b.world.now);
    b.client.add(2, "x", &options());
    b.run();
    let id = b.publish(1)[0];
    b.pass(1000);
    // The process is stopped, and nobody has offered the entry meanwhile.
    b.world.now += LEASE * 4;
    b.run();
    b.pass(LEASE);
    assert_eq!(b.world.letters("s"), []);
    b.pass(LEASE * 2);
    assert_eq!(b.world.letters("s"), [(id.to_string(), "unhandled".into(), "1".into())]);
}

/// Does everything that can be done now, but for the claims: these are executed, and their answers are on their way.
fn run_without_answers_to_claims(b: &mut Bench) -> Vec<(Request, Result<Response, BusError>)> {
    let mut on_their_way = Vec::new();
    loop {
        let work = b.client.consumer.work(b.world.now);
        let idle = work.is_empty();
        for work in work {
            let mut next = Some(work);
            while let Some(work) = next.take() {
                let Work::Store(key, request) = work else {
                    b.client.perform(work, &mut b.world);
                    break;
                };
                let result = b.world.store.execute(request.clone(), b.world.store_now());
                if matches!(request, Request::Claim { .. }) {
                    on_their_way.push((request, result));
                } else {
                    next = b.client.consumer.answered(key, request, result, b.world.now, longest_wait, None);
                }
            }
        }
        match b.client.parked.as_ref().and_then(|read| b.world.read(read)) {
            Some(arrivals) => b.client.consumer.arrived(b.client.key, arrivals.unwrap(), b.world.now),
            None if idle => return on_their_way,
            None => continue,
        }
        b.client.parked = None;
    }
}

#[test]
fn a_client_that_was_stopped_gives_up_nothing_of_what_was_on_its_way_to_it_meanwhile() {
    let mut b = Bench::new(&options());
    b.client.consumer.remove(1, b.world.now);
    b.client.add(2, "x", &options());
    b.run();
    let id = b.publish(1)[0];
    b.pass(1000);
    // Another pattern may take it, so it is claimed anew. A new entry begins the watch meanwhile.
    b.client.add(3, "y", &options());
    let new = b.world.publish("s", "a.b", None);
    let mut on_their_way = run_without_answers_to_claims(&mut b);
    while on_their_way.is_empty() {
        b.world.now += 100;
        on_their_way = run_without_answers_to_claims(&mut b);
    }
    // The process is stopped, and nobody has offered the entries meanwhile.
    b.world.now += LEASE * 4;
    for (request, result) in on_their_way {
        b.client.consumer.answered(b.client.key, request, result, b.world.now, longest_wait, None);
    }
    b.run();
    b.pass(LEASE);
    assert_eq!(b.world.letters("s"), []);
    b.pass(LEASE * 2);
    let given_up: Vec<String> = b.world.letters("s").into_iter().map(|(id, ..)| id).collect();
    assert_eq!(given_up, [id.to_string(), new.to_string()]);
}

#[test]
fn a_type_that_another_client_has_just_subscribed_to_is_left_to_it() {
    let mut world = World::new();
    let (mut one, mut two) = (Client::new("one", &options()), Client::new("two", &options()));
    one.add(1, "a.*", &options());
    one.consumer.connected(one.key);
    one.run(&mut world);
    two.add(1, "b.*", &options());
    two.run(&mut world);
    assert!(two.announcements.iter().any(|a| matches!(a, Announcement::Confirmed { subscription: 1 })));
    let ids = [world.publish("s", "b.c", None), world.publish("s", "c.d", None)];
    one.run(&mut world);
    assert_eq!(world.pending("s").len(), 2, "nothing is decided by what was known before");
    // Not even when it is told to stop: it asks for what is known now, at once.
    one.consumer.stop_reading(None, world.now);
    assert!(!one.consumer.is_settled(None));
    one.run(&mut world);
    assert_eq!(world.pending("s").iter().map(|p| (p.id, p.deliveries)).collect::<Vec<_>>(), [(ids[0], 0)]);
    assert!(one.consumer.is_settled(None));
    assert_eq!((one.tally.skipped, one.consumer.waiting()), (1, (0, 0)));
    two.consumer.connected(two.key);
    world.now += 500;
    two.run(&mut world);
    let taken = two.take(&world);
    assert_eq!(taken.iter().map(|d| d.attempt).collect::<Vec<_>>(), [1]);
}

#[test]
fn what_a_dead_client_left_is_claimed_in_pages() {
    let mut b = Bench::new(&options());
    let many = SubscribeOptions { concurrency: 500, ..options() };
    let mut dead = Client::new("dead", &many);
    dead.add(1, "*", &many);
    dead.run(&mut b.world);
    dead.consumer.connected(dead.key);
    unread(&mut b);
    for _ in 0..500 {
        b.world.publish("s", "a.b", None);
    }
    dead.run(&mut b.world);
    let left = b.world.pending("s").len();
    assert!(left >= 100, "{left}");
    b.world.now += LEASE;
    b.client.consumer.connected(b.client.key);
    b.run();
    b.client.asked.clear();
    for _ in 0..left {
        for d in b.take() {
            b.settle(d.token, Settlement::Succeeded);
        }
    }
    assert_eq!(b.pending(), []);
    let claims = b.client.asked.iter().filter(|r| matches!(r, Request::Claim { .. })).count();
    assert!(claims * 5 < left, "{claims} claims for {left} entries");
}

/// Refuses the first request of a kind once, as a connection does that is cut in that moment.
fn fails_once(of: impl Fn(&Request) -> bool + 'static) -> Faults {
    let mut open = true;
    Box::new(move |request| {
        let fails = open && of(request);
        open &= !fails;
        fails.then_some(Fault::Refuse(ErrorKind::ConnectionLost))
    })
}

#[test]
fn a_look_that_fails_is_made_again_soon() {
    let requests: [fn(&Request) -> bool; 3] = [
        |r| matches!(r, Request::AnyExpired { .. }),
        |r| matches!(r, Request::ListExpired { .. }),
        |r| matches!(r, Request::Claim { .. }),
    ];
    for of in requests {
        // What was handed back waits for a second at the most, ...
        let mut b = Bench::new(&options());
        let mut owner = peer(&mut b, "p");
        unread(&mut b);
        b.client.consumer.hear_hand_backs(true);
        b.client.consumer.connected(b.client.key);
        b.world.publish("s", "a.b", None);
        owner.run(&mut b.world);
        b.pass(1_000);
        owner.consumer.stop_reading(None, b.world.now);
        owner.run(&mut b.world);
        b.client.fault = fails_once(of);
        b.client.consumer.handed_back("s", "g");
        b.run();
        b.pass(1_000);
        assert_eq!(b.take().len(), 1);
        // ... and what a dead one had for five behind its lease.
        let mut b = Bench::new(&options());
        let mut dead = peer(&mut b, "p");
        unread(&mut b);
        b.client.consumer.hear_hand_backs(true);
        b.client.consumer.connected(b.client.key);
        b.world.publish("s", "a.b", None);
        dead.run(&mut b.world);
        b.pass(LEASE - 100);
        b.client.fault = fails_once(of);
        b.pass(5_100);
        assert_eq!(b.take().len(), 1);
    }
}

#[test]
fn who_takes_an_entry_that_had_no_handler_says_so_at_once() {
    let mut world = World::new();
    let mut able = member("able", &["b"], &mut world);
    let mut other = member("other", &["a"], &mut world);
    able.parked = None;
    able.consumer.disconnected(able.key);
    let id = world.publish("s", "b", None);
    other.run(&mut world);
    // Nobody handles it for nearly two leases. Then one does, and dies.
    world.now += 55_000;
    able.consumer.connected(able.key);
    able.run(&mut world);
    assert_eq!(able.take(&world).len(), 1);
    drop(able);
    for _ in 0..80 {
        world.now += 1_000;
        other.run(&mut world);
    }
    assert_eq!(world.letters("s"), [], "somebody has had it within two leases");
    for _ in 0..60 {
        world.now += 1_000;
        other.run(&mut world);
    }
    assert_eq!(world.letters("s"), [(id.to_string(), "unhandled".into(), "2".into())]);
}
