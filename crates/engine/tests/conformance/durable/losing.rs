//! What is lost is said, and what cannot be read does not hold up the rest.

use oxbus_model::stream_store::EntryId;
use oxbus_testkit::eventually;
use serde_json::{Value, json};

use super::setup::{Gate, Group, dead_letters, member, numbered, numbers, store, workers, workers_with};
use crate::fixture::Fixture;
use crate::support::{Bus, Inbox, PATIENCE, dead_lettered, lost, recreated};

suite! {
    with cluster;
    undecodable, foreign_entries, trimmed_unread, trimmed_pending, a_lost_group, a_lost_stream,
}

/// Appends an entry that Oxbus did not write; its id.
async fn append(fixture: &Fixture, fields: &[(&str, &[u8])]) -> String {
    let stream = fixture.jobs();
    let mut command: Vec<&[u8]> = vec![b"XADD", stream.as_bytes(), b"*"];
    for (name, value) in fields {
        command.extend([name.as_bytes(), value]);
    }
    fixture.command(&command).await.text()
}

/// Entries that are not events become dead letters, one for each group, and the loop goes on.
async fn undecodable(fixture: &Fixture) {
    if !fixture.capabilities.open_to_others {
        return;
    }
    let bus = fixture.keeper().await;
    let inbox = Inbox::with(&bus, &["*"], workers()).await;
    let other = Inbox::with(&bus, &["*"], member("others", json!({}))).await;
    store(&bus, numbered("job", 0..1)).await;
    let long = "x".repeat(1 << 20);
    let bad: [&[(&str, &[u8])]; 8] = [
        &[("anything", b"at all")],
        &[("eventType", b"job")],
        &[("data", b"1")],
        &[("eventType", b""), ("data", b"1")],
        &[("eventType", b"job"), ("data", b"{")],
        &[("eventType", b"with space"), ("data", b"1")],
        &[("eventType", b"job"), ("data", b"\"\xff\"")],
        &[("eventType", b"job"), ("data", long.as_bytes())],
    ];
    let mut ids = Vec::new();
    for fields in bad {
        ids.push(append(fixture, fields).await);
    }
    store(&bus, numbered("job", 1..2)).await;
    for (inbox, group) in [(&inbox, "workers"), (&other, "others")] {
        inbox.wait_for(2).await;
        Group::of(&bus, &fixture.jobs(), group).settled().await;
        assert_eq!(numbers(inbox), [0, 1]);
        let dead_letters = dead_letters(&bus, &fixture.jobs()).await;
        let of_group: Vec<&Value> =
            dead_letters.iter().filter(|dead_letter| dead_letter["group"] == group).collect();
        let of: Vec<_> =
            of_group.iter().map(|dead_letter| dead_letter["messageId"].as_str().unwrap()).collect();
        assert_eq!(of, ids);
        assert!(
            of_group
                .iter()
                .all(|dead_letter| dead_letter["reason"] == "undecodable" && dead_letter["event"].is_null())
        );
        assert_eq!(of_group[0]["fields"], json!({ "anything": "at all" }));
    }
    let told = bus.notices.find(dead_lettered);
    assert_eq!(told.len(), 16);
    assert!(told.iter().all(|told| told.event_id.is_none() && told.error["message"].is_string()));
    assert_eq!(bus.stats().counts.events_dead_lettered, 16);
}

/// Entries of others are taken as they come: what is missing is filled in.
async fn foreign_entries(fixture: &Fixture) {
    if !fixture.capabilities.open_to_others {
        return;
    }
    let bus = fixture.keeper().await;
    let inbox = Inbox::with(&bus, &["*"], workers()).await;
    let id = append(fixture, &[("eventType", b"job.x"), ("data", b" {\"a\": [1]} ")]).await;
    let fields: [(&str, &[u8]); 10] = [
        ("data", b"null"),
        ("unknown", b"field"),
        ("eventType", b"job.y"),
        ("eventId", b"e1"),
        ("timestamp", b"2026-01-02T03:04:05.678Z"),
        ("source", b"python"),
        ("correlationId", b"c1"),
        ("causationId", b"c0"),
        ("meta", b"{\"userId\":\"u1\",\"own\":{\"n\":1},\"key\":\"k\"}"),
        ("more", b"\xff\xfe"),
    ];
    append(fixture, &fields).await;
    append(fixture, &[("eventType", b"job.z"), ("data", b"1"), ("meta", b"[]"), ("source", b"")]).await;
    inbox.wait_for(3).await;
    Group::workers(&bus, fixture).settled().await;
    let events = inbox.events();
    assert_eq!((events[0].event_type().as_str(), events[0].data()), ("job.x", json!({ "a": [1] })));
    let milliseconds = id.split_once('-').unwrap().0.parse().unwrap();
    let metadata = events[0].metadata();
    assert_eq!((&events[0].id(), &metadata["correlationId"]), (&id, &json!(id)));
    assert_eq!(metadata["timestamp"], json!(oxbus_model::time::to_iso(milliseconds)));
    assert_eq!(metadata["source"], "unknown");
    assert_eq!((events[1].id().as_str(), events[1].data()), ("e1", Value::Null));
    assert_eq!(
        events[1].metadata(),
        json!({
            "timestamp": "2026-01-02T03:04:05.678Z", "source": "python", "correlationId": "c1",
            "causationId": "c0", "userId": "u1", "own": { "n": 1 }, "key": "k",
        })
    );
    assert_eq!((events[2].data(), &events[2].metadata()["source"]), (json!(1), &json!("unknown")));
}

async fn trim_to(bus: &Bus, fixture: &Fixture, length: u64) -> u64 {
    let args = json!({ "name": fixture.jobs(), "maxLength": length });
    bus.request("streams.trim", args).await.expect("a trim").as_u64().expect("a number")
}

/// Entries that were trimmed before a group has read them are noticed.
async fn trimmed_unread(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let inbox = Inbox::default();
    let subscription = bus.subscribe(&["job"], workers(), inbox.handler()).await.unwrap();
    store(&bus, numbered("job", 0..5)).await;
    Group::workers(&bus, fixture).settled().await;
    assert!(bus.unsubscribe(subscription).await);
    // It leaves in the background, and reads nothing more then.
    let group = Group::workers(&bus, fixture);
    eventually(PATIENCE, "its leaving", || async { group.consumers().await.is_empty() }).await;
    let ids = store(&bus, numbered("job", 5..20)).await;
    assert_eq!(trim_to(&bus, fixture, 3).await, 17);
    bus.subscribe(&["job"], workers(), inbox.handler()).await.unwrap();
    let told = bus.notices.wait_to_find(lost).await;
    inbox.wait_for(8).await;
    Group::workers(&bus, fixture).settled().await;
    assert_eq!((told.stream, told.group.as_str(), told.count), (fixture.jobs(), "workers", 12));
    let first_left: EntryId = ids[12].parse().unwrap();
    assert!(told.from < told.to && told.to <= first_left, "{} {}", told.from, told.to);
    assert_eq!(numbers(&inbox), [0, 1, 2, 3, 4, 17, 18, 19]);
    // It is told once, to whoever comes first.
    let other = fixture.keeper().await;
    let late = Inbox::with(&other, &["job"], workers()).await;
    store(&bus, numbered("job", 20..30)).await;
    eventually(PATIENCE, "what comes after", || async { inbox.len() + late.len() == 18 }).await;
    assert_eq!((bus.notices.find(lost).len(), other.notices.find(lost).len()), (1, 0));
    assert_eq!(bus.stats().counts.events_lost, 12);
}

/// Pending entries that were trimmed never reach a handler, and do not stay pending.
async fn trimmed_pending(fixture: &Fixture) {
    let (one, two) = (fixture.hasty_keeper().await, fixture.hasty_keeper().await);
    let gate = Gate::new();
    one.subscribe_async(&["job"], workers(), gate.handler()).await.unwrap();
    let ids = store(&one, numbered("job", 0..8)).await;
    gate.started.wait_for(8).await;
    assert_eq!(trim_to(&two, fixture, 2).await, 6);
    one.client().destroy();
    let inbox = Inbox::with(&two, &["job"], workers()).await;
    inbox.wait_for(2).await;
    Group::workers(&two, fixture).settled().await;
    eventually(PATIENCE, "the loss", || async { two.stats().counts.events_lost == 6 }).await;
    assert_eq!(super::setup::sorted(&inbox), [6, 7]);
    let told = two.notices.find(lost);
    assert_eq!(told.iter().map(|told| told.count).sum::<u64>(), 6);
    let bounds = [&ids[0], &ids[5]].map(|id| id.parse::<EntryId>().unwrap());
    assert!(told.iter().all(|told| bounds[0] <= told.from && told.to <= bounds[1]), "{told:?}");
    gate.open(8);
}

/// A group that is lost is made again where it stood: nothing is skipped, and the client goes on by itself.
async fn a_lost_group(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let gate = Gate::new();
    bus.subscribe_async(&["job"], workers_with(json!({ "concurrency": 50 })), gate.handler()).await.unwrap();
    gate.open(10);
    store(&bus, numbered("job", 0..10)).await;
    let group = Group::workers(&bus, fixture);
    group.settled().await;
    for round in 1..=3_u64 {
        let ids = store(&bus, numbered("job", round * 10..round * 10 + 5)).await;
        // Five are pending when it is lost, and five come after.
        group.wait_for_pending(5).await;
        let mark = bus.notices.mark();
        let args = json!({ "name": fixture.jobs(), "group": "workers" });
        assert_eq!(bus.request("streams.removeGroup", args).await.unwrap(), json!(true));
        store(&bus, numbered("job", round * 10 + 5..round * 10 + 10)).await;
        let from = bus.notices.wait_to_find_from(mark, recreated).await;
        assert!(from < ids[0].parse().unwrap(), "{from} is behind what was pending");
        gate.open(1_000);
        let all = || async { (0..round * 10 + 10).all(|n| numbers(&gate.started).contains(&n)) };
        eventually(PATIENCE, "all events", all).await;
        group.settled().await;
        gate.close();
    }
    assert_eq!(dead_letters(&bus, &fixture.jobs()).await, Vec::<Value>::new());
    assert_eq!(bus.stats().counts.events_lost, 0);
}

/// A stream that is lost with its groups begins again, and so does the group.
async fn a_lost_stream(fixture: &Fixture) {
    if !fixture.capabilities.open_to_others {
        return;
    }
    let bus = fixture.keeper().await;
    let inbox = Inbox::with(&bus, &["job"], workers()).await;
    store(&bus, numbered("job", 0..10)).await;
    Group::workers(&bus, fixture).settled().await;
    for round in 1..=3_u64 {
        fixture.command(&["DEL", &fixture.jobs()]).await;
        let start = round * 10;
        store(&bus, numbered("job", start..start + 10)).await;
        inbox.wait_for(start as usize + 10).await;
        Group::workers(&bus, fixture).settled().await;
    }
    assert_eq!(numbers(&inbox), (0..40).collect::<Vec<_>>());
    assert!(!bus.notices.find(recreated).is_empty());
}
