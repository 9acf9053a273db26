//! The end of subscriptions and of clients: what is handed back.

use crate::consumer::tests::world::*;
use crate::delivery::Settlement;

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
    // A peer has them within a second, and those that failed when they are due.
    b.world.now += 500;
    peer.run(&mut b.world);
    let taken = peer.take(&b.world);
    assert!(taken.len() > 10 && taken.iter().all(|d| d.attempt == 1), "one that never was does not count");
    for delivery in taken {
        peer.settle(delivery.token, Settlement::Succeeded, b.world.now);
    }
    b.world.now += 500;
    peer.run(&mut b.world);
    let attempts: Vec<u32> = peer.take(&b.world).iter().map(|d| d.attempt).collect();
    assert_eq!(attempts, [2, 2], "an attempt that failed counts");
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
    let mut attempts = |wait| {
        b.world.now += wait;
        peer.run(&mut b.world);
        peer.take(&b.world).iter().map(|d| d.attempt).collect::<Vec<_>>()
    };
    assert_eq!((attempts(0), attempts(999), attempts(1)), (vec![1], vec![], vec![2]));
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
