//! Looking at streams and groups, and changing them.

use oxbus_model::ErrorKind;
use serde_json::{Value, json};

use super::setup::{Gate, Group, id, member, numbered, numbers, sorted, store, workers, workers_with};
use crate::fixture::Fixture;
use crate::support::Inbox;

suite! {
    with cluster;
    streams_and_groups, what_an_autoscaler_reads, existence, trimming, positions, removing_a_group,
}

/// How much waits for a consumer, what was handed back included, and how many consumers wait for something.
async fn what_an_autoscaler_reads(fixture: &Fixture) {
    let (bus, other) = (fixture.keeper().await, fixture.keeper().await);
    let group = Group::workers(&other, fixture);
    let gate = Gate::new();
    let two_at_a_time = workers_with(json!({ "concurrency": 2, "consumer": "me" }));
    bus.subscribe_async(&["job"], two_at_a_time, gate.handler()).await.unwrap();
    let read = async || {
        let facts = group.facts().await;
        let numbers = ["waiting", "pending", "unowned", "lag", "backlog"].map(|key| facts[key].as_u64());
        (numbers.map(Option::unwrap), facts["consumers"].clone())
    };
    let (idle, consumers) = read().await;
    assert_eq!(idle, [1, 0, 0, 0, 0]);
    let [consumer] = &consumers.as_array().unwrap()[..] else { panic!("{consumers}") };
    assert_eq!((&consumer["name"], &consumer["alive"]), (&json!("me"), &json!(true)));
    assert!(consumer["idle"].as_u64().is_some_and(|idle| idle < 10_000), "{consumer}");

    store(&other, numbered("job", 0..4)).await;
    gate.started.wait_for(2).await;
    group.wait_for_pending(4).await;
    assert_eq!(read().await.0, [0, 4, 0, 0, 0], "it has all of them");
    // Two of them are handed back, and nobody is there to take them.
    let ((), ()) = tokio::join!(bus.disconnect(), async { gate.open(2) });
    let (left, consumers) = read().await;
    assert_eq!(left, [0, 2, 2, 0, 2]);
    assert_eq!(consumers[0]["alive"], json!(false));
    store(&other, numbered("job", 4..5)).await;
    assert_eq!(read().await.0, [0, 2, 2, 1, 3]);
}

/// A stream with its groups, all streams, and the entries that are pending.
async fn streams_and_groups(fixture: &Fixture) {
    let (bus, other) = (fixture.keeper().await, fixture.keeper().await);
    let empty = bus.request("streams.info", json!({ "name": fixture.jobs() })).await.unwrap();
    assert_eq!(
        (&empty["length"], &empty["groups"], &empty["firstId"]),
        (&json!(0), &json!([]), &Value::Null)
    );
    let gate = Gate::new();
    let three = workers_with(json!({ "concurrency": 3, "consumer": "me" }));
    let subscription = bus.subscribe_async(&["job"], three, gate.handler()).await.unwrap();
    let done = Inbox::with(&bus, &["job"], member("done", json!({}))).await;
    let ids = store(&bus, numbered("job", 0..3)).await;
    gate.started.wait_for(3).await;
    done.wait_for(3).await;
    Group::of(&bus, &fixture.jobs(), "done").settled().await;
    bus.pause(subscription, true);

    let stream = other.request("streams.info", json!({ "name": fixture.jobs() })).await.unwrap();
    assert_eq!((&stream["name"], &stream["length"]), (&json!(fixture.jobs()), &json!(3)));
    assert_eq!((&stream["firstId"], &stream["lastId"]), (&json!(ids[0]), &json!(ids[2])));
    assert_eq!((&stream["deadLetters"], stream["groups"].as_array().unwrap().len()), (&json!(0), 2));
    let facts = Group::workers(&other, fixture).facts().await;
    assert_eq!((&facts["pending"], &facts["lag"]), (&json!(3), &json!(0)));
    assert_eq!(facts["lastDeliveredId"], json!(ids[2]));
    assert!(facts["oldestPendingAge"].is_u64(), "{facts}");
    assert_eq!(
        (&facts["consumers"][0]["name"], &facts["consumers"][0]["pending"]),
        (&json!("me"), &json!(3))
    );
    let facts = Group::of(&other, &fixture.jobs(), "done").facts().await;
    assert_eq!((&facts["pending"], &facts["oldestPendingAge"]), (&json!(0), &Value::Null));

    let list = other.request("streams.list", json!({})).await.unwrap();
    assert_eq!((&list[0]["name"], &list[1]["name"]), (&json!(fixture.jobs()), &json!(fixture.notes())));
    assert_eq!((&list[0]["length"], &list[1]["length"]), (&json!(3), &json!(0)));

    let pending = Group::workers(&other, fixture).pending().await;
    let seen: Vec<_> = pending.iter().map(|p| (&p["id"], &p["consumer"], &p["deliveryCount"])).collect();
    let (me, once) = (json!("me"), json!(1));
    assert_eq!(
        seen,
        ids.iter()
            .map(|id| json!(id))
            .collect::<Vec<_>>()
            .iter()
            .map(|id| (id, &me, &once))
            .collect::<Vec<_>>()
    );
    assert!(pending.iter().all(|entry| entry["idle"].is_u64()));
    let args = json!({ "name": fixture.jobs(), "group": "workers", "limit": 2 });
    assert_eq!(other.request("streams.pending", args).await.unwrap().as_array().unwrap().len(), 2);

    for (method, args, kind) in [
        ("streams.info", json!({ "name": "nowhere" }), ErrorKind::NoStream),
        ("streams.info", json!({}), ErrorKind::InvalidOptions),
        ("streams.info", json!({ "name": fixture.jobs(), "more": 1 }), ErrorKind::InvalidOptions),
        ("streams.pending", json!({ "name": fixture.jobs(), "group": "nobody" }), ErrorKind::NoGroup),
        ("streams.trim", json!({ "name": fixture.jobs() }), ErrorKind::InvalidOptions),
        ("streams.trim", json!({ "name": "nowhere", "maxLength": 1 }), ErrorKind::NoStream),
        (
            "streams.setPosition",
            json!({ "name": fixture.jobs(), "group": "workers" }),
            ErrorKind::InvalidOptions,
        ),
        (
            "streams.setPosition",
            json!({ "name": fixture.jobs(), "group": "nobody", "id": "new" }),
            ErrorKind::NoGroup,
        ),
    ] {
        let error = other.request(method, args).await.unwrap_err();
        assert_eq!(error.kind, kind, "{method}: {error}");
    }
    let error = other.request("streams.format", json!({})).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Internal);
    gate.open(3);
    Group::workers(&bus, fixture).settled().await;
}

/// Streams are trimmed by length, by id and by time.
async fn trimming(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let ids = store(&bus, numbered("job", 0..20)).await;
    let trim = |what: Value| {
        let mut args = json!({ "name": fixture.jobs() });
        super::setup::merge(&mut args, what);
        let bus = &bus;
        async move { bus.request("streams.trim", args).await.unwrap() }
    };
    assert_eq!(trim(json!({ "maxLength": 15 })).await, 5);
    assert_eq!(trim(json!({ "minId": ids[8] })).await, 3);
    assert_eq!(trim(json!({ "before": 1_000 })).await, 0);
    assert_eq!(trim(json!({ "minId": ids[2] })).await, 0);
    let inbox = Inbox::with(&bus, &["job"], member("all", json!({ "from": "beginning" }))).await;
    inbox.wait_for(12).await;
    Group::of(&bus, &fixture.jobs(), "all").settled().await;
    assert_eq!(numbers(&inbox), (8..20).collect::<Vec<_>>());
    assert_eq!(trim(json!({ "before": "2999-01-01T00:00:00.000Z" })).await, 12);
    let stream = Group::workers(&bus, fixture).stream().await;
    assert_eq!((&stream["length"], &stream["firstId"]), (&json!(0), &Value::Null));
}

/// A group is sent back, forward, and to where it was.
async fn positions(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let inbox = Inbox::default();
    let group = Group::workers(&bus, fixture);
    let subscription = bus.subscribe(&["job"], workers(), inbox.handler()).await.unwrap();
    let ids = store(&bus, numbered("job", 0..10)).await;
    group.settled().await;
    assert!(bus.unsubscribe(subscription).await);
    let mut expected = (0..10).collect::<Vec<u64>>();
    for (position, again) in [
        (json!("beginning"), 0..10),
        (json!(ids[6]), 7..10),
        (json!("new"), 10..10),
        (json!(0), 0..10),
        (json!("2999-01-01T00:00:00.000Z"), 10..10),
    ] {
        let args = json!({ "name": fixture.jobs(), "group": "workers", "id": position });
        assert_eq!(bus.request("streams.setPosition", args).await.unwrap(), Value::Null);
        let subscription = bus.subscribe(&["job"], workers(), inbox.handler()).await.unwrap();
        expected.extend(again);
        inbox.wait_for(expected.len()).await;
        group.settled().await;
        assert_eq!(numbers(&inbox), expected, "{position}");
        assert!(bus.unsubscribe(subscription).await);
    }
    // Under a subscription that goes on, too.
    let args = json!({ "name": fixture.jobs(), "group": "workers", "id": "new" });
    bus.request("streams.setPosition", args).await.unwrap();
    bus.subscribe(&["job"], workers(), inbox.handler()).await.unwrap();
    let args = json!({ "name": fixture.jobs(), "group": "workers", "id": ids[3] });
    bus.request("streams.setPosition", args).await.unwrap();
    store(&bus, numbered("job", 10..11)).await;
    expected.extend(4..11);
    inbox.wait_for(expected.len()).await;
    group.settled().await;
    let mut seen = numbers(&inbox);
    seen.sort_unstable();
    expected.sort_unstable();
    assert_eq!(seen, expected);
}

/// Whether there is a stream can be asked of any name; one that is configured exists when something has made it.
async fn existence(fixture: &Fixture) {
    let bus = fixture.bus_with(json!({ "streams": [{ "name": "rare", "events": "rare" }] })).await;
    let exists = |name: &str| bus.request("streams.exists", json!({ "name": name }));
    assert_eq!((exists("rare").await, exists("nowhere").await), (Ok(json!(false)), Ok(json!(false))));
    store(&bus, numbered("rare", 0..1)).await;
    assert_eq!(exists("rare").await, Ok(json!(true)));
    let other = fixture.bus().await;
    assert_eq!(other.request("streams.exists", json!({ "name": "rare" })).await, Ok(json!(true)));
    assert_eq!(exists("").await.unwrap_err().kind, ErrorKind::InvalidOptions);
    if fixture.capabilities.open_to_others {
        fixture.command(&["SET", "text", "a text"]).await;
        assert_eq!(exists("text").await.unwrap_err().kind, ErrorKind::WrongType);
    }
}

/// A group that is removed is gone with all that was kept of it.
async fn removing_a_group(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let remove = || bus.request("streams.removeGroup", json!({ "name": fixture.jobs(), "group": "workers" }));
    assert_eq!(remove().await.unwrap(), json!(false));
    let inbox = Inbox::default();
    let subscription = bus.subscribe(&["job"], workers(), inbox.handler()).await.unwrap();
    store(&bus, numbered("job", 0..3)).await;
    inbox.wait_for(3).await;
    assert!(bus.unsubscribe(subscription).await);
    let group = Group::workers(&bus, fixture);
    while !group.consumers().await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(remove().await.unwrap(), json!(true));
    assert_eq!(group.facts().await, Value::Null);
    assert_eq!(remove().await.unwrap(), json!(false));
    // One of the same name begins where it is told to.
    let again = Inbox::with(&bus, &["job"], workers_with(json!({ "from": "beginning" }))).await;
    again.wait_for(3).await;
    group.settled().await;
    assert_eq!(sorted(&again), [0, 1, 2]);
    assert!(id(&group.facts().await["lastDeliveredId"]) > id(&Value::Null));
}
