//! Where the server is: the configuration and the environment.

use serde_json::json;

use super::*;

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
