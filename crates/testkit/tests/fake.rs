//! The scripted server.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use oxbus_testkit::{FakeServer, RespClient, Script, Step, Value, eventually, eventually_some};

const SILENCE: Duration = Duration::from_millis(150);
const SOON: Duration = Duration::from_secs(10);

async fn connect(server: &FakeServer) -> RespClient {
    RespClient::connect(server.addr()).await.unwrap()
}

fn ok() -> Value {
    Value::Simple("OK".into())
}

#[tokio::test]
async fn gets_a_client_through_its_handshake() {
    let server = FakeServer::start(Script::new()).await;
    let mut client = connect(&server).await;
    assert!(matches!(client.call(&["HELLO", "3"]).await.unwrap(), Value::Map(_)));
    for command in [&["AUTH", "u", "p"][..], &["SELECT", "1"], &["CLIENT", "SETNAME", "n"]] {
        assert_eq!(client.call(command).await.unwrap(), ok());
    }
    assert_eq!(client.call(&["CLIENT", "ID"]).await.unwrap(), Value::Int(1));
    assert_eq!(client.call(&["ROLE"]).await.unwrap().items()[0], Value::bulk("master"));
    assert!(client.call(&["INFO"]).await.unwrap().text().contains("redis_version:7"));
    assert_eq!(client.call(&["PING"]).await.unwrap(), Value::Simple("PONG".into()));
    client.send(&["SUBSCRIBE", "a", "b"]).await.unwrap();
    for (count, name) in [(1, "a"), (2, "b")] {
        let confirmed = vec![Value::bulk("subscribe"), Value::bulk(name), Value::Int(count)];
        assert_eq!(client.read().await.unwrap(), Value::Push(confirmed));
    }
    assert!(matches!(client.call(&["NOPE"]).await.unwrap(), Value::Error(_)));
    assert_eq!(
        server.received("client setname"),
        [["CLIENT", "SETNAME", "n"].map(|arg| arg.as_bytes().to_vec())]
    );
    assert_eq!(server.received("CLIENT").len(), 2);
    assert_eq!((server.connections(), server.open_connections()), (1, 1));
}

#[tokio::test]
async fn speaks_as_redis_5_does() {
    let server = FakeServer::start(Script::new().hello_unknown()).await;
    let mut client = connect(&server).await;
    assert!(
        matches!(client.call(&["HELLO", "3"]).await.unwrap(), Value::Error(why) if why.starts_with("ERR unknown"))
    );
    assert!(matches!(client.call(&["SUBSCRIBE", "a"]).await.unwrap(), Value::Array(_)));
    assert!(matches!(client.call(&["PING"]).await.unwrap(), Value::Array(_)));
}

#[tokio::test]
async fn follows_its_script_and_repeats_the_last_step() {
    let script =
        Script::new().on("publish", [Step::error("OOM no"), Step::int(3), Step::Default, Step::int(4)]);
    let server = FakeServer::start(script.on("CLIENT SETNAME", [Step::error("ERR name")])).await;
    let mut client = connect(&server).await;
    let mut publish = async || client.call(&["PUBLISH", "c", "m"]).await.unwrap();
    assert_eq!(publish().await, Value::Error("OOM no".into()));
    assert_eq!(publish().await, Value::Int(3));
    assert!(matches!(publish().await, Value::Error(_)));
    assert_eq!(publish().await, Value::Int(4));
    assert_eq!(publish().await, Value::Int(4));
    server.on("PUBLISH", [Step::int(9)]);
    assert_eq!(publish().await, Value::Int(9));
    assert_eq!(server.received("PUBLISH").len(), 6);
    assert_eq!(client.call(&["CLIENT", "SETNAME", "x"]).await.unwrap(), Value::Error("ERR name".into()));
    assert_eq!(client.call(&["CLIENT", "SETINFO", "x", "y"]).await.unwrap(), ok());
}

#[tokio::test]
async fn asks_a_closure_first() {
    let mut calls = 0;
    let server = FakeServer::start(Script::new().answer_with(move |command| {
        calls += 1;
        (command[0] == b"GET").then(|| Step::int(calls))
    }))
    .await;
    let mut client = connect(&server).await;
    assert_eq!(client.call(&["PING"]).await.unwrap(), Value::Simple("PONG".into()));
    assert_eq!(client.call(&["GET", "k"]).await.unwrap(), Value::Int(2));
}

#[tokio::test]
async fn closes_resets_and_halves() {
    let script = Script::new()
        .on("A", [Step::Close])
        .on("B", [Step::CloseBeforeRead])
        .on("C", [Step::raw("$5\r\nab").then(Step::Close)])
        .on("D", [Step::raw("nonsense\r\n")]);
    let server = FakeServer::start(script).await;
    for (command, kind) in [
        ("A", ErrorKind::UnexpectedEof),
        ("B", ErrorKind::ConnectionReset),
        ("C", ErrorKind::UnexpectedEof),
        ("D", ErrorKind::InvalidData),
    ] {
        let mut client = connect(&server).await;
        assert_eq!(client.call(&[command]).await.unwrap_err().kind(), kind, "{command}");
    }
    assert_eq!((server.received("A").len(), server.received("B").len()), (1, 0));
    assert_eq!(server.connections(), 4);
    eventually(SOON, "all are closed", || async { server.open_connections() == 0 }).await;
}

#[tokio::test]
async fn is_silent_or_slow() {
    let slow = Step::int(1).after(SILENCE);
    let server = FakeServer::start(Script::new().on("A", [Step::Silence]).on("B", [slow])).await;
    let mut client = connect(&server).await.with_timeout(SILENCE);
    assert_eq!(client.call(&["A"]).await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(client.call(&["PING"]).await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(server.received("PING").len(), 1);
    let start = Instant::now();
    assert_eq!(connect(&server).await.call(&["B"]).await.unwrap(), Value::Int(1));
    assert!(start.elapsed() >= SILENCE);
}

#[tokio::test]
async fn does_steps_on_connect_and_unasked() {
    let full = Step::error("ERR max number of clients reached").then(Step::Close);
    let server = FakeServer::start(Script::new().on_connect([full, Step::All(Vec::new())])).await;
    let mut client = connect(&server).await;
    assert!(matches!(client.read().await.unwrap(), Value::Error(why) if why.contains("max number")));
    assert_eq!(client.read().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    let mut client = connect(&server).await;
    client.call(&["PING"]).await.unwrap();
    server.send(">1\r\n$4\r\nnews\r\n");
    assert_eq!(client.read().await.unwrap(), Value::Push(vec![Value::bulk("news")]));
    let address = server.addr();
    drop(server);
    assert_eq!(client.read().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    eventually_some(SOON, "the port is closed", || async { RespClient::connect(address).await.err() }).await;
}

#[tokio::test]
async fn waiting_has_a_deadline() {
    let hung = tokio::spawn(eventually(Duration::from_millis(30), "pigs fly", std::future::pending));
    let never = tokio::spawn(eventually(Duration::from_millis(30), "pigs fly", || async { false }));
    for task in [hung, never] {
        let why = *task.await.unwrap_err().into_panic().downcast::<String>().unwrap();
        assert!(why.contains("pigs fly") && why.contains("tests/fake.rs"), "{why}");
    }
}
