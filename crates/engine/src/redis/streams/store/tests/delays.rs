//! Entries that are put off until they are due.

use std::time::Duration;

use oxbus_model::stream_store::DELAYED;
use oxbus_testkit::eventually;

use super::*;

const DUE: &str = "orders:group:billing:due";

/// Hands an entry back until it is due.
fn put_off(consumer: &str, id: EntryId, deliveries: u32, wait: u64) -> Request {
    let items = vec![(id, RetryState { deliveries, due_in: Some(wait) })];
    Request::Requeue { member: member(consumer), items, lease: 30_000, unhandled: false }
}

/// The entries that can be claimed, and whether it is told when the next can be.
async fn listed(rig: &Rig, early: bool) -> (Vec<EntryId>, bool) {
    let (member, min_idle, limit) = (member("b"), 30_000, 100);
    match rig
        .done(Request::ListExpired { member, min_idle: min_idle.into(), limit, early, set_right: false })
        .await
    {
        Response::Expired { entries, next_due_in, .. } => {
            (entries.iter().map(|e| e.id).collect(), next_due_in.is_some())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_put_off_is_found_when_it_is_due() {
    let rig = Rig::with_group().await;
    let ids = rig.append(4).await;
    rig.deliver("a", 4).await;
    let Response::Time(before) = rig.done(Request::Time).await else { panic!() };
    assert_eq!(rig.lost(put_off("a", ids[0], 1, 3_600_000)).await, []);
    assert_eq!(rig.lost(put_off("a", ids[1], 2, 400)).await, []);
    assert_eq!(rig.lost(put_off("a", ids[2], 3, 300)).await, []);
    assert_eq!(rig.lost(hold("a", &ids)).await, ids[..3], "they are nobody's");
    assert_eq!(listed(&rig, true).await, (ids[..3].to_vec(), false));
    let due = || async { listed(&rig, false).await == (vec![ids[2], ids[1]], true) };
    eventually(Duration::from_secs(5), "both are due, in that order", due).await;
    let Response::Time(after) = rig.done(Request::Time).await else { panic!() };
    assert!(after >= before + 400, "{}", after - before);
    let (entries, _) = rig.claimed(claim("b", 30_000, &ids)).await;
    let seen: Vec<_> = entries.iter().map(|e| (e.id, e.deliveries, e.due_in)).collect();
    assert_eq!(seen, [(ids[1], 3, Some(0)), (ids[2], 4, Some(0))]);
    assert_eq!(rig.claimed(claim("c", 30_000, &ids)).await.0, [], "one of two wins");
    assert_eq!(rig.server.command(&["ZCARD", DUE]).await.int(), 1);
    assert_eq!(rig.count(Request::RemoveGroup { stream: STREAM.into(), group: GROUP.into() }).await, 1);
    assert_eq!(rig.server.command(&["EXISTS", DUE]).await.int(), 0);
}

#[tokio::test]
async fn what_was_put_off_hides_nothing_of_the_dead_and_stays_where_the_older_builds_look() {
    let rig = Rig::with_group().await;
    let ids = rig.append(1202).await;
    rig.deliver("a", 1200).await;
    rig.deliver("dead", 2).await;
    let items = ids[..1200].iter().map(|id| (*id, RetryState { deliveries: 1, due_in: Some(3_600_000) }));
    let (member, items) = (member("a"), items.collect());
    rig.lost(Request::Requeue { member, items, lease: 30_000, unhandled: false }).await;
    // Long ago, as far as idle times tell.
    for (owner, ids) in [(DELAYED, &ids[..1200]), ("dead", &ids[1200..])] {
        let idle = ids.iter().map(EntryId::to_string);
        let claim: Vec<String> =
            ["XCLAIM", STREAM, GROUP, owner, "0"].map(String::from).into_iter().chain(idle).collect();
        let claim: Vec<&str> = claim.iter().map(|s| &**s).chain(["IDLE", "60000", "JUSTID"]).collect();
        rig.server.command(&claim).await;
    }
    let Response::Expired { entries, .. } = rig.done(expired("b", 30_000, 10)).await else { panic!() };
    assert_eq!(entries.iter().map(|e| e.id).collect::<Vec<_>>(), ids[1200..]);
    assert_eq!(rig.claimed(claim("b", 30_000, &ids[1198..])).await.0.len(), 2);
    // A build that knows of no due times finds all: nothing is lost to it.
    let idle = ["XPENDING", STREAM, GROUP, "IDLE", "30000", "-", "+", "2000"];
    assert_eq!(rig.server.command(&idle).await.items().len(), 1200);
}

#[tokio::test]
async fn due_times_of_what_others_have_taken_or_settled_are_forgotten() {
    let rig = Rig::with_group().await;
    let ids = rig.append(2).await;
    rig.deliver("a", 2).await;
    for id in &ids {
        rig.lost(put_off("a", *id, 1, 50)).await;
    }
    rig.server.command(&["XCLAIM", STREAM, GROUP, "foreign", "0", &ids[0].to_string()]).await;
    rig.server.command(&["XACK", STREAM, GROUP, &ids[1].to_string()]).await;
    let forgotten = || async {
        assert_eq!(listed(&rig, false).await.0, []);
        rig.server.command(&["EXISTS", DUE]).await.int() == 0
    };
    eventually(Duration::from_secs(5), "they are due", forgotten).await;
}

#[tokio::test]
async fn without_the_due_times_what_was_put_off_is_found_after_the_lease() {
    let rig = Rig::with_group().await;
    let ids = rig.append(1).await;
    rig.deliver("a", 1).await;
    rig.lost(put_off("a", ids[0], 1, 3_600_000)).await;
    rig.server.command(&["DEL", DUE]).await;
    let idle = ["XCLAIM", STREAM, GROUP, DELAYED, "0", &ids[0].to_string(), "IDLE", "30000", "JUSTID"];
    rig.server.command(&idle).await;
    assert_eq!(listed(&rig, false).await.0, ids);
    assert_eq!(rig.claimed(claim("b", 30_000, &ids)).await.0.len(), 1);
}
