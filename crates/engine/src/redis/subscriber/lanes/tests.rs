//! The hub, without a server.

use oxbus_model::{BusError, ErrorKind};
use serde_json::json;

use super::*;
use crate::redis::offline::{nowhere, offline};

/// What a link to a node tells late, that has been left, is not about the link that has taken its place.
#[tokio::test]
async fn what_is_known_of_a_node_is_that_of_its_present_link() {
    let (connector, view, state) = offline(json!({ "pubsub": "sharded" }));
    let lanes = connector.context.lanes.clone().expect("lanes");
    let mut hub = LaneHub::new(connector, view, lanes);
    let (node, id) = (nowhere(), LinkId::Subscriber.at(&nowhere()));
    let is_known = || state.lifecycle.links().contains_key(&id);
    hub.connect(node.clone());
    // No lane needs it.
    hub.end_unused();
    hub.connect(node.clone());
    hub.told(&node, 2, FromNode::Opened(5));
    let lost = BusError::new(ErrorKind::Closed, "the link has ended");
    for late in [FromNode::Closed(None, lost), FromNode::Ended] {
        hub.told(&node, 1, late);
        assert!(hub.nodes[&node].connected && is_known());
    }
    hub.end_unused();
    assert!(is_known(), "it is ending");
    hub.told(&node, 2, FromNode::Ended);
    assert!(!is_known());
}

/// A client that hears no live events is not unwell because nothing comes.
#[tokio::test]
async fn who_wants_no_lane_is_well_as_soon_as_somebody_asks() {
    let (connector, view, state) = offline(json!({ "pubsub": "sharded" }));
    let lanes = connector.context.lanes.clone().expect("lanes");
    connector.context.events.link_needed(&LinkId::Subscriber);
    let hub = LaneHub::new(connector, view, lanes);
    let last_answer = || state.lifecycle.links()[&LinkId::Subscriber].last_ok;
    assert_eq!(last_answer(), None);
    let (probe, answered) = oneshot::channel();
    hub.probe(probe);
    answered.await.expect("an answer");
    assert!(last_answer().is_some());
}
