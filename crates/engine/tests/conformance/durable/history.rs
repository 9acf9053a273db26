//! Past events: kept by their id, listed, and replayed.

use oxbus_model::ErrorKind;
use oxbus_testkit::eventually;
use serde_json::{Value, json};

use super::setup::{Group, event_in, id, member, numbered, numbers, sorted, store};
use crate::fixture::Fixture;
use crate::support::{Bus, Inbox, PATIENCE, Record};

suite! {
    events_by_id, events_run_out, past_events, replay_in_pages, replay_for_a_group,
}

async fn keeping(fixture: &Fixture) -> Bus {
    fixture.keeper_with(json!({ "persistence": { "enabled": true } })).await
}

async fn history(bus: &Bus, query: Value) -> Vec<Value> {
    let events = bus.request("getHistory", query).await.expect("a history");
    events["events"].as_array().expect("a list").iter().map(event_in).collect()
}

fn data(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["data"].as_u64().expect("a number")).collect()
}

fn ascending(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.sort_unstable();
    numbers
}

/// An event that is kept is found by its id, by any client.
async fn events_by_id(fixture: &Fixture) {
    let (bus, other) = (keeping(fixture).await, keeping(fixture).await);
    let inbox = Inbox::of(&other, &["*"]).await;
    let stored = bus.publish_with("job", json!({ "n": 1 }), json!({ "key": "k" })).await.unwrap();
    let live = bus.publish_with("other", "é", json!({ "userId": "u" })).await.unwrap();
    inbox.wait_for(2).await;
    // Those of a stream and live ones may come in any order.
    for receipt in [&stored, &live] {
        let found = other.request("getEvent", json!({ "id": receipt.id })).await.unwrap();
        let event = inbox.events().into_iter().find(|event| event.id() == receipt.id).expect("the event");
        assert_eq!(event_in(&found), event.json());
    }
    assert_eq!(other.request("getEvent", json!({ "id": "unknown" })).await.unwrap(), Value::Null);
    let missing = other.request("getEvent", json!({})).await.unwrap_err();
    assert_eq!(missing.kind, ErrorKind::InvalidOptions);
}

/// What is kept runs out.
async fn events_run_out(fixture: &Fixture) {
    let kept = json!({ "persistence": { "ttl": 150 } });
    let (bus, other) = (fixture.keeper_with(kept.clone()).await, fixture.keeper_with(kept).await);
    let receipt = bus.publish("job", 1).await.unwrap();
    let find = || async { other.request("getEvent", json!({ "id": receipt.id })).await.unwrap() };
    eventually(PATIENCE, "the end of what is kept", || async { find().await.is_null() }).await;
}

/// Past events by type, time and order, over all streams and live types.
async fn past_events(fixture: &Fixture) {
    let (bus, other) = (keeping(fixture).await, keeping(fixture).await);
    let types = ["job.a", "other", "note.b"];
    let records = |numbers: std::ops::Range<u64>| {
        numbers.map(|n| Record::new(types[n as usize % 3], n)).collect::<Vec<_>>()
    };
    bus.publish_many(records(0..6)).await;
    // What comes is of a later millisecond than what was.
    let tick = || async {
        let receipt =
            bus.publish_with("tick", Value::Null, json!({ "stream": fixture.notes() })).await.unwrap();
        id(&json!(receipt.message_id())).ms
    };
    let middle = tick().await;
    eventually(PATIENCE, "the next millisecond", || async { tick().await > middle }).await;
    bus.publish_many(records(6..12)).await;
    let named = |query: Value| {
        let mut all = json!({ "source": "redis", "limit": 1_000 });
        super::setup::merge(&mut all, query);
        history(&other, all)
    };
    let all = named(json!({})).await.into_iter().filter(|event| event["type"] != "tick").collect::<Vec<_>>();
    let in_order = fixture.capabilities.orders_across_streams;
    let sorted = if in_order { data(&all) } else { ascending(data(&all)) };
    assert_eq!(sorted, (0..12).collect::<Vec<_>>());
    assert_eq!(data(&named(json!({ "type": "job.*" })).await), [0, 3, 6, 9]);
    assert_eq!(data(&named(json!({ "type": "job.*", "order": "desc" })).await), [9, 6, 3, 0]);
    if in_order {
        assert_eq!(data(&named(json!({ "type": "[jo]*", "limit": 3 })).await), [0, 1, 3]);
        assert_eq!(data(&named(json!({ "type": "[jo]*", "limit": 2, "order": "desc" })).await), [10, 9]);
    }
    assert_eq!(data(&named(json!({ "type": "job.*", "to": middle })).await), [0, 3]);
    assert_eq!(data(&named(json!({ "type": "job.*", "from": middle + 1 })).await), [6, 9]);
    let iso = oxbus_model::time::to_iso(i64::try_from(middle + 1).unwrap());
    assert_eq!(data(&named(json!({ "type": "job.*", "from": iso })).await), [6, 9]);
    assert_eq!(named(json!({ "from": "2999-01-01T00:00:00.000Z" })).await, Vec::<Value>::new());
    for bad in
        [json!({ "limit": 0 }), json!({ "order": "up" }), json!({ "source": "x" }), json!({ "from": [] })]
    {
        let error = other.request("getHistory", bad.clone()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidOptions, "{bad}");
    }
}

/// A replay in pages: exactly what is stored in the range, whatever comes meanwhile.
async fn replay_in_pages(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let types = ["job.a", "job.b", "note.x"];
    let ids = store(&bus, (0..30).map(|n| Record::new(types[n % 3], n)).collect()).await;
    let page = |args: Value| {
        let bus = &bus;
        async move { bus.request("replay.page", args).await }
    };
    let mut query = json!({ "stream": fixture.jobs(), "limit": 7 });
    let mut seen = Vec::new();
    for number in 0.. {
        let answer = page(query.clone()).await.unwrap();
        assert_eq!((&answer["truncated"], &answer["undecodable"]), (&json!(false), &json!(0)));
        for event in answer["events"].as_array().unwrap() {
            assert_eq!(event["stream"], json!(fixture.jobs()));
            seen.push((
                event["id"].as_str().unwrap().to_owned(),
                event_in(&event["event"])["data"].as_u64().unwrap(),
            ));
        }
        if answer["done"] == true {
            break;
        }
        assert!(number < 10, "a replay without an end");
        store(&bus, numbered("job", 100..105)).await;
        query["after"] = answer["last"].clone();
    }
    let in_jobs = (0..30_usize).filter(|n| n % 3 < 2);
    assert_eq!(seen, in_jobs.map(|n| (ids[n].clone(), n as u64)).collect::<Vec<_>>());

    let events = |answer: Value| {
        let events = answer["events"].as_array().unwrap().clone();
        events.iter().map(|event| event_in(&event["event"])["data"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let pattern = page(json!({ "pattern": "*.[bx]", "limit": 1_000 })).await.unwrap();
    // Entries of one millisecond in different streams are in no order.
    let mut found = events(pattern);
    found.sort_unstable();
    assert_eq!(found, (0..30).filter(|n| n % 3 > 0).collect::<Vec<_>>());
    let range = json!({ "stream": fixture.jobs(), "from": ids[4], "to": ids[9] });
    assert_eq!(events(page(range).await.unwrap()), [4, 6, 7, 9]);
    let reversed = json!({ "stream": fixture.jobs(), "from": ids[9], "to": ids[4] });
    assert_eq!(events(page(reversed).await.unwrap()), Vec::<u64>::new());
    let future = json!({ "stream": fixture.jobs(), "from": "2999-01-01T00:00:00.000Z" });
    let future = page(future).await.unwrap();
    assert_eq!((&future["truncated"], &future["done"]), (&json!(false), &json!(true)));
    bus.request("streams.trim", json!({ "name": fixture.jobs(), "minId": ids[10] })).await.unwrap();
    for (from, truncated) in
        [(json!("beginning-less"), None), (json!(ids[3]), Some(true)), (json!(ids[15]), Some(false))]
    {
        let answer = page(json!({ "stream": fixture.jobs(), "from": from })).await;
        match truncated {
            None => assert_eq!(answer.unwrap_err().kind, ErrorKind::InvalidOptions),
            Some(truncated) => assert_eq!(answer.unwrap()["truncated"], truncated, "{from}"),
        }
    }
    for (args, kind) in [
        (json!({}), ErrorKind::InvalidOptions),
        (json!({ "stream": fixture.jobs(), "pattern": "*" }), ErrorKind::InvalidOptions),
        (json!({ "stream": "nowhere" }), ErrorKind::NoStream),
        (json!({ "pattern": "unheard.of" }), ErrorKind::NoStream),
        (json!({ "stream": fixture.jobs(), "after": "1-1" }), ErrorKind::InvalidOptions),
    ] {
        assert_eq!(page(args.clone()).await.unwrap_err().kind, kind, "{args}");
    }
}

/// A replay for a group: it handles past events once more, and the others do not notice.
async fn replay_for_a_group(fixture: &Fixture) {
    let bus = fixture.keeper().await;
    let mine = Inbox::with(&bus, &["job.*"], member("mine", json!({}))).await;
    let others = Inbox::with(&bus, &["job.*"], member("others", json!({}))).await;
    let ids = store(&bus, (0..10).map(|n| Record::new("job.a", n)).collect()).await;
    let settled = || async {
        for group in ["mine", "others"] {
            Group::of(&bus, &fixture.jobs(), group).settled().await;
        }
    };
    settled().await;
    let args = json!({ "stream": fixture.jobs(), "from": ids[2], "to": ids[5], "group": "mine" });
    let result = bus.request("replay.group", args).await.unwrap();
    let counts = ["replayed", "failed", "truncated", "done"].map(|name| result[name].clone());
    assert_eq!(counts, [json!(4), json!(0), json!(false), json!(true)]);
    assert_eq!((&result["firstId"], &result["lastId"]), (&json!(ids[2]), &json!(ids[5])));
    store(&bus, vec![Record::new("job.a", 10)]).await;
    mine.wait_for(15).await;
    settled().await;
    let again = (0..10).chain(2..6).chain([10]).collect::<Vec<u64>>();
    assert_eq!((numbers(&mine), sorted(&others)), (again, (0..11).collect()));
    let events = mine.events();
    assert_eq!(events[2].json(), events[10].json(), "the event is the same");
    assert_ne!(events[2].message_id(), events[10].message_id());
    let nobody = json!({ "stream": fixture.jobs(), "group": "nobody" });
    assert_eq!(bus.request("replay.group", nobody).await.unwrap_err().kind, ErrorKind::NoGroup);
}
