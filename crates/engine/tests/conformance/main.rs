//! One suite for every transport: what a bus promises, whatever carries it.
//!
//! Each test takes a [`Fixture`](fixture::Fixture) and runs once per transport; where a promise depends
//! on the transport, the test asks for a declared capability.
//!
//! # Layout
//!
//! - `fixture`, `inbox`: a broker to test against; what handlers got.
//! - `universal`, `endurance`: counterparts of Watermill's universal tests that make sense for live events.
//! - `routing`, `subscribing`, `handling`, `overload`, `publishing`, `closing`: what Oxbus promises beyond.
//! - `rooms`: rooms, users, and who is there.
//! - `patterns`: our matcher against the real server.
//! - `durable`: the same for durable events, and what only they promise.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is a failure")]

/// Makes a test of each function for each transport. The modules are those beside it.
macro_rules! suite {
    ($($module:ident: $($test:ident),+;)+) => {
        suite!(@ memory: $($($module $test,)+)+);
        suite!(@ redis: $($($module $test,)+)+);
        suite!(@ hybrid: $($($module $test,)+)+);
    };
    (@ $transport:ident: $($module:ident $test:ident,)+) => {
        mod $transport {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let fixture = crate::fixture::Fixture::$transport().await;
                    super::$module::$test(&fixture).await;
                }
            )+
        }
    };
}

#[path = "../support/mod.rs"]
mod support;

mod closing;
mod durable;
mod endurance;
mod fixture;
mod handling;
mod inbox;
mod overload;
mod patterns;
mod publishing;
mod rooms;
mod routing;
mod subscribing;
mod universal;

/// Only the faults want that.
const WATCH_HEALTH: bool = false;

suite! {
    universal: publish_subscribe, a_new_subscriber_gets_nothing_old, resend_on_error, no_ack,
        continue_after_errors, topic, subscribe_ctx, message_ctx;
    endurance: concurrent_subscribe, concurrent_subscribe_multiple_topics, publish_subscribe_in_order,
        continue_after_subscribe_close, concurrent_close, publisher_close, reconnect;
    routing: overlapping_patterns, random_patterns, audiences, broadcasts, by_channel, channel_prefix,
        filter, no_echo, foreign_messages, metadata;
    rooms: joined_rooms_are_heard_by_type, users, names_are_apart, except, overlapping_joins, racing_joins,
        ten_thousand_members, who_is_there, refused_joins, closing_leaves;
    subscribing: implicit_connect, resubscribe_at_once, churn, many_subscriptions;
    handling: retries_at_different_times, a_retry_waits_for_a_slot, many_retries_at_once, giving_up,
        pause_and_resume, a_retry_falls_due_while_paused, circuit_opens_and_drops, circuit_closes_again;
    overload: drop_oldest, drop_newest, latest_per_key, bytes_are_bounded, a_blocked_host, unsubscribe_under_load,
        queue_full;
    publishing: bad_records_fail_alone, size_limits, given_options_reach_the_event, subscribe_refusals,
        cancelled, large_events;
    closing: every_publish_settles_once, drains_handlers, a_handler_beyond_the_limit_is_abandoned, idempotent,
        stats_balance, health_and_state;
}
