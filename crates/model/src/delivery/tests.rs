//! The table, and its accounting, in virtual time.

use proptest::prelude::*;

use std::sync::Arc;

use super::*;
use crate::breaker::{BreakerOptions, BreakerState};
use crate::delivery::queue::{Overflow, QueueOptions};
use crate::filter::Filter;
use crate::observe::metrics::{LIVE, MetricKey};
use crate::options::subscribe::SubscribeOptions;
use crate::retry::{Jitter, RetryPolicy};

fn options() -> SubscribeOptions {
    let retry = RetryPolicy { jitter: Jitter::None, ..RetryPolicy::default() };
    SubscribeOptions { retry, ..SubscribeOptions::default() }
}

fn event(n: u32) -> InboundEvent {
    candidate(&format!("{{\"data\":{n}}}"))
}

fn candidate(json: &str) -> InboundEvent {
    InboundEvent::new(LiveEvent {
        json: json.into(),
        parts: None,
        outlined: None,
        channel: None,
        published_ms: None,
        key: None,
        type_number: 7,
        own: false,
    })
}

fn table(options: &SubscribeOptions, filter: Option<Filter>) -> Deliveries {
    let mut d = Deliveries::new();
    d.add(1, options, filter);
    d
}

fn take(d: &mut Deliveries, now: u64) -> Vec<Delivery> {
    let mut out = Vec::new();
    d.take(now, (256, usize::MAX), &mut out);
    out
}

#[test]
fn no_more_than_the_concurrency_runs() {
    let mut d = table(&SubscribeOptions { concurrency: 2, ..options() }, None);
    (0..5).for_each(|n| assert_eq!(d.offer(1, 0, &event(n), 0), DeliveryCounts::default()));
    let first = take(&mut d, 0);
    assert_eq!(first.len(), 2);
    assert!(!d.has_ready(0));
    let (tally, _) = d.settle(first[0].token, Settlement::Succeeded, 0, || 0.0);
    let series = MetricKey { consumer: LIVE, event_type: 7 };
    assert_eq!((d.take_ended(), d.take_ended()), (Some(series), None));
    assert_eq!(tally.delivered, 1);
    assert!(d.has_ready(0));
    let next = take(&mut d, 0);
    assert_eq!(next.iter().map(|d| &*d.event.json).collect::<Vec<_>>(), ["{\"data\":2}"]);
}

/// A queue of one place, with one handler that is busy.
fn full(overflow: Overflow) -> Deliveries {
    let queue = QueueOptions { max_events: 1, overflow, ..QueueOptions::default() };
    let mut d = table(&SubscribeOptions { concurrency: 1, queue, ..options() }, None);
    d.offer(1, 0, &event(0), 0);
    assert_eq!(take(&mut d, 0).len(), 1);
    d.offer(1, 0, &event(1), 0);
    d
}

#[test]
fn drops_are_reported_at_once_and_then_now_and_then() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest, Overflow::LatestPerKey] {
        let mut d = full(overflow);
        assert!(!d.take_drops_began() && d.report_drops(0).is_empty());
        let dropped = |events| vec![DroppedEvents { subscription: 1, events }];
        d.offer(1, 0, &event(2), 10);
        assert!(d.take_drops_began() && !d.take_drops_began());
        assert_eq!((d.report_drops(10), d.dropping(10)), (dropped(1), dropped(1)));
        assert_eq!(d.next_drops_report(), None);
        (0..5).for_each(|_| _ = d.offer(1, 0, &event(3), 20));
        assert!(!d.take_drops_began() && d.report_drops(20).is_empty());
        let due = 10 + DROPS_INTERVAL;
        assert_eq!((d.next_drops_report(), d.dropping(20)), (Some(due), dropped(6)));
        assert_eq!((d.report_drops(due), d.dropping(due)), (dropped(5), dropped(6)));
        let over = 20 + DROPS_INTERVAL;
        assert!(d.report_drops(over).is_empty() && d.dropping(over).is_empty());
        d.offer(1, 0, &event(4), over);
        assert!(d.take_drops_began(), "after a while without drops the next is new");
        assert_eq!((d.report_drops(over), d.dropping(over)), (dropped(1), dropped(1)));
        d.remove(1);
        assert!(d.dropping(over).is_empty());
    }
}

#[test]
fn retries_beyond_the_queue_are_reported_as_drops() {
    let mut d = full(Overflow::DropOldest);
    d.settle(0, Settlement::RetryLater(1_000_000), 0, || 0.0);
    assert_eq!(d.report_drops(5), [DroppedEvents { subscription: 1, events: 1 }]);
}

#[test]
fn what_gives_way_to_a_later_event_of_its_key_is_no_loss_to_report() {
    let mut d = full(Overflow::LatestPerKey);
    let keyed = |key: &str| {
        let mut event = event(1);
        Arc::get_mut(&mut event.event).unwrap().key = Some(key.into());
        event
    };
    assert_eq!(d.offer(1, 0, &keyed("a"), 0).dropped, 1, "one without a key");
    assert_eq!(d.report_drops(0).len(), 1);
    assert_eq!(d.offer(1, 0, &keyed("a"), 1).dropped, 1);
    assert!(d.report_drops(1 + DROPS_INTERVAL).is_empty());
}

#[test]
fn a_failure_is_tried_again_on_schedule_and_then_given_up() {
    let mut d = table(&options(), None);
    d.offer(1, 0, &event(1), 0);
    let (mut now, mut waits) = (0, Vec::new());
    let retryable = Settlement::Failed { retryable: true };
    for attempt in 1..=4 {
        let run = take(&mut d, now);
        assert_eq!((run.len(), run[0].attempt), (1, attempt));
        let (tally, _) = d.settle(run[0].token, retryable, now, || 0.5);
        assert_eq!((tally.retried, tally.failed), if attempt < 4 { (1, 0) } else { (0, 1) });
        if let Some(due) = d.next_due(now) {
            waits.push(due - now);
            assert!(take(&mut d, due - 1).is_empty());
            now = due;
        }
    }
    assert_eq!(waits, [1000, 2000, 4000]);
    assert_eq!((d.running(), d.waiting()), (0, 0));
}

#[test]
fn a_retry_does_not_hold_up_others_and_what_is_final_is_not_retried() {
    let mut d = table(&SubscribeOptions { concurrency: 1, ..options() }, None);
    (1..=2).for_each(|n| {
        d.offer(1, 0, &event(n), 0);
    });
    let first = take(&mut d, 0);
    d.settle(first[0].token, Settlement::RetryLater(500), 0, || 0.0);
    let second = take(&mut d, 0);
    assert_eq!(&*second[0].event.json, "{\"data\":2}");
    let (tally, _) = d.settle(second[0].token, Settlement::Failed { retryable: false }, 0, || 0.0);
    assert_eq!((tally.failed, tally.retried, tally.handler_errors), (1, 0, 1));
    assert_eq!(d.next_due(0), Some(500));
    assert_eq!(take(&mut d, 500)[0].attempt, 2);
}

#[test]
fn what_is_due_and_not_taken_hides_no_later_time() {
    let mut d = table(&SubscribeOptions { concurrency: 2, ..options() }, None);
    (0..2).for_each(|n| {
        d.offer(1, 0, &event(n), 0);
    });
    let run = take(&mut d, 0);
    d.settle(run[0].token, Settlement::RetryLater(100), 0, || 0.0);
    d.settle(run[1].token, Settlement::RetryLater(200), 0, || 0.0);
    assert_eq!((d.next_due(0), d.next_due(100), d.next_due(200)), (Some(100), Some(200), None));
    assert!(!d.has_ready(99) && d.has_ready(100));
    d.pause(1, true);
    assert!(!d.has_ready(200));
    d.pause(1, false);
    assert!(d.has_ready(200));
    assert_eq!(take(&mut d, 200).len(), 2);
    assert!(!d.has_ready(200));
}

#[test]
fn an_open_circuit_drops_and_counts_and_half_open_runs_one() {
    let breaker = BreakerOptions { minimum_calls: 2, ..BreakerOptions::default() };
    let options = SubscribeOptions { circuit_breaker: Some(breaker), max_retries: 0, ..options() };
    let mut d = table(&options, None);
    (0..3).for_each(|n| {
        d.offer(1, 0, &event(n), 0);
    });
    let failed = Settlement::Failed { retryable: false };
    let runs = take(&mut d, 0);
    assert_eq!(d.settle(runs[0].token, failed, 0, || 0.0).1, None);
    let (_, change) = d.settle(runs[1].token, failed, 0, || 0.0);
    assert_eq!(change.unwrap().state, BreakerState::Open);
    assert_eq!(d.offer(1, 0, &event(9), 1).dropped, 1);
    // The third call started before the circuit opened: its success says nothing.
    assert_eq!(d.settle(runs[2].token, Settlement::Succeeded, 2, || 0.0).1, None);
    (0..3).for_each(|n| {
        d.offer(1, 0, &event(n), 60_001);
    });
    let trial = take(&mut d, 60_001);
    assert_eq!(trial.len(), 1);
    assert!(!d.has_ready(60_001));
    let (_, change) = d.settle(trial[0].token, Settlement::Succeeded, 60_002, || 0.0);
    assert_eq!(change.unwrap().state, BreakerState::Closed);
    assert_eq!(take(&mut d, 60_002).len(), 2);
}

#[test]
fn filters_echo_and_pause() {
    let conditions = serde_json::json!({"data": [1, 2]});
    let filter = Filter::parse(conditions.as_object().unwrap()).unwrap();
    let mut d = table(&SubscribeOptions { no_echo: true, ..options() }, Some(filter));
    (0..4).for_each(|n| {
        d.offer(1, 0, &event(n), 0);
    });
    let mut own = event(1);
    Arc::get_mut(&mut own.event).unwrap().own = true;
    d.offer(1, 0, &own, 0);
    d.pause(1, true);
    assert!(!d.has_ready(0) && take(&mut d, 0).is_empty());
    d.pause(1, false);
    assert_eq!(take(&mut d, 0).len(), 2);
}

#[test]
fn a_filter_reads_what_v8_reads() {
    let conditions = serde_json::json!({"data.n": 1, "data.text": "x\u{fffd}"});
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for (n, other, passes) in [
        ("1", "0", 1),
        ("2", "0", 0),
        ("1", r#""\ud83d""#, 1),
        ("2", r#""\ud83d""#, 0),
        ("1", r#"{"\ude00":1}"#, 1),
        ("1", "1e999", 1),
        ("1", &deep, 1),
        ("2", &deep, 0),
    ] {
        let filter = Filter::parse(conditions.as_object().unwrap()).unwrap();
        let mut d = table(&options(), Some(filter));
        let json = format!(r#"{{"data":{{"n":{n},"text":"x\ud83d","other":{other}}}}}"#);
        let tally = d.offer(1, 0, &candidate(&json), 0);
        let run = take(&mut d, 0);
        assert_eq!((run.len() as u64, tally.skipped), (passes, 1 - passes), "{n} {:.20}", other);
        assert!(run.iter().all(|run| *run.event.json == json), "the event stays as it came");
    }
}

#[test]
fn a_token_of_a_running_call_is_not_given_again() {
    let mut d = table(&options(), None);
    let mut one = |n, next: Option<u32>| {
        if let Some(next) = next {
            d.continue_at(next);
        }
        d.offer(1, 0, &event(n), 0);
        take(&mut d, 0)[0].token
    };
    assert_eq!([one(0, Some(0)), one(1, None), one(2, None)], [0, 1, 2]);
    assert_eq!([one(3, Some(u32::MAX)), one(4, None)], [u32::MAX, 3]);
    d.settle(1, Settlement::Succeeded, 0, || 0.0);
    (5..8).for_each(|n| {
        d.offer(1, 0, &event(n), 0);
    });
    d.continue_at(0);
    let tokens: Vec<u32> = take(&mut d, 0).iter().map(|run| run.token).collect();
    assert_eq!(tokens, [1, 4, 5]);
    assert_eq!(d.running(), 7);
}

#[test]
fn clearing_counts_what_all_leave_and_running_calls_end() {
    let mut d = Deliveries::new();
    let options = SubscribeOptions { concurrency: 1, ..options() };
    for id in 0..3 {
        d.add(id, &options, None);
        (0..4).for_each(|n| {
            d.offer(id, 0, &event(n), 0);
        });
    }
    let runs = take(&mut d, 0);
    d.settle(runs[0].token, Settlement::Failed { retryable: true }, 0, || 0.0);
    assert_eq!((runs.len(), d.waiting()), (3, 10));
    assert_eq!(d.clear(), DeliveryCounts { dropped: 10, ..DeliveryCounts::default() });
    assert_eq!((d.waiting(), d.waiting_bytes(), d.next_due(0), d.has_ready(u64::MAX)), (0, 0, None, false));
    assert!(take(&mut d, u64::MAX).is_empty());
    assert_eq!(d.settle(runs[1].token, Settlement::Succeeded, 0, || 0.0).0.delivered, 1);
    assert_eq!(d.settle(runs[2].token, Settlement::Failed { retryable: true }, 0, || 0.0).0.failed, 1);
    assert_eq!((d.running(), d.clear()), (0, DeliveryCounts::default()));
}

#[test]
fn a_removed_subscription_leaves_the_list_of_ready_ones() {
    let mut d = Deliveries::new();
    for id in 0..3 {
        d.add(id, &options(), None);
    }
    d.offer(1, 0, &event(1), 0);
    d.offer(2, 0, &event(2), 0);
    for id in 0..2 {
        d.remove(id);
    }
    assert_eq!(d.listed(), [2]);
    // The number again, with an event: listed once.
    d.add(1, &options(), None);
    d.offer(1, 0, &event(3), 0);
    assert_eq!(take(&mut d, 0).iter().map(|run| run.subscription).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn a_removed_subscription_counts_counts_what_it_leaves() {
    let mut d = table(&SubscribeOptions { concurrency: 1, ..options() }, None);
    (0..3).for_each(|n| {
        d.offer(1, 0, &event(n), 0);
    });
    let run = take(&mut d, 0);
    assert_eq!(d.remove(1).dropped, 2);
    assert_eq!(d.offer(1, 0, &event(3), 0).dropped, 1);
    assert_eq!(d.settle(run[0].token, Settlement::Succeeded, 0, || 0.0).0.delivered, 1);
    assert_eq!((d.running(), d.waiting()), (0, 0));
}

proptest! {
    /// Offered = delivered + given up + dropped + still here, whatever happens in whatever order.
    #[test]
    fn every_event_is_accounted_for(
        steps in prop::collection::vec((0u8..6, 0u64..3000), 1..300),
        breaker: bool,
    ) {
        let queue = QueueOptions { max_events: 8, max_bytes: 1 << 20, overflow: Overflow::DropOldest };
        let circuit_breaker = breaker.then(|| BreakerOptions { minimum_calls: 3, reset_timeout: 2000, ..Default::default() });
        let mut d = table(&SubscribeOptions { concurrency: 3, queue, circuit_breaker, ..options() }, None);
        let (mut now, mut total, mut offered) = (0, DeliveryCounts::default(), 0);
        let mut running = Vec::new();
        for (step, advance) in steps {
            match step {
                0 | 1 => { total.add(d.offer(1, 0, &event(offered), now)); offered += 1; }
                2 => running.extend(take(&mut d, now)),
                3 => now += advance,
                _ => if let Some(run) = running.pop() {
                    let how = if step == 4 { Settlement::Succeeded } else { Settlement::Failed { retryable: advance > 500 } };
                    total.add(d.settle(run.token, how, now, || 0.3).0);
                },
            }
            prop_assert!(d.running() <= 3 && d.waiting() <= 8);
            prop_assert_eq!(
                u64::from(offered),
                total.delivered + total.failed + total.dropped + d.waiting() as u64 + d.running() as u64
            );
        }
    }
}
