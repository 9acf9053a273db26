//! `deadLetters.*`.

use super::*;

/// Three dead letters of `orders`, of the groups g, h and g, and between them one of `photos`.
fn rig() -> Rig {
    let rig = Rig::new();
    for (stream, group, id) in
        [("orders", "g", "1"), ("orders", "h", "2"), ("photos", "g", "3"), ("orders", "g", "4")]
    {
        rig.group(stream, group);
        rig.store(stream, id, if stream == "orders" { "order.a" } else { "photo.a" });
        let ids = rig.read(stream, group, 100);
        rig.bury(stream, group, &ids[ids.len() - 1..]);
    }
    rig
}

/// The event ids of dead letters.
fn events(letters: &Value) -> Vec<String> {
    ids_of(&letters.as_array().unwrap().iter().map(|letter| letter["event"].clone()).collect())
}

/// The groups of the entries of a stream behind its first ones.
fn only_groups(rig: &Rig, stream: &str, skip: usize) -> Vec<Option<String>> {
    let (from, to) = (EntryId::MIN, EntryId::MAX);
    let request = Request::Range { stream: stream.into(), from, to, limit: 100, reverse: false };
    let Response::Entries(entries) = rig.execute(request) else { panic!() };
    let group = |fields: Fields| {
        assert!(!fields.iter().any(|(name, _)| name.starts_with(b"dlq-")));
        let value = fields.into_iter().find(|(name, _)| **name == *b"group");
        value.map(|(_, value)| String::from_utf8(value.into()).unwrap())
    };
    entries.into_iter().skip(skip).map(|entry| group(entry.fields)).collect()
}

#[tokio::test]
async fn letters_are_listed_oldest_first_over_all_streams() {
    let rig = rig();
    let all = rig.ok("deadLetters.list", json!({})).await;
    assert_eq!(events(&all), ["1", "2", "3", "4"]);
    let orders = rig.ok("deadLetters.list", json!({ "stream": "orders" })).await;
    assert_eq!(events(&orders), ["1", "2", "4"]);
    let mut paged = Vec::new();
    let mut args = json!({ "limit": 1 });
    while let [letter] = &rig.ok("deadLetters.list", args.clone()).await.as_array().unwrap()[..] {
        paged.push(letter.clone());
        args["after"] = letter["id"].clone();
    }
    assert_eq!(json!(paged), all);
    let count = |args| rig.ok("deadLetters.count", args);
    assert_eq!((count(json!({})).await, count(json!({ "stream": "orders" })).await), (json!(4), json!(3)));
}

#[tokio::test]
async fn a_letter_says_everything() {
    let rig = rig();
    let all = rig.ok("deadLetters.list", json!({ "stream": "photos" })).await;
    let mut letter = rig.ok("deadLetters.get", json!({ "id": all[0]["id"] })).await;
    assert_eq!(all, json!([letter]));
    let event = letter["event"].take();
    assert_eq!(ids_of(&json!([event])), ["3"]);
    // As it was written, blank included.
    assert!(event.as_str().unwrap().contains(r#""data":{"n": 1}"#), "{event}");
    let id = letter["id"].as_str().unwrap().strip_prefix("photos:dlq:").unwrap().parse::<EntryId>().unwrap();
    let message_id = letter["messageId"].as_str().unwrap().to_owned();
    assert!(message_id.parse::<EntryId>().unwrap() < id);
    assert_eq!(
        letter,
        json!({
            "id": format!("photos:dlq:{id}"), "stream": "photos", "group": "g", "consumer": "other",
            "messageId": message_id, "attempts": 4, "reason": "failed",
            "error": { "name": "Error", "message": "no" },
            "time": oxbus_model::time::to_iso(id.ms as i64), "event": null,
            "fields": { "eventId": "3", "eventType": "photo.a", "data": "{\"n\": 1}" },
        })
    );
    assert_eq!(rig.ok("deadLetters.get", json!({ "id": "photos:dlq:1-1" })).await, Value::Null);
}

#[tokio::test]
async fn letters_of_others_are_read_as_far_as_they_go() {
    let rig = Rig::new();
    rig.append("orders:dlq", &[("data", "not json"), ("dlq-error", "boom")]);
    let letter = rig.ok("deadLetters.list", json!({})).await[0].take();
    assert_eq!(
        (&letter["stream"], &letter["group"], &letter["event"]),
        (&json!("orders"), &json!(""), &Value::Null)
    );
    assert_eq!(letter["error"], json!({ "name": "Error", "message": "boom" }));
    assert_eq!(letter["fields"], json!({ "data": "not json" }));
    // No group waits for it.
    let args = json!({ "id": letter["id"] });
    assert_eq!(rig.refused("deadLetters.replay", args).await.0, ErrorKind::NoGroup);
}

#[tokio::test]
async fn a_text_that_is_no_id_is_that_of_no_letter() {
    let rig = rig();
    for id in ["orders:1-0", ":dlq:1-0", "orders:dlq", "orders:dlq:x", "5", ""] {
        let args = json!({ "id": id });
        assert_eq!(rig.ok("deadLetters.get", args.clone()).await, Value::Null, "{id}");
        assert_eq!(rig.ok("deadLetters.replay", args.clone()).await, Value::Null, "{id}");
        assert_eq!(rig.ok("deadLetters.remove", args).await, json!(false), "{id}");
    }
    assert_eq!(rig.ok("deadLetters.count", json!({})).await, 4);
}

#[tokio::test]
async fn a_letter_goes_back_to_its_group_or_to_all() {
    let rig = rig();
    let all = rig.ok("deadLetters.list", json!({ "stream": "orders" })).await;
    for (letter, to, group) in [(&all[0], json!({}), Some("g")), (&all[1], json!({ "to": "stream" }), None)] {
        let mut args = to;
        args["id"] = letter["id"].clone();
        let replayed = rig.ok("deadLetters.replay", args.clone()).await;
        let info = rig.ok("streams.info", json!({ "name": "orders" })).await;
        assert_eq!(replayed, json!({ "messageId": info["lastId"] }));
        assert_eq!(only_groups(&rig, "orders", 0).last().unwrap().as_deref(), group);
        assert_eq!(rig.ok("deadLetters.replay", args.clone()).await, Value::Null);
        assert_eq!(rig.ok("deadLetters.get", json!({ "id": args["id"] })).await, Value::Null);
    }
    assert_eq!(rig.ok("deadLetters.count", json!({})).await, 2);
}

#[tokio::test]
async fn a_letter_whose_group_is_gone_stays() {
    let rig = rig();
    rig.ok("streams.removeGroup", json!({ "name": "orders", "group": "h" })).await;
    let all = rig.ok("deadLetters.list", json!({ "stream": "orders" })).await;
    let args = json!({ "id": all[1]["id"] });
    assert_eq!(rig.refused("deadLetters.replay", args).await.0, ErrorKind::NoGroup);
    let (kind, message) = rig.refused("deadLetters.replayAll", json!({})).await;
    assert_eq!(kind, ErrorKind::NoGroup);
    // Those of the other stream do not stay for it.
    assert!(message.ends_with("(after 2 were replayed)"), "{message}");
    assert_eq!(rig.ok("deadLetters.count", json!({})).await, 2);
    assert_eq!(rig.ok("deadLetters.replayAll", json!({ "to": "stream" })).await, 2);
}

#[tokio::test]
async fn all_that_are_asked_for_go_back() {
    let rig = rig();
    assert_eq!(rig.ok("deadLetters.replayAll", json!({ "group": "g", "limit": 1 })).await, 1);
    assert_eq!(events(&rig.ok("deadLetters.list", json!({})).await), ["2", "3", "4"]);
    assert_eq!(rig.ok("deadLetters.replayAll", json!({ "stream": "orders", "group": "g" })).await, 1);
    assert_eq!(rig.ok("deadLetters.replayAll", json!({ "to": "stream" })).await, 2);
    assert_eq!(rig.ok("deadLetters.replayAll", json!({})).await, 0);
    let g = || Some("g".to_owned());
    assert_eq!(only_groups(&rig, "orders", 3), [g(), g(), None]);
    assert_eq!(only_groups(&rig, "photos", 1), [None]);
}

#[tokio::test]
async fn those_of_a_reason_go_back_and_are_counted() {
    let rig = rig();
    for (group, reason) in [("g", "crashed"), ("h", "crashed"), ("g", "by hand")] {
        let event = [("eventId", "5"), ("eventType", "order.a"), ("data", "1")];
        let told = [("dlq-stream", "orders"), ("dlq-group", group), ("dlq-reason", reason)];
        rig.append("orders:dlq", &[event, told].concat());
    }
    for (args, count) in [
        (json!({ "reason": "failed" }), 4),
        (json!({ "reason": "crashed" }), 2),
        (json!({ "reason": "crashed", "group": "g" }), 1),
        (json!({ "group": "g" }), 5),
        (json!({ "reason": "failed", "stream": "photos" }), 1),
        (json!({ "reason": "Failed" }), 0),
    ] {
        assert_eq!(rig.ok("deadLetters.count", args.clone()).await, count, "{args}");
    }
    assert_eq!(rig.ok("deadLetters.replayAll", json!({ "reason": "crashed", "limit": 1 })).await, 1);
    assert_eq!(rig.ok("deadLetters.replayAll", json!({ "reason": "crashed", "group": "g" })).await, 0);
    assert_eq!(rig.ok("deadLetters.replayAll", json!({ "reason": "crashed" })).await, 1);
    assert_eq!(rig.ok("deadLetters.replayAll", json!({ "reason": "crashed" })).await, 0);
    let args = json!({ "reason": "failed", "stream": "orders", "to": "stream" });
    assert_eq!(rig.ok("deadLetters.replayAll", args).await, 3);
    let left = rig.ok("deadLetters.list", json!({})).await;
    let reasons: Vec<&Value> = left.as_array().unwrap().iter().map(|letter| &letter["reason"]).collect();
    assert_eq!(reasons, [&json!("failed"), &json!("by hand")]);
}

#[tokio::test]
async fn letters_are_removed_one_by_one_or_all() {
    let rig = rig();
    let all = rig.ok("deadLetters.list", json!({})).await;
    let args = json!({ "id": all[0]["id"] });
    assert_eq!(rig.ok("deadLetters.remove", args.clone()).await, json!(true));
    assert_eq!(rig.ok("deadLetters.remove", args).await, json!(false));
    assert_eq!(rig.ok("deadLetters.purge", json!({ "stream": "orders" })).await, 2);
    assert_eq!(rig.ok("deadLetters.purge", json!({ "stream": "orders" })).await, 0);
    assert_eq!(rig.ok("deadLetters.count", json!({})).await, 1);
}

#[tokio::test]
async fn a_group_that_does_not_exist_is_an_error_and_not_zero() {
    let rig = rig();
    for args in [json!({ "group": "nobody" }), json!({ "group": "h", "stream": "photos" })] {
        assert_eq!(rig.refused("deadLetters.replayAll", args.clone()).await.0, ErrorKind::NoGroup, "{args}");
    }
    assert_eq!(rig.ok("deadLetters.replayAll", json!({ "group": "h" })).await, json!(1));
    assert_eq!(rig.ok("deadLetters.replayAll", json!({ "group": "h" })).await, json!(0), "all are replayed");
}
