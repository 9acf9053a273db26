//! Tells a node where slots are.

use tokio::time::Instant;

use super::PATIENCE;
use crate::client::RespClient;
use crate::resp::{Value, encode_command};
use crate::server::RedisServer;

/// A connection on which replies may take long.
pub(super) async fn connect(node: &RedisServer) -> RespClient {
    node.control().await.expect("a node that answers").with_timeout(PATIENCE)
}

/// As [`set_slots`], until the node has done it for each slot.
pub(super) async fn set_all(node: &RedisServer, slots: &[u16], state: &str, other: &str) {
    let deadline = Instant::now() + PATIENCE;
    let mut left = slots.to_vec();
    while !left.is_empty() {
        let replies = set_slots(node, &left, state, other).await;
        // Valkey tells its replicas first, and refuses while it waits in vain for one of them.
        let waits = |reply: &Value| matches!(reply, Value::Error(why) if why.starts_with("NOREPLICAS"));
        let refused: Vec<bool> = replies.iter().map(waits).collect();
        for reply in replies.into_iter().filter(|reply| !waits(reply) || Instant::now() > deadline) {
            accept(reply);
        }
        left = left.into_iter().zip(refused).filter_map(|(slot, again)| again.then_some(slot)).collect();
    }
}

/// Sends all commands at once: a node writes its configuration to the disk after each round.
pub(super) async fn set_slots(node: &RedisServer, slots: &[u16], state: &str, other: &str) -> Vec<Value> {
    let mut client = connect(node).await;
    let commands = slots
        .iter()
        .flat_map(|slot| encode_command(&["CLUSTER", "SETSLOT", &slot.to_string(), state, other]));
    client.send_raw(&commands.collect::<Vec<u8>>()).await.expect("a node that reads");
    let mut replies = Vec::new();
    for _ in slots {
        replies.push(client.read().await.expect("a node that answers"));
    }
    replies
}

/// A reply that is no error. Panics on one that is.
#[track_caller]
pub(super) fn accept(reply: Value) -> Value {
    if let Value::Error(why) = &reply {
        panic!("a slot does not move: {why}");
    }
    reply
}
