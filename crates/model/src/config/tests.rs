mod observing;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::retry::Jitter;

const PEM: &str = "-----BEGIN X-----\nhunter2pem\n-----END X-----";

fn env(variables: &Value) -> Environment {
    Environment::from_json(&variables.to_string()).unwrap()
}

fn resolve(config: &Value, variables: &Value) -> Result<Config, BusError> {
    Config::resolve(&config.to_string(), &env(variables))
}

fn of_config(config: &Value) -> Config {
    resolve(config, &json!({})).unwrap()
}

fn address(config: &Config) -> String {
    config.redis.address.to_string()
}

#[test]
fn nothing_given_means_the_defaults_and_one_line() {
    let c = of_config(&json!({}));
    assert_eq!((c.service_name.as_str(), c.mode, c.memory.as_str()), ("oxbus", Mode::Memory, "default"));
    assert_eq!((c.channel_prefix.as_str(), c.inherit, c.validate_on_receive), ("", true, false));
    assert_eq!((c.limits.max_event_bytes, c.limits.max_data_bytes), (1_048_576, 524_288));
    assert_eq!(
        (c.log_level, c.require_no_eviction, &c.retry),
        (LogLevel::Info, false, &RetryPolicy::default())
    );
    assert_eq!(c.performance, Performance::default());
    let [notice] = c.notices.as_slice() else { panic!("{:?}", c.notices) };
    assert_eq!((notice.level, notice.code), (NoticeLevel::Info, "MEMORY_MODE"));
}

#[test]
fn every_key_is_read() {
    let c = of_config(&json!({
        "serviceName": "api", "mode": "redis", "memory": "m", "channelPrefix": "p:", "pubsub": false,
        "streams": [{"name": "s", "events": "*"}], "lease": 100, "deadLetter": {"enabled": false},
        "persistence": {"ttl": 1},
        "wire": "oxbus", "validation": {"maxEventBytes": 20, "maxDataBytes": 10}, "validateOnReceive": true,
        "retry": {"jitter": "none"}, "inherit": false, "logLevel": "debug", "requireNoEviction": true,
        "performance": {"batchSize": 1, "batchInterval": 2, "maxRetries": 3, "retryDelay": 4, "maxInFlight": 5,
            "maxInFlightBytes": 6},
        "redis": {"host": "h", "port": 1, "username": "u", "password": "p", "database": 2, "connectTimeout": 3,
            "commandTimeout": 4, "keepAlive": 0, "heartbeat": 100, "enableReadyCheck": false,
            "connectionName": "n", "lazyConnect": true,
            "tls": {"ca": [PEM, PEM], "cert": PEM, "key": {"type": "Buffer", "data": PEM.as_bytes()},
                "servername": "s", "rejectUnauthorized": false}},
    }));
    let pem = format!("{PEM}\n");
    let tls = TlsConfig {
        ca: Some(format!("{pem}{pem}")),
        cert: Some(pem.clone()),
        key: Some(Secret::new(pem)),
        servername: Some("s".into()),
        reject_unauthorized: false,
    };
    let expected = Config {
        service_name: "api".into(),
        mode: Mode::Redis,
        redis: RedisConfig {
            address: Address::Tcp { host: "h".into(), port: 1 },
            username: Some("u".into()),
            password: Some(Secret::new("p")),
            database: 2,
            tls: Some(tls),
            connect_timeout: 3,
            command_timeout: 4,
            keep_alive: 0,
            heartbeat: 100,
            ready_check: false,
            connection_name: Some("n".into()),
            lazy_connect: true,
        },
        memory: "m".into(),
        channel_prefix: "p:".into(),
        limits: Limits { max_event_bytes: 20, max_data_bytes: 10 },
        validate_on_receive: true,
        retry: RetryPolicy { jitter: Jitter::None, ..RetryPolicy::default() },
        inherit: false,
        log_level: LogLevel::Debug,
        require_no_eviction: true,
        performance: Performance {
            batch_size: 1,
            batch_interval: 2,
            max_retries: 3,
            retry_delay: 4,
            max_in_flight: 5,
            max_in_flight_bytes: 6,
        },
        pubsub: false,
        observe: false,
        streams: c.streams.clone(),
        lease: 100,
        dead_letter: DeadLetterConfig { enabled: false, ..DeadLetterConfig::default() },
        persistence: Some(PersistenceConfig { ttl: 1, history: true }),
        notices: vec![],
    };
    assert_eq!(c, expected);
}

#[test]
fn redis_is_a_url_or_an_object() {
    for (redis, expected) in [
        (json!({}), "localhost:6379"),
        (json!("redis://h"), "h:6379"),
        (json!("redis://[::1]:1"), "[::1]:1"),
        (json!("unix:///run/r.sock"), "/run/r.sock"),
        (json!({"host": "::1"}), "[::1]:6379"),
        (json!({"url": "redis://a:1/2", "host": "b"}), "b:1"),
        (json!({"url": "redis://a:1", "port": 2}), "a:2"),
        (json!({"url": "unix:///run/r.sock", "database": 1}), "/run/r.sock"),
    ] {
        let c = of_config(&json!({"redis": redis}));
        assert_eq!((c.mode, address(&c).as_str()), (Mode::Redis, expected));
        assert_eq!(c.notices, []);
    }
}

#[test]
fn fields_override_and_complete_the_url() {
    let url = "rediss://u:p@h/2";
    let c = of_config(&json!({"redis": {"url": url}})).redis;
    assert_eq!((c.username.as_deref(), c.database), (Some("u"), 2));
    assert_eq!((c.password, c.tls), (Some(Secret::new("p")), Some(TlsConfig::default())));
    let fields = json!({"redis": {"url": url, "username": "", "password": "q", "database": 0, "tls": false}});
    let c = of_config(&fields).redis;
    assert_eq!((c.username, c.password, c.database, c.tls), (None, Some(Secret::new("q")), 0, None));
    let c = of_config(&json!({"redis": {"url": "redis://h", "tls": true}})).redis;
    assert_eq!(c.tls, Some(TlsConfig::default()));
}

#[test]
fn keys_of_other_clients_are_accepted_with_a_notice() {
    let c = of_config(
        &json!({"redis": {"poolSize": 10, "maxRetriesPerRequest": null, "retryDelayOnFailover": 1}}),
    );
    assert_eq!(c.notices.len(), 3);
    assert!(c.notices.iter().all(|n| n.level == NoticeLevel::Warn && n.code == "OPTION_IGNORED"));
    assert!(c.notices[0].message.starts_with("redis.poolSize "));
}

#[test]
fn the_environment_is_read_without_redis() {
    let host = json!({"REDIS_HOST": "h", "REDIS_PORT": " 7 ", "REDIS_PASSWORD": "p", "REDIS_DB": "3"});
    for (config, variables, mode, expected) in [
        (json!({}), json!({"REDIS_URL": "redis://a", "REDIS_HOST": "b"}), Mode::Redis, "a:6379"),
        (json!({}), host.clone(), Mode::Redis, "h:7"),
        (json!({}), json!({"REDIS_URL": "", "REDIS_HOST": "b", "REDIS_PORT": ""}), Mode::Redis, "b:6379"),
        (json!({}), json!({"REDIS_PORT": "7"}), Mode::Redis, "localhost:7"),
        (json!({}), json!({"REDIS_PASSWORD": "p"}), Mode::Memory, "localhost:6379"),
        (
            json!({"redis": "redis://a"}),
            json!({"REDIS_HOST": "b", "ENABLE_REDIS_EVENTS": "false"}),
            Mode::Redis,
            "a:6379",
        ),
        (json!({"redis": {}}), json!({"REDIS_URL": "redis://b"}), Mode::Redis, "localhost:6379"),
        (json!({"mode": "redis"}), json!({"REDIS_HOST": "b"}), Mode::Redis, "b:6379"),
        (
            json!({"mode": "memory"}),
            json!({"REDIS_URL": "no url", "NODE_ENV": "production"}),
            Mode::Memory,
            "localhost:6379",
        ),
        (json!({"mode": "memory", "redis": "redis://a"}), json!({}), Mode::Memory, "a:6379"),
        (json!({"mode": "hybrid", "redis": "redis://a"}), json!({}), Mode::Hybrid, "a:6379"),
        (json!({"mode": "hybrid"}), json!({"REDIS_HOST": "b"}), Mode::Hybrid, "b:6379"),
        (json!({}), json!({"REDIS_HOST": "b", "ENABLE_REDIS_EVENTS": "true"}), Mode::Redis, "b:6379"),
    ] {
        let c = resolve(&config, &variables).unwrap();
        assert_eq!((c.mode, address(&c).as_str()), (mode, expected), "{config} {variables}");
    }
    let c = resolve(&json!({}), &host).unwrap();
    assert_eq!((c.redis.password, c.redis.database), (Some(Secret::new("p")), 3));
}

#[test]
fn redis_switched_off_by_the_environment_says_so() {
    let off = json!({"REDIS_URL": "redis://a", "ENABLE_REDIS_EVENTS": "False", "NODE_ENV": "production"});
    for (config, level) in [
        (json!({}), NoticeLevel::Info),
        (json!({"mode": "redis"}), NoticeLevel::Warn),
        (json!({"streams": [{"name": "s", "events": "*"}]}), NoticeLevel::Warn),
    ] {
        let c = resolve(&config, &off).unwrap();
        assert_eq!((c.mode, c.notices[0].level, c.notices[0].code), (Mode::Memory, level, "MEMORY_MODE"));
    }
}

#[test]
fn the_service_name_has_three_sources() {
    let env = json!({"SERVICE_NAME": "e", "package": "@scope/p"});
    for (config, variables, expected) in [
        (json!({"serviceName": "c"}), env.clone(), "c"),
        (json!({}), env, "e"),
        (json!({}), json!({"SERVICE_NAME": "", "package": "@scope/p"}), "@scope/p"),
        (json!({}), json!({"package": "a\nb"}), "oxbus"),
        (json!({}), json!({}), "oxbus"),
    ] {
        assert_eq!(resolve(&config, &variables).unwrap().service_name, expected);
    }
}

#[test]
fn a_smaller_event_limit_lowers_that_of_data() {
    let c = of_config(&json!({"validation": {"maxEventBytes": 1000}}));
    assert_eq!(c.limits, Limits { max_event_bytes: 1000, max_data_bytes: 1000 });
}

#[test]
fn bad_configurations_are_named() {
    let later = |key: &str| format!("{key}: not available in this release");
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
        (json!({"wire": "spine"}), "wire: a format other than 'oxbus' is not available in this release".into()),
        (json!({"wire": {}}), "wire: a format other than 'oxbus' is not available in this release".into()),
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
            "logLevel: expected 'debug' or 'info' or 'warn' or 'error', got \"loud\"".into(),
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
        (redis(json!("")), "redis: expected a URL with redis://, rediss://, unix:// or redis+unix://".into()),
        (redis(json!({"foo": 1})), "redis.foo: unknown key".into()),
        (redis(json!({"cluster": {}})), later("redis.cluster")),
        (redis(json!({"sentinel": {}})), later("redis.sentinel")),
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
        (json!({}), json!({"REDIS_PORT": "tcp://a:1"}), "REDIS_PORT: expected an integer from 1 to 65535"),
        (json!({}), json!({"REDIS_HOST": "a", "REDIS_DB": "x"}), "REDIS_DB: expected an integer from 0"),
        (json!({}), json!({"SERVICE_NAME": "a\n"}), "SERVICE_NAME: must not hold"),
    ] {
        let error = resolve(&config, &variables).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidConfig);
        assert!(error.message.starts_with(message), "{error}");
    }
    for text in ["", "[]", "\"redis://:hunter2@h\"", "{\"REDIS_HOST\":1}"] {
        let error = Environment::from_json(text).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidConfig);
        assert!(!error.message.contains("hunter2"), "{error}");
    }
    assert_eq!(Config::resolve("{", &Environment::default()).unwrap_err().kind, ErrorKind::InvalidConfig);
}

#[test]
fn javascript_is_told_the_settings() {
    let c = of_config(&json!({"mode": "memory", "redis": {"password": "hunter2", "poolSize": 1}}));
    let settings: Value = serde_json::from_str(&c.settings_json()).unwrap();
    let notice = json!({"level": "warn", "code": "OPTION_IGNORED", "message": c.notices[0].message});
    assert_eq!(
        settings,
        json!({
            "serviceName": "oxbus", "mode": "memory", "memory": "default", "channelPrefix": "", "inherit": true,
            "logLevel": "info", "validateOnReceive": false, "batchSize": 256, "batchInterval": 0,
            "maxDataBytes": 524288, "maxEventBytes": 1048576, "maxRetries": 0, "retryDelay": 100, "commandTimeout": 5000,
            "notices": [notice],
        })
    );
}

/// A configuration with `password` in every place where one can be, well or badly written.
fn with_password(password: &str, form: usize, fault: &Value) -> (Value, Value) {
    let hosts = ["h:1/2", "h:x", "h/x", "h?a=b", "h#", "", "[::1", "a b", "h:1/2?db=z"];
    let host = hosts[form % hosts.len()];
    let schemes = ["redis", "rediss", "unix", "redis+unix", "http", "", "REDIS"];
    let scheme = schemes[form / hosts.len() % schemes.len()];
    let url = match form % 4 {
        0 => format!("{scheme}://:{password}@{host}"),
        1 => format!("{scheme}://user:{password}@{host}"),
        2 => format!("{scheme}:///run/x?pass={password}"),
        _ => format!("{scheme}://{password}@{host}"),
    };
    let tls = json!({"cert": PEM, "key": format!("-----BEGIN {password}")});
    let object =
        json!({"password": password, "tls": tls, "port": fault, "host": fault, "lazyConnect": fault});
    let config = match form % 5 {
        0 => json!({"redis": url}),
        1 => json!({"redis": {"url": url, "password": password}}),
        2 => json!({"redis": object}),
        3 => json!({"redis": {"password": password, "tls": tls}, "serviceName": fault}),
        _ => json!({"mode": "redis"}),
    };
    (config, json!({"REDIS_URL": url, "REDIS_PASSWORD": password}))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn a_password_is_never_shown(
        tail in "[a-zA-Z0-9@:/?#%&=\\\\ \t^é\\[\\]-]{0,12}",
        form in 0usize..10_000,
        fault in prop_oneof![Just(json!(null)), Just(json!(1)), Just(json!("x")), Just(json!({"a": 1})), Just(json!(true))],
    ) {
        // In the URL of a socket that ends a password, written as it is, and begins the path.
        prop_assume!(!tail.contains("@/"));
        // The mark is at both ends, so that no piece of the password can be shown unnoticed.
        let password = format!("Zq9w{tail}Zq9w");
        let (config, variables) = with_password(&password, form, &fault);
        let environment = env(&variables);
        let shown = match Config::resolve(&config.to_string(), &environment) {
            // A user name may be shown, and an address that is a path is no URL with a password.
            Ok(c) if form % 4 == 3 => format!("{:?}", c.redis.password),
            Ok(c) => format!("{c:?}{c:#?}{}", c.settings_json()),
            Err(error) => format!("{error}{error:?}"),
        };
        prop_assert!(!shown.contains("Zq9w"), "{}", shown);
        let environment = format!("{environment:?}");
        prop_assert!(!environment.contains("Zq9w"));
    }
}
