//! Writing, reading, and both in turn.

use std::borrow::Cow;

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;
use crate::codec::decoded::{Decoded, Foreign, Missing};
use crate::codec::event_json::{except_of, id_of};
use crate::codec::new_event::{Metadata, NewEvent, Origin};
use crate::codec::parts::Span;
use crate::time;

const STAMP: &str = "2026-11-21T03:04:05.678Z";

fn plain<'a>(data: &'a str) -> NewEvent<'a> {
    NewEvent { id: "1", event_type: "t", data, timestamp: STAMP, metadata: None }
}

fn event(metadata: Option<&Metadata<'_>>) -> Value {
    let mut out = Vec::new();
    let origin = Origin::new("a \"service\"", "i-1");
    let event =
        NewEvent { id: "id-1", event_type: "photo.uploaded", data: "{\"x\":1}", timestamp: STAMP, metadata };
    write(&mut out, &origin, &event);
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn a_plain_event_correlates_with_itself() {
    assert_eq!(
        event(None),
        serde_json::json!({
            "id": "id-1", "type": "photo.uploaded", "data": {"x": 1},
            "metadata": {
                "timestamp": "2026-11-21T03:04:05.678Z", "source": "a \"service\"",
                "instanceId": "i-1", "correlationId": "id-1"
            }
        })
    );
}

#[test]
fn all_metadata_is_written() {
    let extra = serde_json::json!({"tenant": {"a": [1]}});
    let metadata = Metadata {
        source: Some("s"),
        correlation_id: Some("c\n"),
        causation_id: Some("p"),
        traceparent: Some("00-1-2-01"),
        tracestate: Some("k=v"),
        user_id: Some("u"),
        organization_id: Some("o"),
        room: Some("r"),
        except: &["m".to_owned(), "\"".to_owned()],
        to_user: Some("v"),
        key: Some("k"),
        extra: extra.as_object(),
    };
    assert_eq!(
        event(Some(&metadata))["metadata"],
        serde_json::json!({
            "timestamp": "2026-11-21T03:04:05.678Z", "source": "s", "instanceId": "i-1",
            "correlationId": "c\n", "causationId": "p", "traceparent": "00-1-2-01", "tracestate": "k=v",
            "userId": "u", "organizationId": "o", "room": "r", "toUser": "v", "key": "k",
            "except": ["m", "\""], "tenant": {"a": [1]}
        })
    );
}

#[test]
fn members_that_are_left_out_are_read_from_the_metadata() {
    let of = |metadata: &str| {
        except_of(&format!(r#"{{"id":"1","data":{{"except":["x"]}},"metadata":{metadata}}}"#))
    };
    assert_eq!(of(r#"{"room":"r","except":["a","b\n"]}"#), ["a", "b\n"]);
    for other in ["{}", "1", r#"{"except":"a"}"#, r#"{"except":[1]}"#, r#"{"except":null}"#] {
        assert_eq!(of(other), [""; 0], "{other}");
    }
}

fn missing() -> Missing {
    Missing { id: "new".into(), timestamp_ms: 1000 }
}

fn read_text(text: &str) -> Result<Decoded<'_>, Foreign> {
    read(text.as_bytes(), missing, None)
}

#[test]
fn a_whole_event_is_passed_on_byte_for_byte() {
    let text = r#" {"id":"1","type":"a","extra":[1], "data":{"é":"\ud800"},"metadata":{"timestamp":"2026-11-21T03:04:05.678Z","source":"s","correlationId":"c","key":"k","more":1}}"#;
    let decoded = read_text(text).unwrap();
    assert!(matches!(&decoded.json, Cow::Borrowed(json) if *json == text));
    assert_eq!(decoded.event_type, "a");
    assert_eq!(decoded.key.as_deref(), Some("k"));
}

/// What stands in the place of the rest; `None` where the event has no parts.
fn rest_of(metadata: &str) -> Option<Option<String>> {
    let text = format!(r#"{{"id":"1","type":"t","data":1,"metadata":{metadata}}}"#);
    let decoded = read_text(&text).unwrap();
    decoded.parts.map(|parts| parts.rest.map(|rest| rest.of(&decoded.json).to_owned()))
}

#[test]
fn other_metadata_is_found_where_it_stands_together() {
    const KNOWN: &str =
        r#""timestamp":"2026-11-21T03:04:05Z","source":"s","instanceId":"i","correlationId":"1""#;
    assert_eq!(rest_of(&format!("{{{KNOWN}}}")), Some(None));
    for rest in [r#""a":1"#, r#""userId":"u" , "b":{"source":[2]}"#, r#""a":1,"a":2"#, r#""é\n":"\ud800""#] {
        assert_eq!(rest_of(&format!("{{{KNOWN},{rest}}}")), Some(Some(rest.to_owned())), "{rest}");
    }
    for apart in [r#""a":1,"room":"r""#, r#""__proto__":{}"#, r#""a":1,"\u005f_proto__":1"#] {
        assert_eq!(rest_of(&format!("{{{KNOWN},{apart}}}")), None, "{apart}");
    }
    assert_eq!(rest_of(&format!("{{\"a\":1,{KNOWN}}}")), None);
}

#[test]
fn the_parts_of_a_plain_event_are_found() {
    let mut out = Vec::new();
    let metadata = Metadata { correlation_id: Some("c"), causation_id: Some("p"), ..Default::default() };
    let origin = Origin::new("s", "i");
    write(&mut out, &origin, &NewEvent { metadata: Some(&metadata), ..plain("[1, 2]") });
    let decoded = read(&out, missing, None).unwrap();
    let parts = decoded.parts.unwrap();
    let of = |span: Span| span.of(&decoded.json);
    assert_eq!([of(parts.id), of(parts.event_type), of(parts.data)], ["1", "t", "[1, 2]"]);
    assert_eq!([of(parts.timestamp), of(parts.source), of(parts.instance_id)], [STAMP, "s", "i"]);
    assert_eq!((parts.correlation_id.map(of), parts.causation_id.map(of)), (Some("c"), Some("p")));
    out.clear();
    write(&mut out, &origin, &plain("null"));
    assert_eq!(read(&out, missing, None).unwrap().parts.unwrap().correlation_id, None);
    out.clear();
    let room = Metadata { room: Some("a: é"), ..Default::default() };
    write(&mut out, &origin, &NewEvent { metadata: Some(&room), ..plain("null") });
    let decoded = read(&out, missing, None).unwrap();
    assert_eq!(decoded.parts.unwrap().room.map(|room| room.of(&decoded.json)), Some("a: é"));
    for more in [
        Metadata { key: Some("k"), ..Default::default() },
        Metadata { room: Some("\n"), ..Default::default() },
        Metadata { source: Some("has \"quotes\""), ..Default::default() },
    ] {
        out.clear();
        write(&mut out, &origin, &NewEvent { metadata: Some(&more), ..plain("null") });
        assert_eq!(read(&out, missing, None).unwrap().parts, None);
    }
}

#[test]
fn what_is_missing_is_filled_in() {
    let decoded = read_text(r#"{"type":"a"}"#).unwrap();
    let json: Value = serde_json::from_str(&decoded.json).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "id": "new", "type": "a", "data": null,
            "metadata": {"timestamp": "1970-01-01T00:00:01.000Z", "source": "unknown", "correlationId": "new"}
        })
    );
    let decoded = read_text(r#"{"type":"a","id":7,"data":1,"metadata":{"source":3,"x":1}}"#).unwrap();
    let json: Value = serde_json::from_str(&decoded.json).unwrap();
    assert_eq!(json["id"], "7");
    assert_eq!(json["metadata"]["source"], "unknown");
    assert_eq!(json["metadata"]["x"], 1);
}

#[test]
fn what_is_there_stays_as_it_is_written() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for data in [r#""\ud83d""#, r#"{"z":1.0, "a":1e999,"\ude00":2}"#, &deep] {
        let text =
            format!(r#"{{"type":"a","more":{data},"data":{data},"metadata":{{"x":{data},"key":"k"}}}}"#);
        let decoded = read_text(&text).unwrap();
        let expected = format!(
            r#"{{"id":"new","type":"a","data":{data},"more":{data},"metadata":{{"timestamp":"1970-01-01T00:00:01.000Z","source":"unknown","correlationId":"new","key":"k","x":{data}}}}}"#
        );
        assert!(decoded.json == expected, "{:.200}", decoded.json);
        assert_eq!(decoded.key.as_deref(), Some("k"));
    }
}

#[test]
fn an_event_nested_deeply_is_passed_on() {
    let deep = format!("{}{}", "{\"a\":".repeat(10_000), "1".to_owned() + &"}".repeat(10_000));
    let mut out = Vec::new();
    write(&mut out, &Origin::new("s", "i"), &plain(&deep));
    let decoded = read(&out, missing, None).unwrap();
    assert!(matches!(decoded.json, Cow::Borrowed(_)));
    assert!(decoded.parts.unwrap().data.of(&decoded.json) == deep);
}

#[test]
fn halves_of_surrogate_pairs_make_no_event_foreign() {
    let metadata = r#"{"timestamp":"2026-11-21T03:04:05.678Z","source":"\ud83d","correlationId":"\ude00","instanceId":"i\ud83d","key":"k\ud83d"}"#;
    let text = format!(r#"{{"id":"\ud83d","type":"a\ud83d","data":1,"\ud83d":2,"metadata":{metadata}}}"#);
    let decoded = read_text(&text).unwrap();
    assert_eq!(decoded.json, text);
    assert_eq!(decoded.event_type, "a\u{fffd}");
    assert_eq!(decoded.published_ms, time::from_iso("2026-11-21T03:04:05.678Z"));
    assert_eq!(
        (decoded.instance_id.as_deref(), decoded.key.as_deref()),
        (Some("i\u{fffd}"), Some("k\u{fffd}"))
    );
}

#[test]
fn of_a_member_that_is_there_twice_the_last_counts() {
    let first = r#"{"timestamp":"2026-11-21T03:04:05.678Z","source":"s","correlationId":"c","key":"k"}"#;
    let twice =
        |last: &str| format!(r#"{{"id":"1","type":"a","data":1,"metadata":{first},"metadata":{last}}}"#);
    for (last, source, key) in
        [(r#"{"source":"z"}"#, "z", None), (r#"{"key":"q"}"#, "unknown", Some("q")), ("1", "unknown", None)]
    {
        let text = twice(last);
        let decoded = read_text(&text).unwrap();
        let json: Value = serde_json::from_str(&decoded.json).unwrap();
        assert_eq!((decoded.published_ms, decoded.key.as_deref()), (None, key), "{last}");
        assert_eq!(
            (&json["metadata"]["source"], &json["metadata"]["correlationId"]),
            (&source.into(), &"1".into())
        );
        assert_eq!(decoded.json.matches("metadata").count(), 1);
    }
    let text = format!(r#"{{"id":"1","type":"a","type":"b","data":1,"data":2,"metadata":{first}}}"#);
    let decoded = read_text(&text).unwrap();
    assert_eq!(decoded.json, format!(r#"{{"id":"1","type":"b","data":2,"metadata":{first}}}"#));
    assert_eq!(decoded.event_type, "b");
}

#[test]
fn what_is_not_an_event_is_foreign() {
    for text in ["", "null", "[]", "\"a\"", "{\"type\":\"a\"", "{\"type\":\"a\"},{}", "]"] {
        assert_eq!(read_text(text).unwrap_err(), Foreign::NotObject, "{text}");
    }
    for text in ["{}", "{\"type\":1}", r#"{"metadata":{},"data":1}"#] {
        assert_eq!(read_text(text).unwrap_err(), Foreign::NoType, "{text}");
    }
    assert_eq!(read(b"{\"type\":\"\xff\"}", missing, None).unwrap_err(), Foreign::NotText);
}

#[test]
fn what_has_its_payload_elsewhere_is_foreign_instead_of_empty() {
    for text in [
        r#"{"type":"a","payload":{"x":1}}"#,
        r#"{"id":"1","type":"a","metadata":{"source":"s"},"payload":null}"#,
        r#"{"type":"a","userId":"u","timestamp":"2026-11-21T03:04:05Z"}"#,
        r#"{"type":"a","Data":1}"#,
    ] {
        assert_eq!(read_text(text).unwrap_err(), Foreign::NoData, "{text}");
    }
    for (text, data) in [
        (r#"{"type":"a"}"#, Value::Null),
        (r#"{"id":"1","type":"a","metadata":{"source":"s","x":1}}"#, Value::Null),
        (r#"{"type":"a","data":null,"payload":1}"#, Value::Null),
        (r#"{"type":"a","data":2,"payload":1}"#, 2.into()),
    ] {
        let decoded = read_text(text).unwrap();
        let json: Value = serde_json::from_str(&decoded.json).unwrap();
        assert_eq!(json["data"], data, "{text}");
    }
}

const VALUES: [&str; 10] = [
    "1",
    "-2.5e3",
    "true",
    "null",
    "[1]",
    "{}",
    r#""a""#,
    r#""\ud83d""#,
    r#"{"source":"s","source":1}"#,
    r#"{"timestamp":"2026-11-21T03:04:05Z","k":[]}"#,
];

proptest! {
    #[test]
    fn what_is_completed_is_whole(
        members in prop::collection::vec(
            (prop::sample::select(vec!["id", "type", "data", "metadata", "x", ""]), prop::sample::select(VALUES.to_vec())),
            0..8,
        ),
    ) {
        let last = |name: &str| members.iter().rev().find(|(n, _)| *n == name).map(|(_, value)| *value);
        let body: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\": {value} ")).collect();
        let text = format!("{{{}}}", body.join(","));
        match read_text(&text) {
            Err(Foreign::NoType) => prop_assert!(!last("type").is_some_and(|json| json.starts_with('"'))),
            Err(Foreign::NoData) => {
                prop_assert!(last("data").is_none() && (last("x").is_some() || last("").is_some()));
            }
            Err(reason) => prop_assert!(false, "{:?} of {}", reason, text),
            Ok(decoded) => {
                let again = read_text(&decoded.json).unwrap();
                prop_assert!(matches!(again.json, Cow::Borrowed(_)) || decoded.json.contains("\\ud83d"), "{}", decoded.json);
                prop_assert_eq!(&again.json, &decoded.json);
                prop_assert_eq!(&again.event_type, &decoded.event_type);
                let tree = crate::codec::json::tree(&decoded.json).unwrap();
                let before = crate::codec::json::tree(&text).unwrap();
                prop_assert_eq!(&tree["x"], &before["x"]);
                prop_assert_eq!(&tree["data"], &before["data"]);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic_and_give_one_json_object(bytes: Vec<u8>) {
        if let Ok(decoded) = read(&bytes, missing, None) {
            prop_assert!(serde_json::from_str::<Map<String, Value>>(&decoded.json).is_ok());
        }
    }

    #[test]
    fn what_is_written_is_read_back(id in "[^\\p{C}]{1,40}", data in "\\PC{0,60}", source in ".{0,20}", key in ".{0,20}") {
        let mut out = Vec::new();
        let metadata = Metadata { source: Some(&source), key: Some(&key), ..Default::default() };
        let data = Value::from(data).to_string();
        let stamp = time::to_iso(5);
        let event = NewEvent { id: &id, event_type: "t", data: &data, timestamp: &stamp, metadata: Some(&metadata) };
        write(&mut out, &Origin::new("s", "i"), &event);
        let decoded = read(&out, missing, None).unwrap();
        prop_assert!(matches!(decoded.json, Cow::Borrowed(_)));
        prop_assert_eq!(decoded.published_ms, Some(5));
        prop_assert_eq!(decoded.instance_id.as_deref(), Some("i"));
        prop_assert_eq!(decoded.key.as_deref(), Some(key.as_str()));
        let json: Value = serde_json::from_str(&decoded.json).unwrap();
        prop_assert_eq!(&json["id"], &Value::from(id));
        prop_assert_eq!(&json["metadata"]["source"], &Value::from(source));
        prop_assert_eq!(&json["data"], &serde_json::from_str::<Value>(&data).unwrap());
    }
}

#[test]
fn the_id_of_an_event_is_found_in_its_text() {
    for (json, expected) in [
        (r#"{"id":"a","type":"t","data":{"id":"b"}}"#, Some("a")),
        (r#"{"data":{"id":"b"},"id":"a\n"}"#, Some("a\n")),
        (r#"{"id":"first","id":"last"}"#, Some("last")),
        (r#"{"id":7}"#, Some("7")),
        (r#"{"type":"t"}"#, None),
        ("not JSON", None),
    ] {
        assert_eq!(id_of(json).as_deref(), expected, "{json}");
    }
}
