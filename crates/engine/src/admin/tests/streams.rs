//! `streams.*`.

use oxbus_model::consumer::Announcement;
use oxbus_model::delivery::DeliveryCounts;
use oxbus_model::stream_store::{DELAYED, RetryState};

use super::*;

#[tokio::test]
async fn a_stream_is_described_with_its_groups() {
    let rig = Rig::new();
    let empty = json!({
        "name": "photos", "length": 0, "firstId": null, "lastId": null, "deadLetters": 0, "groups": [],
    });
    assert_eq!(rig.ok("streams.info", json!({ "name": "photos" })).await, empty);
    rig.group("orders", "g");
    let ids: Vec<_> = (0..4).map(|n| rig.store("orders", &n.to_string(), "order.a")).collect();
    assert_eq!(rig.read("orders", "g", 3), ids[..3]);
    rig.bury("orders", "g", &ids[..1]);
    rig.pass(100);
    let info = rig.ok("streams.info", json!({ "name": "orders" })).await;
    let idle = info["groups"][0]["consumers"][0]["idle"].clone();
    let expected = json!({
        "name": "orders", "length": 4, "firstId": ids[0].to_string(), "lastId": ids[3].to_string(),
        "deadLetters": 1,
        "groups": [{
            "name": "g", "consumers": [{ "name": "other", "pending": 2, "idle": idle, "alive": false }],
            "pending": 2, "delayed": 0, "unowned": 2, "waiting": 0,
            "lag": 1, "backlog": 3, "oldestPendingAge": rig.now() - ids[1].ms, "lastDeliveredId": ids[2].to_string(),
            "skipped": {},
        }],
    });
    assert!(idle.as_u64().unwrap() >= 100);
    assert_eq!(info, expected);
    assert_eq!(rig.ok("streams.list", Value::Null).await, json!([expected, empty]));
    // Not configured, but there.
    assert_eq!(rig.ok("streams.info", json!({ "name": "orders:dlq" })).await["length"], 1);
}

#[tokio::test]
async fn pending_entries_are_listed_oldest_first() {
    let rig = Rig::new();
    rig.group("orders", "g");
    let ids: Vec<_> = (0..3).map(|n| rig.store("orders", &n.to_string(), "order.a")).collect();
    rig.read("orders", "g", 3);
    rig.pass(50);
    let pending = |limit: u64| json!({ "name": "orders", "group": "g", "limit": limit });
    let entry =
        |id: &EntryId| json!({ "id": id.to_string(), "consumer": "other", "idle": 50, "deliveryCount": 1 });
    let expected: Vec<Value> = ids.iter().map(entry).collect();
    assert_eq!(rig.ok("streams.pending", pending(100)).await, json!(expected));
    assert_eq!(rig.ok("streams.pending", pending(2)).await, json!(expected[..2]));
}

#[tokio::test]
async fn streams_are_trimmed_by_length_id_and_time() {
    let rig = Rig::new();
    let ids: Vec<_> = (0..10).map(|n| rig.store("orders", &n.to_string(), "order.a")).collect();
    for (bound, removed) in [
        (json!({ "maxLength": 8 }), 2),
        (json!({ "minId": ids[4].to_string() }), 2),
        (json!({ "before": ids[6].ms }), 2),
        (json!({ "before": 0 }), 0),
        (json!({ "maxLength": 0 }), 4),
    ] {
        let mut args = bound.clone();
        args["name"] = "orders".into();
        assert_eq!(rig.ok("streams.trim", args).await, removed, "{bound}");
    }
    assert_eq!(rig.ok("streams.trim", json!({ "name": "photos", "maxLength": 0 })).await, 0);
}

#[tokio::test]
async fn groups_are_moved_and_removed() {
    let rig = Rig::new();
    rig.group("orders", "g");
    let ids: Vec<_> = (0..4).map(|n| rig.store("orders", &n.to_string(), "order.a")).collect();
    for (id, next) in
        [(json!("new"), 4), (json!("beginning"), 0), (json!(ids[1].to_string()), 2), (json!(ids[1].ms), 1)]
    {
        let args = json!({ "name": "orders", "group": "g", "id": id });
        assert_eq!(rig.ok("streams.setPosition", args).await, Value::Null);
        assert_eq!(rig.read("orders", "g", 10), ids[next..], "{id}");
    }
    let args = json!({ "name": "orders", "group": "g" });
    assert_eq!(rig.ok("streams.removeGroup", args.clone()).await, json!(true));
    assert_eq!(rig.ok("streams.removeGroup", args).await, json!(false));
}

fn counts(checked: u64, claimed: u64, reprocessed: u64, dead_lettered: u64, failed: u64) -> Value {
    json!({
        "checked": checked, "claimed": claimed, "reprocessed": reprocessed, "deadLettered": dead_lettered,
        "failed": failed,
    })
}

/// Delivery counts of the pending entries, and whether each may be claimed at once.
fn state(rig: &Rig) -> Vec<(u32, bool)> {
    let (stream, group) = ("orders".into(), "g".into());
    let request =
        Request::Pending { stream, group, from: EntryId::MIN, limit: 1000, min_idle: 0, consumer: None };
    let Response::Pending(entries) = rig.execute(request) else { panic!() };
    entries.into_iter().map(|entry| (entry.deliveries, entry.idle >= 1000)).collect()
}

#[tokio::test]
async fn what_is_left_alone_is_handed_back_and_what_was_tried_too_often_buried() {
    let rig = Rig::new();
    rig.group("orders", "g");
    rig.group("orders", "idle");
    for n in 0..250 {
        rig.store("orders", &n.to_string(), "order.a");
    }
    let ids = rig.read("orders", "g", 250);
    // Two have had all their deliveries, one of them one too many.
    let member = ConsumerId {
        stream: "orders".into(),
        group: "g".into(),
        consumer: "other".into(),
        instance: "i".into(),
    };
    let items = vec![(ids[0], Some(4.into())), (ids[1], Some(5.into())), (ids[2], Some(3.into()))];
    rig.execute(Request::ExtendLease { member, items });
    assert_eq!(
        rig.ok("streams.recover", json!({ "minIdle": 0 })).await,
        counts(0, 0, 0, 0, 0),
        "not overdue"
    );
    rig.pass(60_000);
    rig.execute(Request::Delete { stream: "orders".into(), ids: vec![ids[9]] });
    let recovered = rig.ok("streams.recover", json!({ "batchSize": 10 })).await;
    assert_eq!(recovered, counts(250, 250, 247, 2, 1));
    let expected: Vec<_> = std::iter::once((3, true)).chain(std::iter::repeat_n((1, true), 246)).collect();
    assert_eq!(state(&rig), expected, "their counts are what they were");
    let (mut told, mut counts_told, mut lost) = (Vec::new(), DeliveryCounts::default(), 0);
    for effect in rig.effects() {
        match effect {
            Effect::Announced(Announcement::DeadLettered { id, event, attempts, kept, .. }) => {
                told.push((id, event.is_some(), attempts, kept));
            }
            Effect::Announced(Announcement::MessagesLost { missed, .. }) => lost += missed.count,
            Effect::Counted(counts) => counts_told.add(counts),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((told, lost), (vec![(ids[0], true, 4, true), (ids[1], true, 5, true)], 1));
    assert_eq!((counts_told.dead_lettered, counts_told.recovered), (2, 249));
    // What was handed back waits for a consumer, and is not recovered once more.
    assert_eq!(rig.ok("streams.recover", json!({})).await, counts(0, 0, 0, 0, 0));
    let letters = rig.ok("deadLetters.list", json!({})).await;
    let attempts: Vec<_> = letters.as_array().unwrap().iter().map(|letter| &letter["attempts"]).collect();
    assert_eq!(attempts, [4, 5]);
    assert_eq!(letters[0]["reason"], "failed");
    assert_eq!(letters[0]["error"]["message"], "delivered 4 times and never settled");
    assert_eq!(letters[0]["consumer"], "test-instance");
    let args = json!({ "group": "g", "maxRetries": 0 });
    assert_eq!(rig.ok("streams.recover", args).await, counts(247, 247, 0, 247, 0));
    assert_eq!(state(&rig), []);
    assert_eq!(rig.ok("streams.recover", json!({})).await, counts(0, 0, 0, 0, 0));
}

#[tokio::test]
async fn what_is_not_due_is_not_recovered() {
    let rig = Rig::new();
    rig.group("orders", "g");
    for n in 0..25 {
        rig.store("orders", &n.to_string(), "order.a");
    }
    let ids = rig.read("orders", "g", 25);
    let member = ConsumerId {
        stream: "orders".into(),
        group: "g".into(),
        consumer: "other".into(),
        instance: "i".into(),
    };
    let state = |deliveries| RetryState { deliveries, due_in: Some(3_600_000) };
    // Some are put off; one waits with a client, which has died. All have had many attempts.
    let items = ids[..24].iter().map(|id| (*id, state(9))).collect();
    rig.execute(Request::Requeue { member: member.clone(), items, lease: 30_000, unhandled: false });
    rig.execute(Request::ExtendLease { member, items: vec![(ids[24], Some(state(9)))] });
    rig.pass(120_000);
    let recovered = rig.ok("streams.recover", json!({ "batchSize": 10 })).await;
    assert_eq!(recovered, counts(1, 1, 1, 0, 0));
    let args = json!({ "name": "orders", "group": "g" });
    let pending = rig.ok("streams.pending", args).await;
    let delays = pending.as_array().unwrap().iter().map(|entry| entry["consumer"] == DELAYED);
    assert_eq!(delays.filter(|delayed| *delayed).count(), 25, "what was taken keeps its delay");
    let info = rig.ok("streams.info", json!({ "name": "orders" })).await;
    let group = &info["groups"][0];
    assert_eq!((&group["pending"], &group["delayed"]), (&json!(25), &json!(25)));
    assert!(group["consumers"].as_array().unwrap().iter().all(|consumer| consumer["name"] != DELAYED));
}

#[tokio::test]
async fn what_one_answer_cannot_hold_is_claimed_with_the_next() {
    let rig = Rig::new();
    rig.group("orders", "g");
    for n in 0..25 {
        rig.store("orders", &n.to_string(), "order.a");
    }
    rig.read("orders", "g", 25);
    rig.pass(60_000);
    *rig.memory.holds.lock().unwrap() = Some(3);
    let recovered = rig.ok("streams.recover", json!({ "batchSize": 10 })).await;
    assert_eq!(recovered, counts(25, 25, 25, 0, 0));
    assert_eq!(state(&rig), vec![(1, true); 25]);
}

#[tokio::test]
async fn nothing_is_taken_within_the_lease_of_its_group() {
    let rig = Rig::new();
    rig.group("orders", "g");
    let beat = Request::Heartbeat {
        member: ConsumerId {
            stream: "orders".into(),
            group: "g".into(),
            consumer: "other".into(),
            instance: "i".into(),
        },
        instance: "i".into(),
        alive: 5000,
        alive_key: "alive".into(),
        lease: 90_000,
        foreign_lease: 600_000,
        patterns: Vec::new(),
        mark: None,
        version: 0,
        take_up: Vec::new(),
    };
    rig.execute(beat);
    rig.store("orders", "1", "order.a");
    rig.read("orders", "g", 1);
    rig.pass(89_999);
    assert_eq!(rig.ok("streams.recover", json!({ "minIdle": 0 })).await, counts(0, 0, 0, 0, 0));
    rig.pass(1);
    assert_eq!(rig.ok("streams.recover", json!({ "minIdle": 0 })).await, counts(1, 1, 1, 0, 0));
}

#[tokio::test]
async fn what_cannot_be_buried_stays_pending() {
    let rig = Rig::new();
    rig.group("orders", "g");
    rig.store("orders", "1", "order.a");
    rig.read("orders", "g", 1);
    rig.pass(60_000);
    rig.fail(Some("DeadLetter"));
    let args = json!({ "maxRetries": 0 });
    assert_eq!(rig.ok("streams.recover", args.clone()).await, counts(1, 1, 0, 0, 1));
    assert_eq!(state(&rig), [(1, true)]);
    rig.fail(Some("Claim"));
    assert_eq!(rig.refused("streams.recover", args.clone()).await.0, ErrorKind::ServerOom);
    rig.fail(None);
    assert_eq!(rig.ok("streams.recover", args).await, counts(1, 1, 0, 1, 0));
}
