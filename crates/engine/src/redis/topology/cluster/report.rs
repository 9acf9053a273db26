//! What the health report says of a Cluster.

use oxbus_model::topology::lane_reconciler::LaneStatus;
use serde_json::{Value, json};

use super::view::Known;

/// The warning of slots that nobody serves.
const SLOTS_UNCOVERED: &str = "CLUSTER_SLOTS_UNCOVERED";
/// The warning of nodes that are not well.
const NODE_FAILING: &str = "CLUSTER_NODE_FAILING";
/// The warning of a client that no node tells of the Cluster.
const UNREACHABLE: &str = "CLUSTER_UNREACHABLE";
/// The warning of a master without a replica that is well; only for clients that wait for replicas.
pub(in crate::redis) const NO_REPLICA: &str = "CLUSTER_NO_REPLICA";
/// The warning of lanes of sharded pub/sub that are wanted and not subscribed.
const LANES_MISSING: &str = "CLUSTER_LANES_NOT_SUBSCRIBED";

/// The report, and its warnings.
pub(super) fn of(known: &Known, lanes: &LaneStatus) -> (Value, Vec<(&'static str, String)>) {
    let mut warnings = Vec::new();
    if let Some(error) = &known.unreachable {
        warnings.push((UNREACHABLE, error.message.clone()));
    }
    let Some(map) = &known.map else {
        return (json!({ "nodes": [], "uncoveredSlots": Value::Null }), warnings);
    };
    let uncovered = map.uncovered();
    if uncovered > 0 {
        warnings.push((SLOTS_UNCOVERED, format!("{uncovered} slots are served by no node")));
    }
    let is_well = |address, is_online| is_online && !known.suspects.contains(address);
    let nodes = || map.nodes().filter(|(has_slots, node)| *has_slots || !node.is_master);
    let failing: Vec<String> = nodes()
        .filter(|(_, node)| !is_well(&node.address, node.is_online))
        .map(|(_, node)| format!("{} {}", if node.is_master { "master" } else { "replica" }, node.address))
        .collect();
    if !failing.is_empty() {
        warnings.push((NODE_FAILING, format!("not all nodes are well: {}", failing.join(", "))));
    }
    let has_replica =
        |nodes: &[oxbus_model::topology::slot_map::Node]| nodes.iter().any(|n| !n.is_master && n.is_online);
    let shards = map.shards().iter().filter(|shard| !shard.slots.is_empty());
    let alone: Vec<String> = shards
        .filter(|shard| !has_replica(&shard.nodes))
        .filter_map(|shard| shard.nodes.iter().find(|node| node.is_master))
        .map(|node| node.address.to_string())
        .collect();
    if !alone.is_empty() {
        let message = format!("no replica could take the place of {}", alone.join(", "));
        warnings.push((NO_REPLICA, message));
    }
    if !lanes.missing.is_empty() {
        let missing: Vec<String> = lanes.missing.iter().map(ToString::to_string).collect();
        let message = format!(
            "live events are not heard of {} of {} lanes: {}",
            missing.len(),
            lanes.lanes,
            missing.join(", ")
        );
        warnings.push((LANES_MISSING, message));
    }
    let has_lanes = lanes.lanes > 0;
    let nodes: Vec<Value> = map
        .nodes()
        .map(|(_, node)| {
            let mut report = json!({
                "address": node.address.to_string(),
                "role": if node.is_master { "master" } else { "replica" },
                "slots": map.slots_of(&node.address),
                "healthy": is_well(&node.address, node.is_online),
            });
            if has_lanes && let Some(report) = report.as_object_mut() {
                let subscribed = lanes.subscribed.get(&node.address).copied().unwrap_or_default();
                report.insert("lanes".to_owned(), subscribed.into());
            }
            report
        })
        .collect();
    let mut report = json!({ "nodes": nodes, "uncoveredSlots": uncovered });
    if has_lanes && let Some(report) = report.as_object_mut() {
        let of_lanes = json!({ "count": lanes.lanes, "wanted": lanes.wanted, "missing": lanes.missing });
        report.insert("lanes".to_owned(), of_lanes);
    }
    (report, warnings)
}
