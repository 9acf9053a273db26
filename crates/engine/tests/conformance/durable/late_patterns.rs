//! A pattern that comes after its group has begun to read.

use oxbus_testkit::eventually;
use serde_json::json;

use super::setup::{Group, member, numbers, store, workers};
use crate::fixture::Fixture;
use crate::support::{Inbox, PATIENCE, Record};

suite! { with cluster; one_after_the_other, a_type_that_a_deploy_adds, trimmed_meanwhile }

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
