//! Delays that were asked for: over restarts, hand-backs and deaths.

use crate::consumer::tests::world::*;
use crate::delivery::Settlement;
use crate::options::subscribe::{OrderBy, SubscribeOptions};
use crate::stream_store::{DELAYED, Request};

const HOUR: u64 = 3_600_000;

/// Another client of the group, established, with these options.
fn peer_with(b: &mut Bench, name: &str, options: &SubscribeOptions) -> Client {
    let mut peer = Client::new(name, options);
    peer.add(1, "*", options);
    peer.run(&mut b.world);
    peer.consumer.connected(peer.key);
    peer.run(&mut b.world);
    peer
}

/// The client drains and leaves, as at the end of a process.
fn stop(b: &mut Bench) {
    b.client.consumer.stop_reading(None, b.world.now);
    b.run();
    assert!(b.client.consumer.is_settled(None));
    for request in b.client.consumer.leave(b.client.key) {
        b.world.store.execute(request, b.world.now).unwrap();
    }
}

/// A client is stopped and the next is started, with the same options.
fn deploy(b: &mut Bench, name: &str, options: &SubscribeOptions) {
    stop(b);
    b.client = peer_with(b, name, options);
}

/// Lets time pass, and returns the (number, attempt) of what is called meanwhile, which succeeds.
fn calls(b: &mut Bench, ms: u64) -> Vec<(u64, u32)> {
    let end = b.world.now + ms;
    let mut calls = Vec::new();
    loop {
        let taken = b.take();
        for delivery in &taken {
            calls.push((number(delivery), delivery.attempt));
            b.settle(delivery.token, Settlement::Succeeded);
        }
        if !taken.is_empty() {
            continue;
        }
        let due = b.client.consumer.next_due(b.world.now).filter(|due| *due <= end);
        if due.is_none() && b.world.now == end {
            return calls;
        }
        b.world.now = due.unwrap_or(end);
        b.run();
    }
}

#[test]
fn a_long_delay_leaves_the_client_and_neither_deploys_nor_attempts_shorten_it() {
    let mut b = Bench::new(&options());
    let id = b.publish(1)[0];
    let token = b.take()[0].token;
    let counts = b.settle(token, Settlement::RetryLater(HOUR));
    assert_eq!((counts.retried, b.client.consumer.waiting()), (1, (0, 0)));
    assert!(b.client.consumer.groups[&b.client.key].entries.is_empty());
    let owner = b.world.pending("s").remove(0);
    assert_eq!((owner.id, &*owner.consumer, owner.deliveries), (id, DELAYED, 1));
    for n in 0..5 {
        deploy(&mut b, &format!("c{n}"), &options());
        assert_eq!(calls(&mut b, 600_000 - 1), []);
    }
    assert_eq!(calls(&mut b, 10 * 60_000 + 4), []);
    assert_eq!(calls(&mut b, 1), [(1, 2)]);
    assert_eq!((b.world.pending("s"), b.world.letters("s")), (vec![], vec![]));
}

#[test]
fn a_short_delay_stays_and_is_handed_back_with_its_rest() {
    let mut b = Bench::new(&options());
    b.publish(1);
    let token = b.take()[0].token;
    b.settle(token, Settlement::RetryLater(20_000));
    assert_eq!(b.client.consumer.waiting().0, 1);
    b.pass(5_000);
    for n in 0..3 {
        deploy(&mut b, &format!("c{n}"), &options());
        assert_eq!(calls(&mut b, 4_000), []);
    }
    assert_eq!((calls(&mut b, 2_999), calls(&mut b, 1)), (vec![], vec![(1, 2)]));
}

#[test]
fn what_fails_while_its_client_drains_keeps_its_delay() {
    let mut b = Bench::new(&options());
    b.publish(1);
    let token = b.take()[0].token;
    b.client.consumer.stop_reading(None, b.world.now);
    b.settle(token, Settlement::RetryLater(HOUR));
    deploy(&mut b, "d", &options());
    assert_eq!((calls(&mut b, HOUR - 1), calls(&mut b, 1)), (vec![], vec![(1, 2)]));
}

#[test]
fn many_delayed_entries_take_no_room_and_are_found_when_they_are_due() {
    let mut b = Bench::new(&SubscribeOptions { concurrency: 1000, ..options() });
    // More than a client holds.
    let count = 20_000;
    for _ in 0..count / 1000 {
        b.publish(1000);
        let out = b.take();
        assert_eq!(out.len(), 1000, "the reader goes on");
        for delivery in out {
            b.client.settle(delivery.token, Settlement::RetryLater(HOUR), b.world.now);
        }
        b.run();
        assert_eq!(b.client.consumer.waiting(), (0, 0));
    }
    assert_eq!(b.world.pending("s").len(), count);
    b.world.now += HOUR;
    b.run();
    assert_eq!(calls(&mut b, 60_000).len(), count);
    assert_eq!(b.world.pending("s"), []);
}

#[test]
fn an_entry_is_put_off_only_when_none_of_its_calls_is_over() {
    let mut b = Bench::new(&options());
    b.client.add(2, "a.*", &options());
    b.run();
    b.publish(3);
    let out = b.take();
    let token = |of: u64, subscription| {
        let found = out.iter().find(|d| number(d) == of && d.subscription == subscription);
        found.unwrap().token
    };
    // One has been handled by a subscription: it stays, so that it is not handled again.
    b.settle(token(1, 1), Settlement::Succeeded);
    b.settle(token(1, 2), Settlement::RetryLater(HOUR));
    // Both ask for about the same: it leaves.
    b.settle(token(2, 1), Settlement::RetryLater(HOUR));
    b.settle(token(2, 2), Settlement::RetryLater(HOUR + 1000));
    // Very different delays: each is kept.
    b.settle(token(3, 1), Settlement::RetryLater(40_000));
    b.settle(token(3, 2), Settlement::RetryLater(HOUR));
    assert_eq!(b.client.consumer.waiting().0, 2);
    let delayed = b.world.pending("s").iter().filter(|e| &*e.consumer == DELAYED).count();
    assert_eq!(delayed, 1);
    assert_eq!(calls(&mut b, 40_000), [(3, 2)]);
    assert_eq!(calls(&mut b, HOUR - 40_000), [(1, 2), (3, 2)]);
    assert_eq!(calls(&mut b, 999), []);
    assert_eq!(calls(&mut b, 1), [(2, 2), (2, 2)]);
    assert_eq!(b.world.pending("s"), []);
}

#[test]
fn over_a_restart_an_entry_is_due_when_the_longest_delay_of_its_calls_is_over() {
    let mut b = Bench::new(&options());
    b.client.add(2, "a.*", &options());
    b.run();
    b.publish(1);
    let out = b.take();
    b.settle(out[0].token, Settlement::RetryLater(40_000));
    b.settle(out[1].token, Settlement::RetryLater(HOUR));
    deploy(&mut b, "d", &options());
    assert_eq!((calls(&mut b, HOUR - 1), calls(&mut b, 1)), (vec![], vec![(1, 2)]));
}

#[test]
fn a_killed_process_neither_shortens_a_long_delay_nor_uses_up_an_attempt() {
    // Where an order is kept, the entry stays with the client.
    let options = ordered(OrderBy::Stream);
    let mut b = Bench::new(&options);
    b.publish(2);
    let token = b.take()[0].token;
    b.settle(token, Settlement::RetryLater(HOUR));
    for n in 0..4 {
        b.pass(100_000);
        unread(&mut b);
        b.client = peer_with(&mut b, &format!("k{n}"), &options);
    }
    assert_eq!(calls(&mut b, HOUR - 400_001), []);
    assert_eq!(calls(&mut b, 1)[0], (1, 2), "the one behind it waits, whoever has it");
}

#[test]
fn the_last_attempt_after_a_delay_is_no_suspected_poison() {
    let mut b = Bench::new(&options());
    b.publish(1);
    for attempt in 1..=3 {
        let delivery = b.take().remove(0);
        assert_eq!(delivery.attempt, attempt);
        b.settle(delivery.token, Settlement::RetryLater(HOUR));
        b.pass(HOUR);
    }
    assert_eq!(calls(&mut b, 0), [(1, 4)]);
    assert!(
        b.client.asked.iter().all(|r| !matches!(r, Request::MarkStarted { .. })),
        "it runs beside others"
    );
}

#[test]
fn an_order_holds_through_delays_and_restarts() {
    for order in [OrderBy::Key, OrderBy::Stream] {
        let options = ordered(order);
        let mut b = Bench::new(&options);
        b.publish_keyed("aab");
        let out = b.take();
        b.settle(out[0].token, Settlement::RetryLater(HOUR));
        for d in &out[1..] {
            b.settle(d.token, Settlement::Succeeded);
        }
        b.client.consumer.stop_reading(None, b.world.now);
        b.run();
        // More of the key comes while nobody is there.
        b.publish_keyed("ab");
        b.world.now += 1000;
        b.client = peer_with(&mut b, "d", &options);
        let before = if order == OrderBy::Key { vec![(5, 1)] } else { vec![] };
        assert_eq!(calls(&mut b, HOUR - 1001), before);
        deploy(&mut b, "e", &options);
        let after = calls(&mut b, 1);
        let numbers: Vec<u64> = after.iter().map(|(number, _)| *number).collect();
        let expected = if order == OrderBy::Key { vec![1, 2, 4] } else { vec![1, 2, 3, 4, 5] };
        assert_eq!((numbers, after[0].1), (expected, 2), "{order:?}");
    }
}

/// What was asked about expired entries since the last call: whether there are any, and which.
fn looks(b: &mut Bench) -> (usize, usize) {
    let asked = std::mem::take(&mut b.client.asked);
    let any = asked.iter().filter(|r| matches!(r, Request::AnyExpired { .. })).count();
    let which = asked.iter().filter(|r| matches!(r, Request::ListExpired { .. })).count();
    (any, which)
}

#[test]
fn while_nothing_is_pending_a_look_is_one_command() {
    let mut b = Bench::new(&options());
    b.client.consumer.hear_hand_backs(true);
    b.run();
    looks(&mut b);
    assert_eq!((calls(&mut b, 60_000), looks(&mut b)), (vec![], (4, 2)));
    // Another client puts an entry off and dies. This client is not told of it.
    let mut dead = peer_with(&mut b, "dead", &options());
    unread(&mut b);
    b.world.publish("s", "a.b", None);
    dead.run(&mut b.world);
    let token = dead.take(&b.world)[0].token;
    dead.settle(token, Settlement::RetryLater(45_000), b.world.now);
    dead.run(&mut b.world);
    assert_eq!(b.world.pending("s")[0].consumer.as_ref(), DELAYED);
    b.client.consumer.connected(b.client.key);
    b.run();
    assert_eq!(calls(&mut b, 44_999), []);
    assert_eq!(calls(&mut b, 1), [(1, 2)]);
}

#[test]
fn who_says_when_an_entry_is_due_asks_for_what_was_put_off() {
    let mut b = Bench::new(&options());
    b.client.add(2, "a.*", &options());
    b.client.consumer.hear_hand_backs(true);
    b.publish(1);
    // The other call is over, so the entry stays with this client, and the store is told when it is due.
    let out = b.take();
    b.settle(out[1].token, Settlement::Succeeded);
    b.settle(out[0].token, Settlement::RetryLater(45_000));
    let owner = &b.world.pending("s")[0];
    assert_eq!(&*owner.consumer, "c");
    looks(&mut b);
    assert_eq!(calls(&mut b, 45_000), [(1, 2)]);
    // A store that keeps such times by themselves says until when, and is asked as long as it does.
    let (_, which) = looks(&mut b);
    assert!(which > 0);
}
