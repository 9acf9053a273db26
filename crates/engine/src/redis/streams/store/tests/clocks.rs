//! What was written before the server's clock went back counts until a time that is the future now.

use super::*;

const HOUR: u64 = 3_600_000;

async fn now(rig: &Rig) -> u64 {
    match rig.done(Request::Time).await {
        Response::Time(now) => now,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nobody_stays_in_a_room_for_longer_than_who_has_just_come() {
    let rig = Rig::start().await;
    let until = (now(&rig).await + HOUR).to_string();
    let room = "presence:lobby";
    let list = || rig.done(Request::ListPresence { key: room.into() });
    let score = async || {
        let score = rig.server.command(&["ZSCORE", room, "dead:ann"]).await.text();
        score.parse::<f64>().unwrap() - now(&rig).await as f64
    };
    rig.server.command(&["ZADD", room, &until, "dead:ann"]).await;
    rig.server.command(&["PEXPIRE", room, &HOUR.to_string()]).await;
    // Who asks sets it right, and so does who is there.
    assert_eq!(list().await, Response::Names(vec!["dead:ann".to_owned()]));
    assert!(score().await <= 30_000.0);
    assert!(rig.server.command(&["PTTL", room]).await.int() <= 30_000);
    rig.server.command(&["ZADD", room, &until, "dead:ann"]).await;
    let (add, remove) = (vec!["b:bob".to_owned()], Vec::new());
    rig.done(Request::UpdatePresence { key: room.into(), add, remove, ttl: 30_000 }).await;
    assert!(score().await <= 30_000.0);
}

#[tokio::test]
async fn a_name_and_the_task_of_the_janitor_are_free_though_the_dead_hold_them_in_the_future() {
    let rig = Rig::with_group().await;
    let until = now(&rig).await + HOUR;
    let consumers = "orders:group:billing:consumers";
    rig.server.command(&["HSET", consumers, "a", &format!("dead\ngone {until}")]).await;
    assert_eq!(consumers::facts(&rig, beat("a", "one")).await.taken_by, None);
    // A key that lasts for longer than any is renewed within three seconds by one who lives.
    rig.server.command(&["HSET", consumers, "b", &format!("dead\nkey {until}")]).await;
    rig.server.command(&["SET", "key", "", "PX", &HOUR.to_string()]).await;
    assert_eq!(consumers::facts(&rig, beat("b", "one")).await.taken_by.as_deref(), Some("dead"));
    assert!(rig.server.command(&["PTTL", "key"]).await.int() <= 10_000);

    rig.append(3).await;
    rig.server.command(&["SET", "orders:janitor", "dead", "PX", &HOUR.to_string()]).await;
    let (stream, instance) = (STREAM.into(), "one".into());
    let retain = Request::ApplyRetention { stream, instance, max_len: Some(1), max_age: None, safe: false };
    assert_eq!(rig.count(retain).await, 2);
    // And the dead are removed, however far in the future that was done.
    rig.server.command(&["HSET", "orders:group:billing", "swept", &until.to_string()]).await;
    rig.server.command(&["XGROUP", "CREATECONSUMER", STREAM, GROUP, "c"]).await;
    rig.server.command(&["HSET", consumers, "c", "dead 1"]).await;
    assert_eq!(rig.count(Request::RemoveDeadConsumers { member: member("a"), pause: 25_000 }).await, 1);
}

#[tokio::test]
async fn to_set_entries_right_renews_them_for_their_owners_and_settles_none() {
    let rig = Rig::with_group().await;
    let ids = rig.append(3).await;
    rig.deliver("a", 3).await;
    rig.server.command(&["XDEL", STREAM, &ids[1].to_string()]).await;
    let before = rig.pending().await;
    let (member, min_idle) = (member("b"), 0.into());
    let request = Request::ListExpired { member, min_idle, limit: 9, early: false, set_right: true };
    let Response::Expired { entries, time, .. } = rig.done(request).await else { panic!() };
    assert_eq!((entries.len(), rig.pending().await), (3, before));
    assert!(time <= now(&rig).await && time > 1_600_000_000_000);
}
