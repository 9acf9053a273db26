//! Sentinels in a configuration.

use serde_json::json;

use super::*;

fn sentinel(more: &Value) -> Result<Config, BusError> {
    let mut sentinel = json!({ "name": "mymaster", "nodes": ["s1"] });
    sentinel.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    resolve(&json!({ "redis": { "sentinel": sentinel } }), &json!({}))
}

fn found(config: &Config) -> &SentinelConfig {
    match &config.redis.servers {
        Servers::Sentinel(sentinel) => sentinel,
        other => panic!("no sentinels: {other}"),
    }
}

#[test]
fn sentinels_are_given_as_text_or_object() {
    let nodes = json!([" s1 ", "s2:5000", "10.0.0.1", "[::1]:7", "::2", { "host": "s3" }, { "host": "[::3]", "port": 9 }]);
    let config = sentinel(&json!({ "nodes": nodes })).unwrap();
    let nodes: Vec<String> = found(&config).nodes.iter().map(ToString::to_string).collect();
    let expected = ["s1:26379", "s2:5000", "10.0.0.1:26379", "[::1]:7", "[::2]:26379", "s3:26379", "[::3]:9"];
    assert_eq!(nodes, expected);
    assert_eq!(config.mode, Mode::Redis);
    let config = sentinel(&json!({ "nodes": ["a", "b"] })).unwrap();
    assert_eq!(address(&config), r#"the master "mymaster" of the sentinels a:26379, b:26379"#);
}

#[test]
fn the_sentinels_have_a_login_of_their_own() {
    let config = json!({ "redis": {
        "username": "bus", "password": "hunter2", "database": 3, "tls": true,
        "sentinel": { "name": "m", "nodes": ["s"], "username": "watch", "password": "hunter3", "tls": { "ca": PEM } },
    } });
    let config = resolve(&config, &json!({ "NODE_EXTRA_CA_CERTS": "/ca" })).unwrap();
    let of_sentinels = found(&config);
    assert_eq!(of_sentinels.username.as_deref(), Some("watch"));
    assert_eq!(of_sentinels.password.as_ref().map(Secret::expose), Some("hunter3"));
    let tls = of_sentinels.tls.as_ref().unwrap();
    assert_eq!(
        (tls.ca.as_deref(), tls.extra_ca.as_deref()),
        (Some(format!("{PEM}\n").as_str()), Some("/ca"))
    );
    assert_eq!((config.redis.username.as_deref(), config.redis.database), (Some("bus"), 3));
    assert!(!format!("{config:?}").contains("hunter3"));
    // What the servers have is not shown to the sentinels.
    let config = json!({ "redis": {
        "password": "hunter2", "tls": true, "sentinel": { "name": "m", "nodes": ["s"] },
    } });
    let config = resolve(&config, &json!({})).unwrap();
    assert!(found(&config).password.is_none() && found(&config).tls.is_none());
    let unverified = sentinel(&json!({ "tls": { "rejectUnauthorized": false } })).unwrap();
    assert_eq!(unverified.notices[0].code, "TLS_NOT_VERIFIED");
    assert!(unverified.notices[0].message.starts_with("redis.sentinel.tls.rejectUnauthorized is false"));
}

#[test]
fn what_is_wrong_with_sentinels_is_told_with_its_path() {
    let many: Vec<String> = (0..33).map(|n| format!("s{n}")).collect();
    for (more, expected) in [
        (json!({ "name": null }), "redis.sentinel.name: expected a string, got null"),
        (json!({ "name": "" }), "redis.sentinel.name: "),
        (json!({ "name": "a b" }), "redis.sentinel.name: must not hold blanks"),
        (json!({ "nodes": [] }), "redis.sentinel.nodes: expected 1 to 32 sentinels, got 0"),
        (json!({ "nodes": many }), "redis.sentinel.nodes: expected 1 to 32 sentinels, got 33"),
        (json!({ "nodes": "s1" }), "redis.sentinel.nodes: expected an array, got a string"),
        (
            json!({ "nodes": [7] }),
            "redis.sentinel.nodes[0]: expected 'host:port' or { host, port }, got a number",
        ),
        (json!({ "nodes": ["a", "a:26379"] }), "redis.sentinel.nodes[1]: names a:26379 a second time"),
        (
            json!({ "nodes": ["a:x"] }),
            "redis.sentinel.nodes[0]: expected 'host:port' with a port from 1 to 65535",
        ),
        (json!({ "nodes": ["redis://a"] }), "redis.sentinel.nodes[0]: expected "),
        (json!({ "nodes": [{ "port": 1 }] }), "redis.sentinel.nodes[0].host: is needed"),
        (
            json!({ "nodes": [{ "host": "a", "port": 0 }] }),
            "redis.sentinel.nodes[0].port: expected an integer",
        ),
        (json!({ "nodes": [{ "host": "a:1" }] }), "redis.sentinel.nodes[0].host: expected a host name"),
        (json!({ "nodes": [{ "host": "a", "tls": true }] }), "redis.sentinel.nodes[0].tls: unknown key"),
        (json!({ "password": 7 }), "redis.sentinel.password: expected a string, got a number"),
        (json!({ "tls": { "cert": PEM } }), "redis.sentinel.tls.key: is needed together with cert"),
        (json!({ "masterName": "m" }), "redis.sentinel.masterName: unknown key: did you mean 'name'?"),
        (json!({ "paswort": "m" }), "redis.sentinel.paswort: unknown key: did you mean 'password'?"),
    ] {
        let error = sentinel(&more).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidConfig);
        assert!(error.to_string().contains(expected), "{more}: {error}");
    }
    let sentinel = json!({ "name": "m", "nodes": ["s"] });
    for (redis, expected) in [
        (json!({ "sentinel": {} }), "redis.sentinel.name: is needed"),
        (json!({ "sentinel": "s1" }), "redis.sentinel: expected an object, got a string"),
        (json!({ "sentinel": sentinel, "url": "redis://h" }), "redis.url: contradicts redis.sentinel"),
        (json!({ "sentinel": sentinel, "host": "h" }), "redis.host: contradicts redis.sentinel"),
        (json!({ "sentinel": sentinel, "port": 6379 }), "redis.port: contradicts redis.sentinel"),
        (json!({ "sentinels": [] }), "redis.sentinels: unknown key: sentinels are given as 'sentinel'"),
    ] {
        let error = resolve(&json!({ "redis": redis }), &json!({})).unwrap_err();
        assert!(error.to_string().contains(expected), "{redis}: {error}");
    }
}
