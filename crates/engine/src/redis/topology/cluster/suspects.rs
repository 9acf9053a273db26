//! Looks after nodes that could not be reached, or were lost: whether they can be reached again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::view::ClusterView;
use crate::redis::connection::access::Access;

/// The time between two looks at all of them.
const PERIOD: Duration = Duration::from_secs(1);

/// Tries them for ever, one after the other. A node may have no link that connects to it again: one without streams of this client,
/// or one that was a master and is a replica now.
pub(super) async fn look_after(view: Arc<ClusterView>, access: Access, limit: Duration) {
    let mut known = view.known();
    loop {
        let suspects = known.borrow_and_update().suspects.clone();
        if suspects.is_empty() {
            if known.changed().await.is_err() {
                return;
            }
            continue;
        }
        for node in suspects {
            let deadline = Instant::now() + limit;
            if matches!(timeout_at(deadline, access.log_in(&node, deadline)).await, Ok(Ok(_))) {
                view.is_well(&node);
            }
        }
        sleep(PERIOD).await;
    }
}
