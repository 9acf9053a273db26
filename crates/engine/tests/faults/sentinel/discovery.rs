//! How the master is found, whatever some sentinels say.

use oxbus_model::ErrorKind;
use oxbus_testkit::server::unused_port;
use oxbus_testkit::{
    Certificates, FakeServer, RedisServer, Script, SentinelSet, Step, Value as Reply, eventually,
};
use serde_json::json;
use tokio::time::sleep;

use super::{events_got, kept, of_set, watched};
use crate::setup::{FAR, SLACK, ready, seconds, soak, timed};
use crate::support::{Bus, Inbox, PATIENCE};

/// A sentinel that names the server on `port`, in a protocol of old.
async fn claiming(port: u16, epoch: u64) -> FakeServer {
    let texts = |texts: &[&str]| Reply::Array(texts.iter().map(Reply::bulk).collect());
    let script = Script::new()
        .hello_unknown()
        .on("INFO", [Step::bulk("redis_mode:sentinel\r\n")])
        .on("SENTINEL GET-MASTER-ADDR-BY-NAME", [Step::Reply(texts(&["127.0.0.1", &port.to_string()]))])
        .on(
            "SENTINEL MASTER",
            [Step::Reply(texts(&["name", "mymaster", "config-epoch", &epoch.to_string()]))],
        );
    FakeServer::start(script).await
}

fn of(sentinels: &[&FakeServer]) -> Vec<String> {
    sentinels.iter().map(|sentinel| sentinel.addr().to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_that_lies_is_not_followed() {
    let (master, other) = (RedisServer::start().await, RedisServer::start().await);
    let replica = RedisServer::builder().replica_of(master.port()).start().await;
    let honest = [claiming(master.port(), 3).await, claiming(master.port(), 3).await];
    for liar in [
        claiming(replica.port(), 99).await,
        claiming(unused_port(), 99).await,
        claiming(other.port(), 2).await,
    ] {
        let bus = ready(watched(&of(&[&liar, &honest[0], &honest[1]]), json!({}))).await;
        let inbox = Inbox::of(&bus, &["job"]).await;
        let before = kept(&master).await.len();
        for n in 0..20 {
            bus.publish("job", n).await.unwrap();
            // Each question is a chance for the liar.
            oxbus_testkit::eventually(PATIENCE, "a question", || async {
                liar.received("SENTINEL GET-MASTER-ADDR-BY-NAME").len() > n / 10
            })
            .await;
        }
        inbox.wait_for(20).await;
        assert_eq!(kept(&master).await.len() - before, 20);
        let asked = other.command(&["INFO", "commandstats"]).await.text();
        assert_eq!(events_got(&other).await, 0, "{asked}");
        let health = bus.health().await;
        let codes: Vec<&str> =
            health["warnings"].as_array().unwrap().iter().filter_map(|w| w["code"].as_str()).collect();
        assert!(codes.contains(&"SENTINELS_DISAGREE"), "{health}");
        assert_eq!(health["redis"]["sentinel"]["master"], json!(master.addr().to_string()));
        bus.disconnect().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_sentinel_is_enough_and_none_is_needed_once_the_master_is_known() {
    let set = SentinelSet::start().await;
    for sentinel in &set.sentinels[1..] {
        sentinel.kill();
    }
    let bus = ready(of_set(&set)).await;
    bus.publish("job", 1).await.unwrap();
    let health = bus.health().await;
    assert_eq!(health["status"], "healthy", "{health}");
    let sentinel = &health["redis"]["sentinel"];
    assert_eq!(
        (&sentinel["name"], &sentinel["master"]),
        (&json!("mymaster"), &json!(set.servers[0].addr().to_string()))
    );
    let connected = |at: usize| sentinel["sentinels"][at]["connected"].as_bool();
    assert_eq!((connected(0), connected(1), connected(2)), (Some(true), Some(false), Some(false)));
    let unreachable = |warning: &serde_json::Value| {
        warning["code"] == "SENTINEL_UNREACHABLE"
            && warning["message"].as_str().unwrap().starts_with("2 of 3 sentinels")
    };
    assert!(health["warnings"].as_array().unwrap().iter().any(unreachable), "{health}");

    // Without any sentinel the master is still the one that it was.
    set.sentinels[0].kill();
    let killing = set.servers[0].command(&["CLIENT", "KILL", "TYPE", "normal"]);
    bus.loses(&["publisher"], killing).await;
    bus.publish("job", 2).await.unwrap();
    // They come back, as does the master, and nobody has to do anything.
    bus.loses(&["publisher"], async { set.servers[0].kill() }).await;
    for sentinel in &set.sentinels {
        sentinel.restart().await;
    }
    bus.publish_with("job", 3, json!({ "timeout": 30_000 })).await.unwrap();
    bus.disconnect().await;
}

/// Scenario 54, its second half: nobody has to do anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_and_servers_that_were_all_away_are_found_again_soon() {
    let set = SentinelSet::smallest(RedisServer::builder()).await;
    let bus = ready(of_set(&set)).await;
    let inbox = Inbox::of(&bus, &["job"]).await;
    bus.publish("job", 1).await.unwrap();
    inbox.wait_for(1).await;
    set.sentinels[0].kill();
    bus.loses(&["publisher", "subscriber"], async { set.servers[0].kill() }).await;
    // Long enough for the longest pauses of links and of the watch.
    sleep(seconds(soak(6, 20))).await;
    set.servers[0].restart().await;
    set.sentinels[0].restart().await;
    let (published, took) = timed(bus.publish_with("job", 2, json!({ "timeout": 30_000 }))).await;
    published.unwrap();
    assert!(took <= seconds(6) + SLACK, "{took:?}");
    inbox.wait_for(2).await;
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_master_the_error_says_what_each_sentinel_says() {
    let set = SentinelSet::smallest(RedisServer::builder()).await;
    let replica = RedisServer::builder().replica_of(set.servers[0].port()).start().await;
    let (away, server, liar) = (unused_port(), RedisServer::start().await, claiming(replica.port(), 1).await);
    let silent = FakeServer::start(Script::new().on("HELLO", [Step::Silence])).await;
    let nodes = [
        set.nodes().remove(0),
        format!("127.0.0.1:{away}"),
        server.addr().to_string(),
        liar.addr().to_string(),
        silent.addr().to_string(),
    ];
    let bus = Bus::with_config(watched(&nodes, json!({ "name": "other" })));
    let (connected, took) = timed(bus.connect()).await;
    assert!(took <= seconds(2) + SLACK, "{took:?}");
    let error = connected.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ConnectionRefused, "{error}");
    for expected in [
        "no server is known to be the master \"other\": ".to_owned(),
        format!("{} knows no master \"other\"", nodes[0]),
        format!("{} gives no answer (cannot connect to {}: ", nodes[1], nodes[1]),
        format!(
            "{} gives no answer (redis.sentinel.nodes[2]: it is a server that keeps data, and no sentinel)",
            nodes[2]
        ),
        format!(
            "{} names {}, which is not known to be one (the server is not a master, its role is slave)",
            nodes[3],
            replica.addr()
        ),
        format!("{} gives no answer ({} did not answer within 1000 ms)", nodes[4], nodes[4]),
    ] {
        assert!(error.message.contains(&expected), "{expected}: {error}");
    }
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_and_servers_have_passwords_of_their_own() {
    let sentinel = RedisServer::builder().password("hunter3");
    let set = SentinelSet::builder().of(0, 1).sentinel(sentinel).password("hunter2").start().await;
    let mut config = watched(&set.nodes(), json!({ "password": "hunter3" }));
    config["redis"]["password"] = json!("hunter2");
    let bus = ready(config.clone()).await;
    bus.publish("job", 1).await.unwrap();
    bus.disconnect().await;

    for (more, expected) in [
        (json!({ "password": "wrong" }), "refuses the login of user \"default\""),
        (json!({}), "asks for a password, and none is set: set a password (redis.sentinel.password)"),
    ] {
        let mut config = watched(&set.nodes(), more);
        config["redis"]["password"] = json!("hunter2");
        config["redis"]["connectTimeout"] = json!(FAR);
        let bus = Bus::with_config(config);
        let (connected, took) = timed(bus.connect()).await;
        let error = connected.unwrap_err();
        assert_eq!(error.kind, ErrorKind::AuthFailed, "{error}");
        assert!(took <= SLACK, "{took:?}");
        assert!(error.message.contains(expected) && error.message.contains(&set.nodes()[0]), "{error}");
        assert!(!error.message.contains("hunter") && !error.message.contains("wrong"), "{error}");
        bus.disconnect().await;
    }

    // The password of the servers is wrong, which is told as on a single server.
    config["redis"]["password"] = json!("wrong");
    let bus = Bus::with_config(config);
    let error = bus.connect().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthFailed);
    assert!(error.message.contains(&set.servers[0].addr().to_string()), "{error}");
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_that_refuses_the_login_is_tolerated() {
    let master = RedisServer::start().await;
    let (one, two) = (claiming(master.port(), 1).await, claiming(master.port(), 1).await);
    let refusing = FakeServer::start(Script::new().on("HELLO", [Step::error("WRONGPASS invalid")])).await;
    let bus = ready(watched(&of(&[&refusing, &one, &two]), json!({ "password": "p" }))).await;
    bus.publish("job", 1).await.unwrap();
    let told = || async {
        let health = bus.health().await;
        let warnings = health["warnings"].as_array().unwrap().clone();
        warnings.iter().any(|w| {
            w["code"] == "SENTINEL_UNREACHABLE"
                && w["message"].as_str().unwrap().contains("refuses the login")
        })
    };
    eventually(PATIENCE, "the health report tells", told).await;
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_names_and_tls_of_sentinels() {
    let certificates = Certificates::generate();
    let names = RedisServer::builder()
        .arg("sentinel", "resolve-hostnames yes")
        .arg("sentinel", "announce-hostnames yes");
    let set = SentinelSet::builder()
        .of(0, 1)
        .sentinel(names.tls(&certificates))
        .announced_as("localhost")
        .start()
        .await;
    let node = format!("localhost:{}", set.sentinels[0].port());
    let config = watched(&[node], json!({ "tls": { "ca": certificates.ca.cert } }));
    let bus = ready(config).await;
    bus.publish("job", 1).await.unwrap();
    let health = bus.health().await;
    assert_eq!(health["redis"]["sentinel"]["master"], json!(format!("localhost:{}", set.servers[0].port())));
    bus.disconnect().await;
}
