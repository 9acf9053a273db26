//! Claims between clients: renewed, lost, taken over, handed back.

use crate::ErrorKind;
use crate::config::DeadLetterConfig;
use crate::consumer::tests::world::*;
use crate::consumer::{Announcement, Work};
use crate::delivery::Settlement;
use crate::stream_store::Request;

/// Another client of the group, established.
fn peer(bench: &mut Bench, name: &str) -> Client {
    let mut peer = Client::new(name, &options());
    peer.add(1, "*", &options());
    peer.run(&mut bench.world);
    peer.consumer.connected(peer.key);
    peer.run(&mut bench.world);
    peer
}

/// Ends the client's read, so that another gets what is published.
fn unread(bench: &mut Bench) {
    bench.client.consumer.disconnected(bench.client.key);
    bench.client.parked = None;
}

#[test]
fn claims_are_renewed_until_they_are_settled() {
    let mut b = Bench::new(&options());
    b.publish(20);
    let out = b.take();
    b.settle(out[1].token, RETRYABLE);
    let mut peer = peer(&mut b, "p");
    for _ in 0..100 {
        b.pass(1000);
        peer.run(&mut b.world);
        assert!(b.world.pending("s").iter().all(|p| p.idle <= LEASE / 3 && *p.consumer == *"c"));
        assert!(peer.take(&b.world).is_empty());
    }
    let (renewed, held) = (b.client.tally.renewed, 20);
    assert!((held * 9..=held * 14).contains(&renewed), "{renewed}");
}

#[test]
fn a_call_that_runs_for_too_long_is_not_renewed() {
    let mut b = Bench::new(&durable(|d| d.max_processing = 60_000));
    b.publish(1);
    let out = b.take();
    let mut peer = peer(&mut b, "p");
    b.pass(60_000);
    peer.run(&mut b.world);
    assert!(peer.take(&b.world).is_empty());
    b.pass(LEASE + 1000);
    peer.run(&mut b.world);
    assert_eq!(peer.take(&b.world).len(), 1);
    let tally = b.settle(out[0].token, RETRYABLE);
    assert_eq!((tally.handler_errors, b.world.pending("s").len()), (1, 1));
    b.pass(10_000);
    assert!(b.take().is_empty(), "it is the other's now");
    assert_eq!(&*b.world.pending("s")[0].consumer, "p");
}

#[test]
fn a_lost_claim_is_announced_and_only_a_success_still_counts() {
    let mut b = Bench::new(&options());
    let ids = b.publish(4);
    let out = b.take();
    b.settle(out[3].token, RETRYABLE);
    b.announced();
    // The process stands still for longer than the lease.
    b.world.now += LEASE + 1;
    let mut peer = peer(&mut b, "p");
    let theirs = peer.take(&b.world);
    assert_eq!((theirs.len(), peer.tally.recovered), (4, 4));
    assert_eq!(theirs.iter().map(|d| d.attempt).collect::<Vec<_>>(), [2, 2, 2, 3]);
    b.run();
    let mut lost: Vec<_> = b
        .announced()
        .into_iter()
        .map(|a| match a {
            Announcement::ClaimLost { tokens, id, .. } => (tokens, id),
            other => panic!("{other:?}"),
        })
        .collect();
    lost.sort();
    let expected: Vec<_> = (0..3).map(|n| (vec![out[n].token], ids[n])).collect();
    assert_eq!(lost, expected);
    b.settle(out[0].token, Settlement::Succeeded);
    assert_eq!(b.pending().len(), 3, "a success acknowledges whoever owns it");
    let tally = b.settle(out[1].token, RETRYABLE);
    assert_eq!((tally.retried, tally.failed, tally.handler_errors), (0, 0, 1));
    b.settle(out[2].token, Settlement::Failed { retryable: false });
    b.pass(5000);
    assert!(b.take().is_empty());
    assert_eq!((b.pending().len(), b.world.letters("s").len()), (3, 0));
    assert_eq!((b.client.consumer.waiting(), b.client.consumer.is_settled(None)), ((0, 0), true));
    for d in &theirs {
        peer.settle(d.token, Settlement::Succeeded, b.world.now);
    }
    peer.run(&mut b.world);
    assert_eq!(b.pending(), []);
}

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
    b.world.now += 5001;
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
    b.world.now += 4900;
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
fn on_shutdown_what_has_not_started_is_handed_back_with_its_count() {
    let mut b = Bench::new(&options());
    b.publish(30);
    let out = b.take();
    let retry = out[0].token;
    b.settle(retry, RETRYABLE);
    assert_eq!(b.pending().iter().filter(|(_, count)| *count == 2).count(), 1);
    let mut peer = peer(&mut b, "p");
    b.client.consumer.stop_reading(None, b.world.now);
    b.run();
    let counts: Vec<u32> = b.pending().iter().map(|(_, count)| *count).collect();
    assert_eq!(counts.iter().filter(|count| **count == 1).count(), 16, "15 run, and one was tried once");
    assert!(counts.iter().filter(|count| **count == 0).count() > 10);
    assert!(!b.client.consumer.has_ready(b.world.now) && !b.client.consumer.is_settled(None));
    b.settle(out[1].token, RETRYABLE);
    for d in &out[2..] {
        b.settle(d.token, Settlement::Succeeded);
    }
    assert!(b.client.consumer.is_settled(Some(b.client.key)));
    assert_eq!((b.client.consumer.waiting().0, b.client.consumer.running()), (0, 0));
    // A peer has them within a second.
    b.world.now += 500;
    peer.run(&mut b.world);
    let taken = peer.take(&b.world);
    let attempts: Vec<u32> = taken.iter().take(3).map(|d| d.attempt).collect();
    assert_eq!(attempts, [2, 2, 1], "an attempt that failed counts, one that never was does not");
    for request in b.client.consumer.leave(b.client.key) {
        b.world.store.execute(request, b.world.now).unwrap();
    }
    assert!(b.client.consumer.work(b.world.now).is_empty());
    assert_eq!(b.client.consumer.find("g"), None);
}

#[test]
fn what_arrives_during_the_shutdown_is_handed_back() {
    let mut b = Bench::new(&options());
    b.client.consumer.stop_reading(Some(b.client.key), b.world.now);
    let id = b.publish(1)[0];
    assert_eq!(b.pending(), [(id, 0)]);
    assert!(b.take().is_empty() && b.client.consumer.is_settled(None));
    assert_eq!(b.client.consumer.waiting(), (0, 0));
}

#[test]
fn a_subscription_that_ends_hands_back_what_nobody_else_here_wants() {
    let mut b = Bench::new(&options());
    b.client.add(2, "a.b", &options());
    b.client.add(3, "x", &options());
    b.client.consumer.pause(1, true);
    b.client.consumer.pause(3, true);
    b.run();
    let ids = b.publish(2);
    let x = b.world.publish("s", "x", None);
    b.run();
    let out = b.take();
    assert_eq!(out.iter().map(|d| d.subscription).collect::<Vec<_>>(), [2, 2]);
    b.client.consumer.remove(1, b.world.now);
    b.client.consumer.remove(3, b.world.now);
    b.run();
    assert_eq!(b.pending(), [(ids[0], 1), (ids[1], 1), (x, 0)], "the last is for others");
    assert!(!b.client.consumer.contains(3) && b.client.consumer.contains(2));
    b.settle(out[0].token, Settlement::Succeeded);
    assert_eq!(b.pending(), [(ids[1], 1), (x, 0)], "the one that is left decides");
    b.client.consumer.remove(2, b.world.now);
    assert!(b.client.consumer.is_empty(b.client.key) && !b.client.consumer.is_settled(None));
    b.settle(out[1].token, Settlement::Succeeded);
    assert!(b.client.consumer.is_settled(None));
    assert_eq!(b.pending(), [(x, 0)]);
}

#[test]
fn a_running_call_whose_subscription_has_ended_goes_on_and_its_failure_is_handed_on() {
    let mut b = Bench::new(&options());
    let ids = b.publish(3);
    let out = b.take();
    b.client.consumer.remove(1, b.world.now);
    b.run();
    b.settle(out[0].token, Settlement::Succeeded);
    b.settle(out[1].token, RETRYABLE);
    b.settle(out[2].token, Settlement::NotHandled);
    assert_eq!(b.pending(), [(ids[1], 1), (ids[2], 0)]);
    let mut peer = peer(&mut b, "p");
    let theirs = peer.take(&b.world);
    assert_eq!(theirs.iter().map(|d| d.attempt).collect::<Vec<_>>(), [2, 1]);
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
fn what_was_trimmed_unread_is_reported() {
    let mut b = Bench::new(&options());
    unread(&mut b);
    b.publish(5);
    b.world
        .store
        .execute(Request::Trim { stream: "s".into(), max_len: Some(2), min_id: None }, b.world.now)
        .unwrap();
    b.pass(1000);
    assert!(
        b.announced()
            .iter()
            .any(|a| matches!(a, Announcement::MessagesLost { missed, .. } if missed.count == 3))
    );
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
fn what_one_subscription_could_not_handle_is_handed_back_although_another_has_handled_it() {
    let mut b = Bench::new(&options());
    b.client.add(2, "a.b", &options());
    b.run();
    let ids = b.publish(2);
    let out = b.take();
    let of = |subscription| out.iter().filter(move |d| d.subscription == subscription).map(|d| d.token);
    for token in of(1) {
        b.settle(token, Settlement::Succeeded);
    }
    let others: Vec<u32> = of(2).collect();
    b.settle(others[0], Settlement::NotHandled);
    assert_eq!(b.pending(), [(ids[0], 0), (ids[1], 1)]);
    b.settle(others[1], RETRYABLE);
    b.client.consumer.stop_reading(None, b.world.now);
    b.run();
    assert_eq!(b.pending(), [(ids[0], 0), (ids[1], 1)], "its retry is another's");
    assert!(b.client.consumer.is_settled(None));
}

/// Collects the requests that are to be executed.
fn requests(bench: &mut Bench) -> Vec<Request> {
    let work = bench.client.consumer.work(bench.world.now);
    let request = |work| match work {
        Work::Store(_, request) => Some(request),
        Work::Read(_) => None,
    };
    work.into_iter().filter_map(request).collect()
}

#[test]
fn answers_that_overtake_each_other_bring_nothing_back() {
    let mut b = Bench::new(&options());
    b.publish(1);
    let out = b.take();
    unread(&mut b);
    b.client.consumer.connected(b.client.key);
    let own = requests(&mut b).pop().unwrap();
    assert!(matches!(own, Request::ClaimOwnPending { .. }));
    let found = b.world.store.execute(own.clone(), b.world.now);
    // The entry is settled, and that is answered, before what was found of it is told.
    b.settle(out[0].token, Settlement::Succeeded);
    assert_eq!(b.pending(), []);
    b.client.consumer.answered(b.client.key, own, found, b.world.now, longest_wait);
    b.run();
    assert!(b.take().is_empty() && b.client.consumer.waiting().0 == 0);
}

#[test]
fn requests_that_must_not_overtake_each_other_go_one_by_one() {
    let mut b = Bench::new(&options());
    b.publish(2);
    let out = b.take();
    b.client.settle(out[0].token, RETRYABLE, b.world.now);
    let first = requests(&mut b).pop().unwrap();
    assert!(matches!(first, Request::ExtendLease { .. }));
    b.client.consumer.stop_reading(None, b.world.now);
    b.client.settle(out[1].token, Settlement::Failed { retryable: false }, b.world.now);
    assert!(requests(&mut b).is_empty());
    let result = b.world.store.execute(first.clone(), b.world.now);
    b.client.consumer.answered(b.client.key, first, result, b.world.now, longest_wait);
    assert_eq!(requests(&mut b).len(), 1);
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
    // Not even when it is told to stop.
    one.consumer.stop_reading(None, world.now);
    assert!(!one.consumer.is_settled(None));
    world.now += 100;
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
fn a_list_of_entries_is_not_about_others_that_have_their_slots_by_now() {
    let mut b = Bench::new(&options());
    let lost = b.publish(1)[0];
    let refuse =
        |r: &Request| matches!(r, Request::DeadLetter { .. }).then_some(Fault::Refuse(ErrorKind::ServerOom));
    b.client.fault = Box::new(refuse);
    let out = b.take();
    b.settle(out[0].token, Settlement::Failed { retryable: false });
    b.world.now += LEASE + 1;
    let mut peer = peer(&mut b, "p");
    let theirs = peer.take(&b.world);
    b.run();
    unread(&mut b);
    b.client.consumer.connected(b.client.key);
    let id = b.publish(1)[0];
    let out = b.take();
    assert_eq!(out.len(), 1);
    b.settle(out[0].token, Settlement::Failed { retryable: false });
    b.client.asked.clear();
    b.client.fault = Box::new(|_| None);
    b.pass(10_000);
    let letters = |r: &Request| match r {
        Request::DeadLetter { letters, .. } => letters.iter().map(|letter| letter.id).collect(),
        _ => Vec::new(),
    };
    assert_eq!(b.client.asked.iter().flat_map(letters).collect::<Vec<_>>(), [id]);
    assert_eq!(b.world.pending("s").iter().map(|p| p.id).collect::<Vec<_>>(), [lost]);
    assert_eq!(theirs.len(), 1);
}

#[test]
fn a_list_of_which_nothing_is_left_does_not_keep_the_other_waiting() {
    let mut b = Bench::new(&options());
    let ids = b.publish(2);
    b.client.consumer.remove(1, b.world.now);
    let stream = &mut b.client.consumer.groups.get_mut(&b.client.key).unwrap().streams[0];
    let [with_handler, without_handler] = stream.updates.requeues.lists();
    assert_eq!(*with_handler, ids);
    std::mem::swap(with_handler, without_handler);
    with_handler.push(crate::stream_store::EntryId { ms: 1, seq: 1 });
    let work = b.client.consumer.work(b.world.now);
    let released = |w: &Work| matches!(w, Work::Store(_, Request::Requeue { items, unhandled: true, .. }) if items.len() == 2);
    assert!(work.iter().any(released), "{work:?}");
}
