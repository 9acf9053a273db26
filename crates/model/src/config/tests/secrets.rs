//! A password is never shown.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

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
    let tls = json!({"cert": PEM, "key": format!("-----BEGIN {password}"), "passphrase": password});
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
            Ok(c) => format!("{c:?}{c:#?}"),
            Err(error) => format!("{error}{error:?}"),
        };
        prop_assert!(!shown.contains("Zq9w"), "{}", shown);
        let environment = format!("{environment:?}");
        prop_assert!(!environment.contains("Zq9w"));
    }
}
