use serde_json::json;

use super::*;

fn read<T>(config: &Value, read: impl FnOnce(&mut Reader) -> Result<T, BusError>) -> Result<T, BusError> {
    let mut r = Reader::parse("configuration", &config.to_string(), KIND)?;
    let result = read(&mut r)?;
    r.finish()?;
    Ok(result)
}

fn stream(fields: &Value) -> Result<StreamConfig, BusError> {
    let mut stream = json!({"name": "s", "events": ["a.*", "b"]});
    stream.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    read(&json!({ "streams": [stream] }), read_streams).map(|streams| streams[0].clone())
}

#[test]
fn a_stream_needs_a_name_and_patterns_only() {
    let expected = StreamConfig {
        name: "s".to_owned(),
        events: vec!["a.*".to_owned(), "b".to_owned()],
        cap: 1_000_000,
        max_length: None,
        max_age: None,
        groups: Vec::new(),
        realtime: Realtime::All,
        safe_trim: true,
    };
    assert_eq!(stream(&json!({})), Ok(expected));
    assert_eq!(read(&json!({}), read_streams), Ok(Vec::new()));
    let named = read(&json!({"streams": [{"name": "s", "events": "a"}]}), read_streams).unwrap();
    assert_eq!(named[0].events, ["a"]);
}

#[test]
fn publishers_keep_a_margin_where_the_janitor_trims_with_care() {
    for (fields, cap, max_length, max_age) in [
        (json!({"maxLength": 10}), 1_000_000, Some(10), None),
        (json!({"retention": "count", "retentionValue": 20}), 1_000_000, Some(20), None),
        (json!({"maxLength": 10, "retentionValue": 20}), 1_000_000, Some(10), None),
        (json!({"maxLength": 5_000_000}), 5_000_000, Some(5_000_000), None),
        (json!({"maxLength": 10, "safeTrim": false}), 10, Some(10), None),
        (json!({"safeTrim": false}), 1_000_000, None, None),
        (json!({"retention": "time", "retentionValue": 60_000}), 1_000_000, None, Some(60_000)),
        (json!({"retention": "time", "retentionValue": 60_000, "maxLength": 10}), 10, None, Some(60_000)),
    ] {
        let s = stream(&fields).unwrap();
        assert_eq!((s.cap, s.max_length, s.max_age), (cap, max_length, max_age), "{fields}");
        assert_eq!(s.safe_trim, fields.get("safeTrim").is_none());
    }
}

#[test]
fn groups_and_what_is_live() {
    let groups = stream(&json!({"consumerGroups": ["a", {"name": "b"}, {"name": "c", "from": "beginning"}]}));
    let expected = [("a", Position::New), ("b", Position::New), ("c", Position::Beginning)];
    assert_eq!(groups.unwrap().groups, expected.map(|(name, from)| (name.to_owned(), from)));
    for (realtime, expected) in [
        (json!(true), Realtime::All),
        (json!(false), Realtime::Nothing),
        (json!([]), Realtime::Nothing),
        (json!(["a.*"]), Realtime::Matching(vec!["a.*".to_owned()])),
    ] {
        assert_eq!(stream(&json!({ "realtime": realtime })).unwrap().realtime, expected);
    }
}

#[test]
fn dead_letters_and_kept_events() {
    assert_eq!(read(&json!({}), |r| read_dead_letter(r, None, (None, ""))), Ok(DeadLetterConfig::default()));
    let given = json!({"deadLetter": {"enabled": false, "suffix": "_dlq", "maxLength": 5}});
    let expected = DeadLetterConfig {
        enabled: false,
        names: keys::dead_letters("_dlq"),
        max_length: 5,
        ..DeadLetterConfig::default()
    };
    assert_eq!(read(&given, |r| read_dead_letter(r, None, (None, ""))), Ok(expected));
    for (given, expected) in [
        (json!({}), None),
        (json!({"persistence": {"enabled": false, "ttl": 5}}), None),
        (json!({"persistence": {}}), Some(PersistenceConfig { ttl: 86_400_000, history: true })),
        (
            json!({"persistence": {"enabled": true, "ttl": 5, "history": false}}),
            Some(PersistenceConfig { ttl: 5, history: false }),
        ),
    ] {
        assert_eq!(read(&given, read_persistence), Ok(expected), "{given}");
    }
}

#[test]
fn bad_fields_are_named() {
    let long = "x".repeat(1025);
    for (fields, message) in [
        (json!({"name": ""}), "streams[0].name: must not be empty"),
        (json!({"events": []}), "streams[0].events: must not be empty"),
        (json!({"events": ["a", ""]}), "streams[0].events[1]: a pattern must not be empty"),
        (json!({"events": long}), "streams[0].events: a pattern has at most 1024 bytes, not 1025"),
        (json!({"events": 1}), "streams[0].events: expected a string or an array of strings, got a number"),
        (json!({"partitions": 4}), "streams[0].partitions: not available in this release"),
        (json!({"retention": "size"}), "streams[0].retention: expected 'count' or 'time', got \"size\""),
        (json!({"retention": "time"}), "streams[0].retentionValue: is missing: for how many milliseconds"),
        (
            json!({"maxLength": 0}),
            "streams[0].maxLength: expected an integer from 1 to 9007199254740991, got 0",
        ),
        (json!({"consumerGroups": "g"}), "streams[0].consumerGroups: expected an array, got a string"),
        (json!({"consumerGroups": [1]}), "streams[0].consumerGroups[0]: expected an object, got a number"),
        (json!({"consumerGroups": [{}]}), "streams[0].consumerGroups[0].name: is missing"),
        (
            json!({"consumerGroups": [{"group": "g"}]}),
            "streams[0].consumerGroups[0].name: is missing; 'group' is an unknown key",
        ),
        (
            json!({"consumerGroups": [{"name": "g", "from": "5-0"}]}),
            "streams[0].consumerGroups[0].from: expected 'new' or 'beginning', got \"5-0\"",
        ),
        (
            json!({"consumerGroups": ["g", {"name": "g"}]}),
            "streams[0].consumerGroups[1]: there is another group of the name \"g\"",
        ),
        (
            json!({"realtime": "a"}),
            "streams[0].realtime: expected true, false or an array of patterns, got a string",
        ),
        (json!({"realtime": ["a", 1]}), "streams[0].realtime[1]: expected a string, got a number"),
        (json!({"safeTrim": 1}), "streams[0].safeTrim: expected true or false, got a number"),
        (json!({"maxlength": 1}), "streams[0].maxlength: unknown key: did you mean 'maxLength'?"),
    ] {
        let error = stream(&fields).unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (KIND, message), "{fields}");
    }
    for (config, message) in [
        (json!({"streams": {}}), "streams: expected an array, got an object"),
        (json!({"streams": ["s"]}), "streams[0]: expected an object, got a string"),
        (json!({"streams": [{"events": "a"}]}), "streams[0].name: is missing"),
        (json!({"streams": [{"name": "a"}]}), "streams[0].events: is missing"),
        (
            json!({"streams": [{"name": "a", "event": "a", "maxLength": 1}]}),
            "streams[0].events: is missing; 'event' is an unknown key: did you mean 'events'?",
        ),
        (
            json!({"streams": [{"stream": "a", "events": "a"}]}),
            "streams[0].name: is missing; 'stream' is an unknown key: did you mean 'name'?",
        ),
        (
            json!({"streams": [{"name": "a", "events": "a"}, {"name": "a", "events": "b"}]}),
            "streams[1].name: there is another stream of the name \"a\"",
        ),
    ] {
        assert_eq!(read(&config, read_streams).unwrap_err().message, message);
    }
    for (config, message) in [
        (json!({"deadLetter": false}), "deadLetter: expected an object, got a boolean"),
        (json!({"deadLetter": {"suffix": ""}}), "deadLetter.suffix: must not be empty"),
        (
            json!({"deadLetter": {"maxLength": 0}}),
            "deadLetter.maxLength: expected an integer from 1 to 9007199254740991, got 0",
        ),
        (json!({"deadLetter": {"ttl": 0}}), "deadLetter.ttl: unknown key"),
    ] {
        assert_eq!(read(&config, |r| read_dead_letter(r, None, (None, ""))).unwrap_err().message, message);
    }
    let config = json!({"persistence": {"ttl": 0}});
    let message = "persistence.ttl: expected an integer from 1 to 3153600000000, got 0";
    assert_eq!(read(&config, read_persistence).unwrap_err().message, message);
}

#[test]
fn a_stream_cannot_have_the_key_of_something_else() {
    for (config, path) in [
        (
            r#"{"mode":"memory","streams":[{"name":"s","events":"a"},{"name":"s:dlq","events":"b"}]}"#,
            "streams[1].name",
        ),
        (
            r#"{"mode":"memory","deadLetter":{"suffix":"-x"},"streams":[{"name":"s-x","events":"a"},{"name":"s","events":"b"}]}"#,
            "streams[0].name",
        ),
        (
            r#"{"mode":"memory","channelPrefix":"p:","persistence":{},"streams":[{"name":"p:history","events":"a"}]}"#,
            "streams[0].name",
        ),
    ] {
        let error = crate::Config::resolve(config, &crate::Environment::default()).unwrap_err();
        assert_eq!(error.path.as_deref(), Some(path), "{config}");
    }
}
