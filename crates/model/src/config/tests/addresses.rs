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
        (json!({"host": "[::1]", "port": 7}), "[::1]:7"),
        (json!({"url": "valkey://[::1]", "host": "[::1]"}), "[::1]:6379"),
        (json!("valkey://h:7"), "h:7"),
        (json!({"url": "redis://a/2", "host": "A", "port": 1, "database": 2}), "a:1"),
        (json!({"url": "redis://Cache/2", "host": "cACHE"}), "Cache:6379"),
        (json!({"url": "redis://a:1?db=2", "port": 1}), "a:1"),
        (json!({"url": "unix:///run/r.sock", "database": 1}), "/run/r.sock"),
    ] {
        let c = of_config(&json!({"redis": redis}));
        assert_eq!((c.mode, address(&c).as_str()), (Mode::Redis, expected));
        assert_eq!(c.notices, []);
    }
}

#[test]
fn fields_complete_the_url() {
    let url = "rediss://u:p@h/2";
    let c = of_config(&json!({"redis": {"url": url}})).redis;
    assert_eq!((c.username.as_deref(), c.database), (Some("u"), 2));
    assert_eq!((c.password, c.tls), (Some(Secret::new("p")), Some(TlsConfig::default())));
    let fields = json!({"url": "redis://h", "username": "u", "password": "q", "database": 1, "tls": false});
    let c = of_config(&json!({"redis": fields})).redis;
    assert_eq!((c.username.as_deref(), c.password), (Some("u"), Some(Secret::new("q"))));
    assert_eq!((c.database, c.tls), (1, None));
    let same = json!({"url": url, "username": "u", "password": "p", "database": 2, "host": "h", "tls": true});
    assert_eq!(of_config(&json!({"redis": same})).redis.database, 2);
    let c = of_config(&json!({"redis": {"url": "redis://h", "tls": true}})).redis;
    assert_eq!(c.tls, Some(TlsConfig::default()));
}

#[test]
fn what_contradicts_the_url_is_refused_and_both_are_named() {
    let url = "rediss://user:hunter2@h:1/2";
    for (key, value) in [
        ("host", json!("other")),
        ("port", json!(2)),
        ("username", json!("somebody")),
        ("username", json!("")),
        ("password", json!("hunter3")),
        ("password", json!("")),
        ("database", json!(0)),
        ("tls", json!(false)),
    ] {
        let error = resolve(&json!({"redis": {"url": url, key: value}}), &json!({})).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidConfig);
        let text = error.to_string();
        assert!(text.contains(&format!("redis.{key}: contradicts redis.url")), "{text}");
        assert!(!text.contains("hunter") && !text.contains("user:"), "{text}");
    }
    for twice in ["redis://h/1?db=2", "redis://a@h?user=b", "redis://:a@h?password=b", "redis://h?db=1&db=2"]
    {
        let text = resolve(&json!({"redis": twice}), &json!({})).unwrap_err().to_string();
        assert!(text.contains("redis: the URL gives two different values for the "), "{text}");
    }
}

#[test]
fn variables_beside_the_url_are_ignored_with_a_warning_where_they_differ() {
    let c = resolve(
        &json!({}),
        &json!({"REDIS_URL": "redis://:p@a/1", "REDIS_HOST": "b", "REDIS_PORT": "7", "REDIS_USERNAME": "u",
            "REDIS_PASSWORD": "hunter2", "REDIS_DB": "2", "REDIS_TLS": "yes"}),
    );
    let c = c.unwrap();
    let told: Vec<&str> = c.notices.iter().map(|n| n.message.split(' ').next().unwrap()).collect();
    assert_eq!(
        told,
        ["REDIS_HOST", "REDIS_PORT", "REDIS_USERNAME", "REDIS_PASSWORD", "REDIS_DB", "REDIS_TLS"]
    );
    assert!(c.notices[0].message.starts_with("REDIS_HOST (\"b\") is ignored: REDIS_URL is set"), "{c:?}");
    assert!(!format!("{c:?}").contains("hunter2"));
    assert!(c.notices.iter().all(|n| n.level == NoticeLevel::Warn && n.code == "OPTION_IGNORED"));
    assert_eq!((address(&c).as_str(), c.redis.database), ("a:6379", 1));
    let same = json!({"REDIS_URL": "redis://:p@Cache/1", "REDIS_HOST": "cAche", "REDIS_PORT": "6379", "REDIS_PASSWORD": "p", "REDIS_DB": "1", "REDIS_TLS": "0"});
    assert_eq!(resolve(&json!({}), &same).unwrap().notices, []);
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
    for (text, mode) in [
        ("0", Mode::Memory),
        ("off", Mode::Memory),
        (" No ", Mode::Memory),
        ("1", Mode::Redis),
        ("on", Mode::Redis),
        ("YES", Mode::Redis),
    ] {
        let c = resolve(&json!({}), &json!({"REDIS_URL": "redis://a", "ENABLE_REDIS_EVENTS": text})).unwrap();
        assert_eq!(c.mode, mode, "{text}");
        let told = c.notices.first().map(|notice| notice.message.clone());
        let why = format!("ENABLE_REDIS_EVENTS is {text:?}: events stay");
        assert_eq!(told.is_some_and(|told| told.starts_with(&why)), mode == Mode::Memory, "{text}");
    }
}

#[test]
fn variables_give_a_user_and_tls() {
    let variables =
        json!({"REDIS_HOST": "[::1]", "REDIS_USERNAME": "u", "REDIS_PASSWORD": "p", "REDIS_TLS": "on"});
    let c = resolve(&json!({}), &variables).unwrap();
    assert_eq!(address(&c), "[::1]:6379");
    assert_eq!(
        (c.redis.username.as_deref(), c.redis.password, c.redis.tls),
        (Some("u"), Some(Secret::new("p")), Some(TlsConfig::default()))
    );
    let off = resolve(&json!({}), &json!({"REDIS_HOST": "h", "REDIS_TLS": "False"})).unwrap();
    assert_eq!(off.redis.tls, None);
}

#[test]
fn service_links_of_kubernetes_are_understood() {
    let link = "tcp://10.0.0.11:6380";
    for (variables, expected) in [
        (json!({"REDIS_PORT": link}), "10.0.0.11:6380"),
        (json!({"REDIS_PORT": "tcp://[fd00::1]:6380"}), "[fd00::1]:6380"),
        (json!({"REDIS_PORT": link, "REDIS_HOST": "redis"}), "redis:6380"),
        (
            json!({"REDIS_PORT": link, "REDIS_HOST": "redis.prod.svc.cluster.local"}),
            "redis.prod.svc.cluster.local:6380",
        ),
        (json!({"REDIS_PORT": link, "REDIS_HOST": "10.0.0.11"}), "10.0.0.11:6380"),
        (json!({"REDIS_PORT": link, "REDIS_URL": "redis://a:7"}), "a:7"),
    ] {
        let c = resolve(&json!({}), &variables).unwrap();
        assert_eq!((address(&c).as_str(), c.notices.len()), (expected, 0), "{variables}");
    }
    let c = resolve(&json!({}), &json!({"REDIS_PORT": link, "REDIS_HOST": "managed.example"})).unwrap();
    assert_eq!((address(&c).as_str(), c.notices[0].code), ("managed.example:6379", "OPTION_IGNORED"));
    assert!(c.notices[0].message.starts_with(&format!("REDIS_PORT ({link:?}) is ignored")), "{c:?}");
}

#[test]
fn tls_takes_over_whom_node_trusts() {
    let variables = json!({"NODE_EXTRA_CA_CERTS": "/ca.pem", "NODE_USE_SYSTEM_CA": "1"});
    for (redis, expected) in [
        (json!("rediss://h"), Some((Some("/ca.pem".to_owned()), true))),
        (json!({"tls": {"servername": "s"}}), Some((Some("/ca.pem".to_owned()), true))),
        (json!("redis://h"), None),
    ] {
        let tls = resolve(&json!({"redis": redis}), &variables).unwrap().redis.tls;
        assert_eq!(tls.map(|tls| (tls.extra_ca, tls.system_ca)), expected, "{redis}");
    }
    let without = resolve(&json!({"redis": "rediss://h"}), &json!({"NODE_USE_SYSTEM_CA": "0"})).unwrap();
    assert_eq!(without.redis.tls, Some(TlsConfig::default()));
}
