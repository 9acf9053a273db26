//! Durable events: what a stream with its groups promises, whatever carries it.
//!
//! # Layout
//!
//! - `setup`: streams, groups, handlers that wait.
//! - `universal`, `endurance`: counterparts of Watermill's universal tests, all sixteen of them.
//! - `publishing`, `routing`: what is stored where, and whom it reaches.
//! - `retrying`, `ordering`, `calls`: how handlers are called.
//! - `sharing`, `leases`: consumers that come, go, die and get stuck.
//! - `losing`, `letters`, `administration`, `history`: what is lost, given up, looked at and looked back on.

mod administration;
mod calls;
mod endurance;
mod history;
mod leases;
mod letters;
mod losing;
mod ordering;
mod publishing;
mod retrying;
mod routing;
mod setup;
mod sharing;
mod universal;

suite! {
    universal: publish_subscribe, a_new_subscriber_receives_old_messages, resend_on_error, no_ack,
        continue_after_errors, consumer_groups, topic, message_ctx, subscribe_ctx, all_subscriptions_of_a_group;
    endurance: concurrent_subscribe, concurrent_subscribe_multiple_topics, publish_subscribe_in_order,
        continue_after_subscribe_close, concurrent_close, publisher_close, reconnect, stress;
    publishing: receipts, duplicates, duplicates_run_out, publish_refusals, retention;
    routing: refusals, overlapping_patterns, filters, handlers_in_different_clients, unhandled, several_streams,
        configured_groups, where_events_are_stored;
    retrying: always_failing, giving_up, retry_later, without_dead_letters, attempts_survive, one_of_two_fails,
        many_retries_at_once;
    ordering: by_key, a_key_that_waits, by_stream, a_late_call_keeps_its_place, one_order_for_a_group;
    calls: batches, failing_batches, many_batches, pause_and_resume,
        a_paused_client_leaves_the_rest_to_others, circuit_breaker, backpressure;
    sharing: a_slow_group, hand_back_on_disconnect, hand_back_on_unsubscribe, one_subscription_of_a_group_ends,
        rejoin, a_dead_consumer, a_consumer_name, consumers_that_leave, a_lease_of_its_own, recover;
    leases: claims_are_renewed, a_blocked_host, max_processing, a_late_failure, a_stolen_claim, a_crowd;
    losing: undecodable, foreign_entries, trimmed_unread, trimmed_pending, a_lost_group, a_lost_stream;
    letters: looking, back_to_the_group, back_to_the_stream, failing_again;
    administration: streams_and_groups, trimming, positions, removing_a_group;
    history: events_by_id, events_run_out, past_events, replay_in_pages, replay_for_a_group;
}
