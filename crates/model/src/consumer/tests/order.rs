//! The order of a group within a client.

use crate::consumer::tests::world::*;
use crate::delivery::Settlement;
use crate::options::subscribe::{BatchOptions, OrderBy, SubscribeOptions};

#[test]
fn of_each_key_one_runs_and_the_rest_wait_also_through_retries() {
    let mut b = Bench::new(&ordered(OrderBy::Key));
    b.publish_keyed("ab-aab-");
    let (tokens, numbers) = b.take_numbers();
    assert_eq!(numbers, [1, 2, 3, 7]);
    b.settle(tokens[0], RETRYABLE);
    assert!(b.take().is_empty(), "4 waits for the retry of 1");
    b.settle(tokens[1], Settlement::Failed { retryable: false });
    let (_, numbers) = b.take_numbers();
    assert_eq!(numbers, [6], "2 is decided");
    b.pass(1000);
    let (tokens, numbers) = b.take_numbers();
    assert_eq!(numbers, [1]);
    b.settle(tokens[0], Settlement::Succeeded);
    let (tokens, numbers) = b.take_numbers();
    assert_eq!(numbers, [4]);
    b.settle(tokens[0], Settlement::Succeeded);
    assert_eq!(b.take_numbers().1, [5]);
}

#[test]
fn a_timed_out_call_keeps_its_slot_and_its_lane_until_it_ends() {
    let mut b = Bench::new(&SubscribeOptions { concurrency: 2, ..ordered(OrderBy::Key) });
    b.publish_keyed("aabcd");
    let (tokens, numbers) = b.take_numbers();
    assert_eq!(numbers, [1, 3]);
    assert_eq!(b.settle(tokens[0], Settlement::TimedOut { retryable: true }).retried, 1);
    assert_eq!(b.client.consumer.running(), 1);
    b.pass(5000);
    assert!(b.take().is_empty(), "no slot is free");
    b.settle(tokens[1], Settlement::Succeeded);
    let (others, numbers) = b.take_numbers();
    assert_eq!(numbers, [4], "one slot is");
    b.client.consumer.finish_timed_out(tokens[0], b.world.now);
    let (again, numbers) = b.take_numbers();
    assert_eq!(numbers, [1], "its retry was due before");
    b.settle(others[0], Settlement::Succeeded);
    b.settle(again[0], Settlement::TimedOut { retryable: false });
    b.pass(1);
    assert_eq!(b.world.letters("s").len(), 1);
    assert_eq!(b.take_numbers().1, [5], "2 waits for the end of the call");
    b.client.consumer.finish_timed_out(again[0], b.world.now);
    b.run();
    assert_eq!(b.take_numbers().1, [2]);
}

#[test]
fn without_an_order_a_timeout_frees_the_slot() {
    let mut b = Bench::new(&SubscribeOptions { concurrency: 1, ..options() });
    b.publish(2);
    let (tokens, _) = b.take_numbers();
    b.settle(tokens[0], Settlement::TimedOut { retryable: true });
    assert_eq!(b.take_numbers().1, [2]);
    b.client.consumer.finish_timed_out(tokens[0], b.world.now);
    assert_eq!(b.client.consumer.running(), 1);
}

#[test]
fn a_stream_goes_one_by_one() {
    let mut b = Bench::new(&ordered(OrderBy::Stream));
    b.publish(5);
    assert!(b.pending().len() > 1, "it reads ahead");
    for n in 1..=5 {
        let (tokens, numbers) = b.take_numbers();
        assert_eq!(numbers, [n]);
        if n == 3 {
            b.settle(tokens[0], RETRYABLE);
            assert!(b.take().is_empty());
            b.pass(1000);
            let (tokens, numbers) = b.take_numbers();
            assert_eq!(numbers, [3]);
            b.settle(tokens[0], Settlement::Succeeded);
        } else {
            b.settle(tokens[0], Settlement::Succeeded);
        }
    }
    assert_eq!(b.pending(), []);
}

#[test]
fn a_stream_in_batches_goes_batch_by_batch() {
    let batch = Some(BatchOptions { size: 3, wait: 10 });
    let mut b = Bench::new(&durable(|d| (d.order_by, d.batch) = (OrderBy::Stream, batch)));
    b.publish(7);
    let (tokens, numbers) = b.take_numbers();
    assert_eq!(numbers, [1, 2, 3]);
    assert!(b.take().is_empty());
    b.settle(tokens[0], RETRYABLE);
    b.pass(999);
    assert!(b.take().is_empty());
    b.pass(1);
    let (tokens, numbers) = b.take_numbers();
    assert_eq!(numbers, [1, 2, 3], "together again, and in order");
    b.settle(tokens[0], Settlement::Succeeded);
    let (tokens, numbers) = b.take_numbers();
    assert_eq!(numbers, [4, 5, 6]);
    b.settle(tokens[0], Settlement::Succeeded);
    b.pass(10);
    assert_eq!(b.take_numbers().1, [7]);
}

#[test]
fn a_key_that_waits_does_not_keep_the_group_from_reading() {
    let mut b = Bench::new(&ordered(OrderBy::Key));
    b.publish_keyed(&"a".repeat(500));
    b.publish_keyed("b");
    let (_, numbers) = b.take_numbers();
    assert_eq!(numbers, [1, 501]);
}
