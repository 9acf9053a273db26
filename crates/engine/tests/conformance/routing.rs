//! Which subscriptions an event reaches.

use std::collections::HashMap;

use oxbus_model::delivery::Settlement;
use oxbus_model::routing::pattern;
use oxbus_testkit::{eventually, seeded};
use rand::Rng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::support::{Inbox, PATIENCE, Record, barrier};

suite! {
    overlapping_patterns, random_patterns, audiences, broadcasts, by_channel, channel_prefix, filter, no_echo, foreign_messages, metadata,
}

const BROADCAST: &str = r#"{"audience":"broadcast"}"#;

fn broadcast(event_type: &str, data: impl Into<Value>) -> Record {
    Record { options: BROADCAST.into(), ..Record::new(event_type, data) }
}

/// However many patterns and subscriptions overlap, each matching subscription is called exactly once.
async fn overlapping_patterns(fixture: &Fixture) {
    let (publisher, subscriber) = (fixture.bus().await, fixture.bus().await);
    let sets: [&[&str]; 8] = [
        &["photo.uploaded"],
        &["photo.*"],
        &["photo.*", "photo.uploaded"],
        &["photo.uploaded", "photo.uploaded"],
        &["*", "photo.*", "ph?to.uploaded", "[p]hoto.uploaded"],
        &["*.deleted", "photo.up*"],
        &["photo.deleted", "*.uploaded"],
        &["other"],
    ];
    let mut inboxes = Vec::new();
    for patterns in sets {
        inboxes.push(Inbox::of(&subscriber, patterns).await);
    }
    for n in 0..10 {
        publisher.publish("photo.uploaded", n).await.unwrap();
    }
    barrier(&publisher, &subscriber).await;
    let expected: Vec<Value> = (0..10).map(Value::from).collect();
    for (patterns, inbox) in sets.iter().zip(&inboxes) {
        let mut events = inbox.events();
        events.retain(|e| e.event_type() == "photo.uploaded");
        let data: Vec<_> = events.iter().map(|e| e.data()).collect();
        assert_eq!(data, if *patterns == ["other"] { vec![] } else { expected.clone() }, "{patterns:?}");
        for event in events {
            let matched = patterns[event.pattern as usize];
            assert!(pattern::matches(matched.as_bytes(), b"photo.uploaded"), "{matched} of {patterns:?}");
        }
    }
}

/// Random sets of overlapping patterns: who is called, and how often, is what the model says.
async fn random_patterns(fixture: &Fixture) {
    const PIECES: [&str; 14] =
        ["a", "b", "c", "a.b", ".", "*", "*", "?", "[ab]", "[^a]", "[a-c]", "\\a", ":", "-"];
    let mut rng = seeded("random_patterns");
    let (publisher, subscriber) = (fixture.bus().await, fixture.bus().await);
    let mut text = |pieces: &[&str], longest: usize| -> String {
        let length = rng.random_range(1..=longest);
        (0..length).map(|_| *pieces.choose(&mut rng).unwrap()).collect()
    };
    let mut subscriptions = Vec::new();
    for n in 0..40 {
        let patterns: Vec<String> = (0..1 + n % 4).map(|_| text(&PIECES, 4)).collect();
        let borrowed: Vec<&str> = patterns.iter().map(String::as_str).collect();
        subscriptions.push((Inbox::of(&subscriber, &borrowed).await, patterns));
    }
    let types: Vec<String> = (0..100).map(|_| text(&["a", "b", "c", "a.b", ".", ":", "-"], 4)).collect();
    let records = types.iter().enumerate().map(|(n, t)| Record::new(t, n)).collect();
    publisher.publish_many(records).await.into_iter().for_each(|result| drop(result.unwrap()));
    let expected: Vec<Vec<Value>> = subscriptions
        .iter()
        .map(|(_, patterns)| {
            let wanted = |t: &String| patterns.iter().any(|p| pattern::matches(p.as_bytes(), t.as_bytes()));
            types.iter().enumerate().filter(|(_, t)| wanted(t)).map(|(n, _)| n.into()).collect()
        })
        .collect();
    for ((inbox, patterns), expected) in subscriptions.iter().zip(expected) {
        inbox.wait_for(expected.len()).await;
        fixture.assert_came(inbox.data(), &expected, &format!("{patterns:?}"));
    }
    barrier(&publisher, &subscriber).await;
}

/// A pattern of types never sees the channels of rooms and users; a pattern of those channels does.
async fn audiences(fixture: &Fixture) {
    if !fixture.capabilities.open_to_others {
        return;
    }
    let (publisher, bus) = (fixture.bus().await, fixture.bus().await);
    let types = Inbox::of(&bus, &["*", "r*", "[ru]*", "?????a"]).await;
    let rooms = Inbox::of(&bus, &["room:*"]).await;
    let room = Inbox::of(&bus, &["room:a"]).await;
    let users = Inbox::of(&bus, &["user:*"]).await;
    let both = Inbox::of(&bus, &["room:a", "user:b", "*"]).await;
    for channel in ["room:a", "room:b", "user:b"] {
        let message = json!({ "id": channel, "type": "joined", "data": null, "metadata": {} });
        fixture.publish_foreign(channel, message.to_string().as_bytes()).await;
    }
    // Another program may publish at another node of a cluster, from which messages have an order of their own.
    both.wait_for(2).await;
    publisher.publish("joined", 1).await.unwrap();
    barrier(&publisher, &bus).await;
    let channels = |inbox: &Inbox| {
        let events = inbox.events();
        let shown = events.iter().filter(|e| e.event_type() == "joined");
        shown.map(|e| e.channel().unwrap_or("joined").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(channels(&types), ["joined"]);
    assert_eq!(channels(&rooms), ["room:a", "room:b"]);
    assert_eq!(channels(&room), ["room:a"]);
    assert_eq!(channels(&users), ["user:b"]);
    assert_eq!(channels(&both), ["room:a", "user:b", "joined"]);
}

/// A broadcast reaches every subscription whose type matches, whatever its pattern is, once.
async fn broadcasts(fixture: &Fixture) {
    let (publisher, subscriber) = (fixture.bus().await, fixture.bus().await);
    let exact = Inbox::of(&subscriber, &["maintenance"]).await;
    let glob = Inbox::of(&subscriber, &["main*", "*"]).await;
    let other = Inbox::of(&subscriber, &["order.*"]).await;
    let channel = Inbox::of(&subscriber, &["broadcast"]).await;
    let all = Inbox::of(&subscriber, &["broadcast", "maintenance", "*"]).await;
    let by_channel = Inbox::with(&subscriber, &["maintenance"], json!({ "by": "channel" })).await;
    publisher.publish_raw(broadcast("maintenance", 1)).await.unwrap();
    publisher.publish_raw(broadcast("order.paid", 2)).await.unwrap();
    publisher.publish("maintenance", 3).await.unwrap();
    barrier(&publisher, &subscriber).await;
    let data = |inbox: &Inbox| {
        let events = inbox.events();
        let shown = events.iter().filter(|e| !e.event_type().starts_with("barrier."));
        shown.map(|e| e.data().as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(data(&exact), [1, 3]);
    assert_eq!(data(&glob), [1, 2, 3]);
    assert_eq!(data(&other), [2]);
    assert_eq!(data(&channel), [1, 2]);
    assert_eq!(data(&all), [1, 2, 3]);
    assert_eq!(data(&by_channel), [3]);
    assert!(exact.events()[0].channel() == Some("broadcast") && exact.events()[1].channel().is_none());
}

/// `by: 'channel'` makes any pattern address channels, broadcasts included.
async fn by_channel(fixture: &Fixture) {
    let bus = fixture.bus().await;
    let all = Inbox::with(&bus, &["*"], json!({ "by": "channel" })).await;
    let starting_with_b = Inbox::with(&bus, &["b*", "broadcast"], json!({ "by": "channel" })).await;
    bus.publish_raw(broadcast("a", 1)).await.unwrap();
    bus.publish("b", 2).await.unwrap();
    barrier(&bus, &bus).await;
    let data = |inbox: &Inbox| inbox.data().into_iter().filter(|d| !d.is_null()).collect::<Vec<_>>();
    assert_eq!((data(&all), data(&starting_with_b)), (vec![json!(1), json!(2)], vec![json!(1), json!(2)]));
}

/// The prefix keeps buses apart, and its characters are literal.
async fn channel_prefix(fixture: &Fixture) {
    let odd = fixture.bus_with(json!({ "channelPrefix": "t[1]*?\\:" })).await;
    let similar = fixture.bus_with(json!({ "channelPrefix": "t1xx\\:" })).await;
    let none = fixture.bus().await;
    let mut inboxes = Vec::new();
    for bus in [&odd, &similar, &none] {
        inboxes.push((bus, Inbox::of(bus, &["a.b"]).await, Inbox::of(bus, &["a.*"]).await));
    }
    for (n, bus) in [&odd, &similar, &none].into_iter().enumerate() {
        bus.publish("a.b", n).await.unwrap();
        bus.publish_raw(broadcast("a.b", n)).await.unwrap();
    }
    for (n, (bus, exact, glob)) in inboxes.iter().enumerate() {
        barrier(bus, bus).await;
        assert_eq!((exact.data(), glob.data()), (vec![json!(n), json!(n)], vec![json!(n), json!(n)]));
        assert_eq!(exact.events()[0].channel(), None);
    }
}

/// A filter lets through what matches; the rest is counted as skipped and reaches no handler.
async fn filter(fixture: &Fixture) {
    let bus = fixture.bus_with(json!({ "serviceName": "billing" })).await;
    let with = async |filter: Value| Inbox::with(&bus, &["order"], json!({ "filter": filter })).await;
    let failed = with(json!({ "data.status": "failed" })).await;
    let either = with(json!({ "data.status": ["failed", "paid"], "metadata.source": "billing" })).await;
    let nested = with(json!({ "data.deep.n": 1 })).await;
    let missing = with(json!({ "data.nothing": null })).await;
    for status in ["failed", "paid", "open"] {
        bus.publish("order", json!({ "status": status, "deep": { "n": 1.0 } })).await.unwrap();
    }
    bus.publish("order", "no object").await.unwrap();
    barrier(&bus, &bus).await;
    let shown = |inbox: &Inbox| inbox.data().iter().map(|d| d["status"].clone()).collect::<Vec<_>>();
    assert_eq!(shown(&failed), ["failed"]);
    assert_eq!(shown(&either), ["failed", "paid"]);
    assert_eq!((nested.len(), missing.len()), (3, 0));
    assert_eq!(bus.stats().counts.events_skipped, 4 * 4 - (1 + 2 + 3));
    let error = bus.subscribe(&["order"], json!({ "filter": { "": 1 } }), |_| Settlement::Succeeded).await;
    assert!(error.unwrap_err().message.contains("filter"));
}

/// `noEcho` skips what this client published, and nothing else.
async fn no_echo(fixture: &Fixture) {
    let (one, two) = (fixture.bus().await, fixture.bus().await);
    let quiet = Inbox::with(&one, &["chat"], json!({ "noEcho": true })).await;
    let echoing = Inbox::of(&one, &["chat"]).await;
    one.publish("chat", 1).await.unwrap();
    two.publish("chat", 2).await.unwrap();
    one.publish("chat", 3).await.unwrap();
    barrier(&one, &one).await;
    barrier(&two, &one).await;
    assert_eq!((quiet.data(), echoing.len()), (vec![json!(2)], 3));
    assert_eq!(one.stats().counts.events_skipped, 2);
}

/// Messages of others are taken as they come; what is no event is counted and dropped.
async fn foreign_messages(fixture: &Fixture) {
    if !fixture.capabilities.open_to_others {
        return;
    }
    let bus = fixture.bus().await;
    let inbox = Inbox::of(&bus, &["job"]).await;
    let messages: [&[u8]; 5] =
        [b"", b"no json", b"[1]", b"{\"data\":1}", b"{\"type\":\"job\",\"data\":\"\xff\"}"];
    for message in messages {
        let told = fixture.publish_foreign("job", message).await;
        assert!(fixture.are_received(told, 1), "{told} received");
    }
    let counted = || async { bus.stats().counts.events_foreign == 5 };
    eventually(PATIENCE, "the foreign messages to be counted", counted).await;
    fixture.publish_foreign("job", br#"{"type":"job"}"#).await;
    fixture.publish_foreign("job", br#"{"type":"job","id":7,"metadata":{"own":1,"source":"legacy"}}"#).await;
    fixture
        .publish_foreign("job", br#"{"type":"job","id":"x","data":[1],"metadata":{"timestamp":"soon"}}"#)
        .await;
    inbox.wait_for(3).await;
    let events: Vec<Value> = inbox.events().iter().map(|e| e.json()).collect();
    for event in &events {
        let metadata = &event["metadata"];
        assert_eq!((&event["type"], &metadata["correlationId"]), (&json!("job"), &event["id"]));
        assert!(oxbus_model::time::from_iso(metadata["timestamp"].as_str().unwrap()).is_some());
        assert!(!event["id"].as_str().unwrap().is_empty());
    }
    let of = |n: usize, name: &str| events[n]["metadata"][name].clone();
    assert_eq!((events[0]["data"].clone(), of(0, "source")), (Value::Null, json!("unknown")));
    assert_eq!(
        (events[1]["id"].clone(), of(1, "source"), of(1, "own")),
        (json!("7"), json!("legacy"), json!(1))
    );
    assert_eq!((events[2]["id"].clone(), events[2]["data"].clone()), (json!("x"), json!([1])));
    let counts = bus.stats().counts;
    assert_eq!((counts.events_foreign, counts.events_received, counts.events_delivered), (5, 3, 3));
}

/// Metadata is complete, and one client's instance is another than its neighbour's.
async fn metadata(fixture: &Fixture) {
    let one = fixture.bus_with(json!({ "serviceName": "s\"é" })).await;
    let two = fixture.bus().await;
    let inbox = Inbox::of(&two, &["*"]).await;
    let receipt = one.publish("a", Value::Null).await.unwrap();
    two.publish("b", Value::Null).await.unwrap();
    inbox.wait_for(2).await;
    let by_type: HashMap<String, Value> = inbox.events().iter().map(|e| (e.event_type(), e.json())).collect();
    let metadata = &by_type["a"]["metadata"];
    assert_eq!((&metadata["source"], &metadata["correlationId"]), (&json!("s\"é"), &json!(receipt.id)));
    assert_eq!(metadata["instanceId"], json!(one.client().instance_id()));
    assert_ne!(metadata["instanceId"], by_type["b"]["metadata"]["instanceId"]);
    assert_eq!(by_type["b"]["metadata"]["source"], json!("tests"));
    assert_eq!((receipt.id.len(), receipt.id.as_bytes()[14]), (36, b'7'));
}
