//! The heavier of Watermill's universal tests; each names its own.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use oxbus_model::delivery::Settlement;
use oxbus_testkit::tracker::Ending;
use oxbus_testkit::{Tracker, eventually};
use serde_json::{Value, json};

use super::setup::{Group, dead_letters, member, workers, workers_with};
use crate::fixture::Fixture;
use crate::support::{Event, Inbox, PATIENCE, Record, end, lost, publish_tracked, tracked, tracking};

suite! {
    with cluster;
    concurrent_subscribe, concurrent_subscribe_multiple_topics, publish_subscribe_in_order, continue_after_subscribe_close, concurrent_close, publisher_close, reconnect,
}

/// TestConcurrentSubscribe: 5,000 messages, 50 subscriptions: 5 clients of 2 groups, 5 subscriptions in each.
/// Each group gets each message once, and each subscription of the client that gets it.
async fn concurrent_subscribe(fixture: &Fixture) {
    let publisher = fixture.keeper().await;
    let mut buses = Vec::new();
    let mut trackers: HashMap<(&str, usize), Arc<Tracker>> = HashMap::new();
    for _ in 0..5 {
        let bus = fixture.keeper().await;
        for group in ["one", "two"] {
            for n in 0..5 {
                let patterns: &[&str] = [&["job.x"][..], &["job.*"], &["job.x", "*"]][n % 3];
                let tracker = trackers.entry((group, n)).or_default();
                bus.subscribe(patterns, member(group, json!({})), tracking(tracker)).await.unwrap();
            }
        }
        buses.push(bus);
    }
    let records: Vec<_> = (0..5_000).map(|n| Record::new("job.x", n).with_id(&format!("{n}"))).collect();
    for chunk in records.chunks(500) {
        publisher.publish_many(chunk.to_vec()).await.into_iter().for_each(|result| drop(result.unwrap()));
    }
    for group in ["one", "two"] {
        Group::of(&publisher, &fixture.jobs(), group).settled().await;
    }
    for ((group, n), tracker) in trackers {
        tracker.assert_no_duplicates();
        assert_eq!(tracker.received_count(), 5_000, "subscription {n} of group {group}");
    }
}

/// TestConcurrentSubscribeMultipleTopics: 20 types of 100 messages, subscribed and published at once.
async fn concurrent_subscribe_multiple_topics(fixture: &Fixture) {
    let bus = Arc::new(fixture.keeper().await);
    let tracker = Arc::new(Tracker::new());
    let topics = (0..20).map(|topic| {
        let (bus, tracker) = (bus.clone(), tracker.clone());
        tokio::spawn(async move {
            let (event_type, group) = (format!("job.{topic}"), format!("group-{topic}"));
            let patterns = [event_type.as_str()];
            let options = member(&group, json!({ "from": "beginning" }));
            let (subscribed, ()) = tokio::join!(
                bus.subscribe(&patterns, options, tracking(&tracker)),
                publish_tracked(&bus, &tracker, &event_type, &event_type, 100),
            );
            subscribed.unwrap();
        })
    });
    for topic in topics.collect::<Vec<_>>() {
        topic.await.unwrap();
    }
    // Each of 20 groups reads all of it: on a busy machine that takes half a minute.
    eventually(4 * PATIENCE, "all messages", || async { tracker.received_count() >= 2_000 }).await;
    for topic in 0..20 {
        Group::of(&bus, &fixture.jobs(), &format!("group-{topic}")).settled().await;
    }
    tracker.assert_resolved_received();
    tracker.assert_no_duplicates();
    assert_eq!(tracker.received_count(), 2_000);
}

/// TestPublishSubscribeInOrder: 1,000 messages of 16 keys, handled side by side and in the order of each key.
async fn publish_subscribe_in_order(fixture: &Fixture) {
    let (publisher, bus) = (fixture.keeper().await, fixture.keeper().await);
    let inbox = Inbox::default();
    let seen = inbox.clone();
    let handler = move |event: Event| {
        let seen = seen.clone();
        async move {
            tokio::task::yield_now().await;
            seen.put(event);
            Settlement::Succeeded
        }
    };
    bus.subscribe_async(&["job"], workers_with(json!({ "orderBy": "key" })), handler).await.unwrap();
    let record = |n: u64| Record::new("job", n).with(json!({ "key": format!("key-{}", n % 16) }));
    let records: Vec<_> = (0..1_024).map(record).collect();
    let batches: Vec<_> = records.chunks(37).map(|chunk| publisher.start_publish(chunk)).collect();
    for batch in batches {
        batch.results().await.into_iter().for_each(|result| drop(result.unwrap()));
    }
    inbox.wait_for(1_024).await;
    Group::workers(&bus, fixture).settled().await;
    let mut by_key: HashMap<u64, Vec<u64>> = HashMap::new();
    for n in super::setup::numbers(&inbox) {
        by_key.entry(n % 16).or_default().push(n);
    }
    assert_eq!((by_key.len(), inbox.len()), (16, 1_024));
    assert!(by_key.values().all(|seen| seen.is_sorted()), "{by_key:?}");
}

/// TestContinueAfterSubscribeClose: 5 batches of 1,000, each with a new subscription while the one before is
/// closed in the middle of its work; none is lost, and none handled twice.
async fn continue_after_subscribe_close(fixture: &Fixture) {
    let (publisher, mut worker) = (fixture.keeper().await, fixture.keeper().await);
    let tracker = Arc::new(Tracker::new());
    for batch in 0..5_usize {
        let subscription = worker.subscribe(&["job.*"], workers(), tracking(&tracker)).await.unwrap();
        publish_tracked(&publisher, &tracker, &format!("job.{batch}"), &format!("batch-{batch}"), 1_000)
            .await;
        let some = || async { tracker.received_count() >= batch * 700 + 200 };
        eventually(PATIENCE, "some of the batch", some).await;
        // In turn the subscription ends, or the client as a whole.
        if batch % 2 == 0 {
            assert!(worker.unsubscribe(subscription).await);
        } else {
            worker.disconnect().await;
            worker = fixture.keeper().await;
        }
    }
    worker.subscribe(&["job.*"], workers(), tracking(&tracker)).await.unwrap();
    Group::workers(&publisher, fixture).settled().await;
    tracker.assert_resolved_received();
    tracker.assert_no_duplicates();
    assert_eq!(tracker.received_count(), 5_000);
}

/// TestConcurrentClose: while 10 clients of a group subscribe and close, and after it, every event is handled.
async fn concurrent_close(fixture: &Fixture) {
    let (publisher, worker) = (fixture.keeper().await, fixture.keeper().await);
    let tracker = Arc::new(Tracker::new());
    worker.subscribe(&["job"], workers(), tracking(&tracker)).await.unwrap();
    let mut closing = Vec::new();
    for _ in 0..10 {
        let (bus, tracker) = (fixture.keeper().await, tracker.clone());
        closing.push(tokio::spawn(async move {
            bus.subscribe(&["job", "*"], workers(), tracking(&tracker)).await.unwrap();
            bus.disconnect().await;
        }));
    }
    for n in 0..50 {
        publish_tracked(&publisher, &tracker, "job", &format!("early-{n}"), 2).await;
    }
    for task in closing {
        task.await.unwrap();
    }
    publish_tracked(&publisher, &tracker, "job", "late", 50).await;
    Group::workers(&publisher, fixture).settled().await;
    tracker.assert_resolved_received();
    tracker.assert_no_duplicates();
    assert_eq!(tracker.received_count(), 150);
}

/// TestPublisherClose: 10,000 messages by 20 publishers that close at once; none is lost.
async fn publisher_close(fixture: &Fixture) {
    let worker = fixture.keeper().await;
    let tracker = Arc::new(Tracker::new());
    worker.subscribe(&["job.*"], workers(), tracking(&tracker)).await.unwrap();
    let mut publishers = Vec::new();
    for p in 0..20 {
        let (bus, tracker) = (fixture.keeper().await, tracker.clone());
        publishers.push(tokio::spawn(async move {
            let name = format!("close-{p}");
            let records = tracked(&tracker, &format!("job.{p}"), &name, 500);
            let batches: Vec<_> = records.chunks(100).map(|chunk| bus.start_publish(chunk)).collect();
            bus.disconnect().await;
            for (at, batch) in batches.into_iter().enumerate() {
                for (n, result) in batch.results().await.iter().enumerate() {
                    end(&tracker, format!("{name}-{}", at * 100 + n), result);
                }
            }
        }));
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
    assert_eq!(tracker.count(Ending::Resolved), 10_000, "a publisher that drains loses nothing");
    Group::workers(&worker, fixture).settled().await;
    tracker.assert_resolved_received();
    tracker.assert_no_duplicates();
}

/// TestReconnect: the broker restarts twice under load. What was resolved is handled, at least once; what was
/// refused or not sent never is; and the group goes on where it stood.
async fn reconnect(fixture: &Fixture) {
    let Some(fixture) = fixture.lasting().await else { return };
    let worker = fixture.keeper().await;
    let tracker = Arc::new(Tracker::new());
    worker.subscribe(&["job.*"], workers(), tracking(&tracker)).await.unwrap();
    let mut publishers = Vec::new();
    for p in 0..10 {
        let (bus, tracker) = (fixture.keeper().await, tracker.clone());
        publishers.push(tokio::spawn(async move {
            for batch in 0..60 {
                let name = format!("load-{p}-{batch}");
                let records = tracked(&tracker, "job.load", &name, 1 + batch % 10);
                for (n, result) in bus.publish_many(records).await.iter().enumerate() {
                    end(&tracker, format!("{name}-{n}"), result);
                }
            }
            bus.disconnect().await;
        }));
    }
    for resolved in [700, 1_400] {
        eventually(PATIENCE, "some load", || async { tracker.count(Ending::Resolved) >= resolved }).await;
        fixture.restart().await;
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
    tracker.assert_all_ended();
    let bus = fixture.keeper().await;
    publish_tracked(&bus, &tracker, "job.after", "after", 100).await;
    eventually(PATIENCE, "all that was resolved", || async { tracker.missing().is_empty() }).await;
    Group::workers(&bus, &fixture).settled().await;
    tracker.assert_failed_not_received();
    tracker.assert_only_published_received();
    let kept: HashSet<String> = tracker.arrivals().into_iter().collect();
    assert_eq!(Group::workers(&bus, &fixture).stream().await["length"].as_u64(), Some(kept.len() as u64));
    assert_eq!(dead_letters(&bus, &fixture.jobs()).await, Vec::<Value>::new());
    assert_eq!((worker.stats().counts.events_lost, worker.notices.find(lost)), (0, vec![]));
}
