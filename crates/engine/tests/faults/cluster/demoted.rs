//! A node that has given its slots away, while links to it are still there.

use oxbus_engine::host::Notice;
use oxbus_testkit::ClusterSet;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{STREAMS, TYPES, of_set};
use crate::setup::{ready, seconds};

/// How often links may try again in a second, after three failovers.
const MOST_ATTEMPTS: usize = 20;

/// A link to a node waits between two attempts, although each of them is in vain until the node has slots again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_to_nodes_without_slots_do_not_try_without_a_pause() {
    let set = ClusterSet::start().await;
    let bus = ready(of_set(&set)).await;
    for event_type in TYPES {
        bus.publish_with(event_type, 1, json!({ "replicas": 1 })).await.unwrap();
    }
    for (stream, _) in STREAMS {
        let master = set.master_of_key(stream).await;
        set.fail_over(set.replicas_of(master).await[0]).await;
        set.settled().await;
    }
    let attempts = || {
        let is_attempt = |notice: &Notice| matches!(notice, Notice::Reconnecting { .. });
        bus.notices.all().iter().filter(|notice| is_attempt(notice)).count()
    };
    let (before, began) = (attempts(), Instant::now());
    // Nothing is to happen in this time.
    sleep(seconds(3)).await;
    let (made, took) = (attempts() - before, began.elapsed());
    assert!(made <= MOST_ATTEMPTS * took.as_secs() as usize, "{made} attempts in {took:?}");
    for event_type in TYPES {
        bus.publish(event_type, 2).await.unwrap();
    }
    bus.disconnect().await;
}
