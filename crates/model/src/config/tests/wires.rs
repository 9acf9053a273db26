//! The format on Redis, and what it changes elsewhere.

use serde_json::json;

use super::*;

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
    assert_eq!((c.pubsub, &*c.dead_letter.suffix), (false, "_dlq"));
    let c = on_redis(json!({"wire": "eventsource", "deadLetter": {"suffix": ":d"}}));
    assert_eq!(c.dead_letter.suffix, ":d");
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
        (json!({"wire": {"read": []}}), "wire: more than one format is not available in this release"),
        (json!({"wire": 1}), "wire: expected a name or an object, got a number"),
    ] {
        let mut config = json!({"redis": "redis://h"});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(resolve(&config, &json!({})).unwrap_err().message, message);
    }
}
