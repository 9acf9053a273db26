//! Configurations: what is read, and the defaults.

mod addresses;
mod observing;
mod refused;
mod secrets;
mod sentinel;
mod wires;

use serde_json::{Value, json};

use super::*;
use crate::codec::Codec;
use crate::retry::Jitter;

const PEM: &str = "-----BEGIN X-----\nhunter2pem\n-----END X-----";

fn env(variables: &Value) -> Environment {
    Environment::from_json(&variables.to_string()).unwrap()
}

/// A configuration that can be used: what lacks an address is refused as it is on its first use.
fn resolve(config: &Value, variables: &Value) -> Result<Config, BusError> {
    let config = Config::resolve(&config.to_string(), &env(variables))?;
    config.no_address.clone().map_or(Ok(config), Err)
}

fn of_config(config: &Value) -> Config {
    resolve(config, &json!({})).unwrap()
}

fn address(config: &Config) -> String {
    config.redis.servers.to_string()
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
    assert_eq!((&c.performance, c.json), (&Performance::default(), JsonRule::Lenient));
    let [notice] = c.notices.as_slice() else { panic!("{:?}", c.notices) };
    assert_eq!((notice.level, notice.code), (NoticeLevel::Warn, "MEMORY_MODE"));
}

#[test]
fn every_key_is_read() {
    let c = of_config(&json!({
        "serviceName": "api", "mode": "redis", "memory": "m", "channelPrefix": "p:", "pubsub": false, "durable": ["order.*"],
        "streams": [{"name": "s", "events": "*"}], "lease": 100, "foreignLease": 200, "deadLetter": {"enabled": false},
        "persistence": {"ttl": 1},
        "wire": "oxbus", "validation": {"maxEventBytes": 20, "maxDataBytes": 10}, "validateOnReceive": true, "json": "strict",
        "retry": {"jitter": "none"}, "inherit": false, "logLevel": "debug", "requireNoEviction": true,
        "performance": {"batchSize": 1, "batchInterval": 2, "maxRetries": 3, "retryDelay": 4, "maxInFlight": 5,
            "maxInFlightBytes": 6},
        "redis": {"host": "h", "port": 1, "username": "u", "password": "p", "database": 2, "connectTimeout": 3,
            "commandTimeout": 4, "keepAlive": 0, "heartbeat": 100, "enableReadyCheck": false,
            "connectionName": "n", "lazyConnect": true,
            "tls": {"ca": [PEM, PEM], "cert": PEM, "key": {"type": "Buffer", "data": PEM.as_bytes()},
                "passphrase": "w", "servername": "s", "rejectUnauthorized": false}},
    }));
    let pem = format!("{PEM}\n");
    let tls = TlsConfig {
        ca: Some(format!("{pem}{pem}")),
        cert: Some(pem.clone()),
        key: Some(Secret::new(pem)),
        passphrase: Some(Secret::new("w")),
        extra_ca: None,
        system_ca: false,
        servername: Some("s".into()),
        reject_unauthorized: false,
    };
    let expected = Config {
        codec: Codec::Oxbus,
        wires: Wires::one(Codec::Oxbus, "p:"),
        service_name: "api".into(),
        mode: Mode::Redis,
        redis: RedisConfig {
            servers: Servers::One(Address::Tcp { host: "h".into(), port: 1 }),
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
        keys: KeyNames::plain("p:"),
        limits: Limits { max_event_bytes: 20, max_data_bytes: 10 },
        validate_on_receive: true,
        json: JsonRule::Strict,
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
        durable: Durable::Matching(vec!["order.*".into()]),
        observe: false,
        streams: c.streams.clone(),
        lease: 100,
        foreign_lease: 200,
        dead_letter: DeadLetterConfig { enabled: false, ..DeadLetterConfig::default() },
        persistence: Some(PersistenceConfig { ttl: 1, history: true }),
        notices: vec![Notice::not_verified("redis.tls.rejectUnauthorized")],
        no_address: None,
    };
    assert_eq!(c, expected);
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
