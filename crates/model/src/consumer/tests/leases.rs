//! Leases: extended, run out, lost.

use crate::config::DeadLetterConfig;
use crate::consumer::Announcement;
use crate::consumer::tests::world::*;
use crate::delivery::Settlement;
use crate::options::subscribe::SubscribeOptions;

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
fn what_another_client_may_have_meanwhile_is_not_begun() {
    let mut b = Bench::new(&SubscribeOptions { concurrency: 1, ..options() });
    b.publish(3);
    let running = b.take();
    assert_eq!(running.len(), 1);
    let mut peer = peer(&mut b, "p");
    // The process stands still for longer than the lease, and another takes over what it has.
    b.world.now += LEASE + 1;
    peer.run(&mut b.world);
    assert_eq!(peer.take(&b.world).len(), 3);
    b.client.settle(running[0].token, Settlement::Succeeded, b.world.now);
    assert!(!b.client.consumer.has_ready(b.world.now) && b.take().is_empty(), "it has not asked yet");
    b.run();
    assert!(b.take().is_empty());
}

#[test]
fn a_client_that_cannot_renew_begins_nothing_that_has_expired() {
    let mut b = Bench::new(&SubscribeOptions { concurrency: 1, ..options() });
    b.publish(3);
    let out = b.take();
    b.client.fault = Box::new(|_| Some(Fault::Refuse(crate::ErrorKind::ConnectionLost)));
    b.pass(LEASE / 2);
    b.settle(out[0].token, Settlement::Succeeded);
    let out = b.take();
    assert_eq!(out.len(), 1, "the lease goes on");
    b.pass(LEASE / 2 + 1_000);
    b.client.settle(out[0].token, Settlement::Succeeded, b.world.now);
    b.run();
    assert!(b.take().is_empty());
    // It is back, and nobody has taken them.
    b.client.fault = Box::new(|_| None);
    b.pass(6_000);
    assert_eq!(b.take_numbers().1, [3]);
}

#[test]
fn what_lay_in_a_socket_while_the_client_stood_still_is_not_begun() {
    for works_first in [false, true] {
        let mut b = Bench::new(&options());
        let mut peer = peer(&mut b, "p");
        b.world.publish("s", "a.b", None);
        let read = b.client.parked.take().unwrap();
        let entries = b.world.read(&read).unwrap().unwrap();
        b.world.now += LEASE + 1;
        peer.run(&mut b.world);
        assert_eq!(peer.take(&b.world).len(), 1);
        let work = if works_first { b.client.consumer.work(b.world.now) } else { Vec::new() };
        b.client.consumer.arrived(b.client.key, entries, b.world.now);
        assert!(b.take().is_empty());
        work.into_iter().for_each(|work| b.client.perform(work, &mut b.world));
        b.run();
        assert!(b.take().is_empty());
        // What comes from now on is its own.
        b.publish(1);
        assert_eq!(b.take().len() + peer.take(&b.world).len(), 1);
    }
}

#[test]
fn a_client_that_was_not_seen_reads_nothing_before_it_knows_that_its_name_is_its_own() {
    let mut b = Bench::new(&options());
    b.client.fault = Box::new(|_| Some(Fault::Refuse(crate::ErrorKind::ConnectionLost)));
    unread(&mut b);
    b.pass(11_000);
    let mut next = Client::started("c", "c2", &options(), DeadLetterConfig::default());
    next.add(1, "*", &options());
    next.run(&mut b.world);
    next.consumer.connected(next.key);
    next.run(&mut b.world);
    assert!(next.parked.take().is_some());
    // Its reader is back before anything else is.
    b.client.consumer.connected(b.client.key);
    b.world.publish("s", "a.b", None);
    b.run();
    assert!(b.client.parked.is_none() && b.take().is_empty());
    b.client.fault = Box::new(|_| None);
    b.pass(2_000);
    assert!(b.client.parked.is_none() && b.take().is_empty());
    assert_eq!(b.client.consumer.trouble(1).unwrap().kind, crate::ErrorKind::ConsumerInUse);
    // It is free again.
    b.world.now += 11_000;
    b.pass(2_000);
    assert_eq!(b.take().len(), 1);
}
