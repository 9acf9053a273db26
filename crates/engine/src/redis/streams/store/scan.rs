//! The names of all streams, step by step: of a server, or of all masters of a Cluster at once.

use oxbus_model::BusError;
use oxbus_model::config::Address;
use oxbus_model::stream_store::{Response, ScanCursor};
use redis::cmd;

use crate::redis::streams::node_links::naming;
use crate::redis::streams::store::call::StoreCall;
use crate::redis::streams::store_replies;
use crate::runtime::joined::join_bounded;

/// The keys that one step of a scan looks at on each node, about.
const SCANNED: usize = 1_000;

/// How many nodes are asked at once.
const NODES_AT_ONCE: usize = 8;

/// The next names: a step on each master that has keys left, all by the same deadline. Masters that do not answer are
/// named in the error.
///
/// A master that comes while a scan runs is looked through from its beginning. A scan while slots move may leave out streams
/// or tell them twice.
pub(super) async fn streams(call: &StoreCall, mut cursor: ScanCursor) -> Result<Response, BusError> {
    let nodes = call.commands.nodes(call.deadline).await?;
    let open = nodes.iter().filter_map(|node| Some((node.as_ref(), cursor.next_of(node.as_ref())?)));
    let asked = open.map(|(node, at)| step(call, node, at)).collect();
    let (mut names, mut failed) = (Vec::new(), Vec::new());
    for (node, answer) in join_bounded(NODES_AT_ONCE, asked).await {
        match answer {
            Ok((next, found)) => {
                cursor.advance(node, next);
                names.extend(found);
            }
            Err(error) => failed.push(error),
        }
    }
    if let Some(first) = failed.first() {
        let all: Vec<&str> = failed.iter().map(|error| &*error.message).collect();
        return Err(BusError { message: all.join("; "), ..first.clone() });
    }
    let has_more = nodes.iter().any(|node| cursor.next_of(node.as_ref()).is_some());
    Ok(Response::Scanned { next: has_more.then_some(cursor), names })
}

/// One step on a node.
async fn step<'a>(
    call: &StoreCall,
    node: Option<&'a Address>,
    at: u64,
) -> (Option<&'a Address>, Result<(u64, Vec<String>), BusError>) {
    let mut command = cmd("SCAN");
    command.arg(at).arg("COUNT").arg(SCANNED).arg("TYPE").arg("stream");
    let reply = call.commands.ask_node(node, &command, call.deadline).await;
    let answer = reply.and_then(store_replies::scanned);
    let named = |error: BusError| match node {
        Some(node) => naming(node, error),
        None => error,
    };
    (node, answer.map_err(named))
}
