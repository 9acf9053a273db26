//! The names of all streams, step by step: of a server, or of one master of a Cluster after the other.

use oxbus_model::BusError;
use oxbus_model::stream_store::Response;
use redis::cmd;

use crate::redis::streams::store::call::StoreCall;
use crate::redis::streams::store_replies;

/// The keys that one step of a scan looks at, about.
const SCANNED: usize = 1_000;

/// The upper bits of a cursor are the number of the master. Servers use the lower ones: those of the largest table of keys.
const BITS: u32 = 54;

/// The next names. The cursor is 0 at the beginning and at the end.
///
/// A scan that masters come to or go from while it runs may leave out streams or tell them twice.
pub(super) async fn streams(call: &StoreCall, cursor: u64) -> Result<Response, BusError> {
    let masters = call.commands.masters();
    let (at, cursor) = (cursor >> BITS, cursor & ((1 << BITS) - 1));
    let node = usize::try_from(at).ok().and_then(|at| masters.get(at));
    let mut command = cmd("SCAN");
    command.arg(cursor).arg("COUNT").arg(SCANNED).arg("TYPE").arg("stream");
    let reply = call.commands.ask_node(node, &command, call.deadline).await.map_err(|error| match node {
        Some(node) => BusError { message: format!("{node}: {}", error.message), ..error },
        None => error,
    })?;
    let Response::Scanned { next, names } = store_replies::scanned(reply)? else {
        return Err(crate::transport::store::unexpected());
    };
    let next = match next {
        0 if at + 1 < masters.len() as u64 => (at + 1) << BITS,
        0 => 0,
        next => at << BITS | next,
    };
    Ok(Response::Scanned { next, names })
}
