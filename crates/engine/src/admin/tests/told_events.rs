//! Events beside answers.

use oxbus_model::codec::Codec;
use oxbus_model::delivery::LiveEvent;

use super::*;

const KEPT: PersistenceConfig = PersistenceConfig { ttl: 60_000, history: true };

/// Three orders and a photo among them, and the last order as a dead letter.
fn rig() -> Rig {
    let rig = Rig::new();
    rig.group("orders", "g");
    for (stream, id, event_type) in [
        ("orders", "1", "order.a"),
        ("photos", "2", "photo.a"),
        ("orders", "3", "order.b"),
        ("orders", "4", "order.a"),
    ] {
        rig.store(stream, id, event_type);
    }
    rig.append("orders:dlq", &[("data", "of nobody")]);
    let ids = rig.read("orders", "g", 100);
    rig.bury("orders", "g", &ids[2..]);
    rig
}

/// The value of an answer, and the events beside it.
async fn beside(rig: &Rig, method: &str, mut args: Value, form: &str) -> (Value, Vec<Arc<LiveEvent>>) {
    args["events"] = form.into();
    let Answer { value, events } = rig.asked(method, args).await.unwrap();
    (value, events.expect(method))
}

/// The value with each event in its place.
fn filled(mut value: Value, events: &[Arc<LiveEvent>]) -> Value {
    let fill = |place: &mut Value| {
        if let Some(index) = place.as_u64() {
            *place = Value::from(&*events[index as usize].json);
        }
    };
    match &mut value {
        Value::Number(_) => fill(&mut value),
        Value::Object(page) if page.contains_key("event") => fill(&mut page["event"]),
        Value::Object(page) => {
            for event in page["events"].as_array_mut().unwrap() {
                fill(if event.is_number() { event } else { &mut event["event"] });
            }
        }
        Value::Array(letters) => letters.iter_mut().for_each(|letter| fill(&mut letter["event"])),
        _ => {}
    }
    value
}

#[tokio::test]
async fn they_are_those_that_are_told_as_texts_in_their_order() {
    let rig = rig();
    let letters = rig.ok("deadLetters.list", json!({})).await;
    assert!(letters[0]["event"].is_null() && letters[1]["event"].is_string());
    for (method, args, count) in [
        ("getHistory", json!({}), 4),
        ("getHistory", json!({ "type": "order.*", "order": "desc" }), 3),
        ("replay.page", json!({ "stream": "orders" }), 3),
        ("replay.page", json!({ "pattern": "order.a" }), 2),
        ("replay.page", json!({ "stream": "orders", "from": "9999999999999-0" }), 0),
        ("deadLetters.list", json!({}), 1),
        ("deadLetters.get", json!({ "id": letters[0]["id"] }), 0),
        ("deadLetters.get", json!({ "id": letters[1]["id"] }), 1),
        ("deadLetters.get", json!({ "id": "orders:dlq:1-1" }), 0),
    ] {
        let texts = rig.asked(method, args.clone()).await.unwrap();
        assert!(texts.events.is_none(), "{method} {args}");
        for form in ["beside", "shapes", "shapes", "shapes"] {
            let (value, events) = beside(&rig, method, args.clone(), form).await;
            assert_eq!(events.len(), count, "{method} {args}");
            assert_eq!(filled(value, &events), texts.value, "{method} {args} {form}");
        }
    }
}

#[tokio::test]
async fn an_event_that_is_kept_and_one_that_only_this_client_knows_come_beside() {
    let rig = Rig::with(Some(KEPT));
    let text = |id: &str| {
        let metadata = json!({ "timestamp": "1970-01-01T00:16:40.000Z", "source": "s", "correlationId": id });
        json!({ "id": id, "type": "a", "data": { "n": 1 }, "metadata": metadata }).to_string()
    };
    let (kept, own) = (text("kept"), text("own"));
    rig.act(|streams, now| streams.keep_event("p:event:kept", kept.as_bytes(), 60_000, now));
    rig.recent.lock().unwrap().push(&Codec::Oxbus, &own);
    for (id, expected) in [("kept", kept), ("own", own)] {
        for form in ["beside", "shapes"] {
            let (value, events) = beside(&rig, "getEvent", json!({ "id": id }), form).await;
            assert_eq!((value, &*events[0].json), (json!(0), &*expected));
        }
    }
    let (value, events) = beside(&rig, "getEvent", json!({ "id": "none" }), "shapes").await;
    assert_eq!((value, events.len()), (Value::Null, 0));
    let (_, events) = beside(&rig, "getHistory", json!({ "source": "local" }), "shapes").await;
    assert!(events[0].outlined.is_some());
}

#[tokio::test]
async fn they_are_read_with_the_shapes_of_the_client_only_where_these_are_asked_for() {
    let rig = rig();
    let shaped = |events: &[Arc<LiveEvent>]| events.iter().filter(|event| event.outlined.is_some()).count();
    let args = || json!({ "stream": "orders" });
    for _ in 0..3 {
        let (_, events) = beside(&rig, "replay.page", args(), "beside").await;
        assert_eq!(shaped(&events), 0);
    }
    // What comes the first time has no shape.
    for count in [2, 3] {
        let (_, events) = beside(&rig, "replay.page", args(), "shapes").await;
        assert_eq!(shaped(&events), count);
    }
    // For what comes in without being asked for they are not wanted.
    assert!(rig.context.shapes.lock().is_none());
}

#[tokio::test]
async fn what_is_not_asked_for_makes_no_shape() {
    let rig = Rig::new();
    for (n, event_type) in ["order.a", "order.b", "order.a", "order.b"].into_iter().enumerate() {
        let data = if event_type == "order.b" { "{\"unwanted\":1}" } else { "{\"wanted\":1}" };
        let id = n.to_string();
        rig.append("orders", &[("eventId", &id), ("eventType", event_type), ("data", data)]);
    }
    for method in ["replay.page", "getHistory"] {
        let pattern = if method == "getHistory" { "type" } else { "pattern" };
        let (_, events) = beside(&rig, method, json!({ pattern: "order.a" }), "shapes").await;
        assert_eq!(events.len(), 2);
    }
    let (changes, _) = rig.context.shapes.drain(0);
    let keys: Vec<_> = changes.shapes.iter().filter_map(|change| change.keys.as_deref()).collect();
    assert_eq!(keys, [["wanted"]]);
}
