//! How a connection is made: old servers, unix sockets, names, databases, and frames in pieces.

use oxbus_model::ErrorKind;
use oxbus_testkit::{FakeServer, FaultProxy, RedisServer, Script, Step, eventually};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::setup::{FAR, millis, ready, seconds};
use crate::support::{Bus, Inbox, Record};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_know_hello_is_spoken_to_in_resp2() {
    let script = Script::new().hello_unknown().on("PUBLISH", [Step::int(3)]);
    let server = FakeServer::start(script).await;
    let redis = json!({ "url": server.url(), "password": "secret", "connectionName": "old", "database": 2 });
    let bus = ready(json!({ "redis": redis })).await;
    let inbox = Inbox::of(&bus, &["a"]).await;
    assert_eq!(bus.publish("a", 1).await.unwrap().receivers, 3);
    assert_eq!(server.connections(), 2);
    // The fake server sends it on both connections; the publisher's is replaced, as it asked for nothing.
    let event = r#"{"id":"1","type":"a","data":1}"#;
    server.send(format!("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n${}\r\n{event}\r\n", event.len()));
    inbox.wait_for_id("1").await;
    assert_eq!(server.received("AUTH")[0][1], b"secret");
    assert_eq!(server.received("CLIENT SETNAME")[0][2], b"old");
    assert_eq!(server.received("SELECT")[0][1], b"2");
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_not_say_hello_is_served_in_resp2() {
    let server = RedisServer::start().await;
    server.command(&["ACL", "SETUSER", "default", "-hello"]).await;
    let bus = ready(json!({ "redis": { "url": server.url(), "heartbeat": 150 } })).await;
    let (exact, pattern) = (Inbox::of(&bus, &["a"]).await, Inbox::of(&bus, &["*"]).await);
    for round in 0..3 {
        let id = format!("{round}");
        bus.publish_with("a", round, json!({ "id": id })).await.unwrap();
        exact.wait_for_id(&id).await;
        pattern.wait_for_id(&id).await;
        // Wait for several heartbeats: a subscribed RESP2 connection gets their replies in another form.
        sleep(millis(500)).await;
    }
    assert_eq!((exact.len(), pattern.len(), bus.stats().counts.reconnections), (3, 3, 0));
    assert_eq!(bus.health().await["status"], "healthy");
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket_works_like_a_port_and_survives_a_restart() {
    let server = RedisServer::builder().unix_socket().start().await;
    assert!(server.url().starts_with("unix:"));
    let bus = ready(json!({ "redis": server.url() })).await;
    let inbox = Inbox::of(&bus, &["a"]).await;
    bus.publish_with("a", 1, json!({ "id": "1" })).await.unwrap();
    inbox.wait_for_id("1").await;
    bus.loses(&["publisher", "subscriber"], server.restart()).await;
    let back = async || server.pubsub_numsub("a").await == 1;
    eventually(seconds(10), "the subscription is back", back).await;
    bus.publish_with("a", 2, json!({ "id": "2", "timeout": 20_000 })).await.unwrap();
    inbox.wait_for_id("2").await;
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_has_its_name_and_its_database() {
    let server = RedisServer::start().await;
    let named = json!({ "redis": { "url": server.url(), "connectionName": "orders", "database": 3 } });
    let unnamed = json!({ "redis": format!("{}/5", server.url()), "serviceName": "My Service é" });
    let (named, unnamed) = (ready(named).await, ready(unnamed).await);
    let clients = server.clients().await;
    let mut seen: Vec<_> = clients.iter().map(|c| (c["name"].as_str(), c["db"].as_str())).collect();
    seen.sort_unstable();
    assert_eq!(seen, [("My-Service--", "5"), ("orders", "3")]);
    let bus = Bus::with_config(json!({ "redis": { "url": server.url(), "database": 99 } }));
    assert_eq!(bus.connect_within(Some(500)).await.unwrap_err().kind, ErrorKind::InvalidConfig);
    drop((named, unnamed));
}

/// Events through a proxy that passes on a few bytes at a time, in both directions.
async fn in_pieces(server: &RedisServer) {
    let proxy = FaultProxy::start(server.addr()).await;
    // A few bytes at a time take long on a busy machine.
    let redis = json!({ "url": proxy.url(), "commandTimeout": FAR, "heartbeat": FAR });
    let bus = ready(json!({ "redis": redis })).await;
    let inbox = Inbox::of(&bus, &["a", "b.*"]).await;
    let mut expected = Vec::new();
    for n in 0..300_usize {
        expected.push(json!([n, "é\r\n".repeat(n % 12)]));
    }
    let mut batches = Vec::new();
    for (n, chunk) in expected.chunks(30).enumerate() {
        proxy.split_writes(1 + n % 7);
        let record = |data: &Value| Record::new(if n % 2 == 0 { "a" } else { "b.c" }, data.clone());
        batches.push(bus.start_publish(&chunk.iter().map(record).collect::<Vec<_>>()).results().await);
        inbox.wait_for((n + 1) * 30).await;
    }
    assert!(batches.into_iter().flatten().all(|result| result.is_ok()));
    assert_eq!(inbox.data(), expected);
    assert_eq!((bus.stats().counts.reconnections, bus.stats().counts.events_foreign), (0, 0));
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_in_pieces_are_put_together_in_resp3() {
    in_pieces(&RedisServer::start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_in_pieces_are_put_together_in_resp2() {
    let server = RedisServer::start().await;
    server.command(&["ACL", "SETUSER", "default", "-hello"]).await;
    in_pieces(&server).await;
}
