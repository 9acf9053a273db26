//! What a server says of itself. All of it panics as [`RedisServer::command`] does.

use std::collections::HashMap;
use std::time::Duration;

use super::RedisServer;
use super::builder::CONTROL_USER;
use crate::resp::Value;
use crate::wait::eventually;

impl RedisServer {
    /// A section of `INFO`, its lines by name.
    pub async fn info(&self, section: &str) -> HashMap<String, String> {
        let text = self.command(&["INFO", section]).await.text();
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    /// Waits until so many replicas have confirmed what it has now. That a replica is connected does not say so: what a
    /// master writes is kept back from a new one for up to a second.
    ///
    /// # Panics
    /// Also when they have not within 30 s.
    pub async fn wait_for_replicas(&self, count: usize) {
        eventually(Duration::from_secs(30), "replicas that have confirmed", || async {
            let Ok(control) = self.control().await else { return false };
            let mut control = control.with_timeout(Duration::from_secs(2));
            // It waits for what this connection has caused.
            let caused = control.call(&["PUBLISH", CONTROL_USER, ""]).await;
            let confirmed = control.call(&["WAIT", &count.to_string(), "1000"]).await;
            let count = i64::try_from(count).expect("a number of replicas");
            caused.is_ok() && matches!(confirmed, Ok(Value::Int(confirmed)) if confirmed >= count)
        })
        .await;
    }

    /// How often the server ran a command (`publish`, `client|kill`) since its start or
    /// `CONFIG RESETSTAT`, the kit's own calls included.
    pub async fn calls(&self, command: &str) -> u64 {
        let stats = self.info("commandstats").await;
        let line = stats.get(&format!("cmdstat_{}", command.to_lowercase()));
        let calls = line.and_then(|line| line.split(',').find_map(|field| field.strip_prefix("calls=")));
        calls.map_or(0, |calls| calls.parse().expect("a number of calls"))
    }

    /// How many connections are subscribed to exactly this channel.
    pub async fn pubsub_numsub(&self, channel: &str) -> u64 {
        count(&self.command(&["PUBSUB", "NUMSUB", channel]).await.items()[1])
    }

    /// How many different patterns are subscribed to.
    pub async fn pubsub_numpat(&self) -> u64 {
        count(&self.command(&["PUBSUB", "NUMPAT"]).await)
    }

    /// Closes every connection that is in pub/sub mode, and says how many there were. RESP3
    /// connections with subscriptions are among them.
    pub async fn client_kill_pubsub(&self) -> u64 {
        count(&self.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await)
    }

    /// The connections other than the kit's own and those of replicas, each by the fields of `CLIENT LIST`.
    pub async fn clients(&self) -> Vec<HashMap<String, String>> {
        let text = self.command(&["CLIENT", "LIST"]).await.text();
        let fields = |line: &str| -> HashMap<String, String> {
            line.split(' ')
                .filter_map(|field| field.split_once('='))
                .map(|(k, v)| (k.into(), v.into()))
                .collect()
        };
        let foreign = |client: &HashMap<String, String>| {
            let field = |name: &str| client.get(name).map_or("", String::as_str);
            let own = field("name") == CONTROL_USER || field("user") == CONTROL_USER;
            !own && !field("flags").contains(['S', 'M'])
        };
        text.lines().map(fields).filter(foreign).collect()
    }

    /// How many such connections there are.
    pub async fn connected_clients(&self) -> u64 {
        self.clients().await.len() as u64
    }

    /// Waits until a replica has synchronized with its master.
    pub async fn wait_for_replication(&self, deadline: Duration) {
        eventually(deadline, "the replica is in step with its master", || async {
            let info = self.info("replication").await;
            info.get("master_link_status").is_some_and(|status| status == "up")
        })
        .await;
    }
}

fn count(value: &Value) -> u64 {
    u64::try_from(value.int()).expect("a count")
}
