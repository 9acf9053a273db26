//! The subscriber's connection breaks: what is subscribed comes back, once, and the hole is reported.

use oxbus_model::delivery::Settlement;
use oxbus_testkit::RedisServer;
use serde_json::{Value, json};

use crate::rig::{Inbox, gaps_since, hasty, is_gap, ready, seconds, timed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_lost_subscriber_connection_is_one_gap_of_less_than_a_second() {
    let server = RedisServer::start().await;
    let bus = ready(json!({ "redis": server.url() })).await;
    let (exact, pattern) = (Inbox::on(&bus, &["a.b"]).await, Inbox::on(&bus, &["a.*"]).await);
    for round in 0..20 {
        let mark = bus.mark();
        assert_eq!(server.client_kill_pubsub().await, 1);
        let (_, took) = timed(bus.wait_for_notice_from(mark, is_gap)).await;
        assert!(took <= seconds(1), "round {round}: subscribed again after {took:?}");
        assert_eq!((server.pubsub_numsub("a.b").await, server.pubsub_numpat().await), (1, 1));
        let id = format!("after-{round}");
        // The pattern and the channel.
        assert_eq!(bus.publish_with("a.b", round, json!({ "id": id })).await.unwrap().receivers, 2);
        exact.wait_for(&id).await;
        pattern.wait_for(&id).await;
    }
    assert_eq!((exact.len(), pattern.len(), gaps_since(&bus, 0)), (20, 20, 20));
    assert_eq!(bus.stats().counts.reconnections, 20);
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_subscriptions_are_each_called_once_also_after_reconnects() {
    let server = RedisServer::start().await;
    let bus = ready(hasty(&server.url())).await;
    let mut inboxes = Vec::new();
    let patterns: [&[&str]; 7] = [
        &["user.*"],
        &["user.1"],
        &["user.*"],
        &["user.*", "user.1", "*"],
        &["user.1", "user.1", "user.?"],
        &["*", "user.[0-9]"],
        &["u*", "us*", "use*"],
    ];
    for patterns in patterns {
        inboxes.push(Inbox::on(&bus, patterns).await);
    }
    let mut published = 0;
    for round in 0..=10 {
        if round > 0 {
            let mark = bus.mark();
            server.client_kill_pubsub().await;
            bus.wait_for_notice_from(mark, is_gap).await;
        }
        for n in 0..20 {
            bus.publish("user.1", n).await.unwrap();
            published += 1;
        }
        for inbox in &inboxes {
            inbox.wait_for_len(published).await;
        }
    }
    // Anything too many would have come before this.
    let last = Inbox::on(&bus, &["last"]).await;
    bus.publish_with("last", 1, json!({ "id": "last" })).await.unwrap();
    last.wait_for("last").await;
    for (inbox, patterns) in inboxes.iter().zip(patterns) {
        let more = usize::from(patterns.contains(&"*"));
        assert_eq!(inbox.len(), published + more, "{patterns:?}");
    }
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_ended_while_the_connection_is_made_again_does_not_come_back() {
    let server = RedisServer::start().await;
    let bus = ready(hasty(&server.url())).await;
    let kept = Inbox::on(&bus, &["a"]).await;
    let ended = bus.subscribe(&["b"], Value::Null, |_| Settlement::Succeeded).await.unwrap();
    let mark = bus.mark();
    server.client_kill_pubsub().await;
    assert!(bus.unsubscribe(ended).await && !bus.unsubscribe(ended).await);
    bus.wait_for_notice_from(mark, is_gap).await;
    bus.publish_with("a", 1, json!({ "id": "a" })).await.unwrap();
    kept.wait_for("a").await;
    assert_eq!((server.pubsub_numsub("a").await, server.pubsub_numsub("b").await), (1, 0));
    bus.disconnect().await;
}
