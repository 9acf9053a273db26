//! Live events on lanes, by sharded pub/sub.
//!
//! - this file: what goes where, and who is refused; `moving`: lanes whose slots move; `failover`: lanes whose masters are
//!   replaced; `storing`: events that are stored, and then published; `hybrid`: clients that reach their own handlers.

mod failover;
mod hybrid;
mod moving;
mod storing;

use oxbus_model::topology::lanes::{Lane, Lanes};
use oxbus_model::{ErrorKind, Outcome};
use oxbus_testkit::{ClusterSet, RedisServer, eventually};
use serde_json::{Value, json};

use super::of_set;
use crate::setup::{assert_between, ready, timed};
use crate::support::{Bus, Inbox, PATIENCE, Record, to_room, to_user};

/// As [`of_set`], with sharded pub/sub.
fn sharded(set: &ClusterSet) -> Value {
    let mut config = of_set(set);
    config["redis"]["cluster"]["pubsub"] = json!("sharded");
    config
}

/// The cluster, if its servers have sharded pub/sub. Those that are too old have the client refused, which each test then shows.
pub(super) async fn able(set: ClusterSet) -> Option<ClusterSet> {
    let version = set.nodes()[0].info("server").await["redis_version"].clone();
    if !version.starts_with("6.") {
        return Some(set);
    }
    let error = Bus::with_config(sharded(&set)).connect().await.unwrap_err();
    let expected = (ErrorKind::InvalidConfig, Some("redis.cluster.pubsub"));
    assert_eq!((error.kind, error.path.as_deref()), expected, "{error}");
    assert!(error.message.contains(&version), "{error}");
    None
}

fn with(mut config: Value, more: Value) -> Value {
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

/// The lanes of all these tests.
fn lanes() -> Lanes {
    Lanes::new("", 16)
}

/// The master that has a lane.
async fn master_of(set: &ClusterSet, lane: Lane) -> &RedisServer {
    set.master_of(lanes().slot(lane).unwrap()).await
}

/// A type that no stream stores, on a lane.
fn type_on(lane: Lane) -> String {
    (0..).map(|n| format!("live.{n}")).find(|name| lanes().of(name.as_bytes()) == lane).unwrap()
}

/// How many commands of this name a node has carried out.
async fn calls(node: &RedisServer, command: &str) -> u64 {
    let stats = node.command(&["INFO", "commandstats"]).await.text();
    let prefix = format!("cmdstat_{command}:calls=");
    let line = stats.lines().find_map(|line| line.strip_prefix(&prefix));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

/// Each event goes to one master and to no other node, and reaches all who want it: by type, by pattern, in rooms, as users.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_goes_to_the_master_of_its_lane_alone() {
    let Some(set) = able(ClusterSet::builder().replicas(0).start().await).await else { return };
    let (publisher, bus) = (ready(sharded(&set)).await, ready(sharded(&set)).await);
    let exact = Inbox::of(&bus, &[&type_on(3)]).await;
    // One lane is enough for one type, and one for what is for everyone.
    let mut subscribed = 0;
    for node in set.nodes() {
        subscribed += node.command(&["PUBSUB", "SHARDCHANNELS"]).await.items().len();
    }
    assert_eq!(subscribed, 2);
    let all = Inbox::of(&bus, &["live.*"]).await;
    bus.join_room("a", None).await.unwrap();
    bus.join_user("u").await.unwrap();
    let personal = Inbox::of(&bus, &["said"]).await;
    for node in set.nodes() {
        let here = node.command(&["PUBSUB", "SHARDCHANNELS"]).await;
        assert!((5..=6).contains(&here.items().len()), "{here:?}");
        for channel in here.items() {
            let lane = lanes().number(channel.text().as_bytes()).expect("a lane");
            let slot = node.command(&["CLUSTER", "KEYSLOT", &channel.text()]).await.int();
            assert_eq!(lanes().slot(lane).map(i64::from), Some(slot));
        }
        assert_eq!(node.pubsub_numpat().await, 0);
    }
    let broadcasts = async || {
        let mut count = 0;
        for node in set.nodes() {
            count += calls(node, "publish").await;
        }
        count
    };
    let before = broadcasts().await;
    let types: Vec<String> = (0..16).map(type_on).collect();
    for n in 0..20 {
        let records: Vec<Record> = types.iter().map(|name| Record::new(name, n)).collect();
        for result in publisher.publish_many(records).await {
            assert_eq!(result.unwrap().receivers, 1, "the client that hears the lane");
        }
    }
    publisher.publish_raw(to_room("a", "said", 1)).await.unwrap();
    publisher.publish_raw(to_room("b", "said", 2)).await.unwrap();
    publisher.publish_raw(to_user("u", "said", 3)).await.unwrap();
    all.wait_for(320).await;
    exact.wait_for(20).await;
    personal.wait_for(2).await;
    let in_order: Vec<Value> = (0..20).map(Value::from).collect();
    for name in &types {
        let of_type = all.events().into_iter().filter(|event| event.event_type() == *name);
        assert_eq!(of_type.map(|event| event.data()).collect::<Vec<_>>(), in_order, "{name}");
    }
    assert_eq!(exact.data(), in_order);
    let mut published = Vec::new();
    for node in set.nodes() {
        published.push(calls(node, "spublish").await);
    }
    assert_eq!((published.iter().sum::<u64>(), broadcasts().await), (323, before));
    assert!(published.iter().all(|count| *count > 80), "{published:?}");
    let report = bus.health().await;
    let cluster = &report["redis"]["cluster"];
    assert_eq!(cluster["lanes"], json!({ "count": 16, "wanted": 16, "missing": [] }), "{report}");
    let per_node: u64 =
        cluster["nodes"].as_array().unwrap().iter().map(|node| node["lanes"].as_u64().unwrap()).sum();
    assert_eq!((per_node, &report["status"]), (16, &json!("healthy")), "{report}");
    let metrics = bus.client().metrics();
    assert_eq!(metrics.matches("\noxbus_lanes_subscribed{node=").count(), 3, "{metrics}");
    assert!(metrics.contains("\noxbus_lanes_missing 0\n"), "{metrics}");
    assert!(metrics.contains("eventbus_active_connections{connection_type=\"subscriber\"} 3"), "{metrics}");
    bus.disconnect().await;
    publisher.disconnect().await;
}

/// What is not wanted any more is not subscribed any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_that_nobody_needs_are_left() {
    let Some(set) = able(ClusterSet::builder().replicas(0).start().await).await else { return };
    let bus = ready(sharded(&set)).await;
    let _kept = Inbox::of(&bus, &[&type_on(0)]).await;
    let all = bus.subscribe(&["*"], Value::Null, |_| oxbus_model::delivery::Settlement::Succeeded).await;
    assert!(bus.unsubscribe(all.unwrap()).await);
    eventually(PATIENCE, "its lane, and that of what is for everyone", || async {
        let mut subscribed = 0;
        for node in set.nodes() {
            subscribed += node.command(&["PUBSUB", "SHARDCHANNELS"]).await.items().len();
        }
        subscribed == 2
    })
    .await;
    bus.publish(type_on(0), 1).await.unwrap();
    _kept.wait_for(1).await;
    bus.disconnect().await;
}

/// How live events travel is a fact on the server: who differs is refused, and not deaf.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_differ_are_refused() {
    let Some(set) = able(ClusterSet::builder().replicas(0).start().await).await else { return };
    let broadcast = || of_set(&set);
    let eight = || {
        let mut config = sharded(&set);
        config["redis"]["cluster"]["lanes"] = json!(8);
        config
    };
    let key = "oxbus:pubsub";
    let fact = || async { set.master_of_key(key).await.command(&["GET", key]).await.text() };
    let refused = async |config: Value, fact: &str| {
        let bus = Bus::with_config(config);
        let (connected, took) = timed(bus.connect()).await;
        let error = connected.unwrap_err();
        assert_eq!(error.kind, ErrorKind::ClusterMode, "{error}");
        assert!(error.message.contains(fact) && error.message.contains(key), "{error}");
        assert_between(took, 0, 3_000);
        let late = bus.publish_with("live", 1, json!({ "timeout": 500 })).await.unwrap_err();
        assert_eq!((late.kind, late.outcome), (ErrorKind::ClusterMode, Some(Outcome::NotSent)), "{late}");
        bus.disconnect().await;
    };
    // An observer writes nothing.
    let observer = ready(with(broadcast(), json!({ "observe": true, "streams": [] }))).await;
    assert!(set.master_of_key(key).await.command(&["EXISTS", key]).await.int() == 0);
    observer.disconnect().await;
    let first = ready(sharded(&set)).await;
    assert_eq!(fact().await, "sharded:16");
    refused(broadcast(), "sharded:16").await;
    refused(eight(), "sharded:16").await;
    ready(sharded(&set)).await.disconnect().await;
    // Another prefix is another bus.
    let other = ready(with(broadcast(), json!({ "channelPrefix": "other:" }))).await;
    other.disconnect().await;
    first.disconnect().await;
    set.master_of_key(key).await.command(&["DEL", key]).await;
    let first = ready(broadcast()).await;
    assert_eq!(fact().await, "broadcast");
    refused(sharded(&set), "broadcast").await;
    first.disconnect().await;
}

/// A user who may not publish on lanes, or not hear them, is told so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_rights_are_told() {
    let Some(set) = able(ClusterSet::builder().replicas(0).start().await).await else { return };
    let user = async |name: &str, rules: &[&str]| {
        for node in set.nodes() {
            let command =
                [&["ACL", "SETUSER", name, "reset", "on", ">secret", "~*", "+@all"], rules].concat();
            node.command(&command).await;
        }
        let mut config = with(sharded(&set), json!({ "channelPrefix": "app:" }));
        config["redis"]["username"] = json!(name);
        config["redis"]["password"] = json!("secret");
        config
    };
    // Rights to the channels of the prefix are enough.
    let bus = ready(user("full", &["&app:*"]).await).await;
    let inbox = Inbox::of(&bus, &["*"]).await;
    bus.publish("live", 1).await.unwrap();
    inbox.wait_for(1).await;
    bus.disconnect().await;
    let mute = ready(user("mute", &["&app:*", "-spublish"]).await).await;
    let error = mute.publish("live", 1).await.unwrap_err();
    assert_eq!((error.kind, error.outcome), (ErrorKind::PermissionDenied, Some(Outcome::Rejected)));
    assert!(error.message.contains("spublish"), "{error}");
    mute.disconnect().await;
    let deaf = ready(user("deaf", &["&other:*"]).await).await;
    let ignore = |_| oxbus_model::delivery::Settlement::Succeeded;
    let error = deaf.subscribe(&["live"], Value::Null, ignore).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::SubscribeDenied, "{error}");
    deaf.disconnect().await;
    // The fact has to be read.
    let blind = user("blind", &["&app:*", "resetkeys", "~orders"]).await;
    let error = Bus::with_config(blind).connect_within(Some(5_000)).await.unwrap_err();
    assert!(error.message.contains("app:oxbus:pubsub"), "{error}");
}
