//! Claims: renewed as long as somebody works on an entry, and what happens to those that are lost.

use std::sync::Arc;

use oxbus_model::delivery::Settlement;
use oxbus_testkit::eventually;
use serde_json::json;

use super::setup::{Gate, Group, LEASE, dead_letters, numbered, numbers, store, workers, workers_with};
use crate::fixture::Fixture;
use crate::support::{Bus, Event, FAILED, Inbox, PATIENCE, claim_lost};

suite! {
    with cluster;
    claims_are_renewed, a_blocked_host, max_processing, a_late_failure, a_stolen_claim, a_crowd,
}

/// A lease that a busy machine does not let expire by accident.
const STEADY: u64 = 1_500;
/// More renewals of one entry than fit into two leases, as it is renewed three times in each.
const MANY: u64 = 7;

async fn steady(fixture: &Fixture) -> Bus {
    fixture.keeper_with(json!({ "lease": STEADY })).await
}

async fn renewed(bus: &Bus, times: u64) {
    let wanted = bus.stats().counts.claims_renewed + times;
    let reached = || async { bus.stats().counts.claims_renewed >= wanted };
    eventually(PATIENCE, "claims that are renewed", reached).await;
}

/// An entry is nobody else's while it is worked on: its handler runs for several leases, or waits for its
/// retry, or for the host.
async fn claims_are_renewed(fixture: &Fixture) {
    let (one, two) = (steady(fixture).await, steady(fixture).await);
    let gate = Gate::new();
    let running = gate.handler();
    let handler = move |event: Event| {
        let call = (event.data() == json!(0)).then(|| running(event.clone()));
        async move {
            match call {
                Some(call) => call.await,
                None if event.attempt == 1 => Settlement::RetryLater(STEADY / 2),
                None => Settlement::Succeeded,
            }
        }
    };
    let subscription = one.subscribe_async(&["job"], workers(), handler).await.unwrap();
    store(&one, numbered("job", 0..2)).await;
    gate.started.wait_for(1).await;
    let retrying = || async { one.stats().counts.events_retried == 1 };
    eventually(PATIENCE, "the retry", retrying).await;
    // Only the other one reads from here on; it would take whatever has expired.
    one.pause(subscription, true);
    let inbox = Inbox::with(&two, &["job"], workers()).await;
    renewed(&one, 2 * MANY).await;
    one.pause(subscription, false);
    gate.open(1);
    Group::workers(&two, fixture).settled().await;
    let counts = (one.stats().counts, two.stats().counts);
    assert_eq!((counts.0.events_delivered, counts.1.events_delivered, inbox.len()), (2, 0, 0));
    assert_eq!((counts.1.messages_recovered, one.notices.find(|n| claim_lost(n).map(|_| ())).len()), (0, 0));
}

/// A host that does not take its events for several leases does not lose them.
async fn a_blocked_host(fixture: &Fixture) {
    let (one, two) = (steady(fixture).await, steady(fixture).await);
    let mine = Inbox::with(&one, &["job"], workers()).await;
    let blocked = one.block().await;
    store(&two, numbered("job", 0..5)).await;
    Group::workers(&two, fixture).wait_for_pending(5).await;
    let theirs = Inbox::with(&two, &["job"], workers()).await;
    renewed(&one, 5 * MANY).await;
    drop(blocked);
    mine.wait_for(5).await;
    Group::workers(&two, fixture).settled().await;
    assert_eq!((numbers(&mine), theirs.len()), ((0..5).collect(), 0));
}

/// A handler that runs beyond `maxProcessing` loses its claim and is told: another one gets the event. When the
/// first succeeds after all, the event is settled, and the other one is told that it works for nothing.
async fn max_processing(fixture: &Fixture) {
    let (one, two) = (fixture.hasty_keeper().await, fixture.hasty_keeper().await);
    let (first, second) = (Gate::new(), Gate::new());
    let hasty = workers_with(json!({ "maxProcessing": 50 }));
    let subscription = one.subscribe_async(&["job"], hasty, first.handler()).await.unwrap();
    store(&one, numbered("job", 0..1)).await;
    first.started.wait_for(1).await;
    // If it were not paused, this client could take the event as well as the other one.
    one.pause(subscription, true);
    two.subscribe_async(&["job"], workers(), second.ending(FAILED)).await.unwrap();
    second.started.wait_for(1).await;
    let event = second.started.events().remove(0);
    assert_eq!((event.attempt, event.deliveries()), (2, 2));
    let tokens = one.notices.wait_to_find(|notice| claim_lost(notice).map(<[u32]>::to_vec)).await;
    assert_eq!(tokens, [first.started.events()[0].token]);
    first.open(1);
    Group::workers(&two, fixture).settled().await;
    let tokens = two.notices.wait_to_find(|notice| claim_lost(notice).map(<[u32]>::to_vec)).await;
    assert_eq!(tokens, [event.token]);
    // The result of the lost call does not count.
    second.open(1);
    eventually(PATIENCE, "its end", || async { two.stats().counts.handler_errors == 1 }).await;
    one.pause(subscription, false);
    store(&two, numbered("job", 1..2)).await;
    let called = || async { first.started.len() + second.started.len() == 3 };
    eventually(PATIENCE, "the next event", called).await;
    assert_eq!(dead_letters(&two, &fixture.jobs()).await.len(), 0);
    let counts = (one.stats().counts, two.stats().counts);
    assert_eq!((counts.0.events_delivered, counts.1.events_retried, counts.1.events_failed), (1, 0, 0));
    first.open(1);
    second.open(1);
}

/// The failure of a call whose claim is lost changes nothing: no retry, no dead letter, no wrong count.
async fn a_late_failure(fixture: &Fixture) {
    let (one, two) = (fixture.hasty_keeper().await, fixture.hasty_keeper().await);
    let (first, second) = (Gate::new(), Gate::new());
    let hasty = workers_with(json!({ "maxProcessing": 50, "maxRetries": 2 }));
    let handler = first.ending(Settlement::Failed { retryable: false });
    let subscription = one.subscribe_async(&["job"], hasty, handler).await.unwrap();
    store(&one, numbered("job", 0..1)).await;
    first.started.wait_for(1).await;
    one.pause(subscription, true);
    two.subscribe_async(&["job"], workers(), second.handler()).await.unwrap();
    second.started.wait_for(1).await;
    first.open(1);
    eventually(PATIENCE, "the late failure", || async { one.stats().counts.handler_errors == 1 }).await;
    let group = Group::workers(&two, fixture);
    assert_eq!(group.pending().await[0]["consumer"], format!("tests-{}", two.client().instance_id()));
    second.open(1);
    group.settled().await;
    assert_eq!(dead_letters(&two, &fixture.jobs()).await.len(), 0);
    assert_eq!((first.started.len(), second.started.len()), (1, 1));
    assert_eq!(two.stats().counts.events_delivered, 1);
}

/// Somebody else takes an entry away: its call is told, and its end changes nothing.
async fn a_stolen_claim(fixture: &Fixture) {
    if !fixture.capabilities.open_to_others {
        return;
    }
    let bus = fixture.keeper_with(json!({ "lease": LEASE, "foreignLease": 2 * LEASE })).await;
    let gate = Gate::new();
    bus.subscribe_async(&["job"], workers(), gate.ending(FAILED)).await.unwrap();
    let ids = store(&bus, numbered("job", 0..1)).await;
    gate.started.wait_for(1).await;
    let jobs = fixture.jobs();
    fixture.command(&["XCLAIM", &jobs, "workers", "thief", "0", &ids[0]]).await;
    let tokens = bus.notices.wait_to_find(|notice| claim_lost(notice).map(<[u32]>::to_vec)).await;
    assert_eq!(tokens, [gate.started.events()[0].token]);
    gate.open(1);
    eventually(PATIENCE, "its end", || async { bus.stats().counts.handler_errors == 1 }).await;
    assert_eq!(Group::workers(&bus, fixture).pending().await[0]["consumer"], "thief");
    // The thief never renews it: it comes back. What a thief has done with it nobody knows, so it begins anew.
    gate.started.wait_for(2).await;
    assert_eq!(gate.started.events()[1].deliveries(), 1);
    assert_eq!(dead_letters(&bus, &jobs).await.len(), 0);
    gate.open(10);
}

/// Many clients under load with claims that expire soon: every event is handled, and settled at the end.
async fn a_crowd(fixture: &Fixture) {
    let publisher = fixture.hasty_keeper().await;
    let inbox = Inbox::default();
    let mut buses = Vec::new();
    for n in 0..6_u64 {
        let bus = Arc::new(fixture.hasty_keeper().await);
        bus.subscribe(&["job"], workers(), inbox.handler()).await.unwrap();
        let start = n * 100;
        store(&publisher, numbered("job", start..start + 100)).await;
        buses.push(bus);
        // In turn a client leaves in order, dies, or stays.
        if n % 3 == 1 {
            buses.remove(0).disconnect().await;
        } else if n % 3 == 2 {
            buses.remove(0).client().destroy();
        }
    }
    Group::workers(&publisher, fixture).settled().await;
    let handled: std::collections::BTreeSet<u64> = numbers(&inbox).into_iter().collect();
    assert_eq!(handled, (0..600).collect());
    assert_eq!(dead_letters(&publisher, &fixture.jobs()).await.len(), 0);
}
