//! The format on Redis, and what it changes elsewhere.

use serde_json::json;

use super::*;
use crate::codec::wires::Wire;

fn on_redis(more: Value) -> Config {
    let mut config = json!({"redis": "redis://h"});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    of_config(&config)
}

#[test]
fn every_name_is_a_format() {
    for name in crate::codec::NAMES {
        assert_eq!(on_redis(json!({"wire": name})).codec.name(), name);
    }
}

#[test]
fn a_format_brings_its_defaults() {
    let c = on_redis(json!({"wire": "spine"}));
    assert_eq!((&*c.channel_prefix, c.pubsub), ("dreamnet:events:", true));
    assert_eq!(on_redis(json!({"wire": "spine", "channelPrefix": ""})).channel_prefix, "");
    let c = on_redis(json!({"wire": "socket.io"}));
    assert_eq!((&*c.channel_prefix, c.pubsub), ("socket.io#/", true));
    assert_eq!(
        on_redis(json!({"wire": "socket.io", "channelPrefix": "io#/admin"})).channel_prefix,
        "io#/admin"
    );
    let c = on_redis(json!({"wire": "eventsource"}));
    assert_eq!((c.pubsub, &*c.dead_letter.names.of("s")), (false, "s_dlq"));
    let c = on_redis(json!({"wire": "eventsource", "deadLetter": {"suffix": ":d"}}));
    assert_eq!(c.dead_letter.names.of("s"), "s:d");
}

#[test]
fn in_memory_the_format_is_checked_and_is_ours() {
    assert_eq!(of_config(&json!({"mode": "memory", "wire": "campaign"})).codec, Codec::Oxbus);
}

#[test]
fn what_a_format_cannot_carry_is_refused() {
    for (more, message) in [
        (
            json!({"wire": "eventsource", "pubsub": true}),
            "pubsub: the wire 'eventsource' publishes nothing live",
        ),
        (
            json!({"wire": "graphql", "mode": "hybrid"}),
            "wire: its messages do not say who has published them, which hybrid mode needs",
        ),
        (
            json!({"wire": "graphql", "persistence": {}}),
            "persistence: messages of this wire do not say their type, so they are not kept",
        ),
        (
            json!({"wire": "kafka"}),
            "wire: expected 'oxbus' or 'campaign' or 'photo' or 'platform' or 'spine' or 'eventsource' or 'cloudevents' or 'nestjs' or 'graphql' or 'socket.io' or 'faststream', or a format of your own, got \"kafka\"",
        ),
        (
            json!({"wire": "nestjs", "redis": {"cluster": {"nodes": ["a"], "pubsub": "sharded"}}}),
            "wire: only clients of Oxbus hear sharded pub/sub: use 'broadcast'",
        ),
        (
            json!({"wire": "socket.io", "channelPrefix": "app:"}),
            "channelPrefix: must be the key of the Socket.IO adapter and a namespace, such as \"socket.io#/\", for this wire",
        ),
        (json!({"wire": {"read": []}}), "wire.read: must not be empty"),
        (json!({"wire": 1}), "wire: expected a name or an object, got a number"),
    ] {
        let mut config = json!({"redis": "redis://h"});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(resolve(&config, &json!({})).unwrap_err().message, message);
    }
}

fn lists(read: Value, write: Value) -> Value {
    json!({"wire": {"read": read, "write": write}})
}

fn own(write: Value) -> Value {
    json!({"fields": {"write": write}})
}

#[test]
fn several_formats_have_their_channels() {
    let ox = json!({"format": "oxbus", "channelPrefix": "ox:"});
    let c = on_redis(lists(json!(["campaign", "spine", ox]), json!(["spine", ox])));
    let shown = |wires: &[Wire]| -> Vec<String> {
        wires.iter().map(|wire| format!("{} {}", wire.codec.name(), wire.prefix)).collect()
    };
    assert_eq!(shown(&c.wires.read), ["campaign ", "spine dreamnet:events:", "oxbus ox:"]);
    assert_eq!(shown(&c.wires.write), ["spine dreamnet:events:", "oxbus ox:"]);
    assert_eq!((&*c.channel_prefix, c.codec.name()), ("dreamnet:events:", "spine and oxbus and campaign"));
    // With a prefix of the client, it is that of all that have none of their own, and of keys.
    let mut with_prefix = lists(json!(["spine", ox]), json!([ox]));
    with_prefix["channelPrefix"] = json!("p:");
    let c = on_redis(with_prefix);
    assert_eq!(shown(&c.wires.read), ["spine p:", "oxbus ox:"]);
    assert_eq!((&*c.channel_prefix, c.wires.first_prefix()), ("p:", "ox:"));
    // What publishes nothing live writes the streams.
    let c = on_redis(lists(json!(["oxbus"]), json!(["eventsource", "oxbus"])));
    assert!(c.pubsub && c.dead_letter.names.of("s") == "s_dlq");
    let c = of_config(&json!({"mode": "memory", "wire": {"read": ["campaign", "oxbus"], "write": [ox]}}));
    assert_eq!((shown(&c.wires.read), c.codec), (vec!["oxbus ox:".to_owned()], Codec::Oxbus));
}

#[test]
fn what_cannot_be_one_of_several_is_refused() {
    let minimal = json!({"type": "type", "data": "data"});
    let ox = json!({"format": "oxbus", "channelPrefix": "ox:"});
    let cluster = json!({"cluster": {"nodes": ["a"], "pubsub": "sharded"}});
    for (config, path, words) in [
        (json!({"wire": {"read": ["oxbus"]}}), "wire.write", "is missing"),
        (json!({"wire": {"write": ["oxbus"]}}), "wire.read", "is missing"),
        (lists(json!("oxbus"), json!(["oxbus"])), "wire.read", "expected an array"),
        (lists(json!(["oxbus"]), json!([])), "wire.write", "must not be empty"),
        (lists(json!(["oxbus"]), json!(["kafka"])), "wire.write[0]", "got \"kafka\""),
        (lists(json!(["oxbus"]), json!([{"format": 1}])), "wire.write[0].format", "got a number"),
        (
            lists(json!(["oxbus"]), json!([{"format": "oxbus", "prefix": ""}])),
            "wire.write[0].prefix",
            "unknown",
        ),
        (lists(json!(["oxbus", "oxbus"]), json!(["oxbus"])), "wire.read[1]", "twice"),
        (
            lists(json!(["oxbus"]), json!([{"format": "oxbus", "channelPrefix": "a\n"}])),
            "wire.write[0].channelPrefix",
            "control characters",
        ),
        (lists(json!(["oxbus"]), json!(["campaign", "oxbus"])), "wire.write[1]", "of the wire 'campaign'"),
        (lists(json!(["oxbus"]), json!([ox, "graphql"])), "wire.write[1]", "'graphql' have no id"),
        (lists(json!(["oxbus"]), json!([ox, own(minimal)])), "wire.write[1]", "have no id"),
        (lists(json!(["oxbus"]), json!([ox, "eventsource"])), "wire.write[1]", "put it first"),
        (
            json!({"wire": {"read": ["oxbus"], "write": [ox]}, "mode": "hybrid"}),
            "wire.read",
            "hybrid mode reads the first wire that it writes",
        ),
        (
            json!({"wire": {"read": [ox], "write": [ox, "oxbus"]}, "redis": cluster}),
            "wire",
            "only clients of Oxbus hear sharded",
        ),
    ] {
        let mut all = json!({"redis": "redis://h"});
        all.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
        let error = resolve(&all, &json!({})).unwrap_err();
        assert_eq!(error.path.as_deref(), Some(path), "{config}: {}", error.message);
        assert!(error.message.contains(words), "{}", error.message);
    }
}

fn own_with(more: Value) -> Value {
    let mut wire = json!({"fields": {"write": {"type": "type", "data": "data"}}});
    wire.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    wire
}

#[test]
fn a_format_of_ones_own_names_keys_and_dead_letters() {
    let keys = json!({"stream": "{prefix}s:{stream}", "event": "kept:{id}", "history": "{prefix}all"});
    let streams = json!([{"name": "orders", "events": "*"}, {"name": "p:s:notes", "events": "n"}]);
    let list = own_with(
        json!({"keys": keys, "deadLetters": {"list": "dlq:{stream}", "maxLength": 7, "push": "right"}}),
    );
    let config = json!({"wire": list, "channelPrefix": "p:", "streams": streams});
    let c = on_redis(config.clone());
    let names: Vec<&str> = c.streams.iter().map(|stream| &*stream.name).collect();
    assert_eq!(names, ["p:s:orders", "p:s:notes"]);
    assert_eq!((c.keys.events.of("1"), &*c.keys.history), ("kept:1".to_owned(), "p:all"));
    let letters = &c.dead_letter;
    assert_eq!((letters.names.of("s"), letters.max_length), ("dlq:s".to_owned(), 7));
    assert!(letters.in_list && !letters.at_front && letters.copies.is_none());
    // A list that is read too says so, where what is written says nothing.
    let c = on_redis(lists(json!([config["wire"], "oxbus"]), json!(["oxbus"])));
    assert!(c.dead_letter.in_list && c.keys.history == "all");
    let both = own_with(json!({"deadLetters": {"stream": "{stream}_d", "list": "dlq:{stream}"}}));
    let c = on_redis(json!({"wire": both, "deadLetter": {"maxLength": 3}}));
    let copies = c.dead_letter.copies.unwrap();
    assert_eq!((c.dead_letter.names.of("s"), c.dead_letter.max_length), ("s_d".to_owned(), 3));
    assert_eq!(
        (copies.names.of("s"), copies.max_length, c.dead_letter.in_list),
        ("dlq:s".to_owned(), 1000, false)
    );
    assert!(on_redis(json!({"wire": "campaign"})).dead_letter.copies.is_some());
    // In memory mode nobody else reads them.
    let c = of_config(&json!({"mode": "memory", "wire": config["wire"], "streams": streams}));
    assert!(!c.dead_letter.in_list && c.dead_letter.copies.is_none() && c.streams[0].name == "orders");
    assert_eq!((c.dead_letter.names.of("s"), c.dead_letter.max_length), ("dlq:s".to_owned(), 7));
}

#[test]
fn keys_that_meet_are_refused() {
    let streams =
        |names: &[&str]| -> Value { names.iter().map(|name| json!({"name": name, "events": "*"})).collect() };
    let list = own_with(json!({"deadLetters": {"list": "dlq:{stream}"}}));
    let stream = own_with(json!({"deadLetters": {"stream": "{stream}_d"}}));
    let same = own_with(json!({"keys": {"stream": "k:{stream}"}}));
    let cluster = json!({"cluster": {"nodes": ["a"]}});
    for (more, path, words) in [
        (json!({"wire": list, "streams": streams(&["dlq:x"])}), "streams[0].name", "only a list"),
        (json!({"wire": list, "deadLetter": {"suffix": ":d"}}), "deadLetter.suffix", "the wire names"),
        (json!({"wire": stream, "deadLetter": {"suffix": ":d"}}), "deadLetter.suffix", "the wire names"),
        (json!({"wire": list, "deadLetter": {"maxLength": 200_000}}), "deadLetter.maxLength", "100000"),
        (json!({"wire": same, "streams": streams(&["a", "k:a"])}), "streams[1].name", "same key"),
        (json!({"wire": stream, "streams": streams(&["a", "a_d"])}), "streams[1].name", "dead letters of"),
        (
            json!({"wire": own_with(json!({"deadLetters": {"list": "{stream}"}}))}),
            "wire",
            "a name of their own",
        ),
        (
            json!({"wire": own_with(json!({"deadLetters": {"list": "{stream}x", "stream": "{stream}x"}}))}),
            "wire",
            "a name of their own",
        ),
        (
            json!({"wire": list, "redis": cluster, "streams": streams(&["orders"])}),
            "streams[0].name",
            "\"dlq:orders\" is in another one than \"orders\": give the stream a tag",
        ),
        (
            json!({"wire": own_with(json!({"keys": {"event": "e:{id}"}})), "redis": cluster, "persistence": {}}),
            "wire",
            "leave out keys.event",
        ),
    ] {
        let mut all = json!({"redis": "redis://h"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let error = resolve(&all, &json!({})).unwrap_err();
        assert_eq!(
            (error.kind, error.path.as_deref()),
            (ErrorKind::InvalidConfig, Some(path)),
            "{more}: {}",
            error.message
        );
        assert!(error.message.contains(words), "{}", error.message);
    }
    let tagged = json!({"wire": list, "redis": cluster, "streams": streams(&["{orders}"])});
    let c = of_config(&tagged);
    assert_eq!(c.dead_letter.names.of("{orders}"), "dlq:{orders}");
}
