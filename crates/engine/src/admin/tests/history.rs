//! `getEvent`, `getHistory`.

use oxbus_model::codec::Codec;

use super::*;

const KEPT: PersistenceConfig = PersistenceConfig { ttl: 60_000, history: true };

fn text(id: &str, event_type: &str, ms: u64) -> String {
    let timestamp = oxbus_model::time::to_iso(ms as i64);
    json!({
        "id": id, "type": event_type, "data": null,
        "metadata": { "timestamp": timestamp, "source": "s", "correlationId": id },
    })
    .to_string()
}

fn recent(rig: &Rig, id: &str, event_type: &str) -> String {
    let text = text(id, event_type, rig.now());
    rig.recent.lock().unwrap().push(&Codec::Oxbus, &text);
    text
}

async fn history(rig: &Rig, query: Value) -> Vec<String> {
    let answer = rig.ok("getHistory", query).await;
    assert_eq!(answer["complete"], true);
    ids_of(&answer["events"])
}

#[tokio::test]
async fn an_event_is_found_in_the_store_and_then_here() {
    let rig = Rig::with(Some(KEPT));
    let (kept, own) = (text("kept", "a", 5), recent(&rig, "own", "a"));
    rig.act(|streams, now| streams.keep_event("p:event:kept", kept.as_bytes(), 60_000, now));
    recent(&rig, "kept", "another");
    assert_eq!(rig.ok("getEvent", json!({ "id": "kept" })).await, json!(kept));
    assert_eq!(rig.ok("getEvent", json!({ "id": "own" })).await, json!(own));
    assert_eq!(rig.ok("getEvent", json!({ "id": "none" })).await, Value::Null);
}

#[tokio::test]
async fn past_events_are_chosen_by_type_and_time() {
    let rig = Rig::with(Some(KEPT));
    // In the streams, and so not in the history.
    rig.store("orders", "0", "order.a");
    let ids: Vec<_> = [("1", "order.a"), ("2", "user.b"), ("3", "order.c"), ("4", "order.a")]
        .iter()
        .map(|(id, event_type)| rig.store("p:history", id, event_type))
        .collect();
    let time = |n: usize| ids[n].ms;
    for (query, expected) in [
        (json!({}), &["1", "2", "3", "4"][..]),
        (json!({ "order": "desc" }), &["4", "3", "2", "1"]),
        (json!({ "type": "order.*" }), &["1", "3", "4"]),
        (json!({ "type": "order.*", "limit": 2 }), &["1", "3"]),
        (json!({ "type": "order.*", "limit": 2, "order": "desc" }), &["4", "3"]),
        (json!({ "from": time(1), "to": time(2) }), &["2", "3"]),
        (json!({ "from": oxbus_model::time::to_iso(time(2) as i64) }), &["3", "4"]),
        (json!({ "to": time(1) }), &["1", "2"]),
        (json!({ "from": time(2), "to": time(1) }), &[]),
        (json!({ "type": "nothing" }), &[]),
        (json!({ "source": "local" }), &[]),
    ] {
        assert_eq!(history(&rig, query.clone()).await, expected, "{query}");
    }
}

#[tokio::test]
async fn without_a_history_the_streams_tell_each_event_once() {
    let rig = Rig::new();
    for (stream, id, event_type) in [
        ("orders", "1", "order.a"),
        ("photos", "2", "photo.a"),
        ("orders", "3", "order.b"),
        // Once more for one group.
        ("orders", "1", "order.a"),
        ("photos", "4", "order.photo"),
    ] {
        rig.store(stream, id, event_type);
    }
    rig.append("orders", &[("data", "nonsense")]);
    assert_eq!(history(&rig, json!({})).await, ["1", "2", "3", "4"]);
    assert_eq!(history(&rig, json!({ "type": "order.*" })).await, ["1", "3", "4"]);
    assert_eq!(history(&rig, json!({ "type": "photo.*" })).await, ["2"]);
    assert_eq!(history(&rig, json!({ "type": "user.*" })).await, [""; 0]);
    assert_eq!(history(&rig, json!({ "limit": 3, "order": "desc" })).await, ["4", "1", "3"]);
}

#[tokio::test]
async fn what_only_this_client_knows_comes_at_its_time() {
    let rig = Rig::new();
    rig.store("orders", "1", "order.a");
    recent(&rig, "2", "user.a");
    rig.pass(1);
    let third = rig.store("orders", "3", "order.b");
    recent(&rig, "3", "order.b");
    recent(&rig, "4", "user.b");
    assert_eq!(history(&rig, json!({})).await, ["1", "2", "3", "4"]);
    assert_eq!(history(&rig, json!({ "order": "desc", "limit": 3 })).await, ["4", "3", "2"]);
    assert_eq!(history(&rig, json!({ "source": "redis" })).await, ["1", "3"]);
    assert_eq!(history(&rig, json!({ "source": "local" })).await, ["2", "3", "4"]);
    assert_eq!(history(&rig, json!({ "source": "local", "type": "user.*" })).await, ["2", "4"]);
    assert_eq!(history(&rig, json!({ "to": third.ms - 1 })).await, ["1", "2"]);
}

#[tokio::test]
async fn an_answer_that_would_be_too_large_is_refused() {
    let rig = Rig::new();
    let data = format!("\"{}\"", "x".repeat(1 << 20));
    for n in 0..70 {
        rig.append("orders", &[("eventId", &n.to_string()), ("eventType", "order.a"), ("data", &data)]);
    }
    let (kind, message) = rig.refused("getHistory", json!({})).await;
    assert_eq!(
        (kind, &*message),
        (ErrorKind::InvalidOptions, "limit: more than 64 MiB; the first 63 would fit")
    );
    assert_eq!(history(&rig, json!({ "limit": 63 })).await.len(), 63);
}

#[tokio::test]
async fn while_the_store_is_away_own_events_are_found_and_are_not_given_as_all() {
    let rig = Rig::with(Some(KEPT));
    rig.store("p:history", "1", "a");
    let own = recent(&rig, "own", "a");
    *rig.memory.is_away.lock().unwrap() = true;
    assert_eq!(rig.ok("getEvent", json!({ "id": "own" })).await, json!(own));
    assert_eq!(rig.refused("getEvent", json!({ "id": "1" })).await.0, ErrorKind::ConnectionLost);
    let answer = rig.ok("getHistory", json!({})).await;
    assert_eq!((ids_of(&answer["events"]), &answer["complete"]), (vec!["own".to_owned()], &json!(false)));
    let effects = rig.effects();
    assert!(matches!(&effects[..], [Effect::Warning { code: "HISTORY_INCOMPLETE", .. }]), "{effects:?}");
    assert_eq!(history(&rig, json!({ "source": "local" })).await, ["own"]);
    let refused = rig.refused("getHistory", json!({ "source": "redis" })).await;
    assert_eq!(refused.0, ErrorKind::ConnectionLost);
    // Without persistence this client knows nothing itself.
    let rig = Rig::new();
    *rig.memory.is_away.lock().unwrap() = true;
    assert_eq!(rig.refused("getHistory", json!({})).await.0, ErrorKind::ConnectionLost);
}

#[tokio::test]
async fn a_history_ends_with_its_time_on_an_idle_bus_too() {
    let rig = Rig::with(Some(KEPT));
    let fields = |id: &str| {
        vec![
            (Box::from(*b"eventId"), id.as_bytes().into()),
            (Box::from(*b"eventType"), Box::from(*b"a")),
            (Box::from(*b"data"), Box::from(*b"1")),
        ]
    };
    rig.act(|streams, now| streams.append_to_history("p:history", fields("1"), KEPT.ttl, now));
    rig.pass(KEPT.ttl / 2);
    rig.act(|streams, now| streams.append_to_history("p:history", fields("2"), KEPT.ttl, now));
    rig.pass(KEPT.ttl / 2);
    assert_eq!(history(&rig, json!({ "source": "redis" })).await, ["1", "2"]);
    rig.pass(1);
    assert_eq!(history(&rig, json!({ "source": "redis" })).await, ["2"]);
    rig.pass(KEPT.ttl);
    assert_eq!(rig.execute(Request::Exists { stream: "p:history".into() }), Response::Count(0));
}

#[tokio::test]
async fn where_nothing_keeps_past_events_the_question_is_refused() {
    let rig = Rig::of(None, |config| config.streams.clear());
    for source in ["redis", "local", "all"] {
        let (kind, message) = rig.refused("getHistory", json!({ "source": source })).await;
        assert_eq!(
            (kind, &*message),
            (ErrorKind::InvalidOptions, "nothing keeps past events: configure `persistence` or `streams`")
        );
    }
    let rig = Rig::of(Some(PersistenceConfig { history: false, ..KEPT }), |config| config.streams.clear());
    assert_eq!(rig.refused("getHistory", json!({ "source": "redis" })).await.0, ErrorKind::InvalidOptions);
    recent(&rig, "own", "a");
    assert_eq!(history(&rig, json!({})).await, ["own"]);
}
