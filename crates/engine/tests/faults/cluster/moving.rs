//! Slots move to other masters while events are published and read.

use oxbus_testkit::{ClusterSet, eventually};
use serde_json::json;

use super::{Load, STREAMS, assert_in_order, handled, judge, kept, of_set, worker};
use crate::setup::ready;
use crate::support::{Inbox, PATIENCE};

/// All slots of a group move twice under load: nothing is lost, nothing comes twice, and each stream stays in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_of_a_group_move_and_nothing_is_lost_or_out_of_order() {
    let set = ClusterSet::builder().replicas(0).start().await;
    let (bus, inbox) = worker(&set).await;
    let load = Load::start(of_set(&set), 2);
    inbox.wait_for(100).await;
    for round in 1..=2 {
        for (stream, _) in STREAMS {
            let slot = set.slot_of(stream).await;
            let from = set.master_of(slot).await;
            let at = set.nodes().iter().position(|node| node.port() == from.port()).unwrap();
            set.move_slot(slot, &set.nodes()[(at + round) % 3]).await;
            let before = inbox.len();
            inbox.wait_for(before + 100).await;
        }
    }
    let sent = load.end().await;
    let kept = kept(&set).await;
    assert_eq!(judge(&sent, &kept), (0, 0));
    assert_eq!(kept.len(), sent.len(), "all were resolved");
    handled(&inbox, &kept).await;
    assert_in_order(&inbox);
    bus.disconnect().await;
}

/// Ranges of slots move from master to master under load, each in one step where servers can (Valkey 9: `CLUSTER MIGRATESLOTS`),
/// else slot by slot: nothing is lost, nothing comes twice, and each stream stays in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_of_slots_move_and_nothing_is_lost_or_out_of_order() {
    let set = ClusterSet::builder().replicas(0).start().await;
    let at_once = set.moves_at_once().await;
    let (bus, inbox) = worker(&set).await;
    let load = Load::start(of_set(&set), 2);
    inbox.wait_for(100).await;
    for round in 1..=2 {
        for (stream, _) in STREAMS {
            let slot = set.slot_of(stream).await;
            let from = set.master_of(slot).await;
            let at = set.nodes().iter().position(|node| node.port() == from.port()).unwrap();
            let to = &set.nodes()[(at + round) % 3];
            // Some slots behind it move along, as far as they are of the same node.
            let served = set.slots_of(from).await;
            let last = (slot..slot + 20).take_while(|slot| served.contains(slot)).last().unwrap();
            if at_once {
                set.move_slots_at_once(slot..=last, to).await;
            } else {
                set.move_slots(&(slot..=last).collect::<Vec<_>>(), to).await;
                set.settled().await;
            }
            assert_eq!(set.master_of(slot).await.port(), to.port());
            let before = inbox.len();
            inbox.wait_for(before + 100).await;
        }
    }
    let sent = load.end().await;
    let kept = kept(&set).await;
    assert_eq!(judge(&sent, &kept), (0, 0));
    assert_eq!(kept.len(), sent.len(), "all were resolved");
    handled(&inbox, &kept).await;
    assert_in_order(&inbox);
    bus.disconnect().await;
}

/// A slot stays half way: its stream is on the new node, and the slot still belongs to the old one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_slot_is_on_its_way_its_stream_is_used_where_it_is() {
    let set = ClusterSet::builder().replicas(0).start().await;
    let (bus, inbox) = worker(&set).await;
    let publisher = ready(of_set(&set)).await;
    publisher.publish("o.a", 1).await.unwrap();
    inbox.wait_for(1).await;
    let slot = set.slot_of("orders").await;
    let from = set.master_of(slot).await;
    let to = set.nodes().iter().find(|node| node.port() != from.port()).unwrap();
    set.begin_move(&[slot], from, to).await;
    publisher.publish("o.a", 2).await.unwrap();
    inbox.wait_for(2).await;
    set.migrate_keys(&[slot], from, to).await;
    for n in 3..10 {
        publisher.publish("o.a", n).await.unwrap();
        inbox.wait_for(n).await;
    }
    // The slot is the old node's still.
    let refused = to.try_command(&["EXISTS", "orders"]).await.unwrap_err();
    assert!(refused.to_string().contains(&format!("MOVED {slot} {}", from.addr())), "{refused}");
    set.end_move(&[slot], from, to).await;
    publisher.publish("o.a", 10).await.unwrap();
    inbox.wait_for(10).await;
    assert_eq!(inbox.data(), (1..=10).map(|n| json!(n)).collect::<Vec<_>>());
    bus.disconnect().await;
    publisher.disconnect().await;
}

/// Deduplicated events have a key beside their stream: while the two are on different nodes, their publish waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deduplicated_events_wait_until_their_keys_are_on_one_node() {
    let set = ClusterSet::builder().replicas(0).start().await;
    let publisher = ready(of_set(&set)).await;
    let once = |id: &str| json!({ "id": id, "deduplicate": true, "timeout": 20_000 });
    publisher.publish_with("o.a", 1, once("1")).await.unwrap();
    let slot = set.slot_of("orders").await;
    let from = set.master_of(slot).await;
    let to = set.nodes().iter().find(|node| node.port() != from.port()).unwrap();
    set.begin_move(&[slot], from, to).await;
    let publishing = publisher.publish_with("o.a", 2, once("2"));
    let moving = async {
        let refused = || async { from.info("errorstats").await.contains_key("errorstat_TRYAGAIN") };
        eventually(PATIENCE, "a publish that has to wait", refused).await;
        set.migrate_keys(&[slot], from, to).await;
        set.end_move(&[slot], from, to).await;
    };
    let (published, ()) = tokio::join!(publishing, moving);
    published.unwrap();
    publisher.publish_with("o.a", 2, once("2")).await.unwrap();
    assert_eq!(to.command(&["XLEN", "orders"]).await.int(), 2);
    publisher.disconnect().await;
}

/// What is asked now and then follows the slots too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_follow_a_slot() {
    let set = ClusterSet::builder().replicas(0).start().await;
    let bus = ready(of_set(&set)).await;
    bus.publish("o.a", 1).await.unwrap();
    let slot = set.slot_of("orders").await;
    let from = set.master_of(slot).await;
    let to = set.nodes().iter().find(|node| node.port() != from.port()).unwrap();
    set.move_slot(slot, to).await;
    let info = bus.request("streams.info", json!({ "name": "orders" })).await.unwrap();
    assert_eq!(info["length"], 1, "{info}");
    let inbox = Inbox::with(&bus, &["o.*"], json!({ "group": "late", "from": "beginning" })).await;
    inbox.wait_for(1).await;
    bus.disconnect().await;
}
