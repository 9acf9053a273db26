//! Hybrid mode over lanes: a client reaches its own handlers without them, and others as long as the lane of the event is served.

use oxbus_testkit::{ClusterSet, RedisServer, eventually};
use serde_json::json;

use super::{able, lanes, master_of, sharded, type_on, with};
use crate::setup::ready;
use crate::support::{Inbox, PATIENCE, Remote};

/// Own events come once, whatever the server sends back; a lane that nobody serves holds up no other one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_events_come_at_once_and_those_of_others_by_the_lanes() {
    let settings = RedisServer::builder().arg("cluster-require-full-coverage", "no");
    let Some(set) = able(ClusterSet::builder().node(settings).replicas(0).start().await).await else {
        return;
    };
    let bus = ready(with(sharded(&set), json!({ "mode": "hybrid" }))).await;
    let other = ready(sharded(&set)).await;
    let patterns = ["live.*", "o.*"];
    let (own, elsewhere) = (Inbox::of(&bus, &patterns).await, Inbox::of(&other, &patterns).await);
    let mut ids = Vec::new();
    for lane in 0..lanes().count() {
        let receipt = bus.publish(type_on(lane), lane).await.unwrap();
        assert_eq!((receipt.local, &receipt.remote), (1, &Remote::Resolved), "lane {lane}");
        ids.push(receipt.id);
    }
    let stored = bus.publish("o.a", 1).await.unwrap();
    assert_eq!(stored.local, 1);
    assert!(!stored.message_id().is_empty());
    ids.push(stored.id);
    elsewhere.wait_for(ids.len()).await;
    // What comes on the lanes after the own ones.
    for lane in 0..lanes().count() {
        let back = other.publish(type_on(lane), "back").await.unwrap();
        own.wait_for_id(&back.id).await;
    }
    assert!(ids.iter().all(|id| own.times(id) == 1 && elsewhere.times(id) == 1));

    let (gone, left) = (type_on(lanes().count() - 1), type_on(0));
    set.kill(master_of(&set, lanes().of(gone.as_bytes())).await);
    eventually(PATIENCE, "the client knows that the lane is away", || async {
        let receipt = bus.publish(&gone, 2).await.unwrap();
        assert_eq!(receipt.local, 1);
        matches!(receipt.remote, Remote::Failed(_))
    })
    .await;
    let receipt = bus.publish(left, 3).await.unwrap();
    assert_eq!((receipt.local, &receipt.remote), (1, &Remote::Resolved));
    elsewhere.wait_for_id(&receipt.id).await;
    bus.disconnect().await;
    other.disconnect_within(Some(1_000)).await;
}
