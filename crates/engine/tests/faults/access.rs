//! A server that refuses: passwords, permissions, and the number of clients.

use oxbus_engine::State;
use oxbus_engine::host::Notice;
use oxbus_model::delivery::Settlement;
use oxbus_model::{ErrorKind, Outcome};
use oxbus_testkit::{RedisServer, RespClient, eventually, eventually_some};
use serde_json::json;
use tokio::time::sleep;

use crate::setup::{
    FAR, SLACK, assert_between, attempts_since, failed, hasty, is_error, ready, seconds, soak, timed,
};
use crate::support::{Bus, Inbox, is_warning};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_fails_at_once_and_is_not_tried_again_fast() {
    let server = RedisServer::builder().password("secret").start().await;
    let redis = json!({ "url": server.url(), "password": "guess-me", "connectTimeout": FAR });
    let bus = Bus::with_config(json!({ "redis": redis }));
    let (connected, took) = timed(bus.connect()).await;
    let error = connected.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthFailed);
    assert!(!format!("{error:?}").contains("guess-me"));
    assert_between(took, 0, 0);
    let address = format!("127.0.0.1:{}", server.port());
    let refused = format!("{address} refuses the login of user \"default\": WRONGPASS");
    assert!(error.message.starts_with(&refused), "{}", error.message);
    let none = Bus::with_config(json!({ "redis": server.url() }));
    let error = none.connect().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthFailed);
    assert!(
        error.message.contains(&address) && error.message.contains("set a password"),
        "{}",
        error.message
    );
    drop(none);

    let mark = bus.notices.mark();
    sleep(seconds(soak(4, 24))).await;
    let attempts = attempts_since(&bus, mark).len();
    assert!(attempts <= soak(1, 5), "{attempts} attempts");
    server.command(&["CONFIG", "SET", "requirepass", "guess-me"]).await;
    bus.wait_until_ready(Some(20_000)).await.unwrap();
    bus.publish("a", 1).await.unwrap();
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_changed_and_changed_back_is_survived() {
    let server = RedisServer::builder().password("secret").start().await;
    let redis = json!({ "url": server.url(), "password": "secret", "commandTimeout": 800 });
    let bus = ready(json!({ "redis": redis })).await;
    let inbox = Inbox::of(&bus, &["a"]).await;
    bus.loses(&["publisher", "subscriber"], async {
        server.command(&["CONFIG", "SET", "requirepass", "other"]).await;
        server.command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
        server.client_kill_pubsub().await;
    })
    .await;
    bus.notices.wait_for(
        |n| matches!(n, Notice::Reconnecting { error, delay, .. } if error.kind == ErrorKind::AuthFailed && *delay >= 5000),
    )
    .await;
    failed(&bus.publish("a", 1).await, Outcome::NotSent);
    server.command(&["CONFIG", "SET", "requirepass", "secret"]).await;
    bus.wait_until_ready(Some(20_000)).await.unwrap();
    bus.publish_with("a", 1, json!({ "id": "back" })).await.unwrap();
    inbox.wait_for_id("back").await;
    // Both connections were refused, the first more than once, and it is told once.
    let told: Vec<Notice> =
        bus.notices.all().into_iter().filter(|n| is_error(n, ErrorKind::AuthFailed)).collect();
    let [Notice::Error(error)] = &told[..] else { panic!("{told:?}") };
    let address = server.url();
    let address = address.split(['@', '/']).next_back().unwrap_or_default();
    assert!(error.message.contains(address) && error.message.contains("WRONGPASS"), "{}", error.message);
    // It is told again when it happens again.
    let mark = bus.notices.mark();
    server.command(&["CONFIG", "SET", "requirepass", "other"]).await;
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    bus.notices.wait_from(mark, |n| is_error(n, ErrorKind::AuthFailed)).await;
    bus.disconnect().await;
}

/// A user without a password is that user, and not the default one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_needs_no_password_logs_in() {
    let server = RedisServer::start().await;
    server.command(&["ACL", "SETUSER", "bob", "on", "nopass", "~*", "&*", "+@all"]).await;
    server.command(&["ACL", "SETUSER", "ann", "on", ">secret", "~*", "&*", "+@all"]).await;
    let config = |user: &str| json!({ "redis": { "url": server.url(), "username": user } });
    let bus = ready(config("bob")).await;
    let clients = server.command(&["CLIENT", "LIST"]).await.text();
    assert!(clients.contains("user=bob"), "{clients}");
    bus.disconnect().await;
    let bus = Bus::with_config(config("ann"));
    let error = bus.connect().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthFailed);
    assert!(error.message.contains("WRONGPASS"), "{}", error.message);
    bus.disconnect().await;
}

/// A database that the server does not have does not come by waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_there_is_a_fault_of_the_configuration() {
    let server = RedisServer::start().await;
    let url = format!("{}/99", server.url().trim_end_matches('/'));
    for timeout in [None, Some(oxbus_engine::NO_LIMIT)] {
        let bus = Bus::with_config(json!({ "redis": { "url": url, "commandTimeout": 300 } }));
        let error = bus.connect_within(timeout).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidConfig, "{}", error.message);
        let expected = format!("127.0.0.1:{} has no database 99: ERR ", server.port());
        assert!(error.message.contains(&expected), "{}", error.message);
        assert_eq!(failed(&bus.publish("a", 1).await, Outcome::NotSent).kind, ErrorKind::InvalidConfig);
        bus.disconnect().await;
    }
}

/// What waits for a connection in vain ends with why there is none: waiting longer, or trying again, would not help.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_end_with_why_there_is_no_connection() {
    let server = RedisServer::builder().password("secret").start().await;
    let config = json!({
        "redis": { "url": server.url(), "password": "guess-me", "commandTimeout": 300 },
        "streams": [{ "name": "jobs", "events": "job.*" }],
    });
    let bus = Bus::with_config(config);
    assert_eq!(bus.connect().await.unwrap_err().kind, ErrorKind::AuthFailed);
    for event_type in ["live", "job.a"] {
        let published = bus.publish(event_type, 1).await;
        let error = failed(&published, Outcome::NotSent);
        assert_eq!(error.kind, ErrorKind::AuthFailed, "{event_type}: {}", error.message);
        assert!(
            error.message.contains("never sent") && error.message.contains("WRONGPASS"),
            "{}",
            error.message
        );
    }
    for (pattern, options) in [("live", json!({})), ("job.*", json!({ "group": "workers" }))] {
        let error = bus.subscribe(&[pattern], options, |_| Settlement::Succeeded).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::AuthFailed, "{pattern}: {}", error.message);
    }
    let error = bus.request("streams.info", json!({ "name": "jobs" })).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AuthFailed, "{}", error.message);
    bus.disconnect().await;
}

/// Calls do not fail as soon as the cause is known: a password that is being rotated is right in a moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_wait_for_a_password_that_is_set_right() {
    let server = RedisServer::builder().password("old").start().await;
    let redis = json!({ "url": server.url(), "password": "new", "commandTimeout": 20_000 });
    let streams = json!([{ "name": "jobs", "events": "job.*" }]);
    let bus = Bus::with_config(json!({ "redis": redis, "streams": streams }));
    assert_eq!(bus.connect().await.unwrap_err().kind, ErrorKind::AuthFailed);
    let calls = async {
        let stored = bus.publish("job.a", 1);
        let live = bus.publish("live", 1);
        let subscribed = bus.subscribe(&["live"], json!({}), |_| Settlement::Succeeded);
        let (stored, live, subscribed) = tokio::join!(stored, live, subscribed);
        (stored.unwrap(), live.unwrap(), subscribed.unwrap())
    };
    let mend = async {
        let waits = || async { bus.stats().in_flight == 2 };
        eventually(seconds(5), "publishes that wait", waits).await;
        server.command(&["CONFIG", "SET", "requirepass", "new"]).await;
    };
    let (_, ()) = tokio::join!(calls, mend);
    bus.disconnect().await;
}

/// A stream that may not be trimmed grows: the host is warned, once, and the report says it until it is trimmed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retention_that_is_refused_is_warned_of_once() {
    const REFUSED: &str = "RETENTION_REFUSED";
    let server = RedisServer::start().await;
    server.command(&["ACL", "SETUSER", "default", "-xtrim"]).await;
    let streams = json!([{ "name": "jobs", "events": "job", "maxLength": 5, "consumerGroups": [] }]);
    let bus = ready(json!({ "redis": server.url(), "streams": streams })).await;
    for n in 0..20 {
        bus.publish("job", n).await.unwrap();
    }
    bus.notices.wait_for(|notice| is_warning(notice, REFUSED)).await;
    let reported = async || {
        let health = bus.health().await;
        health["warnings"].as_array().unwrap().iter().filter(|warning| warning["code"] == REFUSED).count()
    };
    assert_eq!(reported().await, 1);
    // It is tried again, and not warned of again.
    let tries = async || server.info("commandstats").await["cmdstat_xtrim"].clone();
    let rejected = |stats: &str| stats.contains("rejected_calls=2");
    let twice = async || rejected(&tries().await);
    eventually(std::time::Duration::from_secs(30), "a second try", twice).await;
    server.command(&["ACL", "SETUSER", "default", "+xtrim"]).await;
    let trimmed = async || server.command(&["XLEN", "jobs"]).await.int() == 5;
    eventually(std::time::Duration::from_secs(60), "the stream is trimmed", trimmed).await;
    eventually(std::time::Duration::from_secs(5), "a report without it", async || reported().await == 0)
        .await;
    assert_eq!(bus.notices.all().iter().filter(|notice| is_warning(notice, REFUSED)).count(), 1);
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forbidden_channel_rejects_its_own_publishes_only() {
    let server = RedisServer::start().await;
    server.command(&["ACL", "SETUSER", "default", "resetchannels", "&open.*", "&broadcast"]).await;
    let bus = ready(hasty(&server.url())).await;
    let inbox = Inbox::of(&bus, &["open.*"]).await;
    let records: Vec<_> = (0..100)
        .map(|n| crate::support::Record::new(if n % 2 == 0 { "open.a" } else { "closed.a" }, n))
        .collect();
    for (n, result) in bus.start_publish(&records).results().await.iter().enumerate() {
        if n % 2 == 0 {
            result.as_ref().unwrap();
        } else {
            assert_eq!(failed(result, Outcome::Rejected).kind, ErrorKind::PermissionDenied);
        }
    }
    inbox.wait_for(50).await;
    let denied = bus
        .subscribe(&["closed.*"], serde_json::Value::Null, |_| -> Settlement { panic!("never called") })
        .await;
    assert_eq!(denied.unwrap_err().kind, ErrorKind::SubscribeDenied);
    assert_eq!((bus.stats().counts.reconnections, bus.stats().active_subscriptions), (0, 1));
    assert_eq!(bus.health().await["status"], "healthy");
    bus.disconnect().await;
}

/// How often the server has refused to subscribe somebody.
async fn denials(server: &RedisServer) -> u64 {
    let stats = server.info("commandstats").await;
    let fields = stats.get("cmdstat_subscribe").into_iter().flat_map(|line| line.split(','));
    let refused = |field: &str| field.strip_prefix("rejected_calls=").and_then(|n| n.parse::<u64>().ok());
    fields.filter_map(refused).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_not_hear_broadcasts_is_told_once_and_served_otherwise() {
    let server = RedisServer::start().await;
    server.command(&["ACL", "SETUSER", "default", "resetchannels", "&open.*"]).await;
    let bus = ready(json!({ "redis": server.url() })).await;
    let mut inboxes = Vec::new();
    for n in 0..5 {
        let (inbox, took) = timed(Inbox::of(&bus, &[&format!("open.{n}")])).await;
        assert_between(took, 0, 0);
        inboxes.push(inbox);
    }
    let asked = denials(&server).await;
    let again = async || denials(&server).await > asked;
    eventually(seconds(20), "it is asked for again", again).await;
    let denied = |n: &Notice| {
        matches!(n, Notice::Warning { code: "BROADCAST_DENIED", .. })
            || is_error(n, ErrorKind::SubscribeDenied)
    };
    assert_eq!(bus.notices.all().iter().filter(|n| denied(n)).count(), 1);
    assert_eq!(bus.health().await["status"], "healthy");
    server.command(&["ACL", "SETUSER", "default", "allchannels"]).await;
    let heard = async || server.pubsub_numsub("broadcast").await == 1;
    eventually(seconds(20), "broadcasts are subscribed", heard).await;
    bus.publish_with("open.3", 1, json!({ "audience": "broadcast", "id": "all" })).await.unwrap();
    inboxes[3].wait_for_id("all").await;
    assert_eq!(inboxes.iter().map(Inbox::len).sum::<usize>(), 1);
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_taken_away_is_reported_asked_for_and_taken_back() {
    let server = RedisServer::start().await;
    let bus = ready(json!({ "redis": server.url() })).await;
    let (taken, kept) = (Inbox::of(&bus, &["taken.*"]).await, Inbox::of(&bus, &["kept.a"]).await);
    // The server closes connections that are subscribed to what is no longer allowed.
    server.command(&["ACL", "SETUSER", "default", "resetchannels", "&kept.*", "&broadcast"]).await;
    let notice = bus.notices.wait_for(|n| is_error(n, ErrorKind::SubscribeDenied)).await;
    assert!(format!("{notice:?}").contains("taken.*"), "{notice:?}");
    let refused = async || {
        let health = bus.health().await;
        health["status"] == "degraded" && health["connections"]["subscriber"]["refused"] == json!(["taken.*"])
    };
    eventually(seconds(10), "the refused subscription is in the report", refused).await;
    bus.publish_with("kept.a", 1, json!({ "id": "kept" })).await.unwrap();
    kept.wait_for_id("kept").await;

    server.command(&["ACL", "SETUSER", "default", "allchannels"]).await;
    let back = async || server.pubsub_numpat().await == 1;
    let (_, took) = timed(eventually(seconds(30), "the subscription is back", back)).await;
    assert_between(took, 0, 10_000);
    bus.publish_with("taken.a", 1, json!({ "id": "back" })).await.unwrap();
    taken.wait_for_id("back").await;
    let healthy = async || bus.health().await["status"] == "healthy";
    eventually(seconds(10), "the report is healthy again", healthy).await;
    bus.disconnect().await;
}

/// A connection that the server has accepted. Those of the kit from the start may not be gone yet.
async fn slot(server: &RedisServer) -> Option<RespClient> {
    let mut client = RespClient::connect(server.addr()).await.ok()?;
    let answer = client.call(&["PING"]).await.ok()?;
    matches!(answer, oxbus_testkit::Value::Simple(_)).then_some(client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_is_tried_with_backoff_until_a_slot_is_free() {
    let server = RedisServer::builder().arg("maxclients", "4").start().await;
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(eventually_some(seconds(10), "a slot", || slot(&server)).await);
    }
    // The kit's own calls need the fourth slot; the test makes none from here on.
    let control = || async { server.control().await.ok() };
    let mut control = eventually_some(seconds(10), "the last slot", control).await;
    let bus = Bus::with_config(json!({ "redis": { "url": server.url(), "connectTimeout": 1_500 } }));
    let error = bus.connect().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ServerMaxClients, "{error}");
    sleep(seconds(soak(3, 9))).await;
    let attempts = attempts_since(&bus, 0);
    assert!((2..=20).contains(&attempts.len()), "{} attempts", attempts.len());
    assert!(attempts.iter().all(|kind| *kind == ErrorKind::ServerMaxClients), "{attempts:?}");
    assert_ne!(bus.state(), State::Ready);
    drop(others);
    control.call(&["PING"]).await.unwrap();
    let (ready, took) = timed(bus.wait_until_ready(Some(30_000))).await;
    ready.unwrap();
    assert!(took <= seconds(5) + SLACK, "{took:?}");
    bus.publish("a", 1).await.unwrap();
    bus.disconnect().await;
}
