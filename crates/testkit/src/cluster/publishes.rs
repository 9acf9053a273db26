//! Waits for what nodes still have to tell each other of publishes.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::server::RedisServer;

/// The channel of the messages that are waited for.
const CHANNEL: &str = "oxbus-testkit:arrived";
/// How long a message may be under way until it counts as lost: nodes lose messages when they connect to each other anew.
const LIMIT: Duration = Duration::from_secs(2);

/// Publishes at each node, and says whether each node has heard all of it. Between two nodes messages stay in order, so all that
/// was published before has been heard then too.
pub(super) async fn arrive(nodes: &[&RedisServer]) -> Result<(), String> {
    let mut listeners = Vec::new();
    for node in nodes {
        let mut listener = node.control().await?.with_timeout(LIMIT);
        listener.call(&["SUBSCRIBE", CHANNEL]).await.map_err(|error| error.to_string())?;
        listeners.push(listener);
    }
    // What comes late from a round before must not count.
    let round = format!("{:x}", rand::random::<u64>());
    let mut all = BTreeSet::new();
    for node in nodes {
        let message = format!("{round}:{}", node.port());
        node.try_command(&["PUBLISH", CHANNEL, &message]).await?;
        all.insert(message);
    }
    for mut listener in listeners {
        let mut missing = all.clone();
        while !missing.is_empty() {
            let message = listener.read().await.map_err(|error| error.to_string())?;
            if let Some(text) = message.items().last() {
                missing.remove(&text.text());
            }
        }
    }
    Ok(())
}
