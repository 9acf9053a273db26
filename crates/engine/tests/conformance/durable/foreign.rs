//! Consumers of other programs in a group: they read by `XREADGROUP`, acknowledge by `XACK`, and renew nothing.

use oxbus_testkit::eventually;
use serde_json::json;

use super::setup::{Group, LEASE, dead_letters, numbered, numbers, store, workers, workers_with};
use crate::fixture::Fixture;
use crate::support::{Event, FAILED, Inbox, PATIENCE, is_warning};

suite! {
    a_slow_handler_of_another_program, another_program_that_died, deliveries_of_another_program, a_foreign_lease_of_its_own,
}

/// A foreign lease that does not end within a test.
const LONG: u64 = 60_000;

/// Another program makes the group, and reads what is stored in it.
async fn read_all(fixture: &Fixture) {
    let jobs = fixture.jobs();
    fixture.command(&["XREADGROUP", "GROUP", "workers", "worker.py", "STREAMS", &jobs, ">"]).await;
}

async fn make_group(fixture: &Fixture) {
    fixture.command(&["XGROUP", "CREATE", &fixture.jobs(), "workers", "0", "MKSTREAM"]).await;
}

/// What a slow handler of another program has is left to it, by the consumers of the group and by `streams.recover`.
async fn a_slow_handler_of_another_program(fixture: &Fixture) {
    if !fixture.capabilities.open_to_others {
        return;
    }
    let bus = fixture.keeper_with(json!({ "lease": LEASE, "foreignLease": LONG })).await;
    make_group(fixture).await;
    let ids = store(&bus, numbered("job", 0..2)).await;
    read_all(fixture).await;
    let inbox = Inbox::with(&bus, &["job"], workers()).await;
    let group = Group::workers(&bus, fixture);
    let idle =
        || async { group.pending().await.iter().all(|entry| entry["idle"].as_u64() > Some(4 * LEASE)) };
    eventually(PATIENCE, "entries that are idle for four leases", idle).await;
    let args = json!({ "group": "workers", "minIdle": LEASE });
    let recovered = bus.request("streams.recover", args).await.unwrap();
    assert_eq!((&recovered["claimed"], &recovered["failed"]), (&json!(0), &json!(0)));
    let pending = group.pending().await;
    assert!(pending.iter().all(|entry| entry["consumer"] == "worker.py" && entry["deliveryCount"] == 1));
    // It does not hold up what this client reads itself.
    store(&bus, numbered("job", 2..3)).await;
    inbox.wait_for(1).await;
    fixture.command(&["XACK", &fixture.jobs(), "workers", &ids[0], &ids[1]]).await;
    group.settled().await;
    assert_eq!((numbers(&inbox), bus.stats().counts.messages_recovered), (vec![2], 0));
}

/// What another program has left behind is claimed after `foreignLease`, as a first attempt.
async fn another_program_that_died(fixture: &Fixture) {
    if !fixture.capabilities.open_to_others {
        return;
    }
    let bus = fixture.keeper_with(json!({ "lease": LEASE, "foreignLease": 3 * LEASE })).await;
    make_group(fixture).await;
    store(&bus, numbered("job", 0..3)).await;
    let read = std::time::Instant::now();
    read_all(fixture).await;
    let inbox = Inbox::with(&bus, &["job"], workers()).await;
    inbox.wait_for(3).await;
    assert!(read.elapsed().as_millis() >= u128::from(3 * LEASE), "{:?}", read.elapsed());
    Group::workers(&bus, fixture).settled().await;
    assert!(inbox.events().iter().all(|event| (event.attempt, event.deliveries()) == (1, 1)));
    assert_eq!(bus.stats().counts.messages_recovered, 3);
}

/// However often another program has delivered an entry: it is tried as often as any other, and beside others.
async fn deliveries_of_another_program(fixture: &Fixture) {
    if !fixture.capabilities.open_to_others {
        return;
    }
    let bus = fixture.keeper_with(json!({ "lease": LEASE, "foreignLease": 2 * LEASE })).await;
    make_group(fixture).await;
    let ids = store(&bus, numbered("job", 0..1)).await;
    read_all(fixture).await;
    let jobs = fixture.jobs();
    fixture.command(&["XCLAIM", &jobs, "workers", "worker.py", "0", &ids[0], "RETRYCOUNT", "50"]).await;
    let inbox = Inbox::default();
    let kept = inbox.clone();
    let failing = move |event: Event| {
        kept.put(event);
        FAILED
    };
    bus.subscribe(&["job"], workers_with(json!({ "maxRetries": 2 })), failing).await.unwrap();
    inbox.wait_for(3).await;
    Group::workers(&bus, fixture).settled().await;
    let attempts: Vec<_> = inbox.events().iter().map(|event| (event.attempt, event.deliveries())).collect();
    assert_eq!(attempts, [(1, 1), (2, 2), (3, 3)]);
    let letters = dead_letters(&bus, &jobs).await;
    assert_eq!(
        (letters.len(), &letters[0]["attempts"], &letters[0]["reason"]),
        (1, &json!(3), &json!("failed"))
    );
}

/// The foreign lease is the group's: a client with another one is told.
async fn a_foreign_lease_of_its_own(fixture: &Fixture) {
    let one = fixture.keeper_with(json!({ "foreignLease": 60_000 })).await;
    let two = fixture.keeper().await;
    let inbox = Inbox::with(&one, &["job"], workers()).await;
    let code = "FOREIGN_LEASE_DIFFERS";
    let other = Inbox::with(&two, &["job"], workers()).await;
    two.notices.wait_for(|notice| is_warning(notice, code)).await;
    assert!(!one.notices.all().iter().any(|notice| is_warning(notice, code)));
    drop((inbox, other));
}
