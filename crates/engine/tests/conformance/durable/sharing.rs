//! Several consumers of a group, and several groups of a stream: nobody waits for another, and what one
//! leaves the others take.

use std::collections::BTreeSet;

use oxbus_model::ErrorKind;
use oxbus_testkit::eventually;
use serde_json::{Value, json};

use super::setup::{Gate, Group, LEASE, member, numbered, numbers, sorted, store, workers, workers_with};
use crate::fixture::Fixture;
use crate::support::{Bus, Inbox, PATIENCE};

suite! {
    with cluster;
    a_slow_group, hand_back_on_disconnect, hand_back_on_unsubscribe, one_subscription_of_a_group_ends, rejoin, a_dead_consumer, a_consumer_name, consumers_that_leave, a_lease_of_its_own, recover,
}

/// A slow group does not hold up another one.
async fn a_slow_group(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let gate = Gate::new();
    let one_at_a_time = member("slow", json!({ "concurrency": 1 }));
    bus.subscribe_async(&["job"], one_at_a_time, gate.handler()).await.unwrap();
    let fast = Inbox::with(&bus, &["job"], member("fast", json!({ "concurrency": 1 }))).await;
    store(&bus, numbered("job", 0..500)).await;
    fast.wait_for(500).await;
    assert_eq!(numbers(&fast), (0..500).collect::<Vec<_>>());
    assert_eq!(gate.started.len(), 1);
    gate.open(500);
    Group::of(&bus, &fixture.jobs(), "slow").settled().await;
    assert_eq!(numbers(&gate.started), (0..500).collect::<Vec<_>>());
}

/// Starts ten events on `bus`, five of which run while the others wait; gives their gate.
async fn ten_events(bus: &Bus, publisher: &Bus, fixture: &Fixture) -> (Gate, u32) {
    let gate = Gate::new();
    let five_at_a_time = workers_with(json!({ "concurrency": 5 }));
    let subscription = bus.subscribe_async(&["job"], five_at_a_time, gate.handler()).await.unwrap();
    store(publisher, numbered("job", 0..10)).await;
    gate.started.wait_for(5).await;
    Group::workers(publisher, fixture).wait_for_pending(10).await;
    (gate, subscription)
}

/// A client that disconnects finishes what runs and hands back what has not begun: others get it as if it
/// had never been there.
async fn hand_back_on_disconnect(fixture: &Fixture) {
    let (one, two) = (fixture.keeper().await, fixture.keeper().await);
    let (gate, _) = ten_events(&one, &two, fixture).await;
    let inbox = Inbox::with(&two, &["job"], workers()).await;
    let ((), ()) = tokio::join!(one.disconnect(), async {
        // While it waits for its handlers, the others are free already.
        inbox.wait_for(5).await;
        gate.open(5);
    });
    Group::workers(&two, fixture).settled().await;
    assert_eq!((sorted(&gate.started), sorted(&inbox)), ((0..5).collect(), (5..10).collect()));
    for event in inbox.events() {
        assert_eq!((event.attempt, event.deliveries()), (1, 1), "{event:?}");
    }
    let consumer = format!("tests-{}", two.client().instance_id());
    assert_eq!(Group::workers(&two, fixture).consumers().await, [consumer]);
}

/// The same when only the subscription ends.
async fn hand_back_on_unsubscribe(fixture: &Fixture) {
    let (one, two) = (fixture.keeper().await, fixture.keeper().await);
    let (gate, subscription) = ten_events(&one, &two, fixture).await;
    assert!(one.unsubscribe(subscription).await);
    let inbox = Inbox::with(&two, &["job"], workers()).await;
    inbox.wait_for(5).await;
    assert_eq!(gate.started.len(), 5);
    gate.open(5);
    Group::workers(&two, fixture).settled().await;
    assert_eq!(sorted(&inbox), (5..10).collect::<Vec<_>>());
    assert!(inbox.events().iter().all(|event| (event.attempt, event.deliveries()) == (1, 1)));
    assert_eq!(one.stats().counts.events_delivered, 5);
}

/// A subscription that ends while another of its group goes on takes nothing away from that one.
async fn one_subscription_of_a_group_ends(fixture: &Fixture) {
    let (bus, publisher) = (fixture.keeper().await, fixture.keeper().await);
    let (gate, subscription) = ten_events(&bus, &publisher, fixture).await;
    let other = Inbox::with(&bus, &["job"], workers()).await;
    store(&publisher, numbered("job", 10..20)).await;
    assert!(bus.unsubscribe(subscription).await);
    gate.open(20);
    Group::workers(&bus, fixture).settled().await;
    let mut handled: BTreeSet<u64> = numbers(&other).into_iter().collect();
    handled.extend(numbers(&gate.started));
    assert_eq!(handled, (0..20).collect());
    assert!((10..20).all(|n| numbers(&other).contains(&n)));
}

/// A client leaves a group and joins it again, at once, time after time; nothing is lost or called twice.
async fn rejoin(fixture: &Fixture) {
    let (bus, publisher) = (fixture.keeper().await, fixture.keeper().await);
    let inbox = Inbox::default();
    let mut subscription = bus.subscribe(&["job"], workers(), inbox.handler()).await.unwrap();
    for round in 0..10_u64 {
        let publishing = publisher.start_publish(&numbered("job", round * 20..round * 20 + 20));
        assert!(bus.unsubscribe(subscription).await);
        subscription = bus.subscribe(&["job"], workers(), inbox.handler()).await.unwrap();
        publishing.results().await.into_iter().for_each(|result| drop(result.unwrap()));
    }
    inbox.wait_for(200).await;
    Group::workers(&bus, fixture).settled().await;
    assert_eq!(sorted(&inbox), (0..200).collect::<Vec<_>>());
}

/// What a client that died had claimed is taken over once its lease is over.
async fn a_dead_consumer(fixture: &Fixture) {
    let (one, two) = (fixture.hasty_keeper().await, fixture.hasty_keeper().await);
    let gate = Gate::new();
    one.subscribe_async(&["job"], workers(), gate.handler()).await.unwrap();
    store(&two, numbered("job", 0..5)).await;
    gate.started.wait_for(5).await;
    let inbox = Inbox::with(&two, &["job"], workers()).await;
    one.client().destroy();
    inbox.wait_for(5).await;
    Group::workers(&two, fixture).settled().await;
    assert_eq!(sorted(&inbox), (0..5).collect::<Vec<_>>());
    assert!(inbox.events().iter().all(|event| (event.attempt, event.deliveries()) == (2, 2)));
    assert_eq!(two.stats().counts.messages_recovered, 5);
    // The dead one's calls still run, and end without any effect.
    gate.open(5);
    store(&two, numbered("job", 5..6)).await;
    inbox.wait_for(6).await;
    Group::workers(&two, fixture).settled().await;
    assert_eq!((inbox.len(), one.stats().counts.events_dead_lettered), (6, 0));
}

/// A name belongs to one living consumer of a group; whoever comes next under it takes up what was left.
async fn a_consumer_name(fixture: &Fixture) {
    let times = |ms: u64| json!({ "redis": { "commandTimeout": ms } });
    let named = || workers_with(json!({ "consumer": "worker-1" }));
    let one = fixture.keeper().await;
    let gate = Gate::new();
    one.subscribe_async(&["job"], named(), gate.handler()).await.unwrap();
    store(&one, numbered("job", 0..3)).await;
    gate.started.wait_for(3).await;

    let refused = fixture.keeper_with(times(300)).await;
    let error = refused.subscribe(&["job"], named(), Inbox::default().handler()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ConsumerInUse, "{error}");
    assert_eq!(refused.stats().active_subscriptions, 0);
    // In another group the name is free.
    let elsewhere = member("others", json!({ "consumer": "worker-1" }));
    refused.subscribe(&["job"], elsewhere, Inbox::default().handler()).await.unwrap();

    // It dies: the name is free when its heartbeat is over, and what it had begun is begun again, at once
    // although the lease is long, and counted.
    one.client().destroy();
    let next = fixture.keeper_with(times(20_000)).await;
    let inbox = Inbox::with(&next, &["job"], named()).await;
    inbox.wait_for(3).await;
    Group::workers(&next, fixture).settled().await;
    assert_eq!(sorted(&inbox), [0, 1, 2]);
    let counts = inbox.events().iter().map(|event| (event.attempt, event.deliveries())).collect::<Vec<_>>();
    assert_eq!(counts, [(2, 2); 3]);
    assert_eq!(Group::workers(&next, fixture).consumers().await, ["worker-1"]);

    // It leaves: the name is free at once.
    next.disconnect().await;
    let last = fixture.keeper_with(times(1_000)).await;
    let inbox = Inbox::with(&last, &["job"], named()).await;
    store(&last, numbered("job", 3..4)).await;
    inbox.wait_for(1).await;
    gate.open(3);
}

/// Consumers that leave are gone; the group, its position and what it has not read stay.
async fn consumers_that_leave(fixture: &Fixture) {
    let publisher = fixture.keeper().await;
    let group = Group::workers(&publisher, fixture);
    for round in 0..3_u64 {
        let inbox = Inbox::default();
        let mut buses = Vec::new();
        for _ in 0..3 {
            let bus = fixture.keeper().await;
            bus.subscribe(&["job"], workers(), inbox.handler()).await.unwrap();
            buses.push(bus);
        }
        inbox.wait_for(if round == 0 { 0 } else { 5 }).await;
        for bus in buses {
            bus.disconnect().await;
        }
        assert_eq!(group.consumers().await, Vec::<String>::new());
        store(&publisher, numbered("job", 0..5)).await;
        let facts = group.facts().await;
        assert_eq!((&facts["pending"], &facts["lag"]), (&json!(0), &json!(5)));
    }
}

/// The lease is the group's: a client with another one is told, and keeps to it.
async fn a_lease_of_its_own(fixture: &Fixture) {
    let (one, two) = (fixture.keeper_with(json!({ "lease": 60_000 })).await, fixture.hasty_keeper().await);
    let gate = Gate::new();
    one.subscribe_async(&["job"], workers(), gate.handler()).await.unwrap();
    let inbox = Inbox::with(&two, &["job"], workers()).await;
    let code = "LEASE_DIFFERS";
    two.notices.wait_for(|notice| crate::support::is_warning(notice, code)).await;
    assert!(!one.notices.all().iter().any(|notice| crate::support::is_warning(notice, code)));
    drop((inbox, gate));
}

/// `streams.recover` hands what was left alone back to its group, and what was tried too often to the dead letters.
async fn recover(fixture: &Fixture) {
    let (one, admin) = (fixture.hasty_keeper().await, fixture.hasty_keeper().await);
    let gate = Gate::new();
    one.subscribe_async(&["job"], workers(), gate.handler()).await.unwrap();
    store(&admin, numbered("job", 0..6)).await;
    gate.started.wait_for(6).await;
    one.client().destroy();
    let group = Group::workers(&admin, fixture);
    let idle = || async { group.pending().await.iter().all(|entry| entry["idle"].as_u64() > Some(LEASE)) };
    eventually(PATIENCE, "entries that are left alone", idle).await;
    let recover = |more: Value| {
        let mut args = json!({ "group": "workers", "minIdle": LEASE, "batchSize": 4 });
        super::setup::merge(&mut args, more);
        admin.request("streams.recover", args)
    };
    let result = recover(json!({})).await.unwrap();
    let expected = json!({ "checked": 6, "claimed": 6, "reprocessed": 6, "deadLettered": 0, "failed": 0 });
    assert_eq!(result, expected);
    assert!(group.pending().await.iter().all(|entry| entry["deliveryCount"] == 1));
    let result = recover(json!({ "maxRetries": 0 })).await.unwrap();
    let expected = json!({ "checked": 6, "claimed": 6, "reprocessed": 0, "deadLettered": 6, "failed": 0 });
    assert_eq!(result, expected);
    group.settled().await;
    assert_eq!(super::setup::dead_letters(&admin, &fixture.jobs()).await.len(), 6);
    let result = recover(json!({ "stream": fixture.jobs() })).await.unwrap();
    assert_eq!(result["checked"], 0, "nothing is left");
    for (args, kind) in [
        (json!({ "group": "nobody" }), ErrorKind::NoGroup),
        (json!({ "stream": fixture.jobs(), "group": "nobody" }), ErrorKind::NoGroup),
        (json!({ "stream": "none", "group": "workers" }), ErrorKind::NoStream),
        (json!({ "stream": "none" }), ErrorKind::NoStream),
    ] {
        assert_eq!(admin.request("streams.recover", args.clone()).await.unwrap_err().kind, kind, "{args}");
    }
    gate.open(6);
}
