//! Dead letters of a format of one's own, and the names of its keys.

use serde_json::json;

use super::*;
use crate::codec::{Codec, LetterFacts, UNREADABLE_LETTER};
use crate::error::ErrorKind;
use crate::stream_store::{ConsumerId, DeadLetterEntry, EntryId, Fields, StoredEntry};

fn codec(more: Value) -> Result<Codec, BusError> {
    let write = json!({"kind": "type", "uid": "id", "payload": "data", "more": "metadata"});
    let stream = json!({"write": {"event": "message"}});
    let Value::Object(mut all) = json!({"fields": {"write": write}, "stream": stream}) else {
        unreachable!()
    };
    all.extend(more.as_object().unwrap().clone());
    Codec::described(Reader::of(ErrorKind::InvalidConfig, "wire".to_owned(), all), "own".to_owned())
}

fn member() -> ConsumerId {
    ConsumerId { stream: "orders".into(), group: "g".into(), consumer: "c".into(), instance: "i".into() }
}

fn given_up() -> DeadLetterEntry {
    let error = r#"{"name":"Error","message":"\"no\"","stack":"at\nx"}"#;
    DeadLetterEntry { id: EntryId { ms: 5, seq: 1 }, attempts: 4, reason: "failed", error: error.into() }
}

const TIME: u64 = 1_795_230_245_678;
const MESSAGE: &str = r#"{"kind":"a.b","uid":"e1","payload":{"x":1.50},"more":{"timestamp":"2026-11-21T03:04:05.678Z","source":"api","instanceId":"i-1","correlationId":"e1","note":"é"}}"#;

fn fields(pairs: &[(&str, &[u8])]) -> Fields {
    pairs.iter().map(|(name, value)| (name.as_bytes().into(), (*value).into())).collect()
}

fn listed(codec: &Codec, entry: &Fields) -> String {
    let (member, letter) = (member(), given_up());
    let facts = LetterFacts { member: &member, letter: &letter, time_ms: TIME };
    String::from_utf8(codec.listed_letter(facts, entry).unwrap()).unwrap()
}

#[test]
fn a_letter_of_a_list_is_what_is_described_and_ours() {
    let letter = json!({
        "msg": "message", "why.text": "error.message", "why.at": "timeMs", "why.code": "error.code",
        "raw": "fields", "n": "retries", "v": {"value": 2},
    });
    let codec = codec(json!({"deadLetters": {"list": "dlq:{stream}", "letter": letter}})).unwrap();
    let entry = fields(&[("event", MESSAGE.as_bytes()), ("other", b"\xff\x00")]);
    let text = listed(&codec, &entry);
    let mut json: Value = serde_json::from_str(&text).unwrap();
    assert!(text.contains(r#""payload":{"x":1.50}"#), "the data is as it was written: {text}");
    json.as_object_mut().unwrap().remove(OURS);
    let message: Value = serde_json::from_str(MESSAGE).unwrap();
    let raw = json!({"event": MESSAGE, "other": "\u{fffd}\u{0}"});
    let why = json!({"text": "\"no\"", "at": TIME});
    assert_eq!(json, json!({"msg": message, "why": why, "raw": raw, "n": 3, "v": 2}));

    // It is read as it would be in a stream, with all bytes of the entry.
    let (id, read) = codec.read_listed(text.as_bytes()).unwrap();
    assert_eq!((id.ms, &read[..2]), (TIME, &entry[..]));
    assert_eq!(codec.read_listed(text.as_bytes()).unwrap().0, id);
    let dead = codec.read_dead_letter(entry_of(id, read), None);
    assert_eq!(
        (&*dead.stream, &*dead.group, &*dead.consumer, &*dead.message_id),
        ("orders", "g", "c", "5-1")
    );
    assert_eq!((dead.attempts, &*dead.reason, dead.time_ms), (4, "failed", TIME));
    assert_eq!(dead.error["message"], "\"no\"");
    assert_eq!(dead.event.unwrap().event_type, "a.b");
    assert_eq!(dead.fields, entry);
}

fn entry_of(id: EntryId, fields: Fields) -> StoredEntry {
    StoredEntry { id, deliveries: 0, started: false, unhandled_since: None, due_in: None, fields }
}

#[test]
fn a_letter_of_an_old_service_is_read() {
    let codec = codec(json!({"deadLetters": {"list": "dlq:{stream}"}})).unwrap();
    let time = "2026-11-21T03:04:05.678Z";
    let message: Value = serde_json::from_str(MESSAGE).unwrap();
    let letter = |original: Value| {
        let error = json!({"message": "no", "stack": "at", "timestamp": time});
        json!({"originalMessage": original, "error": error, "retryCount": 3}).to_string()
    };
    for text in [letter(message.clone()), letter(message.to_string().into())] {
        let (id, read) = codec.read_listed(text.as_bytes()).unwrap();
        assert_eq!(id.ms, TIME);
        let dead = codec.read_dead_letter(entry_of(id, read), None);
        assert_eq!((&*dead.stream, &*dead.group, dead.attempts, dead.time_ms), ("", "", 4, TIME));
        assert_eq!(dead.error, json!({"message": "no", "stack": "at"}));
        let event = dead.event.unwrap();
        let event: Value = serde_json::from_str(&event.json).unwrap();
        assert_eq!((&event["id"], &event["data"]), (&json!("e1"), &json!({"x": 1.5})));
        // With the fields of an entry, it can go back.
        assert_eq!(&*dead.fields[0].0, b"event");
    }
    for text in ["no JSON", &letter(json!({"x": 1})), "{}"] {
        let (_, read) = codec.read_listed(text.as_bytes()).unwrap();
        assert_eq!((&*read[0].0, &*read[0].1), (UNREADABLE_LETTER.as_bytes(), text.as_bytes()));
    }
    let one = codec.read_listed(b"1").unwrap().0;
    assert_ne!(one, codec.read_listed(b"2").unwrap().0);
}

#[test]
fn a_letter_of_others_with_the_fields_of_its_entry_needs_no_message() {
    for letter in [json!({"a": "fields", "b": "message"}), json!({"b": "fields", "a": "message"})] {
        let places = json!({"deadLetters": {"list": "dlq:{stream}", "letter": letter}});
        let codec = codec(places).unwrap();
        let (raw, message) = if letter["a"] == "fields" { ("a", "b") } else { ("b", "a") };
        let read = |fields: Value, event: Value| {
            let text = json!({raw: fields, message: event}).to_string();
            codec.read_listed(text.as_bytes()).unwrap().1
        };
        let entry = fields(&[("event", MESSAGE.as_bytes()), ("more", b"1")]);
        let raw = json!({"event": MESSAGE, "more": "1"});
        let event: Value = serde_json::from_str(MESSAGE).unwrap();
        assert_eq!(read(raw.clone(), json!(1)), entry);
        assert_eq!(read(raw, event.clone()), entry);
        assert_eq!(&*read(json!({}), event)[0].0, b"event");
    }
}

#[test]
fn an_entry_that_is_no_event_has_a_letter_without_a_message() {
    let codec = codec(json!({"deadLetters": {"list": "dlq:{stream}"}})).unwrap();
    let text = listed(&codec, &fields(&[("x", b"1")]));
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((json.get("originalMessage"), &json["retryCount"]), (None, &json!(3)));
    assert_eq!(json["oxbus"]["fields"], json!([["x", "1"]]));
}

#[test]
fn a_letter_of_a_stream_has_the_fields_that_are_described() {
    let more = json!({"original": "messageId", "tries": "retries", "at": "time", "why": "error.message", "v": {"value": "x"}});
    let codec = codec(json!({"deadLetters": {"stream": "{stream}_dead", "fields": more}})).unwrap();
    let (member, letter) = (member(), given_up());
    let format = codec.letters().unwrap();
    let values = format.field_values(LetterFacts { member: &member, letter: &letter, time_ms: TIME });
    let written: Vec<(String, String)> = format.field_names().map(str::to_owned).zip(values).collect();
    let mut sorted: Vec<(&str, &str)> = written.iter().map(|(name, value)| (&**name, &**value)).collect();
    sorted.sort_unstable();
    let time = "2026-11-21T03:04:05.678Z";
    assert_eq!(sorted, [("at", time), ("original", "5-1"), ("tries", "3"), ("v", "x"), ("why", "\"no\"")]);

    // A letter that an old service has put there says the same.
    let theirs = fields(&[
        ("event", MESSAGE.as_bytes()),
        ("original", b"7-2"),
        ("tries", b"2"),
        ("at", time.as_bytes()),
    ]);
    let dead = codec.read_dead_letter(entry_of(EntryId { ms: 1, seq: 0 }, theirs), None);
    assert_eq!((&*dead.message_id, dead.attempts, dead.time_ms, dead.fields.len()), ("7-2", 3, TIME, 1));
}

#[test]
fn what_is_no_mapping_is_refused() {
    let of = |letters: Value| json!({ "deadLetters": letters });
    for (more, path) in [
        (json!({"deadLetters": 1}), "wire.deadLetters"),
        (of(json!({})), "wire.deadLetters.stream"),
        (of(json!({"stream": "dead"})), "wire.deadLetters.stream"),
        (of(json!({"stream": "{stream"})), "wire.deadLetters.stream"),
        (of(json!({"list": "{id}"})), "wire.deadLetters.list"),
        (of(json!({"list": ""})), "wire.deadLetters.list"),
        (of(json!({"list": "d:{stream}", "push": "up"})), "wire.deadLetters.push"),
        (of(json!({"list": "d:{stream}", "maxLength": 0})), "wire.deadLetters.maxLength"),
        (of(json!({"list": "d:{stream}", "maxLength": 100_001})), "wire.deadLetters.maxLength"),
        (of(json!({"list": "d:{stream}", "letter": {}})), "wire.deadLetters.letter"),
        (of(json!({"list": "d:{stream}", "letter": {"a": "messages"}})), "wire.deadLetters.letter.a"),
        (of(json!({"list": "d:{stream}", "letter": {"a": 1}})), "wire.deadLetters.letter.a"),
        (of(json!({"list": "d:{stream}", "letter": {"a..b": "time"}})), "wire.deadLetters.letter.a..b"),
        (
            of(json!({"list": "d:{stream}", "letter": {"a": "time", "a.b": "group"}})),
            "wire.deadLetters.letter.a.b",
        ),
        (of(json!({"list": "d:{stream}", "letter": {"oxbus": "time"}})), "wire.deadLetters.letter.oxbus"),
        (of(json!({"list": "d:{stream}", "fields": {"a": "time"}})), "wire.deadLetters.fields"),
        (of(json!({"stream": "{stream}:d", "letter": {"a": "time"}})), "wire.deadLetters.letter"),
        (of(json!({"stream": "{stream}:d", "maxLength": 5})), "wire.deadLetters.maxLength"),
        (of(json!({"stream": "{stream}:d", "fields": {"event": "time"}})), "wire.deadLetters.fields.event"),
        // Entries of Oxbus are read beside those with fields of the format.
        (
            of(json!({"stream": "{stream}:d", "fields": {"source": "consumer"}})),
            "wire.deadLetters.fields.source",
        ),
        (of(json!({"stream": "{stream}:d", "fields": {"a": "message"}})), "wire.deadLetters.fields.a"),
        (of(json!({"stream": "{stream}:d", "fields": {"group": "group"}})), "wire.deadLetters.fields.group"),
        (of(json!({"stream": "{stream}:d", "more": 1})), "wire.deadLetters.more"),
        (json!({"keys": {"stream": "x"}}), "wire.keys.stream"),
        (json!({"keys": {"event": "{stream}"}}), "wire.keys.event"),
        (json!({"keys": {"history": "{id}"}}), "wire.keys.history"),
        (json!({"keys": {"room": "x"}}), "wire.keys.room"),
        (json!({"keys": "x"}), "wire.keys"),
    ] {
        let error = codec(more.clone()).unwrap_err();
        assert_eq!((error.kind, error.path.as_deref()), (ErrorKind::InvalidConfig, Some(path)), "{more}");
    }
}
