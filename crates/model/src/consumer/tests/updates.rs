//! What the store is told of entries, and in which order.

use crate::ErrorKind;
use crate::consumer::Work;
use crate::consumer::tests::world::*;
use crate::delivery::Settlement;
use crate::stream_store::Request;

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
    b.client.consumer.answered(b.client.key, own, found, b.world.now, longest_wait, None);
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
    b.client.consumer.answered(b.client.key, first, result, b.world.now, longest_wait, None);
    assert_eq!(requests(&mut b).len(), 1);
}

#[test]
fn what_is_put_off_does_not_wait_for_renewals_without_end() {
    let mut b = Bench::new(&options());
    b.publish(5);
    let out = b.take();
    b.client.settle(out[0].token, RETRYABLE, b.world.now);
    let mut request = requests(&mut b).pop().unwrap();
    b.client.settle(out[1].token, Settlement::RetryLater(LEASE * 100), b.world.now);
    let mut sent = Vec::new();
    // Another attempt fails whenever the store answers.
    for failed in &out[2..] {
        b.client.settle(failed.token, RETRYABLE, b.world.now);
        let result = b.world.store.execute(request.clone(), b.world.now);
        b.client.consumer.answered(b.client.key, request, result, b.world.now, longest_wait, None);
        request = requests(&mut b).pop().unwrap();
        sent.push(request.clone());
    }
    assert!(sent.iter().any(|r| matches!(r, Request::Requeue { .. })), "{sent:?}");
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
