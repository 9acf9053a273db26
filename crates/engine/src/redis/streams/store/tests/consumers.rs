//! Heartbeats, and what depends on them.

use oxbus_model::stream_store::{FACTS_FORMAT, GroupFacts};

use super::*;

pub(super) async fn facts(rig: &Rig, request: Request) -> GroupFacts {
    match rig.done(request).await {
        Response::Facts(facts) => facts,
        other => panic!("{other:?}"),
    }
}

fn retain(max_len: Option<u64>, max_age: Option<u64>) -> Request {
    Request::ApplyRetention { stream: STREAM.into(), instance: "i".into(), max_len, max_age, safe: true }
}

#[tokio::test]
async fn a_heartbeat_tells_the_facts_of_the_group() {
    let rig = Rig::with_group().await;
    let ids = rig.append(3).await;
    rig.deliver("a", 2).await;
    let first = facts(&rig, beat("a", "one")).await;
    assert_eq!((first.lease, first.taken_by), (30_000, None));
    assert_eq!((first.position, first.oldest_pending), (ids[1], Some(ids[0])));
    assert_eq!(first.patterns, ["order.*"]);
    let Response::Time(time) = rig.done(Request::Time).await else { panic!() };
    assert!(first.time <= time && first.time > 1_600_000_000_000);

    let other = Request::Heartbeat {
        member: member("b"),
        instance: "two".into(),
        alive: 60_000,
        alive_key: "alive".into(),
        lease: 5_000,
        foreign_lease: 600_000,
        patterns: vec!["user.*".to_owned(), "order.*".to_owned()],
        mark: Some(ids[0]),
        version: 0,
        take_up: Vec::new(),
    };
    let mut second = facts(&rig, other).await;
    second.patterns.sort();
    // The lease is that of the first client; the patterns are those of all.
    assert_eq!((second.lease, second.patterns), (30_000, vec!["order.*".to_owned(), "user.*".to_owned()]));
    let mark = rig.server.command(&["HGET", "orders:group:billing", "mark"]).await;
    assert_eq!(mark.text(), ids[0].to_string());
}

#[tokio::test]
async fn the_format_of_the_facts_is_the_highest_that_a_client_has_written() {
    let rig = Rig::with_group().await;
    let key = "orders:group:billing";
    assert_eq!(facts(&rig, beat("a", "one")).await.format, FACTS_FORMAT);
    assert_eq!(rig.server.command(&["HGET", key, "format"]).await.text(), FACTS_FORMAT.to_string());
    rig.server.command(&["HSET", key, "format", "1000"]).await;
    assert_eq!(facts(&rig, beat("a", "one")).await.format, 1000);
    assert_eq!(rig.server.command(&["HGET", key, "format"]).await.text(), "1000");
}

#[tokio::test]
async fn a_name_is_taken_while_its_owner_lives() {
    let rig = Rig::with_group().await;
    rig.done(beat("a", "one")).await;
    assert_eq!(facts(&rig, beat("a", "two")).await.taken_by.as_deref(), Some("one"));
    assert_eq!(facts(&rig, beat("a", "one")).await.taken_by, None);
    // Another cannot end it either.
    rig.done(Request::RemoveConsumer { member: member("a"), instance: "two".into() }).await;
    assert_eq!(facts(&rig, beat("a", "two")).await.taken_by.as_deref(), Some("one"));
    rig.done(Request::RemoveConsumer { member: member("a"), instance: "one".into() }).await;
    assert_eq!(facts(&rig, beat("a", "two")).await.taken_by, None);
    // One that does not beat any more is dead.
    let short = Request::Heartbeat {
        member: member("b"),
        instance: "one".into(),
        alive: 0,
        alive_key: "alive".into(),
        lease: 1,
        foreign_lease: 600_000,
        patterns: Vec::new(),
        mark: None,
        version: 0,
        take_up: Vec::new(),
    };
    rig.done(short).await;
    assert_eq!(facts(&rig, beat("b", "two")).await.taken_by, None);
}

#[tokio::test]
async fn who_lost_the_name_has_lost_what_is_owned_under_it() {
    let rig = Rig::with_group().await;
    let ids = rig.append(2).await;
    rig.deliver("a", 2).await;
    // Heard of or not, nobody else has the name.
    assert_eq!(rig.lost(hold("a", &ids)).await, []);
    rig.done(beat("a", "i")).await;
    assert_eq!(rig.lost(hold("a", &ids)).await, []);
    let key = "orders:group:billing:consumers";
    rig.server.command(&["HSET", key, "a", "other 1"]).await;
    let begin = Request::MarkStarted { member: member("a"), id: ids[0] };
    let release = requeue("a", &[(ids[0], 0), (ids[1], 0)], false);
    for request in [hold("a", &ids), release, bury("a", &ids)] {
        let Response::Fenced { not_owned: taken, deleted: gone, .. } = rig.done(request).await else {
            panic!()
        };
        assert_eq!((taken, gone), (ids.clone(), vec![]));
    }
    assert_eq!(rig.lost(begin).await, ids[..1]);
    assert_eq!(rig.claimed(own("a", EntryId::MIN, 9, true)).await, (vec![], vec![]));
    assert_eq!(rig.claimed(claim("a", 0, &ids)).await, (vec![], vec![]));
    let pending = rig.pending().await;
    assert_eq!(pending, [(ids[0], "a".to_owned(), 1), (ids[1], "a".to_owned(), 1)]);
    rig.done(beat("a", "i")).await;
    assert_eq!(rig.lost(hold("a", &ids)).await, []);
}

#[tokio::test]
async fn what_is_gone_is_told_apart_from_what_is_taken() {
    let rig = Rig::with_group().await;
    let ids = rig.append(6).await;
    rig.deliver("a", 4).await;
    rig.deliver("b", 2).await;
    for id in &ids[..4] {
        rig.server.command(&["XDEL", STREAM, &id.to_string()]).await;
    }
    let begin = Request::MarkStarted { member: member("a"), id: ids[2] };
    let release = requeue("a", &[(ids[3], 0)], false);
    let asked = [hold("a", &[ids[0], ids[4]]), bury("a", &[ids[1], ids[5]]), begin, release];
    let expected = [(ids[0], Some(ids[4])), (ids[1], Some(ids[5])), (ids[2], None), (ids[3], None)];
    for (request, (lost, other)) in asked.into_iter().zip(expected) {
        let Response::Fenced { not_owned: taken, deleted: gone, .. } = rig.done(request).await else {
            panic!()
        };
        assert_eq!((taken, gone), (Vec::from_iter(other), vec![lost]));
    }
    assert_eq!(rig.pending().await.len(), 2);
}

#[tokio::test]
async fn consumers_go_when_they_are_dead_and_own_nothing() {
    let rig = Rig::with_group().await;
    let ids = rig.append(1).await;
    rig.deliver("owner", 1).await;
    for consumer in ["owner", "dead", "alive", "stranger"] {
        rig.server.command(&["XGROUP", "CREATECONSUMER", STREAM, GROUP, consumer]).await;
        let alive = if consumer == "alive" { 60_000 } else { 0 };
        if consumer != "stranger" {
            let member = member(consumer);
            let beat = Request::Heartbeat {
                member,
                instance: "i".into(),
                alive,
                alive_key: "alive".into(),
                lease: 1,
                foreign_lease: 600_000,
                patterns: Vec::new(),
                mark: None,
                version: 0,
                take_up: Vec::new(),
            };
            rig.done(beat).await;
        }
    }
    assert_eq!(rig.count(Request::RemoveDeadConsumers { member: member("alive"), pause: 0 }).await, 1);
    let left = rig.server.command(&["XINFO", "CONSUMERS", STREAM, GROUP]).await;
    assert_eq!(left.items().len(), 3);
    assert_eq!(rig.count(Request::RemoveConsumer { member: member("owner"), instance: "i".into() }).await, 1);
    assert_eq!(rig.pending().await.len(), 1);
    rig.done(Request::Acknowledge { member: member("owner"), ids }).await;
    assert_eq!(rig.count(Request::RemoveConsumer { member: member("alive"), instance: "i".into() }).await, 0);
    let left = rig.server.command(&["XINFO", "CONSUMERS", STREAM, GROUP]).await;
    assert_eq!(left.items().len(), 2);
}

#[tokio::test]
async fn retention_spares_everything_of_a_group_that_nobody_has_subscribed_to_yet() {
    let rig = Rig::with_group().await;
    let ids = rig.append(150).await;
    assert_eq!(rig.count(retain(Some(2), Some(0))).await, 0);
    // A group of another program is live while its consumers are.
    rig.deliver("other", 120).await;
    rig.done(Request::Acknowledge { member: member("other"), ids: ids[..119].to_vec() }).await;
    assert_eq!(rig.count(retain(Some(2), None)).await, 119);
    assert_eq!(rig.length(STREAM).await, 31);
}

/// The janitor must not hold the server up: whole nodes of the stream go without being read.
#[tokio::test]
async fn retention_of_many_entries_is_quick() {
    let rig = Rig::with_group().await;
    let fill = "for i = 1, 10050 do redis.call('XADD', KEYS[1], '*', 'n', string.rep('x', 300)) end";
    rig.server.command(&["EVAL", fill, "1", STREAM]).await;
    rig.deliver("a", 10_050).await;
    let acknowledge = "for _, row in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 10020)) do redis.call('XACK', KEYS[1], ARGV[1], row[1]) end";
    rig.server.command(&["EVAL", acknowledge, "1", STREAM, GROUP]).await;
    rig.done(beat("a", "i")).await;
    let before = rig.server.calls("xrange").await;
    assert_eq!(rig.count(retain(Some(10), None)).await, 10_000);
    assert!(rig.server.calls("xrange").await - before <= 10);
    assert_eq!(rig.count(retain(Some(10), None)).await, 20);
    assert_eq!(rig.length(STREAM).await, 30);
}

#[tokio::test]
async fn retention_spares_what_a_live_group_has_not_settled() {
    let rig = Rig::with_group().await;
    let ids = rig.append(10).await;
    rig.deliver("a", 5).await;
    rig.done(Request::Acknowledge { member: member("a"), ids: ids[..3].to_vec() }).await;
    rig.done(beat("a", "i")).await;
    assert_eq!(rig.count(retain(Some(2), None)).await, 3);
    rig.done(Request::Acknowledge { member: member("a"), ids: ids.clone() }).await;
    // Nothing is pending now; five are unread.
    assert_eq!(rig.count(retain(Some(2), Some(0))).await, 2);
    assert_eq!(rig.count(retain(Some(2), None)).await, 0);
    rig.deliver("a", 9).await;
    rig.done(Request::Acknowledge { member: member("a"), ids }).await;
    assert_eq!(rig.count(retain(Some(2), None)).await, 3);
    assert_eq!(rig.length(STREAM).await, 2);
    // Another client start waits for the janitor to fall silent.
    let other = Request::ApplyRetention {
        stream: STREAM.into(),
        instance: "j".into(),
        max_len: Some(0),
        max_age: None,
        safe: false,
    };
    assert_eq!(rig.count(other.clone()).await, 0);
    rig.server.command(&["DEL", "orders:janitor"]).await;
    assert_eq!(rig.count(other).await, 2);
}

#[tokio::test]
async fn retention_does_not_wait_for_groups_that_nobody_has_heard_of_for_an_hour() {
    let rig = Rig::with_group().await;
    rig.append(500).await;
    rig.deliver("a", 200).await;
    rig.done(beat("a", "i")).await;
    let (entries, _) = rig.claimed(own("a", EntryId::MIN, 200, false)).await;
    rig.done(Request::Acknowledge { member: member("a"), ids: ids_of(&entries) }).await;
    assert_eq!(rig.count(retain(Some(50), None)).await, 200);
    let hour = 3_600_001;
    let Response::Time(now) = rig.done(Request::Time).await else { panic!() };
    let seen = (now - hour).to_string();
    rig.server.command(&["HSET", "orders:group:billing", "seen", &seen]).await;
    assert_eq!(rig.count(retain(None, Some(0))).await, 300);
}

#[tokio::test]
async fn dead_consumers_behind_many_that_live_go_too() {
    let rig = Rig::with_group().await;
    let script = "for i = 1, 1500 do redis.call('XGROUP', 'CREATECONSUMER', KEYS[1], ARGV[1], 'a' .. i)
        redis.call('HSET', KEYS[2], 'a' .. i, 'i ' .. ARGV[2]) end
        redis.call('XGROUP', 'CREATECONSUMER', KEYS[1], ARGV[1], 'z') redis.call('HSET', KEYS[2], 'z', 'i 1')";
    let Response::Time(now) = rig.done(Request::Time).await else { panic!() };
    let until = (now + 60_000).to_string();
    rig.server.command(&["EVAL", script, "2", STREAM, "orders:group:billing:consumers", GROUP, &until]).await;
    assert_eq!(rig.count(Request::RemoveDeadConsumers { member: member("a"), pause: 0 }).await, 1);
}

#[tokio::test]
async fn a_step_of_trimming_by_age_is_bounded() {
    let rig = Rig::with_group().await;
    let script = "for i = 1, 25050 do redis.call('XADD', KEYS[1], i .. '-1', 'n', i) end";
    rig.server.command(&["EVAL", script, "1", STREAM]).await;
    let newest = rig.append(3).await;
    let (stream, instance) = (STREAM.into(), "i".into());
    let retain =
        Request::ApplyRetention { stream, instance, max_len: None, max_age: Some(60_000), safe: false };
    let mut left = 25_050;
    for _ in 0..2 {
        let removed = rig.count(retain.clone()).await;
        assert!((9_900..=10_000).contains(&removed), "{removed}");
        left -= removed;
    }
    assert_eq!(rig.count(retain.clone()).await, left);
    assert_eq!(rig.count(retain).await, 0);
    assert_eq!(rig.length(STREAM).await, i64::try_from(newest.len()).unwrap());
}
