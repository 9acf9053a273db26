//! Writing, reading, both in turn, and against the events of the live wire.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::codec::Codec;
use crate::codec::dead_letter::DeadLetter;
use crate::codec::decoded::{DecodedEntry, Missing};
use crate::codec::new_event::{Metadata, NewEvent, Origin};
use crate::codec::oxbus::{dead_letter, message};
use crate::codec::parts::{Parts, Span};
use crate::stream_store::{ConsumerId, DeadLetterEntry, EntryId, Fields, StoredEntry};
use crate::time;

const STAMP: &str = "2026-11-21T03:04:05.678Z";
const ID: EntryId = EntryId { ms: 1_700_000_000_123, seq: 4 };

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn fields(pairs: Pairs<'_>) -> Fields {
    pairs.iter().map(|(name, value)| (name.as_bytes().into(), value.as_bytes().into())).collect()
}

fn read_pairs<'a>(pairs: Pairs<'a>) -> Result<DecodedEntry<'a>, String> {
    read(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())), ID, None)
}

fn is_mine(entry: &DecodedEntry<'_>) -> bool {
    entry.event.instance_id.as_deref() == Some("me")
}

fn written(origin: &Origin, metadata: Option<&Metadata<'_>>) -> Fields {
    let mut out = Fields::new();
    let event =
        NewEvent { id: "id-1", event_type: "photo.uploaded", data: "{\"x\": 1}", timestamp: STAMP, metadata };
    write(&mut |name, value| out.push((name.into(), value.into())), origin, &event);
    out
}

fn entry(fields: Fields) -> StoredEntry {
    StoredEntry { id: ID, deliveries: 1, started: false, unhandled_since: None, due_in: None, fields }
}

#[test]
fn a_plain_event_has_the_fields_of_the_contract() {
    assert_eq!(
        written(&Origin::new("a \"service\"", "i\\1"), None),
        fields(&[
            ("eventId", "id-1"),
            ("eventType", "photo.uploaded"),
            ("timestamp", STAMP),
            ("source", "a \"service\""),
            ("correlationId", "id-1"),
            ("data", "{\"x\": 1}"),
            ("meta", r#"{"instanceId":"i\\1"}"#),
        ])
    );
}

#[test]
fn what_has_no_field_of_its_own_is_in_meta() {
    let extra = json!({"tenant": {"a": [1]}});
    let metadata = Metadata {
        source: Some("s"),
        correlation_id: Some("c"),
        causation_id: Some("p"),
        user_id: Some("u"),
        key: Some("k"),
        extra: extra.as_object(),
        ..Default::default()
    };
    let fields = written(&Origin::new("service", "i"), Some(&metadata));
    let names: Vec<_> = fields.iter().map(|(name, _)| std::str::from_utf8(name).unwrap()).collect();
    assert_eq!(
        names,
        ["eventId", "eventType", "timestamp", "source", "correlationId", "causationId", "data", "meta"]
    );
    let meta: Value = serde_json::from_slice(&fields[7].1).unwrap();
    assert_eq!(meta, json!({"instanceId": "i", "userId": "u", "key": "k", "tenant": {"a": [1]}}));
}

fn spans(parts: Parts) -> Vec<Option<Span>> {
    let Parts { id, event_type, timestamp, source, instance_id, correlation_id, causation_id, data, .. } =
        parts;
    let mut spans: Vec<_> = [id, event_type, timestamp, source, instance_id, data].map(Some).to_vec();
    spans.extend([correlation_id, causation_id]);
    spans
}

#[test]
fn the_parts_of_a_plain_event_are_known() {
    for metadata in [
        Metadata::default(),
        Metadata { correlation_id: Some("c"), ..Default::default() },
        Metadata { correlation_id: Some("c"), causation_id: Some("é"), ..Default::default() },
    ] {
        let fields = written(&Origin::new("s", "me"), Some(&metadata));
        let read = read(fields.iter().map(|(n, v)| (&**n, &**v)), ID, None).unwrap();
        assert!(is_mine(&read) && read.event.key.is_none());
        let DecodedEntry { event, only_group } = read;
        assert_eq!((&*event.event_type, only_group), ("photo.uploaded", None));
        let of_wire = message::read(event.json.as_bytes(), || unreachable!(), None).unwrap();
        assert_eq!(event.parts, of_wire.parts);
        assert!(event.parts.is_some());
    }
}

#[test]
fn there_are_no_parts_of_other_events() {
    let good = [("eventId", "1"), ("eventType", "t"), ("timestamp", STAMP), ("source", "s"), ("data", "1")];
    let with = |name: &'static str, value: &'static str| {
        let mut fields = good.to_vec();
        fields.push((name, value));
        let event = read_pairs(&fields).unwrap().event;
        (event.json.into_owned(), event.parts)
    };
    assert!(with("meta", r#"{"instanceId":"i"}"#).1.is_some());
    assert!(with("meta", r#" { "instanceId" : "i" } "#).1.is_some());
    for meta in [
        "",
        "{}",
        r#"{"instanceId":"i","key":"k"}"#,
        r#"{"instanceId":"\u0069"}"#,
        r#"{"instanceId":1}"#,
        r#"{"instanceId":"i","x":1}"#,
    ] {
        let (json, parts) = with("meta", meta);
        assert_eq!(parts, None, "{meta}");
        assert!(serde_json::from_str::<Value>(&json).is_ok());
    }
    let mut fields = good.to_vec();
    fields.extend([("meta", r#"{"instanceId":"i"}"#), ("source", "a \"b\"")]);
    let event = read_pairs(&fields).unwrap().event;
    assert_eq!(event.parts, None);
    assert_eq!(serde_json::from_str::<Value>(&event.json).unwrap()["metadata"]["source"], "a \"b\"");
}

#[test]
fn what_is_missing_is_filled_in() {
    let time = time::to_iso(ID.ms as i64);
    for pairs in [
        &[("eventType", "a"), ("data", " [1, 2]\n")] as Pairs<'_>,
        &[("eventType", "a"), ("data", " [1, 2]\n"), ("eventId", ""), ("source", ""), ("timestamp", "")],
        &[("eventType", "a"), ("data", " [1, 2]\n"), ("timestamp", "yesterday"), ("meta", "[1]")],
        &[("eventType", "a"), ("data", " [1, 2]\n"), ("meta", "{\"key\":\"k\"")],
        &[("eventType", "a"), ("data", "3"), ("data", " [1, 2]\n"), ("other", "\u{1}")],
    ] {
        let read = read_pairs(pairs).unwrap();
        let own = is_mine(&read);
        let event = read.event;
        assert_eq!(
            *event.json,
            *format!(
                r#"{{"id":"{ID}","type":"a","data":[1, 2],"metadata":{{"timestamp":"{time}","source":"unknown","correlationId":"{ID}"}}}}"#
            )
        );
        assert_eq!((&*event.event_type, event.published_ms, own), ("a", None, false));
    }
}

#[test]
fn meta_does_not_speak_for_other_fields() {
    let meta = r#"{"timestamp":1,"room":"r","source":"x","key":"k","correlationId":"x","causationId":"x","instanceId":"\u006de","x":[]}"#;
    let pairs =
        [("eventId", "1"), ("eventType", "a"), ("timestamp", STAMP), ("data", "null"), ("meta", meta)];
    let read = read_pairs(&pairs).unwrap();
    let own = is_mine(&read);
    let event = read.event;
    assert_eq!(
        *event.json,
        *format!(
            r#"{{"id":"1","type":"a","data":null,"metadata":{{"timestamp":"{STAMP}","source":"unknown","instanceId":"\u006de","correlationId":"1","room":"r","key":"k","x":[]}}}}"#
        )
    );
    assert_eq!((event.key.as_deref(), own), (Some("k"), true));
    assert_eq!(event.published_ms, time::from_iso(STAMP));
}

#[test]
fn an_entry_for_one_group_says_so() {
    let pairs = [("eventType", "a"), ("data", "1"), ("group", "billing")];
    assert_eq!(read_pairs(&pairs).unwrap().only_group, Some("billing"));
}

#[test]
fn what_is_not_an_event_says_why() {
    for (pairs, why) in [
        (&[] as Pairs<'_>, "eventType is missing"),
        (&[("data", "1")], "eventType is missing"),
        (&[("eventType", ""), ("data", "1")], "eventType is missing"),
        (&[("eventType", "a b"), ("data", "1")], "must not hold ' '"),
        (&[("eventType", "broadcast"), ("data", "1")], "reserved"),
        (&[("eventType", "a")], "data is missing"),
        (&[("eventType", "a"), ("data", "")], "data is missing"),
        (&[("eventType", "a"), ("data", "{")], "data is not JSON"),
        (&[("eventType", "a"), ("data", "1 2")], "data is not JSON"),
        (&[("eventType", "a"), ("data", "undefined")], "data is not JSON"),
    ] {
        let reason = read_pairs(pairs).unwrap_err();
        assert!(reason.contains(why), "{reason}");
    }
    for name in
        ["eventId", "eventType", "timestamp", "source", "correlationId", "causationId", "data", "meta"]
    {
        let good = [("eventType".as_bytes(), "a".as_bytes()), (b"data", b"1")];
        let bad = [(name.as_bytes(), b"\"\xff\"".as_slice())];
        let reason = read(good.into_iter().chain(bad), ID, None).unwrap_err();
        assert_eq!(reason, format!("the field {name} is not UTF-8"));
    }
}

#[test]
fn a_dead_letter_is_read_as_it_is_written() {
    let member =
        ConsumerId { stream: "orders".into(), group: "g".into(), consumer: "c".into(), instance: "i".into() };
    let error = json!({"name": "TypeError", "message": "no", "stack": "at x", "code": "E"});
    let id = EntryId { ms: 5, seq: 1 };
    let letter = DeadLetterEntry { id, attempts: 4, reason: "failed", error: error.to_string().into() };
    let original = written(&Origin::new("s", "i"), None);
    let all: Fields = original.iter().cloned().chain(dead_letter::fields(&member, &letter, 99)).collect();
    let read = Codec::Oxbus.read_dead_letter(entry(all), None);
    let event = read_event(&original);
    assert_eq!(
        read,
        DeadLetter {
            id: ID,
            stream: "orders".into(),
            group: "g".into(),
            consumer: "c".into(),
            message_id: "5-1".into(),
            attempts: 4,
            reason: "failed".into(),
            error,
            time_ms: 99,
            event: Some(event.event.into_owned()),
            fields: original.clone(),
        }
    );
}

fn read_event(fields: &Fields) -> DecodedEntry<'_> {
    read(fields.iter().map(|(name, value)| (&**name, &**value)), ID, None).unwrap()
}

#[test]
fn a_dead_letter_of_others_is_read_as_far_as_it_goes() {
    let read = |pairs| Codec::Oxbus.read_dead_letter(entry(fields(pairs)), None);
    let bare = read(&[("a", "b")]);
    assert_eq!((&*bare.stream, &*bare.message_id, bare.attempts, bare.time_ms), ("", "", 0, ID.ms));
    assert_eq!((bare.error, bare.event), (json!({"name": "Error", "message": ""}), None));
    assert_eq!(bare.fields, fields(&[("a", "b")]));
    let read = read(&[
        ("dlq-id", "7-1"),
        ("eventType", "a"),
        ("dlq-attempts", "many"),
        ("data", "1"),
        ("dlq-error", "it {broke"),
        ("dlq-time", STAMP),
    ]);
    assert_eq!(read.error, json!({"name": "Error", "message": "it {broke"}));
    assert_eq!(i64::try_from(read.time_ms).ok(), time::from_iso(STAMP));
    assert!(read.event.unwrap().json.contains(r#""id":"7-1""#));
}

fn texts() -> impl Strategy<Value = Option<String>> {
    prop::option::of(prop_oneof!["[a-z0-9é\"\\\\ ]{1,12}", ".{1,12}"])
}

proptest! {
    #[test]
    fn an_event_is_the_same_through_an_entry_as_on_the_live_wire(
        (id, service, instance) in (".{1,20}", ".{1,20}", "[a-z\"\\\\]{1,8}"),
        (source, correlation, causation, room, key) in (texts(), texts(), texts(), texts(), texts()),
        data in crate::codec::json::tests::json(),
        extra in prop::collection::btree_map(prop_oneof!["[a-z]{1,5}", ".{0,5}"], crate::codec::json::tests::json(), 0..3),
        bare: bool,
    ) {
        let reserved = ["timestamp", "source", "instanceId", "correlationId", "causationId", "traceparent",
            "tracestate", "userId", "organizationId", "room", "key"];
        let extra: Map<String, Value> = extra.into_iter().filter(|(name, _)| !reserved.contains(&&**name)).collect();
        let metadata = Metadata {
            source: source.as_deref(),
            correlation_id: correlation.as_deref(),
            causation_id: causation.as_deref(),
            room: room.as_deref(),
            key: key.as_deref(),
            extra: Some(&extra),
            ..Default::default()
        };
        let metadata = (!bare).then_some(&metadata);
        let (origin, data) = (Origin::new(&service, &instance), data.to_string());
        let mut message = Vec::new();
        let event = NewEvent { id: &id, event_type: "a.b", data: &data, timestamp: STAMP, metadata };
        message::write(&mut message, &origin, &event);
        let live = message::read(&message, || Missing { id: String::new(), timestamp_ms: 0 }, None).unwrap();
        let mut fields = Fields::new();
        write(&mut |name, value| fields.push((name.into(), value.into())), &origin, &event);
        let stored = read(fields.iter().map(|(name, value)| (&**name, &**value)), ID, None).unwrap();
        prop_assert_eq!(&*stored.event.json, &*live.json);
        prop_assert_eq!(&*stored.event.event_type, &*live.event_type);
        prop_assert_eq!(stored.event.key.as_deref(), live.key.as_deref());
        prop_assert_eq!(stored.event.published_ms, live.published_ms);
        prop_assert_eq!(stored.event.instance_id.as_deref(), Some(&*instance));
        // An entry has the room among the other metadata, and an event that has any has no parts.
        let parts = live.parts.filter(|parts| parts.room.is_none() && parts.rest.is_none());
        prop_assert_eq!(stored.event.parts.map(spans), parts.map(spans));
    }

    #[test]
    fn any_fields_are_read_without_a_panic_and_give_one_json_object(
        fields in prop::collection::vec((
            prop::sample::select(vec!["eventId", "eventType", "timestamp", "source", "correlationId",
                "causationId", "data", "meta", "group", "dlq-error", "x"]),
            prop_oneof![
                any::<Vec<u8>>(),
                ".{0,12}".prop_map(String::into_bytes),
                "[a-z]{1,4}|[0-9]{1,4}|\\{\"(key|instanceId)\":(\"[a-z\"\\\\]{0,3}\"|1)\\}".prop_map(String::into_bytes),
            ],
        ), 0..10),
    ) {
        let pairs = || fields.iter().map(|(name, value)| (name.as_bytes(), &**value));
        if let Ok(stored) = read(pairs(), ID, None) {
            prop_assert!(serde_json::from_str::<Map<String, Value>>(&stored.event.json).is_ok(), "{}", stored.event.json);
            if let Some(parts) = stored.event.parts {
                for span in spans(parts).into_iter().flatten() {
                    prop_assert!(stored.event.json.contains(span.of(&stored.event.json)));
                }
            }
        }
        let fields = pairs().map(|(name, value)| (name.into(), value.into())).collect();
        Codec::Oxbus.read_dead_letter(entry(fields), None);
    }
}
