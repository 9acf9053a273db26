//! A master is cut off, by the network: from the sentinels alone, and from everybody.

use std::sync::Arc;

use oxbus_testkit::{RedisServer, SentinelSet, eventually};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::load::{Links, Listener, Load, figure, first_switch, is_master, lost};
use super::{events_got, kept, of_set};
use crate::setup::{SLACK, gaps_since, is_gap, ready, seconds};
use crate::support::{Bus, PATIENCE};

async fn proxied() -> Arc<SentinelSet> {
    Arc::new(SentinelSet::builder().behind_proxies().start().await)
}

/// Lets the old master be reached again, until it has become a replica.
async fn heal(set: &SentinelSet, old: &RedisServer) {
    set.proxies[0].blackhole_new(false);
    set.proxies[0].thaw_all();
    eventually(seconds(60), "the old master is a replica", || async { !is_master(old).await }).await;
}

/// Waits until the old master has what the new one has, and no more.
async fn copied(old: &RedisServer, new: &RedisServer) {
    let same = || async { kept(old).await == kept(new).await };
    eventually(seconds(60), "the old master has what the new one has", same).await;
}

/// Waits until the group has handled all that is stored.
async fn handled_all(member: &Listener, new: &RedisServer) {
    let stored = kept(new).await;
    eventually(PATIENCE, "the group has handled what is stored", || async {
        member.ids().is_superset(&stored)
    })
    .await;
}

async fn follows(bus: &Bus, set: &SentinelSet, new: &RedisServer) {
    let at = set.servers.iter().position(|server| server.port() == new.port()).expect("a server of the set");
    let master = &bus.health().await["redis"]["sentinel"]["master"];
    assert_eq!(*master, json!(set.proxies[at].addr().to_string()));
}

/// Its clients reach it all the while, and it never learns that it has a successor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_only_the_sentinels_cannot_reach_is_left() {
    let set = proxied().await;
    let (old, proxy) = (&set.servers[0], &set.proxies[0]);
    let (member, live) = (Listener::join(&set).await, Listener::live(&set).await);
    let load = Load::start(&set).await;
    live.wait_for(100).await;
    let links = Links::of(&[&member.bus, &live.bus, &load.bus]).await;
    let switch = first_switch(&set).await;
    proxy.blackhole_new(true);
    let sentinels = proxy.connections_containing("sentinel-");
    assert!(sentinels.len() >= 6, "each sentinel has two connections: {sentinels:?}");
    for connection in sentinels {
        proxy.freeze(connection);
    }
    timeout(PATIENCE, switch).await.unwrap().unwrap();
    links.were_left().await;
    let calls = events_got(old).await;
    sleep(seconds(3)).await;
    assert!(is_master(old).await, "nobody can tell it");
    assert_eq!(events_got(old).await, calls, "something was published to the old master");

    let new = set.successor_of(old.port()).await;
    let sent = load.end().await;
    let (lost, unknown) = lost(&sent, &kept(new).await);
    figure(&format!("cut off from the sentinels: {} published, {lost} lost, {unknown} unknown", sent.len()));
    handled_all(&member, new).await;
    live.bus.notices.wait_for(is_gap).await;
    assert_eq!((gaps_since(&live.bus, 0), gaps_since(&member.bus, 0)), (1, 0));
    follows(&live.bus, &set, new).await;
    let count = kept(new).await.len();
    heal(&set, old).await;
    copied(old, new).await;
    assert_eq!(kept(new).await.len(), count, "nothing of what the old master has alone comes back");
    live.bus.disconnect().await;
    member.bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_nobody_can_reach_is_replaced() {
    let set = proxied().await;
    let (old, proxy) = (&set.servers[0], &set.proxies[0]);
    let member = Listener::join(&set).await;
    let load = Load::start(&set).await;
    member.wait_for(100).await;
    let cut = Instant::now();
    proxy.blackhole_new(true);
    proxy.freeze_all();
    let new = set.successor_of(old.port()).await;
    let seen = kept(new).await.len();
    eventually(PATIENCE, "events are stored again", || async { kept(new).await.len() > seen + 100 }).await;
    // What was on its way is delivered now, and its answers reach nobody.
    heal(&set, old).await;
    let sent = load.end().await;
    copied(old, new).await;
    let on_new = kept(new).await;
    let (lost, unknown) = lost(&sent, &on_new);
    handled_all(&member, new).await;
    let again = member.first_of(&sent, &on_new, cut).unwrap() - cut;
    figure(&format!(
        "cut off: {} published, {lost} lost, {unknown} unknown; handled again {again:?} later",
        sent.len()
    ));
    assert!(again <= seconds(6) + SLACK, "{again:?}");
    follows(&member.bus, &set, new).await;
    member.bus.disconnect().await;
}

/// Sentinels and clients cannot reach it, while it follows its master.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_cut_off_changes_nothing_for_clients() {
    let set = proxied().await;
    let member = Listener::join(&set).await;
    set.proxies[1].blackhole_new(true);
    set.proxies[1].freeze_all();
    let bus = ready(of_set(&set)).await;
    for n in 0..50 {
        bus.publish_with("job", n, json!({ "replicas": 2 })).await.unwrap();
    }
    member.wait_for(50).await;
    assert_eq!(gaps_since(&member.bus, 0), 0);
    follows(&bus, &set, &set.servers[0]).await;
    bus.disconnect().await;
    member.bus.disconnect().await;
}
