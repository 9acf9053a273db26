use proptest::prelude::*;
use serde_json::json;

use super::values::TIMES;
use super::*;

#[test]
fn nothing_given_means_nothing_set() {
    for json in ["", "{}", r#"{"localOnly":false,"redisOnly":false,"deduplicate":false,"replicas":0}"#] {
        assert_eq!(PublishOptions::parse(json), Ok(PublishOptions::default()), "{json}");
    }
}

#[test]
fn every_option_is_read() {
    let json = json!({
        "id": "i\"é", "timestamp": 5, "source": "s", "correlationId": "co", "causationId": "ca",
        "userId": "u", "organizationId": "o", "traceparent": "tp", "tracestate": "ts", "key": "k",
        "metadata": {"own": [1.5]}, "timeout": 3_600_000, "audience": "broadcast",
        "stream": "orders", "deduplicate": {"ttl": 5}, "durable": true, "replicas": 2, "redisOnly": true,
    });
    let some = |text: &str| Some(text.to_owned());
    let expected = PublishOptions {
        channels: None,
        id: some("i\"é"),
        timestamp: some("1970-01-01T00:00:00.005Z"),
        source: some("s"),
        correlation_id: some("co"),
        causation_id: some("ca"),
        user_id: some("u"),
        organization_id: some("o"),
        traceparent: some("tp"),
        tracestate: some("ts"),
        key: some("k"),
        metadata: json!({"own": [1.5]}).as_object().cloned(),
        stream: StoreIn::Named("orders".to_owned()),
        deduplicate: Some(5),
        durable: Some(true),
        replicas: 2,
        local_only: false,
        redis_only: true,
        timeout: Some(3_600_000),
        audience: Recipients::Everyone,
        quiet: false,
    };
    assert_eq!(PublishOptions::parse(&json.to_string()), Ok(expected));
}

#[test]
fn only_what_is_for_a_user_may_be_quiet() {
    let quiet = PublishOptions::parse(r#"{"audience":{"user":"u","quiet":true}}"#).unwrap();
    assert_eq!((quiet.audience, quiet.quiet), (Recipients::User("u".to_owned()), true));
    assert!(!PublishOptions::parse(r#"{"audience":{"user":"u"}}"#).unwrap().quiet);
    for json in [r#"{"audience":{"room":"r","quiet":true}}"#, r#"{"quiet":true}"#] {
        assert_eq!(PublishOptions::parse(json).unwrap_err().kind, KIND, "{json}");
    }
}

#[test]
fn the_short_forms_of_storing() {
    let parse = |json| PublishOptions::parse(json).unwrap();
    assert_eq!(parse(r#"{"stream":false}"#).stream, StoreIn::Nothing);
    for json in [r#"{"id":"a","deduplicate":true}"#, r#"{"deduplicate":{},"id":"a"}"#] {
        assert_eq!(parse(json).deduplicate, Some(120_000), "{json}");
    }
}

#[test]
fn timestamps_are_brought_into_one_form() {
    for (given, expected) in [
        ("\"2026-11-21T03:04:05.678Z\"", "2026-11-21T03:04:05.678Z"),
        ("\"2026-11-21T04:04:05+01:00\"", "2026-11-21T03:04:05.000Z"),
        ("1.9", "1970-01-01T00:00:00.001Z"),
        ("-1", "1969-12-31T23:59:59.999Z"),
        ("-62167219200000", "0000-01-01T00:00:00.000Z"),
        ("253402300799999", "9999-12-31T23:59:59.999Z"),
    ] {
        let options = PublishOptions::parse(&format!("{{\"timestamp\":{given}}}")).unwrap();
        assert_eq!(options.timestamp.as_deref(), Some(expected));
    }
}

#[test]
fn bad_options_are_named() {
    let long = format!("{{\"id\":\"{}\"}}", "x".repeat(513));
    for (json, message) in [
        ("[]", "the options must be an object, not an array"),
        ("null", "the options must be an object, not null"),
        (r#"{"colour":1}"#, "colour: unknown key"),
        (r#"{"id":""}"#, "id: must not be empty"),
        (&long, "id: has at most 512 characters, not 513"),
        (r#"{"id":"a\nb"}"#, "id: must not hold control characters"),
        (r#"{"id":"\ud800"}"#, "id: is not valid Unicode"),
        (r#"{"userId":7}"#, "userId: expected a string, got a number"),
        (r#"{"source":null}"#, "source: expected a string, got null"),
        (
            r#"{"timestamp":"yesterday"}"#,
            "timestamp: expected an ISO 8601 text with a time zone, or milliseconds",
        ),
        (
            r#"{"timestamp":{}}"#,
            "timestamp: expected an ISO 8601 text with a time zone, or milliseconds, got an object",
        ),
        (r#"{"timestamp":253402300800000}"#, "timestamp: is not in the years 0 to 9999"),
        (r#"{"timeout":0}"#, "timeout: expected an integer from 1 to 3600000 (milliseconds)"),
        (r#"{"timeout":1.5}"#, "timeout: expected an integer from 1 to 3600000 (milliseconds)"),
        (r#"{"metadata":[]}"#, "metadata: expected an object, got an array"),
        (
            r#"{"metadata":{"instanceId":1}}"#,
            "metadata.instanceId: is set by Oxbus or by an option of its own",
        ),
        (r#"{"stream":true}"#, "stream: expected the name of a stream or false, got a boolean"),
        (r#"{"stream":""}"#, "stream: must not be empty"),
        (r#"{"localOnly":1}"#, "localOnly: expected true or false, got a number"),
        (r#"{"redisOnly":null}"#, "redisOnly: expected true or false, got null"),
        (r#"{"localOnly":true,"redisOnly":true}"#, "redisOnly: not together with localOnly"),
        (r#"{"localOnly":true,"stream":"s"}"#, "stream: not together with localOnly"),
        (r#"{"localOnly":true,"replicas":1}"#, "replicas: not together with localOnly"),
        (r#"{"localOnly":true,"id":"a","deduplicate":true}"#, "deduplicate: not together with localOnly"),
        (r#"{"deduplicate":true}"#, "deduplicate: needs an id"),
        (r#"{"deduplicate":5}"#, "deduplicate: expected true, false or an object, got a number"),
        (r#"{"id":"a","deduplicate":{"ms":1}}"#, "deduplicate.ms: unknown key"),
        (
            r#"{"id":"a","deduplicate":{"ttl":0}}"#,
            "deduplicate.ttl: expected an integer from 1 to 31536000000, got 0",
        ),
        (r#"{"replicas":101}"#, "replicas: expected an integer from 0 to 100"),
        (r#"{"replicas":true}"#, "replicas: expected an integer from 0 to 100"),
        (r#"{"audience":"room"}"#, "audience: expected 'broadcast', a room or a user"),
        (r#"{"audience":{"room":"a","user":"b"}}"#, "audience: expected 'broadcast', a room or a user"),
        (r#"{"audience":{"except":[]}}"#, "audience: expected 'broadcast', a room or a user"),
        (r#"{"audience":{"room":""}}"#, "room: must not be empty"),
        (r#"{"audience":{"room":1}}"#, "room: expected a string, got a number"),
        (r#"{"audience":{"room":"a","except":"b"}}"#, "except: expected an array of members, got a string"),
        (r#"{"audience":{"room":"a","except":["b",2]}}"#, "except[1]: expected a string, got a number"),
        (r#"{"audience":{"user":"\ud800"}}"#, "userId: is not valid Unicode"),
        (
            r#"{"audience":{"room":"a","except":["b"]},"metadata":{"except":1}}"#,
            "metadata.except: is set by Oxbus or by an option of its own",
        ),
    ] {
        let error = PublishOptions::parse(json).unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (KIND, message), "{json}");
    }
    assert_eq!(PublishOptions::parse("{\"id\":").unwrap_err().kind, KIND);
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in ".{0,60}") {
        let _ = PublishOptions::parse(&text);
        let _ = PublishOptions::parse(&format!("{{\"timestamp\":{text}}}"));
    }

    #[test]
    fn every_time_of_four_digit_years_has_24_characters(ms in TIMES) {
        let options = PublishOptions::parse(&format!("{{\"timestamp\":{ms}}}")).unwrap();
        prop_assert_eq!(options.timestamp.map(|t| t.len()), Some(24));
    }
}

#[test]
fn channels_are_names_each_once() {
    let of = |json: &str| PublishOptions::parse(json);
    assert_eq!(of(r#"{"channels":["a","b:1","a"]}"#).unwrap().channels.unwrap(), ["a", "b:1"]);
    let many = format!(r#"{{"channels":[{}]}}"#, vec!["\"a\""; 65].join(","));
    for (json, path) in [
        (r#"{"channels":"a"}"#, "channels"),
        (r#"{"channels":[]}"#, "channels"),
        (&*many, "channels"),
        (r#"{"channels":["a",1]}"#, "channels[1]"),
        (r#"{"channels":[""]}"#, "channels[0]"),
        (r#"{"channels":["a\u0000"]}"#, "channels[0]"),
        (r#"{"channels":["room:a"]}"#, "channels[0]"),
        (r#"{"channels":["broadcast"]}"#, "channels[0]"),
        (r#"{"channels":["a"],"audience":{"user":"u"}}"#, "channels"),
    ] {
        let error = of(json).unwrap_err();
        assert_eq!(
            (error.kind, error.path.as_deref()),
            (crate::ErrorKind::InvalidOptions, Some(path)),
            "{json}"
        );
    }
}
