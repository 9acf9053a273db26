//! A loop that panics reports it, loses only what was in flight, and starts again.

use oxbus_engine::host::Notice;
use oxbus_model::{ErrorKind, Outcome};
use oxbus_testkit::{FaultProxy, RedisServer};
use serde_json::json;

use crate::setup::{failed, gaps_since, is_error, is_gap, ready};
use crate::support::{Inbox, Record};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_of_the_publisher_rejects_what_is_in_flight_and_nothing_later() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let bus = ready(json!({ "redis": proxy.url() })).await;
    for round in 0..3 {
        proxy.open_connections().into_iter().for_each(|connection| proxy.freeze_replies(connection));
        let before = server.calls("publish").await;
        let batch = bus.start_publish(&[Record::new("a", 1), Record::new("a", 2)]);
        let sent = || async { server.calls("publish").await == before + 2 };
        oxbus_testkit::eventually(crate::support::PATIENCE, "they are sent", sent).await;
        let mark = bus.notices.mark();
        bus.client().inject_panic("publisher");
        let notice = bus.notices.wait_from(mark, |n| is_error(n, ErrorKind::Internal)).await;
        assert!(format!("{notice:?}").contains("publisher"), "{notice:?}");
        for result in batch.results().await {
            failed(&result, Outcome::Unknown);
        }
        bus.publish("a", round).await.unwrap();
    }
    bus.wait_until_ready(None).await.unwrap();
    assert_eq!((bus.health().await["status"].as_str(), bus.stats().in_flight), (Some("healthy"), 0));
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_of_the_subscriber_is_a_gap_and_everything_is_subscribed_again() {
    let server = RedisServer::start().await;
    let bus = ready(json!({ "redis": server.url() })).await;
    let inbox = Inbox::of(&bus, &["a", "b.*"]).await;
    for round in 0..3 {
        let mark = bus.notices.mark();
        bus.client().inject_panic("subscriber");
        bus.notices.wait_from(mark, |n| is_error(n, ErrorKind::Internal)).await;
        bus.notices.wait_from(mark, is_gap).await;
        let id = format!("after-{round}");
        bus.publish_with("b.c", 1, json!({ "id": id })).await.unwrap();
        inbox.wait_for_id(&id).await;
    }
    assert_eq!((inbox.len(), gaps_since(&bus, 0)), (3, 3));
    assert_eq!((server.pubsub_numsub("a").await, server.pubsub_numpat().await), (1, 1));
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_while_there_is_no_connection_keeps_what_waits() {
    let server = RedisServer::start().await;
    let bus = ready(json!({ "redis": server.url() })).await;
    bus.loses(&["publisher"], async { server.kill() }).await;
    let batch = bus.start_publish(&[Record::new("a", 1)]);
    bus.client().inject_panic("publisher");
    bus.notices.wait_for(|n| is_error(n, ErrorKind::Internal)).await;
    server.restart().await;
    batch.results().await.remove(0).unwrap();
    assert!(bus.notices.all().iter().any(|n| matches!(n, Notice::Reconnecting { .. })));
    bus.disconnect().await;
}
