//! Hybrid mode without its server, or with one that refuses or is slow: this client's own handlers get each event
//! once, at once, and the result says what became of the other side.

use oxbus_engine::host::Notice;
use oxbus_model::observe::stats::LinkMode;
use oxbus_model::{ErrorKind, Outcome};
use oxbus_testkit::{FaultProxy, RedisServer, eventually};
use serde_json::{Value, json};

use crate::setup::{FAR, assert_between, failed, hasty, is_error, ready, timed};
use crate::support::{Bus, Inbox, PATIENCE, Receipt, Record, Remote, to_room};

/// The same configuration in hybrid mode.
fn hybrid(mut config: Value) -> Value {
    config["mode"] = json!("hybrid");
    config
}

/// What became of a publish on either side.
fn sides(receipt: &Receipt) -> (u32, Remote) {
    (receipt.local, receipt.remote)
}

const NOT_SENT: Remote = Remote::Failed(Outcome::NotSent);

/// The codes of the warnings of changed modes so far, in order.
fn changes(bus: &Bus) -> Vec<&'static str> {
    let code = |notice: Notice| match notice {
        Notice::Warning { code: code @ ("LOCAL_ONLY" | "HYBRID_RESTORED"), .. } => Some(code),
        _ => None,
    };
    bus.notices.all().into_iter().filter_map(code).collect()
}

async fn reached(bus: &Bus, mode: LinkMode) {
    eventually(PATIENCE, &format!("{mode:?}"), async || bus.stats().mode == mode).await;
}

/// Scenario 2 in hybrid mode.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_starts_without_a_server_works_locally_and_joins_later() {
    let server = RedisServer::start().await;
    server.kill();
    let streams = json!([{ "name": "orders", "events": "order" }]);
    let redis = json!({ "url": server.url(), "connectTimeout": FAR, "commandTimeout": FAR });
    let config = json!({ "redis": redis, "streams": streams });
    let bus = Bus::with_config(hybrid(config));
    let (connected, took) = timed(bus.connect()).await;
    connected.unwrap();
    assert_between(took, 0, 0);
    // The result does not wait for an answer that cannot come.
    let (inbox, took) = timed(Inbox::of(&bus, &["*"])).await;
    assert_between(took, 0, 0);
    assert!(bus.join_room("lobby", Some("ann")).await.unwrap());
    for _ in 0..100 {
        let (receipt, took) = timed(bus.publish("note", 1)).await;
        let receipt = receipt.unwrap();
        assert_eq!(sides(&receipt), (1, NOT_SENT));
        assert_between(took, 0, 0);
    }
    assert_eq!(sides(&bus.publish_raw(to_room("lobby", "said", 1)).await.unwrap()), (1, NOT_SENT));
    assert_eq!(sides(&bus.publish_raw(to_room("other", "said", 1)).await.unwrap()), (0, NOT_SENT));
    // An event for a stream does not count as done, although a handler of this client has handled it.
    let (stored, took) = timed(bus.publish_with("order", 1, json!({ "timeout": 900 }))).await;
    failed(&stored, Outcome::NotSent);
    assert_between(took, 900, 900);
    inbox.wait_for(102).await;
    assert_eq!((bus.stats().mode, changes(&bus)), (LinkMode::LocalOnly, vec!["LOCAL_ONLY"]));
    let report = bus.health().await;
    assert_eq!((&report["status"], &report["mode"]), (&json!("degraded"), &json!("local-only")));
    assert!(report["warnings"].as_array().unwrap().iter().any(|w| w["code"] == "LOCAL_ONLY"), "{report}");

    server.restart().await;
    reached(&bus, LinkMode::Hybrid).await;
    // The warning comes once all links are there, a moment after the mode.
    let restored = async || changes(&bus) == ["LOCAL_ONLY", "HYBRID_RESTORED"];
    eventually(PATIENCE, "the warning that all is well", restored).await;
    let other = ready(json!({ "redis": server.url() })).await;
    let elsewhere = Inbox::of(&other, &["*"]).await;
    assert_eq!(sides(&bus.publish("note", 2).await.unwrap()), (1, Remote::Resolved));
    bus.publish("order", 2).await.unwrap();
    other.publish("note", 3).await.unwrap();
    inbox.wait_for(105).await;
    elsewhere.wait_for(3).await;
    // Nothing that was published without the server is sent later.
    assert_eq!(elsewhere.data(), [2, 2, 3]);
    assert_eq!(server.command(&["XLEN", "orders"]).await.int(), 1);
    eventually(PATIENCE, "the room to be known", async || other.members("lobby").await == ["ann"]).await;
    other.publish_raw(to_room("lobby", "said", 4)).await.unwrap();
    inbox.wait_for(106).await;
    assert_eq!(inbox.len(), 106);
    assert_eq!(bus.health().await["status"], "healthy");
    bus.disconnect().await;
    other.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outages_in_the_middle_double_nothing_here_and_replay_nothing_there() {
    let server = RedisServer::start().await;
    let bus = ready(hybrid(hasty(&server.url()))).await;
    let (inbox, echoes) = (Inbox::of(&bus, &["a"]).await, Inbox::of(&bus, &["*", "a"]).await);
    reached(&bus, LinkMode::Hybrid).await;
    let mut receipts = Vec::new();
    for round in 0..3 {
        let mark = bus.notices.mark();
        for n in 0..200 {
            receipts.push(bus.publish("a", n).await.unwrap());
            if n == 100 && round < 2 {
                server.kill();
            }
        }
        if round < 2 {
            bus.has_lost(mark, &["publisher", "subscriber"]).await;
            reached(&bus, LinkMode::LocalOnly).await;
            assert_eq!(sides(&bus.publish("a", -1).await.unwrap()), (2, NOT_SENT));
            server.restart().await;
            reached(&bus, LinkMode::Hybrid).await;
        }
    }
    // This event arrives behind all echoes.
    let other = ready(json!({ "redis": server.url() })).await;
    let last = other.publish("a", 0).await.unwrap().id;
    inbox.wait_for_id(&last).await;
    echoes.wait_for_id(&last).await;
    for inbox in [&inbox, &echoes] {
        assert_eq!(inbox.len(), 603);
        assert!(receipts.iter().all(|receipt| inbox.times(&receipt.id) == 1));
    }
    assert!(receipts.iter().all(|receipt| receipt.local == 2));
    let resolved = receipts.iter().filter(|receipt| receipt.remote == Remote::Resolved).count();
    assert!((200..600).contains(&resolved), "{resolved}");
    assert_eq!(changes(&bus), ["LOCAL_ONLY", "HYBRID_RESTORED", "LOCAL_ONLY", "HYBRID_RESTORED"]);
    assert_eq!(bus.stats().counts.events_published, 602);
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_answer_keeps_nobody_waiting_here() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let redis = json!({ "url": proxy.url(), "connectTimeout": 1000, "commandTimeout": 2_000 });
    let bus = ready(hybrid(json!({ "redis": redis }))).await;
    let inbox = Inbox::of(&bus, &["a"]).await;
    reached(&bus, LinkMode::Hybrid).await;
    proxy.freeze_all();
    let started = tokio::time::Instant::now();
    let batch = bus.start_publish(&[Record::new("a", 1).with_id("x")]);
    inbox.wait_for_id("x").await;
    assert_eq!(bus.stats().in_flight, 1, "the event came before the publish had an end");
    let receipt = batch.results().await.remove(0).unwrap();
    assert_eq!(sides(&receipt), (1, Remote::Failed(Outcome::Unknown)));
    assert_between(started.elapsed(), 2_000, 2_000);
    // A subscription is not confirmed in time, and works all the same.
    let (late, took) = timed(Inbox::of(&bus, &["b"])).await;
    assert_between(took, 0, 2_000);
    assert_eq!(bus.publish("b", 1).await.unwrap().local, 1);
    late.wait_for(1).await;
    assert_eq!(bus.stats().mode, LinkMode::LocalOnly);
    proxy.thaw_all();
    reached(&bus, LinkMode::Hybrid).await;
    let other = ready(json!({ "redis": server.url() })).await;
    other.publish("b", 2).await.unwrap();
    late.wait_for(2).await;
    assert_eq!((inbox.len(), late.len()), (1, 2));
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_refuses_was_handled_here() {
    let server = RedisServer::start().await;
    server.command(&["ACL", "SETUSER", "default", "resetchannels", "&open", "&broadcast"]).await;
    let streams = json!([{ "name": "orders", "events": "order" }]);
    let mut config = hasty(&server.url());
    config["streams"] = streams;
    let bus = ready(hybrid(config)).await;
    let inbox = Inbox::of(&bus, &["open"]).await;
    let refused = bus.subscribe(&["closed"], json!({}), inbox.handler()).await;
    assert_eq!(refused.unwrap_err().kind, ErrorKind::SubscribeDenied);
    let own = json!({ "localOnly": true });
    bus.subscribe(&["*"], own.clone(), inbox.handler()).await.unwrap();
    reached(&bus, LinkMode::Hybrid).await;
    let rejected = Remote::Failed(Outcome::Rejected);
    assert_eq!(sides(&bus.publish("closed", 1).await.unwrap()), (1, rejected));
    assert_eq!(sides(&bus.publish("open", 1).await.unwrap()), (2, Remote::Resolved));
    assert_eq!(sides(&bus.publish_with("closed", 2, own).await.unwrap()), (1, Remote::Skipped));
    server.command(&["ACL", "SETUSER", "default", "-xadd"]).await;
    failed(&bus.publish("order", 1).await, Outcome::Rejected);
    inbox.wait_for(5).await;
    assert_eq!(bus.stats().counts.events_published, 3);
    assert!(!bus.notices.all().iter().any(|notice| is_error(notice, ErrorKind::Internal)));
    bus.disconnect().await;
}

/// What was missed is read from the streams; not what this client has published itself, and had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_is_filled_with_what_others_have_published() {
    fill_a_gap(json!("oxbus")).await;
}

/// Also where entries do not say who has published them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_is_filled_with_what_has_other_ids_than_its_own() {
    let places = json!({ "type": "type", "id": "id", "at": "timestampMs", "data": "data" });
    let message =
        json!({ "type": "type", "id": "id", "at": "timestampMs", "data": "data", "more": "metadata" });
    fill_a_gap(json!({ "fields": { "write": message }, "stream": { "write": places } })).await;
}

async fn fill_a_gap(wire: Value) {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let streams = json!([{ "name": "orders", "events": "order" }]);
    let mut config = hasty(&proxy.url());
    config["streams"] = streams.clone();
    config["wire"] = wire.clone();
    // The connection that stands still is broken by the test alone.
    config["redis"]["heartbeat"] = json!(FAR);
    let bus = ready(hybrid(config)).await;
    let inbox = Inbox::of(&bus, &["order"]).await;
    reached(&bus, LinkMode::Hybrid).await;
    let other = ready(json!({ "redis": server.url(), "streams": streams, "wire": wire })).await;
    let subscriber = proxy.wait_for_connection("SUBSCRIBE").await;
    proxy.freeze_replies(subscriber);
    for n in 0..10 {
        assert_eq!(bus.publish("order", n).await.unwrap().local, 1);
        other.publish("order", 100 + n).await.unwrap();
    }
    proxy.cut(subscriber);
    let gap = bus.notices.wait_for(|notice| matches!(notice, Notice::Gap { .. })).await;
    assert!(matches!(gap, Notice::Gap { recovered: 10, complete: true, .. }), "{gap:?}");
    inbox.wait_for(20).await;
    let mut data: Vec<i64> = inbox.data().iter().map(|data| data.as_i64().unwrap()).collect();
    data.sort_unstable();
    assert_eq!(data, (0..10).chain(100..110).collect::<Vec<_>>());
    bus.disconnect().await;
}

/// The server has what `publish_here_first` holds with `send_held`, or before whatever is asked next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_goes_to_the_server_in_order_and_is_not_forgotten() {
    let server = RedisServer::start().await;
    let bus = ready(hybrid(json!({ "redis": { "url": server.url() } }))).await;
    let inbox = Inbox::of(&bus, &["*"]).await;
    reached(&bus, LinkMode::Hybrid).await;
    let other = ready(json!({ "redis": server.url() })).await;
    let elsewhere = Inbox::of(&other, &["*"]).await;
    let hold = |n: i64| bus.start_publish_here_first(&[Record::new("note", n)]);
    let both = (1, Remote::Resolved);

    let held = hold(1);
    inbox.wait_for(1).await;
    other.publish("note", 100).await.unwrap();
    inbox.wait_for(2).await;
    elsewhere.wait_for(1).await;
    bus.send_held();
    elsewhere.wait_for(2).await;
    assert_eq!(elsewhere.data(), [100, 1]);
    assert_eq!(sides(held.results().await[0].as_ref().unwrap()), both);

    let held = hold(2);
    assert_eq!(sides(&bus.publish("note", 3).await.unwrap()), both);
    assert_eq!(sides(held.results().await[0].as_ref().unwrap()), both);

    let held = hold(4);
    bus.cancel(held.number, 1);
    assert_eq!(sides(held.results().await[0].as_ref().unwrap()), both);

    let held = hold(5);
    bus.disconnect().await;
    assert_eq!(sides(held.results().await[0].as_ref().unwrap()), both);
    elsewhere.wait_for(6).await;
    assert_eq!(elsewhere.data(), [100, 1, 2, 3, 4, 5]);
}

/// Also when it ends at once: nobody else would send it then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_is_settled_when_the_client_ends() {
    let server = RedisServer::start().await;
    let bus = ready(hybrid(json!({ "redis": { "url": server.url() } }))).await;
    let inbox = Inbox::of(&bus, &["*"]).await;
    reached(&bus, LinkMode::Hybrid).await;
    let held = bus.start_publish_here_first(&[Record::new("note", 1)]);
    inbox.wait_for(1).await;
    bus.client().destroy();
    assert_eq!(held.results().await[0].as_ref().unwrap().local, 1);
}
