//! The subscriber's connection breaks: what is subscribed comes back, once, and the hole is reported, and
//! filled from the streams that store it.

use oxbus_engine::host::Notice;
use oxbus_model::delivery::Settlement;
use oxbus_testkit::{FaultProxy, RedisServer};
use serde_json::{Value, json};

use crate::setup::{SLACK, gaps_since, hasty, is_gap, ready, seconds, timed};
use crate::support::{Bus, Inbox};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_lost_subscriber_connection_is_one_gap_of_less_than_a_second() {
    let server = RedisServer::start().await;
    let bus = ready(json!({ "redis": server.url() })).await;
    let (exact, pattern) = (Inbox::of(&bus, &["a.b"]).await, Inbox::of(&bus, &["a.*"]).await);
    for round in 0..20 {
        let mark = bus.notices.mark();
        assert_eq!(server.client_kill_pubsub().await, 1);
        let (_, took) = timed(bus.notices.wait_from(mark, is_gap)).await;
        assert!(took <= seconds(1) + SLACK, "round {round}: subscribed again after {took:?}");
        assert_eq!((server.pubsub_numsub("a.b").await, server.pubsub_numpat().await), (1, 1));
        let id = format!("after-{round}");
        // One subscription for the pattern, and one for the channel.
        assert_eq!(bus.publish_with("a.b", round, json!({ "id": id })).await.unwrap().receivers, 2);
        exact.wait_for_id(&id).await;
        pattern.wait_for_id(&id).await;
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
        inboxes.push(Inbox::of(&bus, patterns).await);
    }
    let mut published = 0;
    for round in 0..=10 {
        if round > 0 {
            let mark = bus.notices.mark();
            server.client_kill_pubsub().await;
            bus.notices.wait_from(mark, is_gap).await;
        }
        for n in 0..20 {
            bus.publish("user.1", n).await.unwrap();
            published += 1;
        }
        for inbox in &inboxes {
            inbox.wait_for(published).await;
        }
    }
    // A surplus event would have come before this one.
    let last = Inbox::of(&bus, &["last"]).await;
    bus.publish_with("last", 1, json!({ "id": "last" })).await.unwrap();
    last.wait_for_id("last").await;
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
    let kept = Inbox::of(&bus, &["a"]).await;
    let ended = bus.subscribe(&["b"], Value::Null, |_| Settlement::Succeeded).await.unwrap();
    let mark = bus.notices.mark();
    server.client_kill_pubsub().await;
    assert!(bus.unsubscribe(ended).await && !bus.unsubscribe(ended).await);
    bus.notices.wait_from(mark, is_gap).await;
    bus.publish_with("a", 1, json!({ "id": "a" })).await.unwrap();
    kept.wait_for_id("a").await;
    assert_eq!((server.pubsub_numsub("a").await, server.pubsub_numsub("b").await), (1, 0));
    bus.disconnect().await;
}

/// As [`hasty`], with a stream of all orders.
fn storing(url: &str) -> Value {
    let mut config = hasty(url);
    config["streams"] = json!([{ "name": "orders", "events": "order.*" }]);
    config
}

/// Stores an event and publishes it, as a publisher does.
async fn publish(server: &RedisServer, event_type: &str, id: &str) {
    let script = "redis.call('XADD', KEYS[1], '*', 'eventId', ARGV[2], 'eventType', ARGV[1], 'data', '1')
        return redis.call('PUBLISH', ARGV[1], ARGV[3])";
    let event = json!({ "id": id, "type": event_type, "data": 1 }).to_string();
    server.command(&["EVAL", script, "1", "orders", event_type, id, &event]).await;
}

/// How many events the gap of this notice says were recovered, and whether these are all.
async fn gap_from(bus: &Bus, mark: usize) -> (u64, bool) {
    match bus.notices.wait_from(mark, is_gap).await {
        Notice::Gap { recovered, complete, .. } => (recovered, complete),
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_stored_while_the_connection_was_down_is_delivered() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let bus = ready(storing(&proxy.url())).await;
    let publisher = ready(storing(&server.url())).await;
    let publish = async |event_type: &str, id: &str| {
        let published = publisher.publish_with(event_type, 1, json!({ "id": id })).await.unwrap();
        assert!(published.stored.is_some());
    };
    let (orders, all) = (Inbox::of(&bus, &["order.*", "order.a"]).await, Inbox::of(&bus, &["*"]).await);
    publish("order.a", "before").await;
    orders.wait_for_id("before").await;
    all.wait_for_id("before").await;
    let mut expected = vec!["before".to_owned()];
    for round in 0..3 {
        let mark = bus.notices.mark();
        proxy.refuse(true);
        proxy.cut_all();
        for n in 0..100 {
            expected.push(format!("{round}-{n}"));
            publish(if n % 2 == 0 { "order.a" } else { "order.b" }, &expected[expected.len() - 1]).await;
        }
        proxy.refuse(false);
        // `*` may have matched something else.
        assert_eq!(gap_from(&bus, mark).await, (100, false));
        expected.push(format!("after-{round}"));
        publish("order.a", &expected[expected.len() - 1]).await;
        orders.wait_for(expected.len()).await;
        all.wait_for(expected.len()).await;
    }
    assert_eq!((orders.ids(), all.ids()), (expected.clone(), expected));
    publisher.disconnect().await;
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_events_arrive_once_each_however_often_the_connection_breaks() {
    let server = RedisServer::start().await;
    let bus = ready(storing(&server.url())).await;
    let inbox = Inbox::of(&bus, &["order.*"]).await;
    let mut published = 0;
    for _ in 0..10 {
        let mark = bus.notices.mark();
        for n in 0..200 {
            publish(&server, "order.a", &published.to_string()).await;
            published += 1;
            if n == 50 {
                assert_eq!(server.client_kill_pubsub().await, 1);
            }
        }
        let (_, complete) = gap_from(&bus, mark).await;
        assert!(complete);
    }
    inbox.wait_for(published).await;
    // A repeated event would have come before this one.
    let last = Inbox::of(&bus, &["last"]).await;
    bus.publish_with("last", 1, json!({ "id": "last" })).await.unwrap();
    last.wait_for_id("last").await;
    let mut ids: Vec<usize> = inbox.ids().iter().map(|id| id.parse().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..published).collect::<Vec<_>>());
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_was_trimmed_leaves_the_gap_incomplete() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let bus = ready(storing(&proxy.url())).await;
    let inbox = Inbox::of(&bus, &["order.*"]).await;
    let mark = bus.notices.mark();
    proxy.refuse(true);
    proxy.cut_all();
    for n in 0..10 {
        publish(&server, "order.a", &n.to_string()).await;
    }
    server.command(&["XTRIM", "orders", "MAXLEN", "=", "4"]).await;
    proxy.refuse(false);
    assert_eq!(gap_from(&bus, mark).await, (4, false));
    inbox.wait_for(4).await;
    assert_eq!(inbox.ids(), ["6", "7", "8", "9"]);
    bus.disconnect().await;
}
