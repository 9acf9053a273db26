//! What a master says of its replicas, for the health report.

/// The warning of publishes that wait for more replicas than there are.
const TOO_FEW_REPLICAS: &str = "TOO_FEW_REPLICAS";
/// The warning of a replica that does not keep up.
const REPLICA_BEHIND: &str = "REPLICA_BEHIND";

/// How long ago a replica may have confirmed something, in seconds. It does so each second.
const SILENT: u64 = 5;

/// Reads the replicas of `INFO`. `asked`: the most replicas that a publish of this client has waited for.
pub(super) fn warnings(info: &str, asked: u32) -> Vec<(&'static str, String)> {
    let mut warnings = Vec::new();
    if info.lines().find_map(|line| line.strip_prefix("role:")) != Some("master") {
        return warnings;
    }
    let replicas = info.lines().filter_map(Replica::read);
    let (behind, following): (Vec<_>, Vec<_>) =
        replicas.map(|replica| (replica, replica.trouble())).partition(|(_, trouble)| trouble.is_some());
    for (replica, trouble) in &behind {
        let why = trouble.as_deref().unwrap_or_default();
        warnings.push((REPLICA_BEHIND, format!("the replica {}:{} {why}", replica.host, replica.port)));
    }
    let count = following.len();
    if usize::try_from(asked).is_ok_and(|asked| asked > count) {
        let message = format!(
            "publishes of this client wait for {asked} replicas, and {count} follow the master: they are NOT_REPLICATED"
        );
        warnings.push((TOO_FEW_REPLICAS, message));
    }
    warnings
}

/// A line such as `slave0:ip=10.0.0.2,port=6379,state=online,offset=1442,lag=0`.
#[derive(Clone, Copy)]
struct Replica<'a> {
    host: &'a str,
    port: &'a str,
    state: &'a str,
    lag: Option<u64>,
}

impl<'a> Replica<'a> {
    fn read(line: &'a str) -> Option<Replica<'a>> {
        let (number, facts) = line.strip_prefix("slave")?.split_once(':')?;
        number.parse::<u32>().ok()?;
        let fact = |name: &str| {
            facts.split(',').find_map(|fact| fact.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default()
        };
        Some(Replica {
            host: fact("ip"),
            port: fact("port"),
            state: fact("state"),
            lag: fact("lag").parse().ok(),
        })
    }

    /// What is wrong with it.
    fn trouble(self) -> Option<String> {
        match self.lag {
            _ if self.state != "online" => Some(format!("does not follow yet ({})", self.state)),
            Some(lag) if lag > SILENT => Some(format!("has not confirmed anything for {lag} s")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(info: &str, asked: u32) -> Vec<&'static str> {
        warnings(info, asked).into_iter().map(|(code, _)| code).collect()
    }

    #[test]
    fn replicas_are_told_that_do_not_follow_or_are_too_few() {
        let alone = "role:master\r\nconnected_slaves:0\r\n";
        assert_eq!(codes(alone, 0), [""; 0]);
        assert_eq!(codes(alone, 1), [TOO_FEW_REPLICAS]);
        let one = "role:master\r\nconnected_slaves:1\r\nslave0:ip=::1,port=7,state=online,offset=3,lag=5\r\n";
        assert_eq!(codes(one, 1), [""; 0]);
        assert_eq!(codes(one, 2), [TOO_FEW_REPLICAS]);
        let silent = one.replace("lag=5", "lag=6");
        assert_eq!(codes(&silent, 0), [REPLICA_BEHIND]);
        assert_eq!(codes(&silent, 1), [REPLICA_BEHIND, TOO_FEW_REPLICAS]);
        assert_eq!(warnings(&silent, 0)[0].1, "the replica ::1:7 has not confirmed anything for 6 s");
        let loading = one.replace("online", "send_bulk");
        assert_eq!(warnings(&loading, 0)[0].1, "the replica ::1:7 does not follow yet (send_bulk)");
    }

    #[test]
    fn a_replica_and_a_server_that_tells_nothing_say_nothing_of_replicas() {
        for info in ["", "role:slave\r\nslave_repl_offset:7\r\nslave_priority:100\r\n"] {
            assert_eq!(codes(info, 2), [""; 0]);
        }
        assert_eq!(codes("role:master\r\nslave_x:ip=1\r\nslaves:1\r\n", 0), [""; 0]);
    }
}
