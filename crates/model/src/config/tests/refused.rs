//! Configurations that are refused, and how.

use serde_json::json;

use super::*;

#[test]
fn bad_configurations_are_named() {
    let redis = |redis: Value| json!({"redis": redis});
    let tls = |tls: Value| json!({"redis": {"tls": tls}});
    for (config, message) in [
        (json!([]), "the configuration must be an object, not an array".into()),
        (json!({"foo": 1}), "foo: unknown key".into()),
        (json!({"serviceName": ""}), "serviceName: must not be empty".into()),
        (json!({"serviceName": 1}), "serviceName: expected a string, got a number".into()),
        (json!({"serviceName": "a\u{0}"}), "serviceName: must not hold control characters".into()),
        (json!({"mode": "x"}), "mode: expected 'redis' or 'memory' or 'hybrid', got \"x\"".into()),
        (json!({"mode": null}), "mode: expected 'redis' or 'memory' or 'hybrid', got null".into()),
        (json!({"lease": 99}), "lease: expected an integer from 100 to 86400000, got 99".into()),
        (json!({"pubsub": 0}), "pubsub: expected true or false, got a number".into()),
        (json!({"memory": ""}), "memory: must not be empty".into()),
        (json!({"channelPrefix": "x".repeat(257)}), "channelPrefix: has at most 256 bytes, not 257".into()),
        (json!({"channelPrefix": "a\n"}), "channelPrefix: must not hold control characters".into()),
        (json!({"validation": 1}), "validation: expected an object, got a number".into()),
        (json!({"validation": {"max": 1}}), "validation.max: unknown key".into()),
        (
            json!({"validation": {"maxDataBytes": 2_000_000}}),
            "validation.maxDataBytes: must not exceed maxEventBytes (1048576)".into(),
        ),
        (json!({"inherit": "yes"}), "inherit: expected true or false, got a string".into()),
        (
            json!({"logLevel": "loud"}),
            "logLevel: expected 'debug' or 'info' or 'warn' or 'error' or 'silent', got \"loud\"".into(),
        ),
        (
            json!({"performance": {"batchSize": 65537}}),
            "performance.batchSize: expected an integer from 1 to 65536, got 65537".into(),
        ),
        (
            json!({"performance": {"batchInterval": 1.5}}),
            "performance.batchInterval: expected an integer from 0 to 1000, got 1.5".into(),
        ),
        (
            json!({"retry": {"jitter": true}}),
            "retry.jitter: expected 'full' or 'none', got a boolean".into(),
        ),
        (redis(json!(6379)), "redis: expected a URL or an object, got a number".into()),
        (redis(json!("")), "redis: expected a URL with redis://, rediss://, valkey://, valkeys://, unix:// or redis+unix://".into()),
        (redis(json!({"foo": 1})), "redis.foo: unknown key".into()),
        (redis(json!({"db": 1})), "redis.db: unknown key: did you mean 'database'?".into()),
        (
            redis(json!({"conectTimeout": 1})),
            "redis.conectTimeout: unknown key: did you mean 'connectTimeout'?".into(),
        ),
        (
            redis(json!({"keyPrefix": "a"})),
            "redis.keyPrefix: unknown key: 'channelPrefix' of the configuration does that".into(),
        ),
        (json!({"host": "a"}), "host: unknown key: how to reach the server is said in 'redis'".into()),
        (json!({"logger": true}), "logger: must be a logger, or false".into()),
        (
            json!({"streams": [{"name": "s", "events": "*", "maxLen": 1}]}),
            "streams[0].maxLen: unknown key: did you mean 'maxLength'?".into(),
        ),
        (redis(json!({"cluster": {}})), "redis.cluster.nodes: expected 1 to 32 nodes, got 0".into()),
        (
            redis(json!({"url": "redis://h:x"})),
            "redis.url: not a valid URL (invalid port number); in a password, the characters / ? # [ ] @ are \
             written percent-encoded"
                .into(),
        ),
        (redis(json!({"host": ""})), "redis.host: expected a host name of 1 to 255 characters".into()),
        (
            redis(json!({"host": "redis://h"})),
            "redis.host: expected a host name or an IP address; an address with a scheme is a 'url'".into(),
        ),
        (
            redis(json!({"host": "h:1"})),
            "redis.host: expected a host name or an IP address without a port; the port is a field of its own"
                .into(),
        ),
        (redis(json!({"port": 0})), "redis.port: expected an integer from 1 to 65535, got 0".into()),
        (redis(json!({"port": "1"})), "redis.port: expected an integer from 1 to 65535, got a string".into()),
        (
            redis(json!({"port": null})),
            "redis.port: expected an integer from 1 to 65535, got null (or NaN)".into(),
        ),
        (redis(json!({"url": "unix:///a", "port": 1})), "redis.port: the url is a unix socket".into()),
        (redis(json!({"url": "unix:///a", "host": "h"})), "redis.host: the url is a unix socket".into()),
        (redis(json!({"url": "unix:///a", "tls": true})), "redis.tls: a unix socket does not use TLS".into()),
        (
            redis(json!({"database": -1})),
            "redis.database: expected an integer from 0 to 2147483647, got -1".into(),
        ),
        (redis(json!({"password": 7})), "redis.password: expected a string, got a number".into()),
        (
            redis(json!({"heartbeat": 99})),
            "redis.heartbeat: expected an integer from 100 to 60000, got 99".into(),
        ),
        (
            redis(json!({"connectionName": "a b"})),
            "redis.connectionName: expected printable ASCII without spaces".into(),
        ),
        (tls(json!("yes")), "redis.tls: expected an object or true or false, got a string".into()),
        (tls(json!({"foo": 1})), "redis.tls.foo: unknown key".into()),
        (
            tls(json!({"ca": "/etc/ca.pem"})),
            "redis.tls.ca: is not PEM text; give the content of the file, not its name".into(),
        ),
        (tls(json!({"ca": []})), "redis.tls.ca: must not be empty".into()),
        (
            tls(json!({"ca": {"type": "Buffer", "data": [300]}})),
            "redis.tls.ca: expected PEM text (a string, a Buffer or an array of them), got an object".into(),
        ),
        (tls(json!({"cert": PEM})), "redis.tls.key: is needed together with cert".into()),
        (tls(json!({"key": PEM})), "redis.tls.cert: is needed together with key".into()),
        (
            tls(json!({"passphrase": "w"})),
            "redis.tls.key: is needed together with passphrase, which opens it".into(),
        ),
    ] {
        let error = resolve(&config, &json!({})).unwrap_err();
        let message: String = message;
        assert_eq!((error.kind, &error.message), (ErrorKind::InvalidConfig, &message), "{config}");
        assert_eq!(error.path.as_deref(), message.split_once(": ").map(|(path, _)| path));
    }
}

#[test]
fn a_missing_address_and_bad_variables_are_named() {
    let production = json!({"NODE_ENV": "production"});
    for (config, variables, message) in [
        (json!({"mode": "redis"}), json!({}), "redis: no address, but the mode is 'redis'"),
        (json!({"mode": "hybrid"}), json!({}), "redis: no address, but the mode is 'hybrid'"),
        (json!({}), production.clone(), "redis: no address, but NODE_ENV is production"),
        (
            json!({"streams": [{"name": "s", "events": "*"}]}),
            json!({}),
            "redis: no address, but there are streams",
        ),
        (json!({}), json!({"REDIS_URL": "http://a"}), "REDIS_URL: expected a URL"),
        (json!({}), json!({"REDIS_HOST": "a/b"}), "REDIS_HOST: expected a host name"),
        (json!({}), json!({"REDIS_PORT": "tcp://a:x"}), "REDIS_PORT: expected a port, or a service link"),
        (json!({}), json!({"REDIS_PORT": "udp://a:1"}), "REDIS_PORT: expected an integer from 1 to 65535"),
        (json!({}), json!({"REDIS_HOST": "a", "REDIS_DB": "x"}), "REDIS_DB: expected an integer from 0"),
        (
            json!({}),
            json!({"REDIS_HOST": "a", "REDIS_TLS": "maybe"}),
            "REDIS_TLS: expected true, 1, on, yes or",
        ),
        (
            json!({}),
            json!({"ENABLE_REDIS_EVENTS": "nope"}),
            "ENABLE_REDIS_EVENTS: expected true, 1, on, yes or",
        ),
        (json!({}), json!({"SERVICE_NAME": "a\n"}), "SERVICE_NAME: must not hold"),
    ] {
        let error = resolve(&config, &variables).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidConfig);
        assert!(error.message.starts_with(message), "{error}");
        // A client without an address is made, and refused when it is used.
        let made = Config::resolve(&config.to_string(), &env(&variables)).is_ok();
        assert_eq!(made, message.starts_with("redis: no address"), "{config}");
    }
    for (variable, value) in [
        ("REDIS_HOST", "a b"),
        ("REDIS_HOST", "redis://h"),
        ("REDIS_PORT", "0"),
        ("REDIS_PORT", "tcp://a"),
        ("REDIS_PORT", "tcp://a:70000"),
        ("REDIS_DB", "x"),
        ("REDIS_TLS", "maybe"),
        ("ENABLE_REDIS_EVENTS", "nope"),
        ("SERVICE_NAME", "a\u{1}"),
    ] {
        let mut variables = json!({"REDIS_HOST": "a"});
        variables[variable] = json!(value);
        let error = resolve(&json!({}), &variables).unwrap_err();
        assert_eq!(error.path.as_deref(), Some(variable));
        assert!(error.message.ends_with(&format!(", got {value:?}")), "{error}");
        variables[variable] = json!(format!("redis://:hunter2@{value}"));
        let resolved = resolve(&json!({}), &variables);
        if let Err(error) = resolved {
            assert!(!error.message.contains("hunter2") && error.message.contains("'@'"), "{error}");
        }
    }
    for text in ["", "[]", "\"redis://:hunter2@h\"", "{\"REDIS_HOST\":1}"] {
        let error = Environment::from_json(text).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidConfig);
        assert!(!error.message.contains("hunter2"), "{error}");
    }
    assert_eq!(Config::resolve("{", &Environment::default()).unwrap_err().kind, ErrorKind::InvalidConfig);
}
