//! Consumers of other programs, which keep nothing beside the stream.

use oxbus_model::stream_store::MinIdle;

use super::*;

const CONSUMERS: &str = "orders:group:billing:consumers";

/// Makes what a consumer owns look idle.
async fn age(rig: &Rig, consumer: &str, ids: &[EntryId], idle: u64) {
    let (ids, idle): (Vec<String>, _) = (ids.iter().map(EntryId::to_string).collect(), idle.to_string());
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let claim = [&["XCLAIM", STREAM, GROUP, consumer, "0"], &*ids, &["IDLE", &idle, "JUSTID"]].concat();
    rig.server.command(&claim).await;
}

async fn listed(rig: &Rig, min_idle: MinIdle, limit: usize) -> (Vec<(EntryId, bool)>, bool) {
    let request =
        Request::ListExpired { member: member("b"), min_idle, limit, early: false, set_right: false };
    match rig.done(request).await {
        Response::Expired { entries, foreign_waits, .. } => {
            (entries.iter().map(|e| (e.id, e.foreign)).collect(), foreign_waits)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_another_program_has_is_listed_and_claimed_after_a_time_of_its_own() {
    let rig = Rig::with_group().await;
    let ids = rig.append(4).await;
    rig.deliver_to_foreign("worker.py", 3).await;
    rig.deliver("a", 1).await;
    age(&rig, "worker.py", &ids[..3], 60_000).await;
    age(&rig, "a", &ids[3..], 60_000).await;
    let min_idle = MinIdle { ours: 30_000, foreign: 600_000 };
    // However many another program has, they hide nothing of ours.
    assert_eq!(listed(&rig, min_idle, 1).await, (vec![(ids[3], false)], true));
    let all = Request::Claim { member: member("b"), min_idle, early: false, ids: ids.clone() };
    let (claimed, _) = rig.claimed(all.clone()).await;
    assert_eq!(claimed.iter().map(|e| (e.id, e.deliveries)).collect::<Vec<_>>(), [(ids[3], 2)]);

    age(&rig, "worker.py", &ids[..2], 600_000).await;
    let (rows, _) = listed(&rig, min_idle, 9).await;
    assert_eq!(rows, [(ids[0], true), (ids[1], true)]);
    // It has delivered them twice, which is no attempt of ours.
    for _ in 0..2 {
        let id = ids[0].to_string();
        rig.server.command(&["XCLAIM", STREAM, GROUP, "worker.py", "0", &id, "RETRYCOUNT", "7"]).await;
    }
    age(&rig, "worker.py", &ids[..1], 600_000).await;
    let (claimed, _) = rig.claimed(all).await;
    assert_eq!(claimed.iter().map(|e| (e.id, e.deliveries)).collect::<Vec<_>>(), [(ids[0], 1), (ids[1], 1)]);
    assert_eq!(rig.pending().await[2], (ids[2], "worker.py".to_owned(), 1));
}

#[tokio::test]
async fn who_claims_or_leaves_entries_behind_is_known_as_ours() {
    let rig = Rig::with_group().await;
    let ids = rig.append(2).await;
    rig.deliver("a", 2).await;
    // As `streams.recover` does, which has no heartbeat.
    rig.claimed(claim("admin", 0, &ids[..1])).await;
    assert_eq!(rig.server.command(&["HGET", CONSUMERS, "admin"]).await.text(), "i 0");
    rig.done(beat("a", "i")).await;
    let leave = Request::RemoveConsumer { member: member("a"), instance: "i".into() };
    assert_eq!(rig.count(leave.clone()).await, 1);
    assert_eq!(rig.server.command(&["HGET", CONSUMERS, "a"]).await.text(), "i 0");
    let sweep = Request::RemoveDeadConsumers { member: member("b"), pause: 0 };
    assert_eq!(rig.count(sweep.clone()).await, 0);
    let rows = listed(&rig, MinIdle { ours: 0, foreign: 600_000 }, 9).await.0;
    assert_eq!(rows, [(ids[0], false), (ids[1], false)]);
    // It is removed once it owns nothing.
    rig.claimed(claim("b", 0, &ids)).await;
    assert_eq!(rig.count(sweep).await, 2);
    // Where there is no room for that, it is claimed all the same.
    rig.out_of_memory(true).await;
    assert_eq!(rig.claimed(claim("c", 0, &ids)).await.0.len(), 2);
}

#[tokio::test]
async fn the_foreign_lease_is_that_of_the_first_client() {
    let rig = Rig::with_group().await;
    assert_eq!(consumers::facts(&rig, beat("a", "one")).await.foreign_lease, 600_000);
    let mut other = beat("b", "two");
    if let Request::Heartbeat { foreign_lease, .. } = &mut other {
        *foreign_lease = 5_000;
    }
    assert_eq!(consumers::facts(&rig, other).await.foreign_lease, 600_000);
    let Response::Stream(Some(info)) = rig.done(Request::Describe { stream: STREAM.into() }).await else {
        panic!()
    };
    assert_eq!(info.groups[0].foreign_lease, Some(600_000));
}

#[tokio::test]
async fn what_is_read_in_the_name_of_one_that_was_removed_as_dead_is_ours() {
    let rig = Rig::with_group().await;
    let mut dead = beat("a", "one");
    if let Request::Heartbeat { alive, .. } = &mut dead {
        *alive = 0;
    }
    rig.done(dead).await;
    rig.server.command(&["XGROUP", "CREATECONSUMER", STREAM, GROUP, "a"]).await;
    for removed in [1, 0] {
        let request = Request::RemoveDeadConsumers { member: member("b"), pause: 0 };
        assert_eq!(rig.count(request).await, removed);
    }
    rig.append(1).await;
    rig.deliver_to_foreign("a", 1).await;
    let min_idle = MinIdle { ours: 0, foreign: 600_000 };
    let request =
        Request::ListExpired { member: member("b"), min_idle, limit: 9, early: false, set_right: false };
    let Response::Expired { entries, .. } = rig.done(request).await else { panic!() };
    assert_eq!(entries.iter().map(|row| row.foreign).collect::<Vec<_>>(), [false]);
    // An hour later nobody knows it any more.
    let long_ago = "one 1";
    let consumers = "orders:group:billing:consumers";
    rig.server.command(&["HSET", consumers, "gone", long_ago]).await;
    rig.count(Request::RemoveDeadConsumers { member: member("b"), pause: 0 }).await;
    assert_eq!(rig.server.command(&["HEXISTS", consumers, "gone"]).await.int(), 0);
}

/// A consumer of another program is nobody's to judge: it is listed without a word on whether it lives. One of ours that
/// has read nothing is listed as long as it lives.
#[tokio::test]
async fn who_lives_is_told_of_ours_alone() {
    let rig = Rig::with_group().await;
    rig.append(2).await;
    rig.server.command(&["XREADGROUP", "GROUP", GROUP, "theirs", "COUNT", "1", "STREAMS", STREAM, ">"]).await;
    rig.done(beat("waits", "one")).await;
    let rows = async || {
        let Response::Stream(Some(info)) = rig.done(Request::Describe { stream: STREAM.into() }).await else {
            panic!()
        };
        let group = &info.groups[0];
        let rows = group.consumers.iter().map(|row| (row.name.clone(), row.pending, row.alive));
        (rows.collect::<Vec<_>>(), group.waiting(), group.backlog())
    };
    let theirs = ("theirs".to_owned(), 1, None);
    let waits = ("waits".to_owned(), 0, Some(true));
    assert_eq!(rows().await, (vec![theirs.clone(), waits], 1, Some(1)));
    // Its time is over, and no key says that its client start lives.
    let held = format!("{STREAM}:group:{GROUP}:consumers");
    rig.server.command(&["HSET", &held, "waits", "one\nno-such-key 1"]).await;
    assert_eq!(rows().await, (vec![theirs], 0, Some(1)));
}
