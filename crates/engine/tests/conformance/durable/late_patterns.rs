//! A pattern that comes after its group has begun to read.

use std::collections::BTreeSet;

use oxbus_testkit::eventually;
use serde_json::json;

use super::setup::{Group, LEASE, member, numbers, sorted, store, workers, workers_with};
use crate::fixture::Fixture;
use crate::support::{Bus, Inbox, PATIENCE, Record, is_warning};

suite! {
    with cluster; one_after_the_other, five_starts, a_type_that_a_deploy_adds, trimmed_meanwhile,
    a_new_pattern_says_where_it_starts, a_start_counts_once,
}

const TYPES: [&str; 3] = ["job.cancelled", "job.placed", "job.paid"];

/// The events number `n` of each type.
fn records(from: u64, to: u64) -> Vec<Record> {
    (from..to).flat_map(|n| TYPES.map(|event_type| Record::new(event_type, n))).collect()
}

/// A worker subscribes one type after the other while a backlog of all waits: nothing of it is lost.
async fn one_after_the_other(fixture: &Fixture) {
    let streams = json!([{ "name": fixture.jobs(), "events": ["job.*"], "consumerGroups": ["workers"] }]);
    let publisher = fixture.bus_with(json!({ "streams": streams })).await;
    store(&publisher, records(0, 150)).await;
    let worker = fixture.bus_with(json!({ "streams": streams })).await;
    for (n, event_type) in TYPES.into_iter().enumerate() {
        let inbox = Inbox::with(&worker, &[event_type], workers()).await;
        inbox.wait_for(150).await;
        if n == 0 {
            // Everything has been read past before the next subscription comes.
            let skipped = || async { worker.stats().counts.events_skipped >= 300 };
            eventually(PATIENCE, "entries that are read past", skipped).await;
            let skipped = Group::workers(&worker, fixture).facts().await["skipped"].clone();
            assert_eq!(skipped, json!({ "job.paid": 150, "job.placed": 150 }));
        }
    }
    Group::workers(&worker, fixture).settled().await;
    let facts = Group::workers(&worker, fixture).facts().await;
    assert_eq!(facts["skipped"], json!({}));
    assert_eq!(worker.stats().counts.events_dead_lettered, 0);
}

/// A worker with ten subscriptions is closed or killed while it makes them, and started again: nothing is lost.
async fn five_starts(fixture: &Fixture) {
    let streams = json!([{ "name": fixture.jobs(), "events": ["job.*"], "consumerGroups": ["workers"] }]);
    let config = json!({ "streams": streams, "lease": LEASE });
    let types: Vec<String> = (0..10).map(|n| format!("job.t{n}")).collect();
    let publisher = fixture.bus_with(config.clone()).await;
    let inbox = Inbox::default();
    let mut published = 0;
    // With how many of its subscriptions each worker comes to its end.
    for (start, established) in [1, 4, 9, 10, 10].into_iter().enumerate() {
        let more = types.iter().flat_map(|event_type| (0..5).map(move |n| Record::new(event_type, n)));
        published += store(&publisher, more.collect()).await.len();
        let worker = fixture.bus_with(config.clone()).await;
        for n in 0..established {
            // Each start has another order.
            let event_type = &*types[(n * 3 + start) % types.len()];
            worker
                .subscribe(&[event_type], workers_with(json!({ "maxRetries": 20 })), inbox.handler())
                .await
                .unwrap();
        }
        match start {
            4 => {
                let distinct =
                    || async { inbox.ids().into_iter().collect::<BTreeSet<_>>().len() == published };
                eventually(PATIENCE, "all events", distinct).await;
                Group::workers(&publisher, fixture).settled().await;
                assert_eq!(worker.stats().counts.events_dead_lettered, 0);
            }
            1 | 3 => worker.client().destroy(),
            _ => worker.disconnect().await,
        }
    }
}

/// A rolling deploy adds a type whose publisher went first; old and new workers are there together.
async fn a_type_that_a_deploy_adds(fixture: &Fixture) {
    let old = fixture.keeper().await;
    let known = Inbox::with(&old, &["job.cancelled"], workers()).await;
    store(&old, records(0, 20)).await;
    known.wait_for(20).await;
    let new = fixture.keeper().await;
    let both = Inbox::with(&new, &["job.cancelled", "job.paid"], workers()).await;
    store(&old, records(20, 40)).await;
    let paid = || async { both.types().iter().filter(|event_type| *event_type == "job.paid").count() == 40 };
    eventually(PATIENCE, "the events of the new type", paid).await;
    Group::workers(&new, fixture).settled().await;
    let cancelled = both.events().iter().filter(|e| e.event_type() == "job.cancelled").count();
    assert_eq!(known.len() + cancelled, 40, "nothing comes twice");
    // Another group has everything of its own.
    let other = Inbox::with(&new, &["job.paid"], member("other", json!({ "from": "beginning" }))).await;
    other.wait_for(40).await;
    assert_eq!(numbers(&other), (0..40).collect::<Vec<_>>());
}

/// What a group has read past, and is trimmed before a pattern takes it, is told as lost.
async fn trimmed_meanwhile(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let known = Inbox::with(&bus, &["job.cancelled"], workers()).await;
    store(&bus, records(0, 20)).await;
    known.wait_for(20).await;
    let skipped = || async { bus.stats().counts.events_skipped >= 40 };
    eventually(PATIENCE, "entries that are read past", skipped).await;
    bus.request("streams.trim", json!({ "name": fixture.jobs(), "maxLength": 30 })).await.unwrap();
    let paid = Inbox::with(&bus, &["job.paid"], workers()).await;
    paid.wait_for(10).await;
    let lost = || async { bus.stats().counts.events_lost == 10 };
    eventually(PATIENCE, "that ten are told as lost", lost).await;
    Group::workers(&bus, fixture).settled().await;
    assert_eq!((numbers(&paid), bus.stats().counts.events_lost), ((10..20).collect(), 10));
}

/// How many warnings of starts that do not count a client has had.
fn ignored(bus: &Bus) -> usize {
    bus.notices.all().iter().filter(|notice| is_warning(notice, "START_IGNORED")).count()
}

/// A group that has read past twenty events of each of two types; the ids of all events.
async fn read_past(bus: &Bus) -> Vec<String> {
    let known = Inbox::with(bus, &["job.cancelled"], workers()).await;
    let ids = store(bus, records(0, 20)).await;
    known.wait_for(20).await;
    let skipped = || async { bus.stats().counts.events_skipped >= 40 };
    eventually(PATIENCE, "entries that are read past", skipped).await;
    ids
}

/// `from` of a subscription whose pattern is new to its group says what it gets of what the group has read past.
async fn a_new_pattern_says_where_it_starts(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let ids = read_past(&bus).await;
    let late = fixture.keeper().await;
    // The first event number 15 is at 45: a message id counts behind itself.
    let paid = Inbox::with(&late, &["job.paid"], workers_with(json!({ "from": ids[44] }))).await;
    paid.wait_for(5).await;
    let placed = Inbox::with(&late, &["job.placed"], workers_with(json!({ "from": "new" }))).await;
    Group::workers(&bus, fixture).settled().await;
    let facts = Group::workers(&bus, fixture).facts().await;
    assert_eq!(facts["skipped"], json!({}), "the rest is given up");
    store(&bus, records(20, 22)).await;
    placed.wait_for(2).await;
    paid.wait_for(7).await;
    Group::workers(&bus, fixture).settled().await;
    assert_eq!((sorted(&paid), sorted(&placed)), ((15..22).collect(), (20..22).collect()));
    assert_eq!((ignored(&late), late.stats().counts.events_lost), (0, 0));
}

/// Where the group has the pattern, `from` is ignored with a warning; so is what lies further back than the group knows.
async fn a_start_counts_once(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    read_past(&bus).await;
    let late = fixture.keeper().await;
    let none = Inbox::with(&late, &["job.paid"], workers_with(json!({ "from": "new" }))).await;
    let other = fixture.keeper().await;
    let again = Inbox::with(&other, &["job.paid"], workers_with(json!({ "from": "beginning" }))).await;
    eventually(PATIENCE, "a warning", || async { ignored(&other) == 1 }).await;
    assert_eq!(ignored(&late), 0);
    let all = Inbox::with(&other, &["job.placed"], workers_with(json!({ "from": "beginning" }))).await;
    all.wait_for(20).await;
    Group::workers(&bus, fixture).settled().await;
    eventually(PATIENCE, "another warning", || async { ignored(&other) == 2 }).await;
    assert_eq!((ignored(&other), ignored(&late), none.len() + again.len()), (2, 0, 0));
}
