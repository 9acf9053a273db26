//! Leases: extended, run out, lost.

use crate::consumer::Announcement;
use crate::consumer::tests::world::*;
use crate::delivery::Settlement;

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
