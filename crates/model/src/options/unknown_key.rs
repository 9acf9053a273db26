//! What is said of a key that nobody knows: which one was meant, as far as that can be guessed.

use crate::error::ErrorKind;

/// Where a key stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the configuration itself.
    Configuration,
    /// In its `redis`.
    Redis,
    /// In the `sentinel` of that.
    Sentinel,
    /// In one of its `streams`.
    Stream,
    /// In options of a call.
    Options,
}

use Place::{Configuration, Options, Redis, Sentinel, Stream};

/// Keys of other libraries (ioredis, node-redis, BullMQ and buses like this one), and what does it here.
const ELSEWHERE: &[(Place, &[&str], &str)] = &[
    (
        Configuration,
        &["url", "host", "port", "username", "password", "database", "db", "tls"],
        "how to reach the server is said in 'redis'",
    ),
    (
        Configuration,
        &["connection", "client", "redisOptions", "redisUrl", "ioredis"],
        "did you mean 'redis'?",
    ),
    (Configuration, &["keyPrefix", "prefix", "namespace"], "did you mean 'channelPrefix'?"),
    (Configuration, &["name", "service", "clientId"], "did you mean 'serviceName'?"),
    (
        Configuration,
        &["retries", "maxRetry", "maxRetries", "attempts"],
        "'maxRetries' is an option of subscribe()",
    ),
    (Configuration, &["group", "consumerGroup"], "'group' is an option of subscribe()"),
    (Redis, &["db"], "did you mean 'database'?"),
    (Redis, &["user"], "did you mean 'username'?"),
    (Redis, &["pass", "auth"], "did you mean 'password'?"),
    (Redis, &["uri", "connectionString"], "did you mean 'url'?"),
    (Redis, &["hostname", "server", "socket"], "the address is 'host' and 'port', or 'url'"),
    (Redis, &["path"], "a unix socket is a 'url', such as unix:///run/redis.sock"),
    (Redis, &["keyPrefix", "prefix"], "'channelPrefix' of the configuration does that"),
    (Redis, &["name", "clientName"], "did you mean 'connectionName'?"),
    (
        Redis,
        &[
            "sentinels",
            "sentinelRootNodes",
            "masterName",
            "sentinelPassword",
            "sentinelUsername",
            "sentinelTLS",
        ],
        "sentinels are given as 'sentinel': { name, nodes, username, password, tls }",
    ),
    (
        Redis,
        &["nodes", "clusterNodes", "rootNodes"],
        "the nodes of a cluster are given as 'cluster': { nodes }",
    ),
    (
        Redis,
        &["retryStrategy", "reconnectStrategy", "reconnectOnError", "maxRetry", "maxRetries", "retries"],
        "a client connects again by itself, for ever",
    ),
    (
        Redis,
        &["enableOfflineQueue", "disableOfflineQueue", "offlineQueue"],
        "a call waits for the connection until its timeout",
    ),
    (Redis, &["pingInterval"], "did you mean 'heartbeat'?"),
    (Sentinel, &["masterName", "master", "group", "service"], "did you mean 'name'?"),
    (Sentinel, &["sentinels", "hosts", "urls", "addresses", "sentinelRootNodes"], "did you mean 'nodes'?"),
    (Sentinel, &["sentinelPassword", "pass", "auth"], "did you mean 'password'?"),
    (Sentinel, &["sentinelUsername", "user"], "did you mean 'username'?"),
    (Sentinel, &["sentinelTLS", "enableTLSForSentinelMode"], "did you mean 'tls'?"),
    (Stream, &["maxLen", "maxlen", "MAXLEN", "maxSize", "limit"], "did you mean 'maxLength'?"),
    (Stream, &["types", "patterns", "pattern", "subjects", "topics"], "did you mean 'events'?"),
    (Stream, &["stream", "key"], "did you mean 'name'?"),
    (Stream, &["groups", "group", "consumerGroup"], "did you mean 'consumerGroups'?"),
    (Stream, &["ttl", "maxAge"], "retention: 'time' with a 'retentionValue' in ms does that"),
    (Options, &["retries", "maxRetry", "attempts", "maxAttempts"], "did you mean 'maxRetries'?"),
    (Options, &["backoff", "retryDelay"], "did you mean 'retry'?"),
    (Options, &["consumerGroup", "groupName", "groupId"], "did you mean 'group'?"),
    (Options, &["consumerName", "consumerId"], "did you mean 'consumer'?"),
    (Options, &["prefetch", "parallel", "limit"], "did you mean 'concurrency'?"),
    (Options, &["batchSize"], "'batch' is { size, wait }"),
];

/// The message for `key`, which is unknown in the object at `path`, where `known` are known.
pub fn message(kind: ErrorKind, path: &str, key: &str, known: &[impl AsRef<str>]) -> String {
    let place = match (kind, path) {
        (ErrorKind::InvalidConfig, "") => Some(Configuration),
        (ErrorKind::InvalidConfig, "redis") => Some(Redis),
        (ErrorKind::InvalidConfig, "redis.sentinel") => Some(Sentinel),
        (ErrorKind::InvalidConfig, _) if path.starts_with("streams[") && !path.contains('.') => Some(Stream),
        (ErrorKind::InvalidOptions, "") => Some(Options),
        _ => None,
    };
    let says = |hint: &str| known.iter().any(|known| hint.contains(&format!("'{}'", known.as_ref())));
    let elsewhere = ELSEWHERE.iter().find(|(at, keys, hint)| {
        // Options of different calls have different keys.
        Some(*at) == place && keys.contains(&key) && (*at != Options || says(hint))
    });
    if let Some((_, _, hint)) = elsewhere {
        return format!("unknown key: {hint}");
    }
    match nearest(key, known) {
        Some(nearest) => format!("unknown key: did you mean '{nearest}'?"),
        None => "unknown key".to_owned(),
    }
}

/// The known key that differs from `key` by case only, or by so few letters that a slip is likely.
fn nearest<'a>(key: &str, known: &'a [impl AsRef<str>]) -> Option<&'a str> {
    let key = key.to_lowercase();
    if key.chars().count() > LONGEST {
        return None;
    }
    let distances = known.iter().map(|known| {
        let known = known.as_ref();
        (distance(&key, &known.to_lowercase()), known)
    });
    let (distance, known) = distances.min()?;
    // One letter in three, so that a short key is not taken for another word.
    (distance * 3 <= known.chars().count()).then_some(known)
}

/// Longer keys are compared with none.
const LONGEST: usize = 64;

/// How many letters have to be put in, left out, exchanged or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = a[i - 1] == b[j - 1];
            let mut least =
                (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + usize::from(!same));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told_from_another_word() {
        let known = ["concurrency", "group", "consumer", "maxRetries", "by", "batch"];
        for (key, expected) in [
            ("concurency", Some("concurrency")),
            ("Group", Some("group")),
            ("gruop", Some("group")),
            ("maxretries", Some("maxRetries")),
            ("maxRetrys", Some("maxRetries")),
            ("to", None),
            ("foo", None),
            ("", None),
        ] {
            assert_eq!(nearest(key, &known), expected, "{key}");
        }
        assert_eq!(nearest(&"x".repeat(100_000), &known), None);
    }

    #[test]
    fn what_other_libraries_call_it_is_known() {
        let known = ["host", "port", "database", "username"];
        let of_redis = |key| message(ErrorKind::InvalidConfig, "redis", key, &known);
        assert_eq!(of_redis("db"), "unknown key: did you mean 'database'?");
        assert_eq!(of_redis("keyPrefix"), "unknown key: 'channelPrefix' of the configuration does that");
        assert_eq!(of_redis("foo"), "unknown key");
        let of_sentinel = |key| message(ErrorKind::InvalidConfig, "redis.sentinel", key, &["name", "nodes"]);
        assert_eq!(of_sentinel("masterName"), "unknown key: did you mean 'name'?");
        let of_call = |key| message(ErrorKind::InvalidOptions, "", key, &["group", "maxRetries"]);
        assert_eq!(of_call("retries"), "unknown key: did you mean 'maxRetries'?");
        assert_eq!(of_call("prefetch"), "unknown key", "this call has no concurrency");
    }
}
