//! Clients that only look on: they find streams that they were not configured with, and create nothing.

use oxbus_engine::host::Notice;
use oxbus_model::ErrorKind;
use oxbus_model::delivery::Settlement;
use serde_json::{Value, json};

use super::setup::{numbered, store};
use crate::fixture::Fixture;
use crate::support::{Bus, Inbox};

suite! {
    with cluster;
    streams_are_found_in_the_registry, streams_are_found_by_a_scan, a_long_list_is_cut,
    questions_without_a_stream, live_events_are_seen, nothing_is_created,
}

/// A connected observer. It has no hybrid mode.
async fn observer(fixture: &Fixture, more: Value) -> Bus {
    let mut config = json!({ "observe": true });
    if fixture.capabilities.local_first {
        config["mode"] = json!("redis");
    }
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    fixture.bus_with(config).await
}

/// A client with one stream of that name, which has one event.
async fn service(fixture: &Fixture, stream: &str) -> Bus {
    let streams = json!([{ "name": stream, "events": format!("{stream}.*"), "consumerGroups": ["g"] }]);
    let bus = fixture.bus_with(json!({ "streams": streams })).await;
    store(&bus, numbered(&format!("{stream}.made"), 0..1)).await;
    bus
}

/// The names of the listed streams, in their order.
async fn listed(bus: &Bus, args: Value) -> Vec<String> {
    let list = bus.request("streams.list", args).await.unwrap();
    list.as_array().unwrap().iter().map(|stream| stream["name"].as_str().unwrap().to_owned()).collect()
}

async fn streams_are_found_in_the_registry(fixture: &Fixture) {
    let (a, _b) = (service(fixture, "a").await, service(fixture, "b").await);
    // It is registered and does not exist.
    let _rare = fixture.bus_with(json!({ "streams": [{ "name": "rare", "events": "rare" }] })).await;
    let bus = observer(fixture, json!({})).await;
    assert_eq!(listed(&bus, json!({})).await, ["a", "b"]);
    let list = bus.request("streams.list", json!({})).await.unwrap();
    assert_eq!((&list[0]["length"], &list[0]["groups"][0]["name"]), (&json!(1), &json!("g")));
    // What is configured comes first, also when it does not exist.
    let more = json!({ "streams": [{ "name": "rare", "events": "rare" }] });
    assert_eq!(listed(&observer(fixture, more).await, json!({})).await, ["rare", "a", "b"]);
    // The registry belongs to the prefix of the channels.
    let other = observer(fixture, json!({ "channelPrefix": "other:" })).await;
    assert_eq!(listed(&other, json!({})).await, [""; 0]);
    // Who does not observe has its own streams.
    assert_eq!(listed(&a, json!({})).await, ["a"]);
}

async fn streams_are_found_by_a_scan(fixture: &Fixture) {
    let a = service(fixture, "a").await;
    if fixture.capabilities.open_to_others {
        fixture.command(&["XADD", "foreign", "*", "name", "value"]).await;
        fixture.command(&["XADD", "a:dlq", "*", "name", "value"]).await;
        fixture.command(&["SET", "text", "a text"]).await;
        fixture.command(&[&b"XADD"[..], b"\xff", b"*", b"name", b"value"]).await;
    }
    let expected: &[&str] = if fixture.capabilities.open_to_others { &["a", "foreign"] } else { &["a"] };
    let bus = observer(fixture, json!({ "channelPrefix": "other:" })).await;
    assert_eq!(listed(&bus, json!({ "scan": true })).await, expected);
    assert_eq!(listed(&a, json!({ "scan": true })).await, expected);
    assert_eq!(bus.notices.find(warning), [""; 0]);
}

/// The text of the warning that not all streams were listed.
fn warning(notice: &Notice) -> Option<String> {
    match notice {
        Notice::Warning { code: "STREAMS_NOT_LISTED", message } => Some(message.clone()),
        _ => None,
    }
}

async fn a_long_list_is_cut(fixture: &Fixture) {
    let (_a, _b) = (service(fixture, "a").await, service(fixture, "b").await);
    let bus = observer(fixture, json!({})).await;
    for args in [json!({ "limit": 1 }), json!({ "limit": 1, "scan": true })] {
        let mark = bus.notices.mark();
        assert_eq!(listed(&bus, args).await.len(), 1);
        let text = bus.notices.wait_to_find_from(mark, warning).await;
        assert!(text.contains("more than the limit of 1"), "{text}");
    }
    let mark = bus.notices.mark();
    assert_eq!(listed(&bus, json!({ "limit": 2 })).await, ["a", "b"]);
    assert_eq!(bus.notices.all()[mark..].iter().find_map(warning), None);
}

/// A question that names no stream is about those of the registry.
async fn questions_without_a_stream(fixture: &Fixture) {
    let (_a, _b) = (service(fixture, "a").await, service(fixture, "b").await);
    let bus = observer(fixture, json!({})).await;
    let page = bus.request("replay.page", json!({ "pattern": "b.*" })).await.unwrap();
    assert_eq!((page["events"].as_array().unwrap().len(), &page["done"]), (1, &json!(true)));
    let page = bus.request("replay.page", json!({ "stream": "a" })).await.unwrap();
    assert_eq!(page["events"].as_array().unwrap().len(), 1);
    let history = bus.request("getHistory", json!({ "source": "redis" })).await.unwrap();
    assert_eq!(history["events"].as_array().unwrap().len(), 2);
    assert_eq!(bus.request("deadLetters.count", json!({})).await, Ok(json!(0)));
    let recovered = bus.request("streams.recover", json!({ "group": "g" })).await.unwrap();
    assert_eq!(recovered["checked"], json!(0));
    let nobody = bus.request("streams.recover", json!({ "group": "nobody" })).await;
    assert_eq!(nobody.unwrap_err().kind, ErrorKind::NoGroup);
    let pending = bus.request("streams.pending", json!({ "name": "a", "group": "g" })).await;
    assert_eq!(pending, Ok(json!([])));
    let missing = bus.request("streams.info", json!({ "name": "nowhere" })).await;
    assert_eq!(missing.unwrap_err().kind, ErrorKind::NoStream);
    let removed = bus.request("streams.removeGroup", json!({ "name": "a", "group": "g" })).await;
    assert_eq!(removed, Ok(json!(true)));
}

async fn live_events_are_seen(fixture: &Fixture) {
    let service = service(fixture, "a").await;
    let bus = observer(fixture, json!({})).await;
    let inbox = Inbox::with(&bus, &["a.*"], json!({})).await;
    store(&service, numbered("a.made", 1..2)).await;
    inbox.wait_for(1).await;
}

async fn nothing_is_created(fixture: &Fixture) {
    let streams = json!([{ "name": "mine", "events": "mine.*", "maxLength": 1 }]);
    let bus = observer(fixture, json!({ "streams": streams })).await;
    let exists = bus.request("streams.exists", json!({ "name": "mine" })).await;
    assert_eq!(exists, Ok(json!(false)));
    let group =
        bus.subscribe(&["mine.*"], json!({ "group": "g" }), |_| Settlement::Succeeded).await.unwrap_err();
    assert_eq!((group.kind, group.path.as_deref()), (ErrorKind::InvalidOptions, Some("group")));
    for event_type in ["mine.made", "live"] {
        let error = bus.publish(event_type, 1).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidOptions);
    }
    let room = bus.join_room("lobby", None).await.unwrap_err();
    assert_eq!((room.kind, room.path.as_deref()), (ErrorKind::InvalidOptions, Some("room")));
    // Others do not find its streams either.
    assert_eq!(listed(&observer(fixture, json!({})).await, json!({})).await, [""; 0]);
    if fixture.capabilities.open_to_others {
        assert_eq!(fixture.command(&["KEYS", "*"]).await.items().len(), 0);
    }
}
