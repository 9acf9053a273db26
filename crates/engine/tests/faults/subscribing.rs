//! Subscribing and unsubscribing while there is no connection.

use oxbus_model::ErrorKind;
use oxbus_model::delivery::Settlement;
use oxbus_testkit::RedisServer;
use serde_json::{Value, json};

use crate::setup::{assert_between, hasty, ready, timed};
use crate::support::Inbox;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribing_during_an_outage_fails_in_time_and_leaves_nothing() {
    let server = RedisServer::start().await;
    let bus = ready(hasty(&server.url())).await;
    let kept = Inbox::of(&bus, &["kept"]).await;
    bus.loses(&["publisher", "subscriber"], async { server.kill() }).await;
    let (subscribed, took) =
        timed(bus.subscribe(&["lost", "lost.*"], Value::Null, |_| -> Settlement { panic!("never called") }))
            .await;
    assert_eq!(subscribed.unwrap_err().kind, ErrorKind::CommandTimeout);
    assert_between(took, 1_000, 1_000);
    assert_eq!(bus.stats().active_subscriptions, 1);
    server.restart().await;
    bus.wait_until_ready(Some(20_000)).await.unwrap();
    for event_type in ["lost", "lost.a"] {
        assert_eq!(bus.publish(event_type, 1).await.unwrap().receivers, 0);
    }
    bus.publish_with("kept", 1, json!({ "id": "kept" })).await.unwrap();
    kept.wait_for_id("kept").await;
    assert_eq!(server.pubsub_numpat().await, 0);
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribing_during_an_outage_resolves_once_the_server_has_confirmed() {
    let server = RedisServer::start().await;
    let bus = ready(json!({ "redis": { "url": server.url(), "commandTimeout": 20_000 } })).await;
    bus.loses(&["publisher"], async { server.kill() }).await;
    let inbox = Inbox::default();
    let (subscribed, ()) = tokio::join!(bus.subscribe(&["new", "n*"], Value::Null, inbox.handler()), async {
        server.restart().await;
    });
    subscribed.unwrap();
    assert_eq!((server.pubsub_numsub("new").await, server.pubsub_numpat().await), (1, 1));
    bus.publish_with("new", 1, json!({ "id": "new" })).await.unwrap();
    inbox.wait_for_id("new").await;
    assert_eq!(inbox.len(), 1);
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unsubscribed_during_an_outage_does_not_come_back() {
    let server = RedisServer::start().await;
    let bus = ready(hasty(&server.url())).await;
    let kept = Inbox::of(&bus, &["kept"]).await;
    let ended = bus.subscribe(&["ended", "e*"], Value::Null, |_| Settlement::Succeeded).await.unwrap();
    bus.loses(&["publisher", "subscriber"], async { server.kill() }).await;
    assert!(bus.unsubscribe(ended).await);
    server.restart().await;
    bus.wait_until_ready(Some(20_000)).await.unwrap();
    bus.publish_with("kept", 1, json!({ "id": "kept" })).await.unwrap();
    kept.wait_for_id("kept").await;
    assert_eq!(crate::setup::gaps_since(&bus, 0), 1);
    assert_eq!((server.pubsub_numsub("ended").await, server.pubsub_numpat().await), (0, 0));
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_in_a_race_with_its_end_leaves_the_server_as_wanted() {
    let server = RedisServer::start().await;
    let bus = ready(hasty(&server.url())).await;
    let kept = Inbox::of(&bus, &["same"]).await;
    for _ in 0..200 {
        let other = bus.subscribe(&["same", "s*"], Value::Null, |_| Settlement::Succeeded).await.unwrap();
        assert!(bus.unsubscribe(other).await);
    }
    let last = Inbox::of(&bus, &["s*"]).await;
    bus.publish_with("same", 1, json!({ "id": "x" })).await.unwrap();
    kept.wait_for_id("x").await;
    last.wait_for_id("x").await;
    assert_eq!((server.pubsub_numsub("same").await, server.pubsub_numpat().await), (1, 1));
    bus.disconnect().await;
}
