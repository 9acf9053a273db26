//! A server without memory refuses to keep more, dead letters included.

use oxbus_model::delivery::Settlement;
use oxbus_model::{ErrorKind, Outcome};
use oxbus_testkit::{RedisServer, eventually};
use serde_json::json;

use super::{
    DEAD_LETTERS, dead_letter_ids, keeper, length, member, numbered, pending, settled, sorted, store, workers,
};
use crate::setup::{failed, is_error};
use crate::support::{Event, Inbox, PATIENCE, Record, dead_lettered};

async fn memory(server: &RedisServer, bytes: &str) {
    server.command(&["CONFIG", "SET", "maxmemory", bytes]).await;
}

/// Scenario 44: an entry that cannot become a dead letter for lack of memory stays claimed until it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_waits_for_its_place_among_the_dead_letters() {
    let server = RedisServer::start().await;
    let bus = keeper(&server.url(), 600).await;
    let permits = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let gate = permits.clone();
    let handler = move |event: Event| {
        let gate = gate.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            if event.data() == json!(0) {
                Settlement::Failed { retryable: false }
            } else {
                Settlement::Succeeded
            }
        }
    };
    bus.subscribe_async(&["job"], workers(), handler).await.unwrap();
    store(&bus, vec![Record::new("job", 0).with_id("bad"), Record::new("job", 1)]).await;
    let both = || async { pending(&server, "workers").await == 2 };
    eventually(PATIENCE, "both are claimed", both).await;
    memory(&server, "1").await;
    permits.add_permits(2);
    bus.notices.wait_for(|notice| is_error(notice, ErrorKind::ServerOom)).await;
    // What succeeded is acknowledged, and what failed is neither lost nor called again while it waits.
    let one = || async { pending(&server, "workers").await == 1 };
    eventually(PATIENCE, "the acknowledgement", one).await;
    let renewed = bus.stats().counts.claims_renewed + 6;
    let held = || async { bus.stats().counts.claims_renewed >= renewed };
    eventually(PATIENCE, "the claim is kept", held).await;
    assert_eq!((pending(&server, "workers").await, length(&server, DEAD_LETTERS).await), (1, 0));
    let errors = bus.notices.all().iter().filter(|notice| is_error(notice, ErrorKind::ServerOom)).count();
    assert_eq!(errors, 1, "once, not at each attempt");
    assert!(bus.notices.find(dead_lettered).is_empty());
    let refused = bus.publish("job", 2).await;
    assert_eq!(failed(&refused, Outcome::Rejected).kind, ErrorKind::ServerOom);

    memory(&server, "0").await;
    bus.notices.wait_to_find(dead_lettered).await;
    settled(&server, "workers").await;
    assert_eq!(dead_letter_ids(&server).await, ["bad"]);
    let counts = bus.stats().counts;
    assert_eq!((counts.events_dead_lettered, counts.events_delivered, counts.handler_errors), (1, 1, 1));
    bus.disconnect().await;
}

/// A group that exists is joined on a full server, and what is stored already is handled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_still_lets_groups_work() {
    let server = RedisServer::start().await;
    let one = keeper(&server.url(), 30_000).await;
    let first = Inbox::default();
    let subscription = one.subscribe(&["job"], workers(), first.handler()).await.unwrap();
    assert!(one.unsubscribe(subscription).await);
    store(&one, numbered(0..50)).await;
    memory(&server, "1").await;
    let two = keeper(&server.url(), 30_000).await;
    let inbox = Inbox::with(&two, &["job"], workers()).await;
    inbox.wait_for(50).await;
    settled(&server, "workers").await;
    assert_eq!(sorted(&inbox), (0..50).collect::<Vec<_>>());
    // A new group needs memory: the server refuses it in time, and nothing is left of it.
    let new = two.subscribe(&["job"], member("new", json!({})), Inbox::default().handler()).await;
    assert_eq!(new.unwrap_err().kind, ErrorKind::ServerOom);
    two.disconnect().await;
    memory(&server, "0").await;
    let inbox = Inbox::with(&one, &["job"], member("new", json!({ "from": "beginning" }))).await;
    inbox.wait_for(50).await;
    one.disconnect().await;
}
