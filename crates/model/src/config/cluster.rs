//! What a configuration may not ask of a server in cluster mode.

use std::collections::HashMap;

use super::Config;
use crate::error::{BusError, ErrorKind};
use crate::stream_store::{KeyLayout, fits_cluster};

/// Accepts a configuration for a server in cluster mode.
///
/// # Errors
/// `CLUSTER_MODE` with the path of the field: a database other than 0, a stream whose keys cannot be in one slot, and events
/// that are to be stored in a stream and kept by their id in one step.
pub fn check_cluster(config: &Config) -> Result<(), BusError> {
    let refuse = |path: String, why: String| {
        Err(BusError::at(ErrorKind::ClusterMode, path, format!("the server runs in cluster mode, {why}")))
    };
    let database = config.redis.database;
    if database != 0 {
        return refuse(
            "redis.database".to_owned(),
            format!("where only database 0 can be used, not {database}"),
        );
    }
    let mut homes = HashMap::new();
    for (index, stream) in config.streams.iter().enumerate() {
        let (path, name) = (format!("streams[{index}].name"), stream.name.as_str());
        if !fits_cluster(name) {
            return refuse(path, format!("and {name:?} cannot be a hash tag: use no '}}' in it"));
        }
        let suffix = &config.dead_letter.suffix;
        if name.ends_with(suffix.as_str()) {
            return refuse(path, format!("where only dead letters have a name that ends with {suffix:?}"));
        }
        if let Some(other) = homes.insert(KeyLayout::Tagged.home(name), name) {
            return refuse(path, format!("where {other:?} and {name:?} have the same keys beside them"));
        }
    }
    if config.persistence.is_some() && !config.streams.is_empty() && !config.observe {
        let why = "where an event cannot be kept by its id in the same step in which it is stored in a stream: \
            leave out persistence, or use a client of its own for what is kept";
        return refuse("persistence".to_owned(), why.to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::Environment;

    fn check(config: Value) -> Result<(), BusError> {
        check_cluster(&Config::resolve(&config.to_string(), &Environment::default()).unwrap())
    }

    #[test]
    fn what_works_on_a_server_in_cluster_mode() {
        let streams =
            json!([{ "name": "orders", "events": "o.*" }, { "name": "{shop}:mails", "events": "m.*" }]);
        check(json!({ "redis": "redis://h/0", "streams": streams })).unwrap();
        check(json!({ "redis": "redis://h", "persistence": {} })).unwrap();
    }

    #[test]
    fn what_does_not_is_named() {
        let stream =
            |name: &str| json!({ "redis": "redis://h", "streams": [{ "name": name, "events": "*" }] });
        let stored = json!([{ "name": "s", "events": "*" }]);
        let alike = json!([{ "name": "s", "events": "a" }, { "name": "{s}", "events": "b" }]);
        for (config, path) in [
            (json!({ "redis": "redis://h/1" }), "redis.database"),
            (stream("a}b"), "streams[0].name"),
            (stream("orders:dlq"), "streams[0].name"),
            (json!({ "redis": "redis://h", "streams": alike }), "streams[1].name"),
            (json!({ "redis": "redis://h", "streams": stored, "persistence": {} }), "persistence"),
        ] {
            let error = check(config).unwrap_err();
            assert_eq!((error.kind, error.path.as_deref()), (ErrorKind::ClusterMode, Some(path)));
            assert!(error.message.contains("cluster mode"), "{error}");
        }
    }
}
