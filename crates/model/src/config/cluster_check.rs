//! What a configuration may not ask of a server in cluster mode.

use std::collections::HashMap;

use crate::codec::{Codec, LetterFormat};
use crate::config::redis::RedisConfig;
use crate::config::streams::{DeadLetterConfig, StreamConfig};
use crate::error::{BusError, ErrorKind};
use crate::stream_store::{KeyLayout, fits_cluster, slot};

/// Accepts a configuration for a server in cluster mode.
///
/// # Errors
/// `CLUSTER_MODE` with the path of the field: a database other than 0, a stream whose keys cannot be in one slot, keys of a format that
/// cannot, and, with
/// `keeps_and_stores`, events that are to be stored in a stream and kept by their id in one step.
pub(super) fn check(
    redis: &RedisConfig,
    streams: &[StreamConfig],
    (dead_letter, codec): (&DeadLetterConfig, &Codec),
    (keeps, keeps_and_stores): (bool, bool),
) -> Result<(), BusError> {
    let refuse = |path: String, why: String| {
        Err(BusError::at(ErrorKind::ClusterMode, path, format!("the server runs in cluster mode, {why}")))
    };
    let database = redis.database;
    if database != 0 {
        return refuse(
            "redis.database".to_owned(),
            format!("where only database 0 can be used, not {database}"),
        );
    }
    if keeps && codec.keys().is_some_and(|keys| keys.event.is_some()) {
        let why = "where an event that is kept by its id has a key in the slot of the history: leave out keys.event";
        return refuse("wire".to_owned(), why.to_owned());
    }
    let mut homes = HashMap::new();
    for (index, stream) in streams.iter().enumerate() {
        let (path, name) = (format!("streams[{index}].name"), stream.name.as_str());
        if !fits_cluster(name) {
            return refuse(path, format!("and {name:?} cannot be a hash tag: use no '}}' in it"));
        }
        if dead_letter.names.name_in(name).is_some() {
            let form = dead_letter.names.of("…");
            return refuse(path, format!("where only dead letters have a name such as {form:?}"));
        }
        // A format of a user's own says its names, and whoever else has it knows them by those only.
        if codec.letters().is_some_and(LetterFormat::is_described) {
            let copies = dead_letter.copies.as_ref().map(|copies| copies.names.of(name));
            let to = [Some(dead_letter.names.of(name)), copies];
            if let Some(other) = to.iter().flatten().find(|to| slot(to) != slot(name)) {
                let why = format!(
                    "where a dead letter moves in one slot, and {other:?} is in another one than {name:?}: give the stream a tag, such as \"{{{name}}}\""
                );
                return refuse(path, why);
            }
        }
        if let Some(other) = homes.insert(KeyLayout::Tagged.home(name), name) {
            return refuse(path, format!("where {other:?} and {name:?} have the same keys beside them"));
        }
    }
    if keeps_and_stores {
        let why = "where an event cannot be kept by its id in the same step in which it is stored in a stream: \
            give the server as redis.cluster, leave out persistence, or use a client of its own for what is kept";
        return refuse("persistence".to_owned(), why.to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::{Config, Environment, PubSub, Servers, check_cluster};

    fn check(config: Value) -> Result<(), BusError> {
        check_cluster(&Config::resolve(&config.to_string(), &Environment::default()).unwrap())
    }

    #[test]
    fn a_cluster_is_given_by_some_of_its_nodes() {
        let resolve = |cluster: Value| {
            Config::resolve(&json!({ "redis": { "cluster": cluster } }).to_string(), &Environment::default())
        };
        let map = json!({ "10.0.0.1:6379": "localhost:7001", "10.0.0.2": { "host": "tunnel" } });
        let cluster = json!({ "nodes": ["a", "b:7000"], "pubsub": "broadcast", "addressMap": map });
        let config = resolve(cluster).unwrap();
        assert_eq!(config.redis.servers.to_string(), "the cluster of a:6379, b:7000");
        let Servers::Cluster(cluster) = &config.redis.servers else { panic!("{config:?}") };
        assert_eq!((cluster.addresses.0.len(), cluster.pubsub), (2, PubSub::Broadcast));
        for (more, lanes) in [(json!({}), 16), (json!({ "lanes": 1 }), 1), (json!({ "lanes": 256 }), 256)] {
            let mut cluster = json!({ "nodes": ["a"], "pubsub": "sharded" });
            cluster.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let config = resolve(cluster).unwrap();
            let Servers::Cluster(cluster) = &config.redis.servers else { panic!("{config:?}") };
            assert_eq!(cluster.pubsub, PubSub::Sharded { lanes });
            assert_eq!(cluster.pubsub.to_string(), format!("sharded:{lanes}"));
        }
        for (cluster, path) in [
            (json!({}), "redis.cluster.nodes"),
            (json!({ "nodes": ["a", "a:6379"] }), "redis.cluster.nodes[1]"),
            (json!({ "nodes": ["a"], "pubsub": "both" }), "redis.cluster.pubsub"),
            (json!({ "nodes": ["a"], "lanes": 16 }), "redis.cluster.lanes"),
            (json!({ "nodes": ["a"], "pubsub": "broadcast", "lanes": 16 }), "redis.cluster.lanes"),
            (json!({ "nodes": ["a"], "pubsub": "sharded", "lanes": 0 }), "redis.cluster.lanes"),
            (json!({ "nodes": ["a"], "pubsub": "sharded", "lanes": 257 }), "redis.cluster.lanes"),
            (json!({ "nodes": ["a"], "addressMap": { "b": "c:x" } }), r#"redis.cluster.addressMap["b"]"#),
            (json!({ "nodes": ["a"], "seeds": [] }), "redis.cluster.seeds"),
        ] {
            let error = resolve(cluster).unwrap_err();
            assert_eq!(
                (error.kind, error.path.as_deref()),
                (ErrorKind::InvalidConfig, Some(path)),
                "{error}"
            );
        }
    }

    #[test]
    fn what_a_cluster_cannot_do_is_an_invalid_configuration() {
        let with = |more: Value| {
            let mut config = json!({ "redis": { "cluster": { "nodes": ["a"] } } });
            config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            Config::resolve(&config.to_string(), &Environment::default())
        };
        let streams =
            json!([{ "name": "{shop}:orders", "events": "o.*" }, { "name": "mails", "events": "*" }]);
        with(json!({ "streams": streams, "persistence": {} })).unwrap();
        for (config, path) in [
            (json!({ "redis": { "cluster": { "nodes": ["a"] }, "database": 1 } }), "redis.database"),
            (json!({ "redis": { "cluster": { "nodes": ["a"] }, "url": "redis://h" } }), "redis.url"),
            (json!({ "streams": [{ "name": "a}b", "events": "*" }] }), "streams[0].name"),
        ] {
            let error = with(config).unwrap_err();
            assert_eq!(
                (error.kind, error.path.as_deref()),
                (ErrorKind::InvalidConfig, Some(path)),
                "{error}"
            );
        }
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
