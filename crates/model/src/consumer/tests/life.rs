//! The life of an entry: read, handled, tried again, acknowledged or buried.

use serde_json::json;

use crate::ErrorKind;
use crate::breaker::{BreakerOptions, BreakerState};
use crate::config::DeadLetterConfig;
use crate::consumer::tests::world::*;
use crate::consumer::{Announcement, Content};
use crate::delivery::{DURABLE_TOKEN, Settlement};
use crate::options::subscribe::{BatchOptions, SubscribeOptions};
use crate::stream_store::Request;

#[test]
fn a_success_is_acknowledged() {
    let mut b = Bench::new(&options());
    assert!(matches!(b.announced()[..], [Announcement::Confirmed { subscription: 1 }]));
    let ids = b.publish(3);
    let out = b.take();
    assert_eq!(out.iter().map(number).collect::<Vec<_>>(), [1, 2, 3]);
    let stored = out[0].stored.as_ref().unwrap();
    assert_eq!((&*stored.stream, &*stored.group, stored.id, stored.deliveries), ("s", "g", ids[0], 1));
    assert!(out.iter().all(|d| d.token & DURABLE_TOKEN != 0 && d.attempt == 1 && d.subscription == 1));
    assert_eq!(b.pending().len(), 3);
    assert!(!b.client.consumer.is_settled(None));
    for d in &out {
        assert_eq!(b.settle(d.token, Settlement::Succeeded).delivered, 1);
        let series: Vec<_> = b.client.consumer.take_ended().collect();
        let (stream, group) = &b.client.consumer.consumers()[usize::from(series[0].consumer)];
        assert_eq!((series.len(), &**stream, &**group, series[0].event_type), (1, "s", "g", 1));
    }
    assert_eq!(b.pending(), []);
    assert!(b.client.consumer.is_settled(None));
    assert_eq!((b.client.consumer.waiting(), b.client.consumer.running()), ((0, 0), 0));
    assert_eq!(b.settle(out[0].token, Settlement::Succeeded).delivered, 0, "settled once");
}

#[test]
fn a_failure_is_tried_again_with_its_count_kept_and_then_buried() {
    let mut b = Bench::new(&options());
    let id = b.publish(1)[0];
    let mut waits = Vec::new();
    for attempt in 1..=4 {
        let out = b.take();
        assert_eq!((out.len(), out[0].attempt), (1, attempt));
        b.client.consumer.explain(out[0].token, format!("{{\"name\":\"E{attempt}\"}}").into());
        let tally = b.settle(out[0].token, RETRYABLE);
        assert_eq!((tally.retried, tally.failed), if attempt < 4 { (1, 0) } else { (0, 1) });
        if attempt < 4 {
            assert_eq!(b.pending(), [(id, attempt + 1)]);
            assert!(!b.client.consumer.has_ready(b.world.now));
            let before = b.world.now;
            while !b.client.consumer.has_ready(b.world.now) {
                b.world.now = b.client.consumer.next_due(b.world.now).unwrap();
                b.run();
            }
            waits.push(b.world.now - before);
        }
    }
    assert_eq!(waits, [1000, 2000, 4000]);
    assert_eq!(b.pending(), []);
    assert_eq!(b.world.letters("s"), [(id.to_string(), "failed".into(), "4".into())]);
    assert_eq!((b.client.tally.dead_lettered, b.client.tally.handler_errors), (1, 4));
    let dead = b.announced().pop().unwrap();
    let Announcement::DeadLettered { attempts: 4, reason: "failed", error, kept: true, event, .. } = dead
    else {
        panic!("{dead:?}");
    };
    assert_eq!((&*error, event.is_some()), ("{\"name\":\"E4\"}", true));
}

#[test]
fn retries_do_not_hold_up_others() {
    let mut b = Bench::new(&SubscribeOptions { concurrency: 1, ..options() });
    b.publish(200);
    for _ in 0..100 {
        let out = b.take();
        b.settle(out[0].token, RETRYABLE);
    }
    let (_, numbers) = b.take_numbers();
    assert_eq!(numbers, [101]);
}

#[test]
fn attempts_that_end_before_the_store_is_told_are_told_once() {
    let mut b = Bench::new(&options());
    let id = b.publish(1)[0];
    for attempt in 1..=2 {
        let out = b.take();
        assert_eq!(out[0].attempt, attempt);
        b.client.settle(out[0].token, Settlement::RetryLater(0), b.world.now);
    }
    b.client.asked.clear();
    b.run();
    let holds = b.client.asked.iter().filter_map(|request| match request {
        Request::ExtendLease { items, .. } => Some(&**items),
        _ => None,
    });
    assert_eq!(holds.collect::<Vec<_>>(), [&[(id, Some(3.into()))][..]]);
    assert_eq!(b.pending(), [(id, 3)]);
}

#[test]
fn what_is_final_is_buried_at_once() {
    let mut b = Bench::new(&options());
    let ids = b.publish(3);
    let out = b.take();
    b.settle(out[0].token, Settlement::Failed { retryable: false });
    b.settle(out[1].token, Settlement::TimedOut { retryable: true });
    b.settle(out[2].token, Settlement::RetryLater(7));
    assert_eq!(b.world.letters("s"), [(ids[0].to_string(), "not-retryable".into(), "1".into())]);
    assert_eq!(b.pending(), [(ids[1], 2), (ids[2], 2)]);
    b.pass(7);
    assert_eq!(b.take_numbers().1, [3]);
    let never = SubscribeOptions { retry_on_error: false, ..options() };
    let mut b = Bench::new(&never);
    b.publish(1);
    let out = b.take();
    assert_eq!(b.settle(out[0].token, RETRYABLE).failed, 1);
    assert_eq!(b.world.letters("s").len(), 1);
}

#[test]
fn without_dead_letters_they_are_acknowledged_and_announced() {
    let mut world = World::new();
    let off = DeadLetterConfig { enabled: false, ..DeadLetterConfig::default() };
    let mut client = Client::with("c", &options(), off);
    client.add(1, "*", &options());
    client.consumer.connected(client.key);
    client.run(&mut world);
    world.publish("s", "a", None);
    client.run(&mut world);
    let out = client.take(&world);
    client.settle(out[0].token, Settlement::Failed { retryable: false }, world.now);
    client.run(&mut world);
    assert_eq!((world.pending("s"), client.tally.dead_lettered), (vec![], 0));
    let dead = |a: &&Announcement| matches!(a, Announcement::DeadLettered { kept: false, .. });
    assert_eq!(client.announcements.iter().filter(dead).count(), 1);
}

#[test]
fn an_entry_is_settled_when_all_its_subscriptions_are() {
    let mut b = Bench::new(&options());
    b.client.add(2, "a.*", &options());
    b.client.add(3, "other", &options());
    b.run();
    let id = b.publish(1)[0];
    let out = b.take();
    assert_eq!(out.iter().map(|d| d.subscription).collect::<Vec<_>>(), [1, 2]);
    b.settle(out[0].token, Settlement::Succeeded);
    assert_eq!(b.pending(), [(id, 1)]);
    b.settle(out[1].token, RETRYABLE);
    assert_eq!(b.pending(), [(id, 2)]);
    b.pass(1000);
    let out = b.take();
    assert_eq!((out.len(), out[0].subscription, out[0].attempt), (1, 2, 2), "each retries alone");
    b.settle(out[0].token, Settlement::Succeeded);
    assert_eq!(b.pending(), []);
}

#[test]
fn any_final_failure_buries_after_the_others_are_done() {
    let mut b = Bench::new(&options());
    b.client.add(2, "a.*", &options());
    b.run();
    b.publish(1);
    let out = b.take();
    b.settle(out[0].token, Settlement::Failed { retryable: false });
    assert_eq!(b.world.letters("s"), []);
    b.settle(out[1].token, Settlement::Succeeded);
    assert_eq!((b.world.letters("s").len(), b.pending()), (1, vec![]));
}

#[test]
fn filters_and_foreign_types_are_skipped_and_entries_of_other_groups_too() {
    let filter = json!({ "data": 2 }).as_object().cloned();
    let wanting = SubscribeOptions { filter, ..options() };
    let mut b = Bench::new(&wanting);
    b.publish(3);
    assert_eq!(b.take_numbers().1, [2]);
    assert_eq!((b.pending().len(), b.client.tally.skipped), (1, 2));

    let mut world = World::new();
    let mut client = Client::new("c", &options());
    client.add(1, "a.*", &options());
    client.consumer.connected(client.key);
    client.run(&mut world);
    world.publish("s", "b.c", None);
    let mut only = fields("a.b", None, 1);
    only.push((Box::from(*b"group"), Box::from(*b"other")));
    world.store.append("s", only.clone(), None, world.now);
    only.pop();
    only.push((Box::from(*b"group"), Box::from(*b"g")));
    world.store.append("s", only, None, world.now);
    client.run(&mut world);
    assert_eq!(client.tally.skipped, 2);
    assert_eq!((client.take(&world).len(), world.pending("s").len()), (1, 1));
}

#[test]
fn what_cannot_be_decoded_is_buried() {
    let mut b = Bench::new(&options());
    let id = b.world.store.append("s", vec![(Box::from(*b"x"), Box::from(*b"\xff"))], None, b.world.now);
    b.publish(1);
    assert_eq!(b.take().len(), 1, "the loop goes on");
    assert_eq!(b.world.letters("s"), [(id.to_string(), "undecodable".into(), "1".into())]);
    let dead = |a: &Announcement| matches!(a, Announcement::DeadLettered { event: None, .. });
    assert!(b.announced().iter().any(dead));
    let _: fn(String) -> Content = Content::Undecodable;
}

#[test]
fn acknowledgements_are_gathered_and_repeated_until_they_are_answered() {
    let mut b = Bench::new(&SubscribeOptions { concurrency: 100, ..options() });
    b.publish(50);
    let out = b.take();
    b.client.fault = Box::new(|r| match r {
        Request::Acknowledge { .. } => Some(Fault::Refuse(ErrorKind::ConnectionLost)),
        _ => None,
    });
    for d in &out {
        b.client.settle(d.token, Settlement::Succeeded, b.world.now);
    }
    b.client.asked.clear();
    b.run();
    let acks = |b: &Bench| b.client.asked.iter().filter(|r| matches!(r, Request::Acknowledge { .. })).count();
    assert_eq!(acks(&b), 1, "one request for all");
    b.pass(1000);
    assert!((3..=6).contains(&acks(&b)), "{} with a backoff", acks(&b));
    assert!(!b.client.consumer.is_settled(None));
    // Found again meanwhile: not run again.
    b.client.consumer.disconnected(b.client.key);
    b.client.parked = None;
    b.client.consumer.connected(b.client.key);
    b.run();
    assert_eq!(b.take().len(), 0);
    b.client.fault = Box::new(|_| None);
    b.pass(5000);
    assert_eq!((b.pending(), b.client.consumer.is_settled(None)), (vec![], true));
    assert_eq!(b.take().len(), 0);
}

#[test]
fn a_bury_that_fails_is_repeated_and_reported_once() {
    let mut b = Bench::new(&options());
    b.publish(1);
    let out = b.take();
    b.announced();
    b.client.fault = Box::new(|r| match r {
        Request::DeadLetter { .. } => Some(Fault::Refuse(ErrorKind::ServerOom)),
        _ => None,
    });
    b.settle(out[0].token, Settlement::Failed { retryable: false });
    b.pass(LEASE * 3);
    assert_eq!((b.pending().len(), b.world.letters("s").len()), (1, 0), "it stays claimed");
    let errors = b.announced().into_iter().filter(|a| matches!(a, Announcement::Error(_))).count();
    assert_eq!(errors, 1);
    b.client.fault = Box::new(|_| None);
    b.pass(5000);
    assert_eq!((b.pending().len(), b.world.letters("s").len()), (0, 1));
    // An answer that is lost does not bury twice, and is announced.
    b.publish(1);
    let out = b.take();
    b.client.fault = Box::new(|r| matches!(r, Request::DeadLetter { .. }).then_some(Fault::Mute));
    b.settle(out[0].token, Settlement::Failed { retryable: false });
    b.client.fault = Box::new(|_| None);
    b.pass(200);
    assert_eq!((b.world.letters("s").len(), b.client.tally.dead_lettered), (2, 2));
}

#[test]
fn a_batch_is_one_call_that_settles_as_one() {
    let batch = Some(BatchOptions { size: 3, wait: 50 });
    let mut b = Bench::new(&durable(|d| d.batch = batch));
    b.publish(4);
    let out = b.take();
    assert_eq!(out.iter().map(number).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(out.iter().all(|d| d.token == out[0].token && d.stored.as_ref().unwrap().batch == 3));
    assert!(!b.client.consumer.has_ready(b.world.now), "the fourth waits");
    b.pass(49);
    assert!(b.take().is_empty());
    b.pass(1);
    let last = b.take();
    assert_eq!((last.len(), last[0].stored.as_ref().unwrap().batch), (1, 1));
    assert_eq!(b.settle(out[0].token, Settlement::Succeeded).delivered, 3);
    assert_eq!(b.settle(last[0].token, RETRYABLE).retried, 1);
    b.publish(1);
    b.pass(1000);
    let (_, mixed) = b.take_numbers();
    assert!(mixed.contains(&5), "{mixed:?}");
    assert_eq!(b.client.consumer.running(), 1);
}

#[test]
fn an_open_circuit_keeps_everything_and_reads_nothing() {
    let breaker = BreakerOptions { minimum_calls: 2, ..BreakerOptions::default() };
    let mut b = Bench::new(&SubscribeOptions { circuit_breaker: Some(breaker), ..options() });
    b.publish(6);
    let out = b.take();
    let random = || 0.5;
    b.client.consumer.settle(out[0].token, RETRYABLE, b.world.now, random);
    let (_, change) = b.client.consumer.settle(out[1].token, RETRYABLE, b.world.now, random);
    assert_eq!(change.unwrap().state, BreakerState::Open);
    for d in &out[2..] {
        b.settle(d.token, Settlement::Succeeded);
    }
    // One read was on its way.
    b.publish(100);
    b.publish(100);
    b.pass(59_000);
    let before = b.pending().len();
    assert!(before < 50, "{before}");
    assert!(!b.client.consumer.has_ready(b.world.now));
    let idle = b.world.pending("s").iter().map(|p| p.idle).max().unwrap();
    assert!(idle <= LEASE / 3, "{idle}");
    b.pass(1000);
    let mut out = Vec::new();
    let changes = b.client.consumer.take(b.world.now, (100, usize::MAX), &mut out);
    assert_eq!((changes[0].state, out.len()), (BreakerState::HalfOpen, 1));
    let (_, change) = b.client.consumer.settle(out[0].token, Settlement::Succeeded, b.world.now, random);
    assert_eq!(change.unwrap().state, BreakerState::Closed);
    b.run();
    assert_eq!(b.take().len(), 16);
}

#[test]
fn a_paused_subscription_gets_nothing_and_the_group_reads_nothing() {
    let mut b = Bench::new(&options());
    b.client.consumer.pause(1, true);
    b.publish(100);
    b.publish(100);
    assert!(!b.client.consumer.has_ready(b.world.now));
    assert!(b.take().is_empty());
    assert!(b.pending().len() <= 32, "{}", b.pending().len());
    b.client.consumer.pause(1, false);
    b.run();
    assert_eq!(b.take().len(), 16);
}

#[test]
fn a_group_whose_subscriptions_are_held_reads_nothing_until_they_are_resumed() {
    let held = SubscribeOptions { held: true, ..options() };
    let mut b = Bench::new(&held);
    b.publish(10);
    b.pass(5 * LEASE);
    assert_eq!(b.pending(), []);
    assert!(matches!(b.announced()[..], [Announcement::Confirmed { subscription: 1 }]));
    b.client.add(2, "*", &held);
    b.run();
    assert_eq!(b.pending(), []);
    b.client.consumer.pause(1, false);
    b.run();
    b.client.consumer.pause(2, false);
    b.run();
    // Both have each event, also what was read for the first of them.
    let taken = b.take();
    let of = |id: u32| taken.iter().filter(|d| d.subscription == id).map(number).collect::<Vec<_>>();
    assert_eq!(of(1), (1..=10).collect::<Vec<_>>());
    assert_eq!(of(2), of(1));
}

#[test]
fn reading_follows_the_room_and_the_pace() {
    let mut b = Bench::new(&options());
    b.publish(10_000);
    assert!(b.pending().len() <= 48, "{} without a pace", b.pending().len());
    let mut most = 0;
    while let out = b.take()
        && !out.is_empty()
    {
        for d in &out {
            b.client.settle(d.token, Settlement::Succeeded, b.world.now);
        }
        b.run();
        most = most.max(b.client.consumer.waiting().0);
    }
    assert!((500..=4200).contains(&most), "{most}");
    assert_eq!((b.pending().len(), b.client.tally.delivered), (0, 10_000));
}
