//! Configurations of observers.

use serde_json::json;

use super::*;

#[test]
fn an_observer_makes_none_of_its_streams() {
    let stream = json!([{ "name": "orders", "events": "order.*", "maxLength": 5 }]);
    let config = of_config(&json!({ "mode": "memory", "observe": true, "streams": stream }));
    assert!(config.observe && config.streams.len() == 1 && config.maintained_streams().is_empty());
    let config = of_config(&json!({ "mode": "memory", "observe": false, "streams": stream }));
    assert!(!config.observe && config.maintained_streams() == config.streams);
}

#[test]
fn what_an_observer_cannot_be_is_refused() {
    for (config, path, message) in [
        (
            json!({ "streams": [
                { "name": "a", "events": "*" },
                { "name": "b", "events": "*", "consumerGroups": ["g"] },
            ] }),
            "streams[1].consumerGroups",
            "an observer creates no groups: leave them out, or leave out observe",
        ),
        (json!({ "mode": "hybrid" }), "mode", "an observer publishes nothing, so it has no hybrid mode"),
        (
            json!({ "redis": null }),
            "redis",
            "no address, but observe is true: set redis, REDIS_URL or REDIS_HOST, or mode: 'memory'",
        ),
    ] {
        let mut config = config;
        config["observe"] = json!(true);
        match config["redis"] {
            Value::Null if path == "redis" => drop(config.as_object_mut().unwrap().remove("redis")),
            _ => config["redis"] = json!({}),
        }
        let error = resolve(&config, &json!({})).unwrap_err();
        let expected = (ErrorKind::InvalidConfig, Some(path), format!("{path}: {message}"));
        assert_eq!((error.kind, error.path.as_deref(), error.message), expected);
    }
}

#[test]
fn no_stream_has_the_name_of_the_registry() {
    let config = json!({
        "mode": "memory", "channelPrefix": "p:", "streams": [{ "name": "p:oxbus:streams", "events": "*" }],
    });
    let error = Config::resolve(&config.to_string(), &Environment::default()).unwrap_err();
    assert_eq!(error.message, "streams[0].name: the registry of streams is kept under that name");
}
