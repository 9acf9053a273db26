//! Subscriptions that come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use oxbus_engine::State;
use oxbus_model::delivery::Settlement;
use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::support::{Bus, Event, Inbox, barrier};

suite! {
    implicit_connect, resubscribe_at_once, churn, many_subscriptions,
}

/// A client that was never told to connect does so for its first subscription, or publish.
async fn implicit_connect(fixture: &Fixture) {
    let (publisher, subscriber) = (fixture.idle_bus(json!({})), fixture.idle_bus(json!({})));
    let inbox = Inbox::of(&subscriber, &["job"]).await;
    let told = publisher.publish("job", 1).await.unwrap().receivers;
    assert!(fixture.are_received(told, 1), "{told} received");
    inbox.wait_for(1).await;
    publisher.wait_for_state(State::Ready).await;
    subscriber.wait_for_state(State::Ready).await;
}

/// A subscription that replaces another at once is confirmed, and works.
async fn resubscribe_at_once(fixture: &Fixture) {
    replace_subscriptions(fixture).await;
}

async fn replace_subscriptions(fixture: &Fixture) {
    let (publisher, subscriber) = (fixture.bus().await, fixture.bus().await);
    for patterns in [&["job"][..], &["j*", "job"]] {
        let inbox = Inbox::default();
        let mut last = subscriber.subscribe(patterns, Value::Null, inbox.handler()).await.unwrap();
        for n in 0..100 {
            let again = subscriber.subscribe(patterns, Value::Null, inbox.handler());
            let (ended, next) = tokio::join!(biased; subscriber.unsubscribe(last), again);
            assert!(ended);
            last = next.unwrap();
            publisher.publish("job", n).await.unwrap();
            inbox.wait_for(n + 1).await;
        }
        barrier(&publisher, &subscriber).await;
        assert_eq!(inbox.data(), (0..100).map(Value::from).collect::<Vec<_>>());
        assert!(subscriber.unsubscribe(last).await);
    }
}

async fn come_and_go(publisher: &Bus, subscriber: &Bus, n: usize) {
    let sets: [&[&str]; 4] = [&["steady"], &["s*"], &["steady", "*"], &["other", "st?ady"]];
    for round in 0..40 {
        let inbox = Inbox::default();
        let patterns = sets[(n + round) % sets.len()];
        let subscription = subscriber.subscribe(patterns, Value::Null, inbox.handler()).await.unwrap();
        let id = publisher.publish("steady", 0).await.unwrap().id;
        // Confirmed means that what is published from now on arrives. Others publish too, and a barrier may come on another lane.
        inbox.wait_for_id(&id).await;
        barrier(publisher, subscriber).await;
        assert!(subscriber.unsubscribe(subscription).await);
        let ids: Vec<String> = inbox.events().iter().map(Event::id).collect();
        assert_eq!(ids.iter().filter(|got| **got == id).count(), 1, "{patterns:?}");
    }
}

/// While others come and go on the same channels, an established subscription misses nothing.
async fn churn(fixture: &Fixture) {
    let publisher = Arc::new(fixture.bus().await);
    let subscriber = Arc::new(fixture.bus().await);
    let steady = Inbox::of(&subscriber, &["steady", "stead*"]).await;
    let over = Arc::new(AtomicBool::new(false));
    let counting = tokio::spawn({
        let (publisher, over) = (publisher.clone(), over.clone());
        async move {
            let mut published = 0_u64;
            while !over.load(Ordering::SeqCst) {
                published += 1;
                publisher.publish("steady", published).await.unwrap();
            }
            published
        }
    });
    let churning = (0..4).map(|n| {
        let (publisher, subscriber) = (publisher.clone(), subscriber.clone());
        tokio::spawn(async move { come_and_go(&publisher, &subscriber, n).await })
    });
    for task in churning.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    over.store(true, Ordering::SeqCst);
    let published = counting.await.unwrap();
    barrier(&publisher, &subscriber).await;
    steady.wait_for(usize::try_from(published).unwrap() + 4 * 40).await;
    let counted: Vec<u64> = steady.data().iter().map(|d| d.as_u64().unwrap()).filter(|n| *n > 0).collect();
    assert!(counted.iter().copied().eq(1..=published), "of {published} came {}", counted.len());
    assert_eq!(subscriber.stats().active_subscriptions, 1);
}

/// A thousand subscriptions of one client, and back to none.
async fn many_subscriptions(fixture: &Fixture) {
    let (publisher, subscriber) = (fixture.bus().await, fixture.bus().await);
    let inbox = Inbox::default();
    let names: Vec<(String, String)> = (0..500).map(|n| (format!("t.{n}"), format!("t.{n}*"))).collect();
    let patterns: Vec<&str> = names.iter().flat_map(|(a, b)| [a.as_str(), b.as_str()]).collect();
    let all = subscriber.subscribe(&patterns, Value::Null, inbox.handler()).await.unwrap();
    let mut each = Vec::new();
    for chunk in patterns.chunks(100) {
        let subscribed = chunk.iter().map(|p| {
            let subscriber = &subscriber;
            let handler = inbox.handler();
            async move { subscriber.subscribe(&[p], Value::Null, handler).await.unwrap() }
        });
        for subscription in subscribed {
            each.push(subscription.await);
        }
    }
    publisher.publish("t.499", 1).await.unwrap();
    // `t.4*`, `t.49*`, `t.499` and `t.499*`, each alone, and all of them together.
    inbox.wait_for(5).await;
    barrier(&publisher, &subscriber).await;
    assert_eq!((inbox.len(), subscriber.stats().active_subscriptions), (5, 1001));
    each.push(all);
    for subscription in each {
        assert!(subscriber.unsubscribe(subscription).await);
    }
    let quiet = || async { publisher.publish("t.1", 1).await.unwrap().receivers == 0 };
    oxbus_testkit::eventually(crate::support::PATIENCE, "the server to know", quiet).await;
    let late = subscriber.subscribe(&["t.1"], Value::Null, |_| Settlement::Succeeded).await;
    assert!(late.is_ok());
}

/// On one thread both calls reach the link before it does anything about the first.
mod on_one_thread {
    use crate::fixture::Fixture;

    #[tokio::test]
    async fn memory_resubscribe_at_once() {
        super::replace_subscriptions(&Fixture::memory().await).await;
    }

    #[tokio::test]
    async fn redis_resubscribe_at_once() {
        super::replace_subscriptions(&Fixture::redis().await).await;
    }
}
