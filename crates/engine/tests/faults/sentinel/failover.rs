//! A master is replaced: on command, because it died, and because it stands still.

use std::sync::Arc;

use oxbus_engine::State;
use oxbus_testkit::{RedisServer, SentinelSet, eventually};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::load::{Links, Listener, Load, figure, first_switch, is_master, lost, promotion};
use super::{JOBS, events_got, kept, of_set};
use crate::setup::{SLACK, gaps_since, is_gap, millis, ready, seconds};
use crate::support::{Inbox, PATIENCE, is_warning};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_failover_is_followed_at_once() {
    let set = Arc::new(SentinelSet::start().await);
    let old = &set.servers[0];
    let (member, live) = (Listener::join(&set).await, Listener::live(&set).await);
    let load = Load::start(&set).await;
    live.wait_for(100).await;
    let links = Links::of(&[&member.bus, &live.bus, &load.bus]).await;
    let (switch, promoted) = (first_switch(&set).await, promotion(&set));
    set.fail_over().await;
    let at_unix = timeout(PATIENCE, switch).await.unwrap().unwrap();
    links.were_left().await;
    let calls = events_got(old).await;
    let promoted = promoted.await.unwrap();
    sleep(seconds(3)).await;
    // Sentinel has not demoted it yet: it would take all that it is sent.
    assert!(is_master(old).await);
    assert_eq!(events_got(old).await, calls, "something was published to the old master");
    let last = old.command(&["XREVRANGE", JOBS, "+", "-", "COUNT", "1"]).await.items()[0].items()[0].text();
    let last: u128 = last.split('-').next().unwrap().parse().unwrap();
    figure(&format!(
        "planned: last write to the old master {} ms after +switch-master",
        last as i128 - at_unix as i128
    ));

    let new = set.successor_of(old.port()).await;
    let sent = load.end().await;
    let on_new = kept(new).await;
    let (lost, unknown) = lost(&sent, &on_new);
    figure(&format!(
        "planned: {} published, {lost} resolved without replicas are lost, {unknown} unknown",
        sent.len()
    ));
    eventually(PATIENCE, "the group has handled what is stored", || async {
        member.ids().is_superset(&on_new)
    })
    .await;
    let again = member.first_of(&sent, &on_new, promoted).unwrap() - promoted;
    figure(&format!("planned: the group handles again {again:?} after the promotion"));
    let heard = live.first_of(&sent, &on_new, promoted).unwrap() - promoted;
    figure(&format!("planned: live subscribers hear again {heard:?} after the promotion"));
    assert!(again.max(heard) <= seconds(2) + SLACK, "{again:?} {heard:?}");
    live.bus.notices.wait_for(is_gap).await;
    assert_eq!((gaps_since(&live.bus, 0), gaps_since(&member.bus, 0)), (1, 0));
    let health = live.bus.health().await;
    assert_eq!(health["redis"]["sentinel"]["master"], json!(new.addr().to_string()));
    live.bus.disconnect().await;
    member.bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_killed_is_replaced_and_not_gone_back_to() {
    let set = Arc::new(SentinelSet::start().await);
    let old = &set.servers[0];
    let (member, live) = (Listener::join(&set).await, Listener::live(&set).await);
    let load = Load::start(&set).await;
    live.wait_for(100).await;
    let (killed, promoted) = (Instant::now(), promotion(&set));
    old.kill();
    let promoted = timeout(PATIENCE, promoted).await.unwrap().unwrap();
    let new = set.successor_of(old.port()).await;
    live.bus.wait_for_state(State::Ready).await;
    // It comes back and takes itself for a master, until a sentinel has told it.
    old.restart().await;
    let mut alone = 0;
    let seen = live.ids().len();
    while is_master(old).await && live.ids().len() < seen + 1_000 {
        // As a replica it gets the events of the others.
        let got = events_got(old).await;
        if is_master(old).await {
            assert_eq!(got, 0);
            alone += 1;
        }
        sleep(millis(10)).await;
    }
    live.wait_for(seen + 200).await;
    let sent = load.end().await;
    figure(&format!("killed: the old master was looked at {alone} times while it took itself for a master"));
    let on_new = kept(new).await;
    let (lost, unknown) = lost(&sent, &on_new);
    eventually(PATIENCE, "the group has handled what is stored", || async {
        member.ids().is_superset(&on_new)
    })
    .await;
    let again = member.first_of(&sent, &on_new, killed).unwrap();
    figure(&format!(
        "killed: {} published, {lost} lost, {unknown} unknown; promoted {:?} after the kill, handled again {:?} after the kill",
        sent.len(),
        promoted - killed,
        again - killed
    ));
    assert!(again <= killed + seconds(6) + SLACK, "{:?}", again - killed);
    assert_eq!(gaps_since(&live.bus, 0), 1);
    live.bus.disconnect().await;
    member.bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_stands_still_is_replaced() {
    let set = Arc::new(SentinelSet::start().await);
    let old = &set.servers[0];
    let member = Listener::join(&set).await;
    let load = Load::start(&set).await;
    member.wait_for(100).await;
    let frozen = Instant::now();
    old.freeze();
    let new = set.successor_of(old.port()).await;
    let seen = kept(new).await.len();
    eventually(PATIENCE, "events are stored again", || async { kept(new).await.len() > seen + 100 }).await;
    old.thaw();
    let sent = load.end().await;
    let on_new = kept(new).await;
    let (lost, unknown) = lost(&sent, &on_new);
    eventually(PATIENCE, "the group has handled what is stored", || async {
        member.ids().is_superset(&on_new)
    })
    .await;
    let again = member.first_of(&sent, &on_new, frozen).unwrap() - frozen;
    figure(&format!(
        "frozen: {} published, {lost} lost, {unknown} unknown; handled again {again:?} after the freeze",
        sent.len()
    ));
    assert!(again <= seconds(6) + SLACK, "{again:?}");
    member.bus.disconnect().await;
}

/// Nobody publishes here while the master changes, so only the sentinels can tell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_clients_follow_sentinels_that_may_not_be_listened_to_or_speak_an_old_protocol() {
    for denied in ["-hello", "-subscribe"] {
        let user = format!("default on nopass ~* &* +@all {denied}");
        let set =
            SentinelSet::builder().of(1, 1).sentinel(RedisServer::builder().arg("user", user)).start().await;
        let bus = ready(of_set(&set)).await;
        let inbox = Inbox::of(&bus, &["job"]).await;
        bus.publish("job", 1).await.unwrap();
        let mark = bus.notices.all().len();
        set.fail_over().await;
        let new = set.successor_of(set.servers[0].port()).await;
        eventually(PATIENCE, "the new master is followed", || async {
            bus.health().await["redis"]["sentinel"]["master"] == json!(new.addr().to_string())
        })
        .await;
        // The report names the new master before the links have left the old one.
        bus.has_lost(mark, &["publisher", "subscriber"]).await;
        bus.wait_until_ready(Some(20_000)).await.unwrap();
        bus.publish("job", 2).await.unwrap();
        inbox.wait_for(2).await;
        assert_eq!(kept(new).await.len(), 2);
        bus.notices.wait_from(mark, is_gap).await;
        assert_eq!(gaps_since(&bus, mark), 1, "{denied}");
        assert!(!bus.notices.all().iter().any(|notice| is_warning(notice, "POSSIBLY_UNDELIVERED")));
        bus.disconnect().await;
    }
}
