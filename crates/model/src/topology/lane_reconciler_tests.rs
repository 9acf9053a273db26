//! Lanes that come, move and go.

use std::sync::Arc;

use super::lane_reconciler::{LANE_PAUSE, LaneReconciler, LaneStep};
use super::lanes::{Lane, Lanes};
use crate::config::Address;
use crate::routing::server_subscription::ServerSubscription;
use crate::routing::subscription_reconciler::REFUSED_RETRY;

fn node(port: u16) -> Address {
    Address::Tcp { host: "h".to_owned(), port }
}

fn channel(name: &str) -> ServerSubscription {
    ServerSubscription::Channel(name.as_bytes().into())
}

fn pattern(name: &str) -> ServerSubscription {
    ServerSubscription::Pattern(name.as_bytes().into())
}

/// A client with four lanes on two nodes.
struct World {
    lanes: Arc<Lanes>,
    reconciler: LaneReconciler,
    /// Who has the slot of each lane.
    owners: Vec<Address>,
    connected: Vec<Address>,
}

impl World {
    fn new() -> World {
        let lanes = Arc::new(Lanes::new("", 4));
        let reconciler = LaneReconciler::new(lanes.clone());
        let owners = [1, 1, 2, 2].map(node).into();
        World { lanes, reconciler, owners, connected: [1, 2].map(node).into() }
    }

    fn plan(&mut self, now: u64) -> Vec<LaneStep> {
        let World { lanes, reconciler, owners, connected } = self;
        let lane_of = |slot: u16| lanes.all().find(|lane| lanes.slot(*lane) == Some(slot));
        let owner = |slot| owners.get(usize::from(lane_of(slot)?));
        reconciler.plan(owner, |at| connected.contains(at), now)
    }

    /// Confirms all that is asked for now.
    fn confirm_all(&mut self) -> Vec<ServerSubscription> {
        let mut established = Vec::new();
        for step in self.plan(0) {
            if let LaneStep::Subscribe(lane, at) = step {
                established.extend(self.reconciler.confirmed(lane, &at));
            }
        }
        established
    }

    /// An exact channel on a lane.
    fn on(&self, lane: Lane) -> ServerSubscription {
        let name = (0..).map(|n: u32| format!("t{n}")).find(|name| self.lanes.of(name.as_bytes()) == lane);
        channel(&name.unwrap())
    }
}

#[test]
fn a_channel_needs_its_lane_and_a_pattern_all() {
    let mut world = World::new();
    let exact = world.on(2);
    assert!(!world.reconciler.want(exact.clone()));
    assert_eq!(world.plan(0), [LaneStep::Subscribe(2, node(2))]);
    assert!(!world.reconciler.is_settled());
    assert_eq!(world.reconciler.confirmed(2, &node(2)), std::slice::from_ref(&exact));
    assert!(world.reconciler.is_settled() && world.reconciler.take_resumed().is_none());
    // Another one on the same lane is heard at once.
    assert!(world.reconciler.want(exact.clone()) && !world.reconciler.uses(&node(1)));
    assert!(!world.reconciler.want(pattern("*")));
    assert_eq!(world.plan(0).len(), 3);
    for (lane, at, established) in [(0, 1, 0), (1, 1, 0), (3, 2, 1)] {
        assert_eq!(world.reconciler.confirmed(lane, &node(at)).len(), established);
    }
    let status = world.reconciler.status();
    assert_eq!((status.lanes, status.wanted, status.missing), (4, 4, vec![]));
    assert_eq!(status.subscribed.into_values().collect::<Vec<_>>(), [2, 2]);
    world.reconciler.unwant(&pattern("*"));
    assert_eq!(world.plan(0).len(), 3, "they are not needed any more");
    assert!(world.plan(0).is_empty());
}

#[test]
fn what_was_lost_is_asked_for_at_its_new_home_and_resumes_once() {
    let mut world = World::new();
    let (all, exact, other) = (pattern("*"), world.on(0), world.on(3));
    for name in [&all, &exact, &other] {
        world.reconciler.want(name.clone());
    }
    assert_eq!(world.confirm_all().len(), 3);
    // Its slot moves: only those that it carries have missed something.
    world.owners[0] = node(2);
    let mut hit = world.reconciler.lost(0, &node(1));
    hit.sort_by_key(|name| name.name().to_vec());
    assert_eq!(hit, [all.clone(), exact.clone()]);
    assert_eq!(world.plan(0), [LaneStep::Subscribe(0, node(2))]);
    // Meanwhile a node dies.
    assert_eq!(world.reconciler.disconnected(&node(1)).len(), 1);
    world.connected = vec![node(2)];
    assert!(world.reconciler.confirmed(0, &node(2)).is_empty() && world.reconciler.take_resumed().is_none());
    assert_eq!(world.plan(0), [LaneStep::Connect(node(1))]);
    assert_eq!(world.reconciler.status().missing, [1]);
    world.owners[1] = node(2);
    assert_eq!(world.plan(0), [LaneStep::Subscribe(1, node(2))]);
    world.reconciler.confirmed(1, &node(2));
    assert_eq!(world.reconciler.take_resumed().map(|resumed| resumed.len()), Some(2));
    assert!(world.reconciler.take_resumed().is_none() && !world.reconciler.uses(&node(1)));
    // What an old connection says is of no interest.
    assert!(world.reconciler.lost(0, &node(1)).is_empty());
}

#[test]
fn a_lane_that_nodes_send_to_each_other_waits() {
    let mut world = World::new();
    let exact = world.on(0);
    world.reconciler.want(exact);
    assert_eq!(world.plan(0), [LaneStep::Subscribe(0, node(1))]);
    world.reconciler.postponed(0, &node(1), true, 0);
    world.owners[0] = node(2);
    assert_eq!(world.plan(0), [LaneStep::Subscribe(0, node(2))], "the first time at once");
    world.reconciler.postponed(0, &node(2), true, 0);
    world.owners[0] = node(1);
    assert!(world.plan(0).is_empty());
    assert_eq!(world.reconciler.next_retry(), Some(LANE_PAUSE));
    assert_eq!(world.plan(LANE_PAUSE), [LaneStep::Subscribe(0, node(1))]);
}

#[test]
fn a_refused_lane_denies_what_it_carries_and_is_asked_for_again() {
    let mut world = World::new();
    let (all, exact, other) = (pattern("*"), world.on(0), world.on(1));
    for name in [&all, &exact, &other] {
        world.reconciler.want(name.clone());
    }
    let steps = world.plan(0);
    assert_eq!(world.reconciler.refused(0, &node(1), 0).len(), 2);
    for step in steps.into_iter().skip(1) {
        let LaneStep::Subscribe(lane, at) = step else { panic!("{step:?}") };
        world.reconciler.confirmed(lane, &at);
    }
    assert!(world.reconciler.is_settled());
    assert_eq!(world.reconciler.refused_at(&node(1)).len(), 2);
    assert!(world.reconciler.refused_at(&node(2)).is_empty());
    assert_eq!(world.reconciler.status().missing, [0]);
    assert!(world.plan(REFUSED_RETRY - 1).is_empty());
    assert_eq!(world.plan(REFUSED_RETRY), [LaneStep::Subscribe(0, node(1))]);
    assert_eq!(world.reconciler.confirmed(0, &node(1)).len(), 2);
    assert!(world.reconciler.refused_at(&node(1)).is_empty());
}
