//! The server is down: at the start, or for a while.

use oxbus_engine::State;
use oxbus_engine::host::Notice;
use oxbus_model::{ErrorKind, Outcome};
use oxbus_testkit::{RedisServer, eventually};
use serde_json::json;
use tokio::time::sleep;

use crate::setup::{FAR, assert_between, failed, gaps_since, hasty, ready, seconds, soak, timed};
use crate::support::{Bus, Inbox, Record};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_at_start_fails_calls_in_time_and_is_used_once_it_is_up() {
    let server = RedisServer::start().await;
    server.kill();
    let redis = json!({ "url": server.url(), "connectTimeout": 700, "commandTimeout": 900 });
    let bus = Bus::with_config(json!({ "redis": redis }));
    let (connected, took) = timed(bus.connect()).await;
    assert_eq!(connected.unwrap_err().kind, ErrorKind::ConnectionRefused);
    assert_between(took, 700, 700);
    assert_eq!(bus.health().await["status"], "unhealthy");
    let (published, took) = timed(bus.publish("a", 1)).await;
    assert_eq!(failed(&published, Outcome::NotSent).kind, ErrorKind::PublishTimeout);
    assert_between(took, 900, 900);
    assert_eq!((bus.state(), bus.stats().in_flight), (State::Connecting, 0));

    server.restart().await;
    let (published, took) = timed(bus.publish_with("a", 2, json!({ "timeout": 30_000 }))).await;
    published.unwrap();
    assert_between(took, 0, 5_000);
    bus.connect().await.unwrap();
    assert_eq!(bus.health().await["status"], "healthy");
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lazy_client_resolves_connect_at_once_and_connects_when_it_can() {
    let server = RedisServer::start().await;
    server.kill();
    let redis = json!({
        "url": server.url(), "lazyConnect": true, "connectTimeout": FAR, "commandTimeout": 500,
    });
    let bus = Bus::with_config(json!({ "redis": redis }));
    let (connected, took) = timed(bus.connect()).await;
    connected.unwrap();
    assert_between(took, 0, 0);
    failed(&bus.publish("a", 1).await, Outcome::NotSent);
    assert_eq!(bus.health().await["status"], "unhealthy");
    server.restart().await;
    let (published, took) = timed(bus.publish_with("a", 2, json!({ "timeout": 30_000 }))).await;
    published.unwrap();
    assert_between(took, 0, 5_000);
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_nobody_calls_is_back_after_an_outage() {
    let server = RedisServer::start().await;
    let bus = ready(json!({ "redis": server.url() })).await;
    let inbox = Inbox::of(&bus, &["a", "b.*"]).await;
    bus.loses(&["publisher", "subscriber"], async { server.kill() }).await;
    sleep(soak(seconds(3), seconds(30))).await;
    server.restart().await;
    let back = async || server.pubsub_numsub("a").await == 1 && server.pubsub_numpat().await == 1;
    let (_, took) = timed(eventually(seconds(30), "the subscriptions are back", back)).await;
    assert_between(took, 0, 6_000);
    let Notice::Gap { from, to, mut patterns, recovered, complete } =
        bus.notices.wait_for(crate::setup::is_gap).await
    else {
        unreachable!()
    };
    patterns.sort();
    assert_eq!(patterns, ["a", "b.*"]);
    assert_eq!((recovered, complete), (0, false), "nothing is stored");
    assert!(to - from >= 2_900, "the gap is shorter than the outage: {from} to {to}");
    server.command(&["PUBLISH", "a", r#"{"id":"1","type":"a","data":1}"#]).await;
    inbox.wait_for_id("1").await;
    bus.wait_for_state(State::Ready).await;
    assert_eq!(gaps_since(&bus, 0), 1);
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishes_queued_during_a_short_outage_are_sent_once_and_in_order() {
    let server = RedisServer::start().await;
    let bus = ready(json!({ "redis": server.url() })).await;
    bus.loses(&["publisher"], async { server.kill() }).await;
    let records: Vec<Record> = (0..500).map(|n| Record::new("a", n)).collect();
    let batch = bus.start_publish(&records);
    server.restart().await;
    // The server counts the publishes. On its old port it gets them before a subscriber could be there, so that
    // nothing that is received could be counted.
    let results = batch.results().await;
    assert!(results.iter().all(Result::is_ok), "{:?}", results.iter().find(|r| r.is_err()));
    assert_eq!(server.calls("publish").await, 500);
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_leaves_each_publish_settled_once() {
    let server = RedisServer::start().await;
    let bus = ready(hasty(&server.url())).await;
    let mut batches = Vec::new();
    for n in 0..200 {
        batches.push(bus.start_publish(&vec![Record::new("a", n); 20]));
        if n == 100 {
            server.kill();
        }
    }
    let mut outcomes = [0; 4];
    for batch in batches {
        for result in batch.results().await {
            let kind = result.as_ref().err().map(|error| error.outcome.expect("an outcome"));
            outcomes[kind.map_or(0, |outcome| outcome as usize + 1)] += 1;
        }
    }
    assert_eq!(outcomes.iter().sum::<usize>(), 4000);
    assert_eq!(outcomes[Outcome::Rejected as usize + 1], 0);
    assert_eq!(bus.stats().counts.events_published as usize, outcomes[0]);
    assert_eq!(bus.stats().in_flight, 0);
    bus.disconnect().await;
}
