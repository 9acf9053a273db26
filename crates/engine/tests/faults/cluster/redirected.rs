//! What is published to a node that does not have the slot, or not yet, or not all of it.

use oxbus_testkit::{ClusterSet, FaultProxy, RedisServer, eventually};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::of_set;
use crate::setup::{millis, ready};
use crate::support::{PATIENCE, Record};

/// While a slot moves, its node refuses an event that has a mark beside its stream, and would take the one behind it: that waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_behind_an_event_that_has_to_wait_waits_as_well() {
    let set = ClusterSet::builder().replicas(0).start().await;
    let publisher = ready(of_set(&set)).await;
    publisher.publish("o.a", 0).await.unwrap();
    let (slot, from, to) = of_orders(&set).await;
    set.begin_move(&[slot], from, to).await;
    let record = |n: u32| match n % 3 {
        1 => Record::new("o.a", n).with(once(n)),
        _ => Record::new("o.a", n).with(json!({ "timeout": 20_000 })),
    };
    let records: Vec<Record> = (1..=12).map(record).collect();
    let publishing = publisher.start_publish(&records);
    // Also in the pauses nothing goes past it.
    let tried = || async { refusals(from, "TRYAGAIN").await >= 10 };
    eventually(PATIENCE, "a publish that has to wait", tried).await;
    assert_eq!(from.command(&["XLEN", "orders"]).await.int(), 1);
    set.migrate_keys(&[slot], from, to).await;
    set.end_move(&[slot], from, to).await;
    for published in publishing.results().await {
        published.unwrap();
    }
    let entries = to.command(&["XRANGE", "orders", "-", "+"]).await;
    let data = |entry: &oxbus_testkit::Value| {
        let fields = entry.items()[1].items();
        let pair = fields.chunks(2).find(|pair| pair[0].text() == "data").expect("data");
        pair[1].text()
    };
    let stored: Vec<String> = entries.items().iter().map(data).collect();
    assert_eq!(stored, (0..=12).map(|n| n.to_string()).collect::<Vec<_>>());
    publisher.disconnect().await;
}

/// Only the first of those that wait for a slot is sent again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_wait_for_a_slot_one_is_tried() {
    let set = ClusterSet::builder().replicas(0).start().await;
    let publisher = ready(of_set(&set)).await;
    publisher.publish("o.a", 0).await.unwrap();
    let (slot, from, to) = of_orders(&set).await;
    set.begin_move(&[slot], from, to).await;
    let records: Vec<Record> = (1..=200).map(|n| Record::new("o.a", n).with(once(n))).collect();
    let started = Instant::now();
    let publishing = publisher.start_publish(&records);
    let refused = || async { refusals(from, "TRYAGAIN").await };
    eventually(PATIENCE, "all are refused once", || async { refused().await >= 200 }).await;
    eventually(PATIENCE, "one is tried again", || async { refused().await >= 205 }).await;
    let (refused, took) = (refused().await, started.elapsed());
    // A refused command waits for 20 ms. Were all tried again, it would be 200 in that time.
    assert!(refused <= 300 + took.as_millis() as u64 / 20, "{refused} refusals in {took:?}");
    set.migrate_keys(&[slot], from, to).await;
    set.end_move(&[slot], from, to).await;
    for published in publishing.results().await {
        published.unwrap();
    }
    assert_eq!(to.command(&["XLEN", "orders"]).await.int(), 201);
    publisher.disconnect().await;
}

/// Two nodes that say of each other that they have the slot are not asked without a pause.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_send_an_event_to_each_other_have_pauses() {
    let set = ClusterSet::builder().replicas(0).start().await;
    let publisher = ready(of_set(&set)).await;
    publisher.publish("o.a", 0).await.unwrap();
    let (slot, from, to) = of_orders(&set).await;
    // The old node alone hears of the move, and the new one goes on to send clients there.
    from.command(&["DEL", "orders"]).await;
    from.command(&["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", set.id(to)]).await;
    let publishing = publisher.publish_with("o.a", 1, json!({ "timeout": 20_000 }));
    let ending = async {
        eventually(PATIENCE, "both have refused it", || async {
            refusals(from, "MOVED").await >= 3 && refusals(to, "MOVED").await >= 3
        })
        .await;
        let (before, start) = (refusals(from, "MOVED").await, Instant::now());
        eventually(PATIENCE, "more of that", || async { refusals(from, "MOVED").await >= before + 30 }).await;
        // A refused command waits for 20 ms, and goes back at once only when a node was asked who has the slot, every 50 ms at
        // most. Without pauses thirty take 80 ms.
        assert!(start.elapsed() >= millis(250), "thirty refusals took {:?}", start.elapsed());
        to.command(&["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", set.id(to)]).await;
    };
    let (published, ()) = tokio::join!(publishing, ending);
    published.unwrap();
    assert_eq!(to.command(&["XLEN", "orders"]).await.int(), 1);
    publisher.disconnect().await;
}

/// A node that loses its last slot answers what it was sent before: nothing of it is unknown.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_slot_leaves_a_node_and_all_is_answered() {
    let set = ClusterSet::builder().replicas(0).start().await;
    let (slot, from, to) = of_orders(&set).await;
    let proxy = FaultProxy::start(from.addr()).await;
    let mut config = of_set(&set);
    config["redis"]["cluster"]["addressMap"] = json!({ from.addr().to_string(): proxy.addr().to_string() });
    // On a busy machine it takes a while until all slots have moved.
    config["redis"]["commandTimeout"] = json!(30_000);
    config["redis"]["heartbeat"] = json!(30_000);
    let publisher = ready(config).await;
    let named = |id: &str| json!({ "id": id, "timeout": 30_000 });
    publisher.publish_with("o.a", 0, named(PUBLISHED)).await.unwrap();
    let link = proxy.wait_for_connection(PUBLISHED).await;
    let slots: Vec<u16> = set.slots_of(from).await;
    let other = slots.iter().find(|other| **other != slot).expect("another slot");
    let question = json!({ "name": name_in(*other) });
    publisher.request("streams.exists", question.clone()).await.unwrap();
    let asked = proxy.wait_for_connection(name_in(*other)).await;
    proxy.freeze_replies(link);
    let publishing = publisher.start_publish(&[Record::new("o.a", 1).with(named("second"))]);
    let is_stored = || async { from.command(&["XLEN", "orders"]).await.int() == 2 };
    eventually(PATIENCE, "it is stored", is_stored).await;
    set.move_slots(&slots, to).await;
    // A question shows the client that the node has nothing any more: then it ends its links there.
    publisher.request("streams.exists", question).await.unwrap();
    eventually(PATIENCE, "the client knows it", || async { !proxy.open_connections().contains(&asked) })
        .await;
    proxy.thaw(link);
    for published in publishing.results().await {
        published.unwrap();
    }
    publisher.publish("o.a", 2).await.unwrap();
    assert_eq!(to.command(&["XLEN", "orders"]).await.int(), 3);
    publisher.disconnect().await;
}

/// The old node says that it does not know a script when the slot has left it: the new one runs it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_a_node_did_not_know_is_run_by_the_next_one() {
    let set = ClusterSet::builder().replicas(0).start().await;
    let (slot, from, to) = of_orders(&set).await;
    let proxy = FaultProxy::start(from.addr()).await;
    let mut config = of_set(&set);
    config["redis"]["cluster"]["addressMap"] = json!({ from.addr().to_string(): proxy.addr().to_string() });
    config["redis"]["commandTimeout"] = json!(30_000);
    config["redis"]["heartbeat"] = json!(30_000);
    let publisher = ready(config).await;
    publisher.publish_with("o.a", 0, json!({ "id": PUBLISHED })).await.unwrap();
    let link = proxy.wait_for_connection(PUBLISHED).await;
    from.command(&["SCRIPT", "FLUSH"]).await;
    proxy.freeze_replies(link);
    let publishing = publisher.start_publish(&[Record::new("o.a", 1).with(json!({ "timeout": 10_000 }))]);
    let is_refused = || async { refusals(from, "NOSCRIPT").await >= 1 };
    eventually(PATIENCE, "the node does not know the script", is_refused).await;
    set.move_slot(slot, to).await;
    // A question shows the client where the stream is; the next publish finds its router there.
    publisher.request("streams.exists", json!({ "name": "orders" })).await.unwrap();
    publisher.publish("m.a", 1).await.unwrap();
    proxy.thaw(link);
    for published in publishing.results().await {
        published.unwrap();
    }
    assert_eq!(to.command(&["XLEN", "orders"]).await.int(), 2);
    publisher.disconnect().await;
}

/// The id of an event by which the connection is found that publishes: no script has a word like that.
const PUBLISHED: &str = "id-of-what-was-published";

/// Options of an event that is stored once.
fn once(n: u32) -> Value {
    json!({ "id": n.to_string(), "deduplicate": true, "timeout": 20_000 })
}

/// The slot of the orders, its node and another one.
async fn of_orders(set: &ClusterSet) -> (u16, &RedisServer, &RedisServer) {
    let slot = set.slot_of("orders").await;
    let from = set.master_of(slot).await;
    let masters = set.masters().await;
    let to = masters.into_iter().find(|node| node.port() != from.port()).expect("another master");
    (slot, from, to)
}

/// A name whose slot is this one.
fn name_in(slot: u16) -> String {
    let mut names = (0_u32..).map(|n| format!("n{n}"));
    names.find(|name| oxbus_model::stream_store::slot(name) == slot).expect("a name in each slot")
}

/// How often a node has refused a command with this code.
async fn refusals(node: &RedisServer, code: &str) -> u64 {
    let stats = node.info("errorstats").await;
    let said = stats.get(&format!("errorstat_{code}")).and_then(|said| said.strip_prefix("count="));
    said.map_or(0, |count| count.parse().expect("a number of errors"))
}
