//! What a server says of itself, for the health report: the parts of `INFO` that an operator of a bus looks for.

use oxbus_model::BusError;
use serde_json::json;

use crate::redis::connection::{cluster, replicas_info};
use crate::transport::{CLUSTER_MODE, EVICTION_POLICY, OLD_SERVER, Probe, SERVER_INFO_DENIED};

/// The part of `maxmemory`, in percent, from which on it is nearly full.
const NEARLY_FULL: u64 = 90;

/// Between our clock and that of the server, in milliseconds, above which they count as skewed.
const SKEWED: i64 = 5_000;

/// Reads `INFO`. `latency` is that of its round trip in milliseconds, `now` our time after it; `stores`: whether the bus
/// stores events; `replicas`: the most that a publish of this client has waited for.
pub(in crate::redis) fn of(info: &str, latency: f64, now: i64, stores: bool, replicas: u32) -> Probe {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = |name: &str| field(name).and_then(|n| n.parse::<u64>().ok());
    let policy = field("maxmemory_policy");
    let mut warnings = Vec::new();
    let mut warn = |code: &'static str, message: String| warnings.push((code, message));
    if field("redis_mode").or_else(|| field("server_mode")) == Some("cluster") {
        warn(CLUSTER_MODE, cluster::WARNING.to_owned());
    }
    // Others call themselves by the version of Redis that they are like.
    let major = |version: &str| version.split('.').next()?.parse::<u32>().ok();
    if let Some(version) = field("redis_version").filter(|version| major(version).is_some_and(|n| n < 7)) {
        let message = format!(
            "the server is Redis {version}: before 7.0 the lag of groups and the number of trimmed events are unknown, and \
             the end of a stream is noticed late"
        );
        warn(OLD_SERVER, message);
    }
    if let Some(policy) = policy.filter(|p| *p != "noeviction") {
        let message = format!("maxmemory-policy is {policy}: the server deletes data when memory is short");
        warn(EVICTION_POLICY, message);
    }
    let logs = field("aof_enabled").map(|enabled| enabled == "1");
    if stores && logs == Some(false) {
        let message =
            "the server keeps no append-only file: stored events since its last snapshot are lost with it";
        warn("NO_PERSISTENCE", message.to_owned());
    }
    for (name, what) in [
        ("aof_last_write_status", "writing the append-only file"),
        ("aof_last_bgrewrite_status", "rewriting the append-only file"),
        ("rdb_last_bgsave_status", "writing a snapshot"),
    ] {
        if field(name).is_some_and(|status| status != "ok") {
            warn("PERSISTENCE_FAILING", format!("the last time the server failed at {what} ({name})"));
        }
    }
    let (used, limit) = (number("used_memory"), number("maxmemory").filter(|limit| *limit > 0));
    if let (Some(used), Some(limit)) = (used, limit)
        && used.saturating_mul(100) / limit >= NEARLY_FULL
    {
        let message =
            format!("the server uses {used} of {limit} bytes (maxmemory); when it is full it refuses events");
        warn("MEMORY_NEARLY_FULL", message);
    }
    // Servers since 7.0 tell their time. They read it about half a round trip ago.
    let server_time = number("server_time_usec").and_then(|us| i64::try_from(us / 1_000).ok());
    let skew = server_time.map(|time| now - (latency / 2.0) as i64 - time);
    if let Some(skew) = skew.filter(|skew| skew.abs() > SKEWED) {
        let side = if skew > 0 { "ahead of" } else { "behind" };
        let message = format!("the clock of this machine is {} ms {side} that of the server", skew.abs());
        warn("CLOCK_SKEW", message);
    }
    warnings.extend(replicas_info::warnings(info, replicas));
    let server = json!({
        "connected": true,
        "server": field("server_name").unwrap_or("redis"),
        // Servers that are not Redis call themselves an old one, for clients that look.
        "version": field("valkey_version").or_else(|| field("redis_version")),
        "role": field("role"),
        "maxmemoryPolicy": policy,
        "appendOnly": logs,
        "connectedClients": number("connected_clients"),
        "usedMemory": used,
        "maxMemory": limit,
        "clockSkew": skew,
    });
    Probe { latency: Some(latency), server, warnings, ..Probe::default() }
}

/// Of a server that does not tell: it answered after `latency` with `error`.
pub(in crate::redis) fn withheld(error: &BusError, latency: f64) -> Probe {
    let message = format!(
        "the server tells nothing of itself (INFO), so its eviction policy, persistence, memory and clock are unknown: {}",
        error.message
    );
    let warnings = vec![(SERVER_INFO_DENIED, message)];
    Probe { latency: Some(latency), server: json!({ "connected": true }), warnings, ..Probe::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: &str = "redis_version:7.0.15\r\nserver_time_usec:1000000000000\r\nmaxmemory_policy:noeviction\r\n\
        used_memory:10\r\nmaxmemory:0\r\naof_enabled:1\r\nrdb_last_bgsave_status:ok\r\naof_last_write_status:ok\r\n";
    /// The time of that server.
    const NOW: i64 = 1_000_000_000;

    fn codes(info: &str, now: i64, stores: bool) -> Vec<&'static str> {
        of(info, 2.0, now, stores, 0).warnings.into_iter().map(|(code, _)| code).collect()
    }

    #[test]
    fn a_server_that_is_well_gives_no_warning() {
        let report = of(WELL, 2.0, NOW + 1, true, 0);
        assert_eq!(report.warnings, []);
        assert_eq!((&report.server["version"], &report.server["clockSkew"]), (&json!("7.0.15"), &json!(0)));
        assert_eq!(codes("", NOW, true), [""; 0]);
    }

    #[test]
    fn the_server_is_named_as_it_names_itself() {
        let server = |info: &str| of(info, 2.0, NOW, true, 0).server;
        assert_eq!(server(WELL)["server"], "redis");
        let valkey = "server_name:valkey\r\nredis_version:7.2.4\r\nvalkey_version:8.1.8\r\n";
        let of_valkey = server(valkey);
        assert_eq!((&of_valkey["server"], &of_valkey["version"]), (&json!("valkey"), &json!("8.1.8")));
    }

    #[test]
    fn each_trouble_has_its_warning() {
        let with = |from: &str, to: &str| codes(&WELL.replace(from, to), NOW, true);
        assert_eq!(with(":noeviction", ":allkeys-lru"), ["EVICTION_POLICY"]);
        assert_eq!(with("7.0.15", "6.2.14"), ["OLD_SERVER"]);
        assert_eq!(with("7.0.15", "10.0.0"), [""; 0]);
        assert_eq!(with("aof_enabled:1", "aof_enabled:0"), ["NO_PERSISTENCE"]);
        assert_eq!(codes(&WELL.replace("aof_enabled:1", "aof_enabled:0"), NOW, false), [""; 0]);
        // Valkey has another name for it.
        for mode in ["redis_mode", "server_mode"] {
            assert_eq!(with("redis_version", &format!("{mode}:cluster\r\nredis_version")), ["CLUSTER_MODE"]);
        }
        assert_eq!(with("bgsave_status:ok", "bgsave_status:err"), ["PERSISTENCE_FAILING"]);
        assert_eq!(with("write_status:ok", "write_status:err"), ["PERSISTENCE_FAILING"]);
        assert_eq!(with("maxmemory:0", "maxmemory:11"), ["MEMORY_NEARLY_FULL"]);
        assert_eq!(with("maxmemory:0", "maxmemory:12"), [""; 0]);
        assert_eq!(codes(WELL, NOW + 5_002, true), ["CLOCK_SKEW"]);
        assert_eq!(codes(WELL, NOW - 5_002, true), ["CLOCK_SKEW"]);
        assert_eq!(codes(WELL, NOW + 5_000, true), [""; 0]);
    }
}
