//! Servers in cluster mode.

use oxbus_engine::host::Notice;
use oxbus_model::{ErrorKind, Outcome};
use oxbus_testkit::{FakeServer, RedisServer, Script, Step, Value as Reply, cluster};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::setup::{assert_between, failed, hasty, ready, seconds, timed};
use crate::support::{Bus, Inbox, PATIENCE};

/// A client's configuration with two streams, which are in different slots.
fn storing(url: &str) -> Value {
    let mut config = hasty(url);
    config["streams"] = json!([{ "name": "orders", "events": "o.*" }, { "name": "mails", "events": "m.*" }]);
    config
}

fn warned(bus: &Bus) -> usize {
    let is_warning = |notice: &&Notice| matches!(notice, Notice::Warning { code: "CLUSTER_MODE", .. });
    bus.notices.all().iter().filter(is_warning).count()
}

/// Why a client of this configuration cannot connect, and cannot publish: for the same reason.
async fn refused(config: Value) -> String {
    let bus = Bus::with_config(config);
    let (connected, took) = timed(bus.connect_within(Some(20_000))).await;
    let error = connected.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ClusterMode, "{error}");
    assert_between(took, 0, 0);
    let publish = bus.publish_with("a", 1, json!({ "timeout": 300 })).await;
    let late = failed(&publish, Outcome::NotSent);
    assert!(late.message.contains(&error.message), "{late}");
    bus.disconnect().await;
    error.message
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_for_all_slots_is_used_with_a_warning_and_all_keys_of_a_stream_are_in_its_slot() {
    let server = cluster::one_server().await;
    let bus = ready(storing(&server.url())).await;
    let inbox = Inbox::with(&bus, &["o.*", "m.*"], json!({ "group": "billing" })).await;
    let once = json!({ "id": "1", "deduplicate": true });
    bus.publish_with("o.a", 1, once.clone()).await.unwrap();
    bus.publish_with("o.a", 1, once).await.unwrap();
    bus.publish("m.a", 2).await.unwrap();
    inbox.wait_for(2).await;
    assert_eq!(warned(&bus), 1);
    let report = bus.health().await;
    assert!(report["warnings"].to_string().contains("CLUSTER_MODE"), "{report}");

    let keys = server.command(&["KEYS", "*"]).await;
    let keys: Vec<String> = keys.items().iter().map(Reply::text).collect();
    for key in ["orders", "{orders}:group:billing", "{orders}:id:1", "{mails}:group:billing:consumers"] {
        assert!(keys.iter().any(|known| known == key), "{key} is not among {keys:?}");
    }
    let slot = async |key: &str| server.command(&["CLUSTER", "KEYSLOT", key]).await.int();
    for key in keys.iter().filter(|key| key.contains("orders")) {
        assert_eq!(slot(key).await, slot("orders").await, "{key}");
    }
    assert!(
        keys.iter().all(|key| key.contains("orders") || key.contains("mails") || key.starts_with("oxbus:"))
    );
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lives_is_shown_in_the_slot_of_each_stream() {
    let server = cluster::one_server().await;
    let bus = ready(storing(&server.url())).await;
    let _inbox = Inbox::with(&bus, &["o.*", "m.*"], json!({ "group": "billing" })).await;
    for stream in ["orders", "mails"] {
        let pattern = format!("{{{stream}}}:oxbus:alive:*");
        oxbus_testkit::eventually(PATIENCE, "a key that shows that the client lives", || async {
            server.command(&["KEYS", &pattern]).await.items().len() == 1
        })
        .await;
    }
    assert_eq!(server.command(&["KEYS", "oxbus:alive:*"]).await.items().len(), 0);
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_several_slots_reads_all_of_them_soon_and_asks_seldom_while_idle() {
    let server = cluster::one_server().await;
    let bus = ready(storing(&server.url())).await;
    let inbox = Inbox::with(&bus, &["o.*", "m.*"], json!({ "group": "billing" })).await;
    for n in 0..20 {
        let (_, took) = timed(async {
            bus.publish(["o.a", "m.a"][n % 2], n).await.unwrap();
            inbox.wait_for(n + 1).await;
        })
        .await;
        assert_between(took, 0, 100);
    }
    let (before, idle) = (server.calls("xreadgroup").await, Instant::now());
    oxbus_testkit::eventually(PATIENCE, "two seconds", || async { idle.elapsed() >= seconds(2) }).await;
    let calls = server.calls("xreadgroup").await - before;
    let most = 25 * idle.elapsed().as_secs() + 25;
    assert!((1..=most).contains(&calls), "{calls} reads in {:?}", idle.elapsed());
    bus.disconnect().await;
}

/// While the read of several slots waits at one of them, entries of the other come and are trimmed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_trimmed_in_one_slot_while_the_read_waits_at_another_is_told() {
    const STORED: u64 = 60;
    let server = cluster::one_server().await;
    let bus = ready(storing(&server.url())).await;
    let inbox = Inbox::with(&bus, &["o.*", "m.*"], json!({ "group": "billing" })).await;
    let mut control = server.control().await.unwrap();
    for round in 1..=20 {
        // What comes before a step is read by whoever waits there; so the read may have a part of it, or nothing.
        for n in 0..STORED {
            let data = (round * STORED + n).to_string();
            control.send(&["XADD", "orders", "*", "eventType", "o.a", "data", &data]).await.unwrap();
        }
        control.send(&["XTRIM", "orders", "MAXLEN", "=", "20"]).await.unwrap();
        for _ in 0..=STORED {
            control.read().await.unwrap();
        }
        let known = || inbox.len() as u64 + bus.stats().counts.events_lost;
        oxbus_testkit::eventually(PATIENCE, "each is handled or told", || async {
            known() >= round * STORED
        })
        .await;
        assert_eq!(known(), round * STORED, "{} handled", inbox.len());
    }
    assert!(bus.stats().counts.events_lost > 0, "nothing was lost");
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishes_from_before_the_first_login_have_the_right_keys() {
    let server = cluster::one_server().await;
    let bus = Bus::with_config(storing(&server.url()));
    let once = json!({ "id": "1", "deduplicate": true });
    bus.publish_with("o.a", 1, once.clone()).await.unwrap();
    bus.publish_with("o.a", 1, once).await.unwrap();
    assert_eq!(server.command(&["XLEN", "orders"]).await.int(), 1);
    assert_eq!(server.command(&["EXISTS", "{orders}:id:1"]).await.int(), 1);
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_kept_by_their_id_where_no_stream_stores_them() {
    let server = cluster::one_server().await;
    let mut config = hasty(&server.url());
    config["persistence"] = json!({ "ttl": 60_000 });
    let bus = Bus::with_config(config.clone());
    bus.publish_with("p.a", 1, json!({ "id": "e1" })).await.unwrap();
    let other = ready(config.clone()).await;
    let found = other.request("getEvent", json!({ "id": "e1" })).await.unwrap();
    assert!(found.to_string().contains("e1"), "{found}");
    let query = json!({ "type": "p.*", "source": "redis" });
    let history = other.request("getHistory", query).await.unwrap();
    assert_eq!(history["events"].as_array().map(Vec::len), Some(1), "{history}");
    other.disconnect().await;
    bus.disconnect().await;

    config["streams"] = json!([{ "name": "orders", "events": "o.*" }]);
    assert!(refused(config).await.contains("persistence"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cluster_cannot_do_is_refused_by_name() {
    let server = cluster::one_server().await;
    assert!(
        refused(hasty(&format!("{}/1", server.url()))).await.contains("only database 0 can be used, not 1")
    );
    let mut config = hasty(&server.url());
    config["streams"] = json!([{ "name": "orders:dlq", "events": "o.*" }]);
    assert!(refused(config).await.contains("streams[0].name"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_that_lie_elsewhere_are_refused() {
    let servers = cluster::two_masters().await;
    for server in &servers {
        let why = refused(hasty(&server.url())).await;
        assert!(why.contains("Redis Cluster") && why.contains("2 servers"), "{why}");
        assert_eq!(server.calls("publish").await, 0);
    }
    let alone = cluster::node(RedisServer::builder()).await;
    assert!(refused(hasty(&alone.url())).await.contains("only 0 of its 16384 slots"));
    // Once it serves all slots, a client goes on by itself.
    let bus = Bus::with_config(hasty(&alone.url()));
    bus.connect().await.unwrap_err();
    cluster::add_slots(&alone, 0..=16_383).await;
    bus.publish_with("a", 1, json!({ "timeout": 30_000 })).await.unwrap();
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_moved_its_slots_is_left_and_used_again_as_master() {
    let [server, other] = cluster::master_and_replica().await;
    let bus = ready(storing(&server.url())).await;
    bus.publish("o.a", 0).await.unwrap();
    // A planned failover: the server behind the address is the replica now.
    cluster::fail_over(&server, &other).await;
    let is_left = |n: &Notice| {
        matches!(n, Notice::Reconnecting { link, error, .. }
            if &**link == "publisher" && error.kind == ErrorKind::NotMaster)
    };
    let publishing = async {
        loop {
            let _ = bus.publish_with("o.a", 1, json!({ "timeout": 200 })).await;
        }
    };
    tokio::select! {
        _ = bus.notices.wait_for(is_left) => {}
        () = publishing => {}
    }
    cluster::fail_over(&other, &server).await;
    bus.publish_with("o.a", 2, json!({ "timeout": 30_000 })).await.unwrap();
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_hello_tells_its_mode_by_info() {
    let node = Reply::Array(vec![Reply::bulk("127.0.0.1"), Reply::Int(7000), Reply::bulk("id")]);
    let slots = Reply::Array(vec![Reply::Array(vec![Reply::Int(0), Reply::Int(8_191), node])]);
    let script = Script::new().hello_unknown().on("INFO", [Step::bulk("redis_mode:cluster\r\n")]);
    let script = script.on("CLUSTER", [Step::Reply(slots)]);
    let server = FakeServer::start(script).await;
    assert!(refused(hasty(&server.url())).await.contains("slots are served"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_is_refused() {
    let info = [Step::bulk("redis_mode:sentinel\r\n")];
    let server = FakeServer::start(Script::new().hello_unknown().on("INFO", info)).await;
    let bus = Bus::with_config(hasty(&server.url()));
    let error = bus.connect().await.unwrap_err();
    assert_eq!((error.kind, error.path.as_deref()), (ErrorKind::InvalidConfig, Some("redis")));
    assert!(error.message.contains("Sentinel"), "{error}");
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_server_is_asked_nothing_more() {
    let server = RedisServer::start().await;
    let bus = ready(storing(&server.url())).await;
    bus.publish("o.a", 1).await.unwrap();
    assert_eq!(server.calls("cluster|slots").await + server.calls("cluster").await, 0);
    assert_eq!(warned(&bus), 0);
    bus.disconnect().await;
}
