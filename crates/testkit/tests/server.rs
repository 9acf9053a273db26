//! Real servers, started and broken.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use oxbus_testkit::server::unused_port;
use oxbus_testkit::{RedisServer, RespClient, Value, eventually};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(10);

async fn refused(address: SocketAddr) -> bool {
    matches!(TcpStream::connect(address).await, Err(error) if error.kind() == ErrorKind::ConnectionRefused)
}

#[tokio::test]
async fn starts_is_killed_and_restarts_on_the_same_port() {
    let server = RedisServer::start().await;
    let mut client = RespClient::connect(server.addr()).await.unwrap();
    assert_eq!(client.call(&["SET", "k", "v"]).await.unwrap(), Value::Simple("OK".into()));
    let (port, process) = (server.port(), server.process_id());

    server.kill();
    assert!(server.process_id().is_none());
    assert!(refused(server.addr()).await);
    assert!(client.call(&["PING"]).await.is_err());
    assert!(server.try_command(&["PING"]).await.is_err());

    server.restart().await;
    assert_eq!(server.port(), port);
    assert_ne!(server.process_id(), process);
    assert_eq!(server.command(&["GET", "k"]).await, Value::Nil, "nothing is persisted by default");
}

#[tokio::test]
async fn keeps_what_an_append_only_file_holds() {
    let server = RedisServer::builder().arg("appendonly", "yes").arg("appendfsync", "always").start().await;
    server.command(&["SET", "k", "v"]).await;
    server.restart().await;
    assert_eq!(server.command(&["GET", "k"]).await, Value::bulk("v"));
    server.stop().await;
    assert!(refused(server.addr()).await);
    server.restart().await;
    assert_eq!(server.command(&["GET", "k"]).await, Value::bulk("v"));
}

#[tokio::test]
async fn a_frozen_server_accepts_and_is_silent() {
    let server = RedisServer::start().await;
    let client = RespClient::connect(server.addr()).await.unwrap();
    let mut client = client.with_timeout(Duration::from_millis(200));
    for _ in 0..2 {
        server.freeze();
        client.send(&["PING"]).await.unwrap();
        assert_eq!(client.read().await.unwrap_err().kind(), ErrorKind::TimedOut);
        TcpStream::connect(server.addr()).await.unwrap();
        server.thaw();
        eventually(SOON, "the server answers again", || async {
            server.try_command(&["PING"]).await.is_ok()
        })
        .await;
        assert_eq!(client.read().await.unwrap(), Value::Simple("PONG".into()));
    }
}

#[tokio::test]
async fn dropping_ends_a_frozen_server_and_its_folder() {
    let server = RedisServer::start().await;
    let (address, folder) = (server.addr(), server.folder().to_owned());
    server.freeze();
    drop(server);
    assert!(refused(address).await);
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_frozen_server_stops_and_restarts() {
    let server = RedisServer::start().await;
    server.freeze();
    server.restart().await;
    server.freeze();
    server.stop().await;
    assert!(refused(server.addr()).await);
}

#[tokio::test]
async fn asks_for_its_password_but_not_the_kit() {
    let server = RedisServer::builder().password("p\"w\\ d").start().await;
    let mut client = RespClient::connect(server.addr()).await.unwrap();
    assert!(matches!(client.call(&["PING"]).await.unwrap(), Value::Error(why) if why.starts_with("NOAUTH")));
    assert_eq!(client.call(&["AUTH", server.password().unwrap()]).await.unwrap(), Value::Simple("OK".into()));
    server.command(&["CONFIG", "SET", "requirepass", "other"]).await;
    server.command(&["PING"]).await;
}

#[tokio::test]
async fn serves_its_unix_socket() {
    let server = RedisServer::builder().unix_socket().start().await;
    let path = server.url().strip_prefix("unix://").unwrap().to_owned();
    let mut client = RespClient::connect_unix(path).await.unwrap();
    assert_eq!(client.call(&["PING"]).await.unwrap(), Value::Simple("PONG".into()));
}

#[tokio::test]
async fn a_replica_follows_its_master() {
    let master = RedisServer::builder().password("x").start().await;
    let replica = RedisServer::builder().password("x").replica_of(master.port()).start().await;
    replica.wait_for_replication(SOON * 3).await;
    assert_eq!(replica.info("replication").await["role"], "slave");
    assert_eq!(master.connected_clients().await, 0, "a replica is no client");
}

#[tokio::test]
async fn says_who_is_connected_and_subscribed() {
    let server = RedisServer::start().await;
    assert_eq!(server.connected_clients().await, 0);
    let mut client = RespClient::connect(server.addr()).await.unwrap();
    client.call(&["SUBSCRIBE", "c"]).await.unwrap();
    client.call(&["PSUBSCRIBE", "p*"]).await.unwrap();
    assert_eq!(server.connected_clients().await, 1);
    assert_eq!((server.pubsub_numsub("c").await, server.pubsub_numpat().await), (1, 1));
    server.command(&["PUBLISH", "c", "hello"]).await;
    assert_eq!(client.read().await.unwrap().items()[2], Value::bulk("hello"));
    assert_eq!((server.calls("publish").await, server.calls("xadd").await), (1, 0));
    assert_eq!(server.client_kill_pubsub().await, 1);
    assert_eq!(client.read().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    eventually(SOON, "nobody is connected", || async { server.connected_clients().await == 0 }).await;
    let error = server.try_command(&["NOPE"]).await.unwrap_err();
    assert!(error.starts_with("ERR unknown command"), "{error}");
}

#[tokio::test]
async fn many_start_at_once() {
    let starts: Vec<_> = (0..6).map(|_| tokio::spawn(RedisServer::start())).collect();
    let mut ports = Vec::new();
    let mut servers = Vec::new();
    for start in starts {
        let server = start.await.unwrap();
        ports.push(server.port());
        servers.push(server);
    }
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), servers.len());
}

#[tokio::test]
async fn says_why_it_did_not_start() {
    let bad = tokio::spawn(RedisServer::builder().arg("no-such-setting", "1").start()).await;
    let why = panic_text(bad.err().unwrap());
    assert!(why.contains("no-such-setting"), "{why}");

    let taken = RedisServer::start().await;
    let second = tokio::spawn(RedisServer::builder().port(taken.port()).start()).await;
    let why = panic_text(second.err().unwrap());
    assert!(why.contains("Address already in use"), "{why}");
}

fn panic_text(error: tokio::task::JoinError) -> String {
    *error.into_panic().downcast::<String>().unwrap()
}

const ORPHAN_PORT: &str = "OXBUS_TESTKIT_ORPHAN_PORT";

/// Run by the next test in a process of its own; does nothing otherwise.
#[tokio::test]
async fn orphan() {
    let Ok(port) = std::env::var(ORPHAN_PORT) else { return };
    let server = RedisServer::builder().port(port.parse().unwrap()).start().await;
    server.command(&["PING"]).await;
    std::process::abort();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn dies_with_the_test_process() {
    let folder = tempfile::tempdir().unwrap();
    let port = unused_port();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "orphan", "--nocapture"])
        .env(ORPHAN_PORT, port.to_string())
        .env("TMPDIR", folder.path())
        .output()
        .unwrap()
        .status;
    assert!(!status.success());
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_some(), "it had been started");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    eventually(SOON, "the server is gone with its test", || refused(address)).await;
}
