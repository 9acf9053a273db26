//! Events that wait for replicas.

use oxbus_model::{ErrorKind, Outcome};
use oxbus_testkit::{RedisServer, eventually};
use serde_json::json;

use super::{keeping, stored};
use crate::setup::{SLACK, assert_between, failed, millis, ready, seconds, timed};
use crate::support::{PATIENCE, Record};

/// Scenario 25: an event that too few replicas have is stored, but not confirmed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_few_replicas_make_an_event_unknown() {
    let server = RedisServer::start().await;
    let replica = RedisServer::builder().replica_of(server.port()).start().await;
    replica.wait_for_replication(PATIENCE).await;
    let bus = ready(keeping(json!({ "redis": { "url": server.url(), "commandTimeout": 10_000 } }))).await;
    let replicated = |n: u64, count: u64, timeout: u64| {
        Record::new("job", n).with(json!({ "id": n.to_string(), "replicas": count, "timeout": timeout }))
    };
    // Other events beside it do not wait.
    let records: Vec<Record> = (0..200)
        .map(|n| {
            if n % 3 == 0 { Record::new("job", n).with_id(&n.to_string()) } else { replicated(n, 1, 10_000) }
        })
        .collect();
    for result in bus.start_publish(&records).results().await {
        assert!(result.unwrap().stored.is_some());
    }
    assert_eq!(stored(&replica, "jobs").await.len(), 200);
    assert!(bus.health().await["connections"]["replicated"]["status"] == "up");

    // This is one replica more than there are.
    let batch = bus.start_publish(&[replicated(1_000, 2, 500), replicated(1_001, 1, 10_000)]);
    let number = batch.number;
    let (results, took) = timed(batch.results()).await;
    assert_between(took, 500, 500);
    assert_eq!(failed(&results[0], Outcome::Unknown).kind, ErrorKind::NotReplicated);
    let id = bus.stored_nevertheless(number, 0).expect("its entry").to_string();
    let entry = server.command(&["XRANGE", "jobs", &id, &id]).await;
    assert_eq!(entry.items().len(), 1);
    results[1].as_ref().unwrap();

    replica.freeze();
    let mut batches = Vec::new();
    for n in 0..20 {
        batches.push((tokio::time::Instant::now(), bus.start_publish(&[replicated(2_000 + n, 1, 600)])));
        tokio::time::sleep(millis(20)).await;
    }
    let (mut stored_nevertheless, mut not_sent, mut unanswered) = (0, Vec::new(), 0);
    for (n, (started, batch)) in (2_000..).zip(batches) {
        let number = batch.number;
        let result = batch.results().await.remove(0);
        assert!(started.elapsed() <= millis(600) + seconds(1) + SLACK);
        match result.unwrap_err() {
            error if error.kind == ErrorKind::NotReplicated => {
                assert_eq!(error.outcome, Some(Outcome::Unknown));
                assert!(bus.stored_nevertheless(number, 0).is_some());
                stored_nevertheless += 1;
            }
            // The first ones are answered when the time of the next is almost over: it is sent, and the answer may be too late.
            error if error.outcome == Some(Outcome::Unknown) => {
                assert_eq!(error.kind, ErrorKind::PublishTimeout);
                unanswered += 1;
            }
            // These waited behind the first ones; they are not stored later either.
            error => {
                assert_eq!((error.kind, error.outcome), (ErrorKind::PublishTimeout, Some(Outcome::NotSent)));
                not_sent.push(n.to_string());
            }
        }
    }
    assert!(stored_nevertheless > 0);
    // An event that needs no replica does not wait.
    let (result, took) = timed(bus.publish("job", 1)).await;
    result.unwrap();
    assert_between(took, 0, 0);
    replica.thaw();
    bus.publish_raw(replicated(3_000, 1, 10_000)).await.unwrap();
    let (all, least) = (stored(&server, "jobs").await, 200 + 2 + stored_nevertheless + 2);
    assert!((least..=least + unanswered).contains(&all.len()), "{} of {least} and {unanswered}", all.len());
    assert!(not_sent.iter().all(|id| !all.contains(id)), "{not_sent:?} of {all:?}");
    assert_eq!(bus.stats().in_flight, 0);
    bus.disconnect().await;
}

/// A client that closes settles what waits for replicas, and what it was about to hand on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_settles_what_waits_for_replicas() {
    let server = RedisServer::start().await;
    let bus = ready(keeping(json!({ "redis": { "url": server.url(), "commandTimeout": 30_000 } }))).await;
    let record = Record::new("job", 1).with(json!({ "replicas": 1 }));
    let first = bus.start_publish(&[record.clone(), Record::new("job", 2)]);
    let stored_both = || async { stored(&server, "jobs").await.len() == 2 };
    eventually(PATIENCE, "both are stored", stored_both).await;
    let second = bus.start_publish(&vec![record; 100]);
    let number = first.number;
    bus.disconnect_within(Some(300)).await;
    let results = first.results().await;
    failed(&results[0], Outcome::Unknown);
    assert!(bus.stored_nevertheless(number, 0).is_some());
    results[1].as_ref().unwrap();
    for result in second.results().await {
        failed(&result, Outcome::NotSent);
    }
    assert_eq!((bus.stats().in_flight, stored(&server, "jobs").await.len()), (0, 2));
}
