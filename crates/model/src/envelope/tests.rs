//! Writing, reading, and both in turn.

use proptest::prelude::*;

use super::*;
use crate::time;

fn event(metadata: Option<&Metadata<'_>>) -> Value {
    let mut out = Vec::new();
    let origin = Origin::new("a \"service\"", "i-1");
    write(&mut out, &origin, "id-1", "photo.uploaded", "{\"x\":1}", "2026-11-21T03:04:05.678Z", metadata);
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
        key: Some("k"),
        extra: extra.as_object(),
    };
    assert_eq!(
        event(Some(&metadata))["metadata"],
        serde_json::json!({
            "timestamp": "2026-11-21T03:04:05.678Z", "source": "s", "instanceId": "i-1",
            "correlationId": "c\n", "causationId": "p", "traceparent": "00-1-2-01", "tracestate": "k=v",
            "userId": "u", "organizationId": "o", "room": "r", "key": "k", "tenant": {"a": [1]}
        })
    );
}

fn missing() -> Missing {
    Missing { id: "new".into(), timestamp_ms: 1000 }
}

fn read_text(text: &str) -> Result<Decoded<'_>, Foreign> {
    read(text.as_bytes(), missing)
}

#[test]
fn a_whole_event_is_passed_on_byte_for_byte() {
    let text = r#" {"id":"1","type":"a","extra":[1], "data":{"é":"\ud800"},"metadata":{"timestamp":"2026-11-21T03:04:05.678Z","source":"s","correlationId":"c","key":"k","more":1}}"#;
    let decoded = read_text(text).unwrap();
    assert!(matches!(&decoded.json, Cow::Borrowed(json) if *json == text));
    assert_eq!(decoded.event_type, "a");
    assert_eq!(decoded.key.as_deref(), Some("k"));
}

#[test]
fn the_parts_of_a_plain_event_are_found() {
    let mut out = Vec::new();
    let metadata = Metadata { correlation_id: Some("c"), causation_id: Some("p"), ..Default::default() };
    let stamp = "2026-11-21T03:04:05.678Z";
    write(&mut out, &Origin::new("s", "i"), "1", "t", "[1, 2]", stamp, Some(&metadata));
    let decoded = read(&out, missing).unwrap();
    let parts = decoded.parts.unwrap();
    let of = |span: Span| span.of(&decoded.json);
    assert_eq!([of(parts.id), of(parts.event_type), of(parts.data)], ["1", "t", "[1, 2]"]);
    assert_eq!([of(parts.timestamp), of(parts.source), of(parts.instance_id)], [stamp, "s", "i"]);
    assert_eq!((parts.correlation_id.map(of), parts.causation_id.map(of)), (Some("c"), Some("p")));
    out.clear();
    write(&mut out, &Origin::new("s", "i"), "1", "t", "null", stamp, None);
    assert_eq!(read(&out, missing).unwrap().parts.unwrap().correlation_id, None);
    for more in [
        Metadata { key: Some("k"), ..Default::default() },
        Metadata { user_id: Some("u"), ..Default::default() },
        Metadata { source: Some("has \"quotes\""), ..Default::default() },
    ] {
        out.clear();
        write(&mut out, &Origin::new("s", "i"), "1", "t", "null", stamp, Some(&more));
        assert_eq!(read(&out, missing).unwrap().parts, None);
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
fn what_is_not_an_event_is_foreign() {
    for text in
        ["", "null", "[]", "\"a\"", "{}", "{\"type\":1}", "{\"type\":\"a\"", "{\"type\":\"a\"},{}", "]"]
    {
        assert_eq!(read_text(text).unwrap_err(), Foreign, "{text}");
    }
    assert_eq!(read(b"{\"type\":\"\xff\"}", missing).unwrap_err(), Foreign);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic_and_give_one_json_object(bytes: Vec<u8>) {
        if let Ok(decoded) = read(&bytes, missing) {
            prop_assert!(serde_json::from_str::<Map<String, Value>>(&decoded.json).is_ok());
        }
    }

    #[test]
    fn what_is_written_is_read_back(id in "[^\\p{C}]{1,40}", data in "\\PC{0,60}", source in ".{0,20}", key in ".{0,20}") {
        let mut out = Vec::new();
        let metadata = Metadata { source: Some(&source), key: Some(&key), ..Default::default() };
        let data = Value::from(data).to_string();
        write(&mut out, &Origin::new("s", "i"), &id, "t", &data, &time::to_iso(5), Some(&metadata));
        let decoded = read(&out, missing).unwrap();
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
