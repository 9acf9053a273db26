//! The fault proxy before a real server.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use oxbus_testkit::resp::encode_command;
use oxbus_testkit::{ConnectionId, FaultProxy, RedisServer, RespClient, Value, eventually};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

const SOON: Duration = Duration::from_secs(10);
/// How long silence is listened to.
const SILENCE: Duration = Duration::from_millis(150);

struct Setup {
    server: RedisServer,
    proxy: FaultProxy,
}

impl Setup {
    async fn start() -> Self {
        let server = RedisServer::start().await;
        let proxy = FaultProxy::start(server.addr()).await;
        Self { server, proxy }
    }

    async fn client(&self) -> RespClient {
        RespClient::connect(self.proxy.addr()).await.unwrap()
    }

    /// A client whose connection has been used, so that its id is known.
    async fn connected(&self) -> (RespClient, ConnectionId) {
        let mut client = self.client().await;
        pong(&mut client).await;
        (client, *self.proxy.open_connections().last().unwrap())
    }

    async fn closes(&self, id: ConnectionId) {
        eventually(SOON, "the connection is closed", || async { !self.proxy.connection(id).open }).await;
    }
}

async fn pong(client: &mut RespClient) {
    assert_eq!(client.call(&["PING"]).await.unwrap(), Value::Simple("PONG".into()));
}

/// Waits for an end of the connection and gives its kind.
async fn end(client: &mut RespClient) -> ErrorKind {
    client.read().await.unwrap_err().kind()
}

#[tokio::test]
async fn passes_and_counts() {
    let setup = Setup::start().await;
    let (mut client, id) = setup.connected().await;
    let info = setup.proxy.connection(id);
    assert_eq!((info.from_client, info.to_server, info.from_server, info.to_client), (14, 14, 7, 7));
    assert!(info.open && !info.frozen);
    let big = vec![b'x'; 3_000_000];
    client.call(&[&b"SET"[..], b"k", &big]).await.unwrap();
    assert_eq!(client.call(&["GET", "k"]).await.unwrap().bytes(), big);
    drop(client);
    setup.closes(id).await;
    eventually(SOON, "the server has seen the close", || async {
        setup.server.connected_clients().await == 0
    })
    .await;
}

#[tokio::test]
async fn freezes_old_connections_only() {
    let setup = Setup::start().await;
    let (old, id) = setup.connected().await;
    let mut old = old.with_timeout(SILENCE);
    setup.proxy.freeze_all();
    old.send(&["PING"]).await.unwrap();
    assert_eq!(end(&mut old).await, ErrorKind::TimedOut);
    let (mut new, _) = setup.connected().await;
    let info = setup.proxy.connection(id);
    assert!(info.open && info.frozen);
    assert_eq!(info.from_client, 14);

    // The server closing is not noticed either: that is what half-open means.
    setup.server.kill();
    assert_eq!(end(&mut new).await, ErrorKind::UnexpectedEof);
    assert_eq!(end(&mut old).await, ErrorKind::TimedOut);
    setup.proxy.thaw_all();
    assert_eq!(end(&mut old.with_timeout(SOON)).await, ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn thawing_delivers_what_was_held_back() {
    let setup = Setup::start().await;
    let (mut client, id) = setup.connected().await;
    setup.proxy.freeze(id);
    client.send(&["PING"]).await.unwrap();
    setup.proxy.thaw(id);
    assert_eq!(client.read().await.unwrap(), Value::Simple("PONG".into()));
}

#[tokio::test]
async fn replies_alone_can_be_lost() {
    let setup = Setup::start().await;
    let (mut client, id) = setup.connected().await;
    setup.proxy.freeze_replies(id);
    client.send(&["INCR", "n"]).await.unwrap();
    let ran = || async { setup.server.command(&["GET", "n"]).await == Value::bulk("1") };
    eventually(SOON, "the command has run", ran).await;
    setup.proxy.cut(id);
    assert_eq!(end(&mut client).await, ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn cuts_and_resets() {
    let setup = Setup::start().await;
    let (mut first, one) = setup.connected().await;
    let (mut second, two) = setup.connected().await;
    let (mut third, three) = setup.connected().await;
    setup.proxy.cut(one);
    assert_eq!(end(&mut first).await, ErrorKind::UnexpectedEof);
    setup.proxy.reset(two);
    assert_eq!(end(&mut second).await, ErrorKind::ConnectionReset);
    pong(&mut third).await;
    setup.proxy.cut_all();
    assert_eq!(end(&mut third).await, ErrorKind::UnexpectedEof);
    setup.closes(three).await;
    assert!(setup.proxy.open_connections().is_empty());
    eventually(SOON, "the server has seen it", || async { setup.server.connected_clients().await == 0 })
        .await;
    pong(&mut setup.client().await).await;
}

#[tokio::test]
async fn refuses_and_swallows_new_connections() {
    let setup = Setup::start().await;
    let (mut old, _) = setup.connected().await;
    setup.proxy.refuse(true);
    let mut refused = setup.client().await;
    assert!(refused.call(&["PING"]).await.is_err());
    assert_eq!(setup.proxy.refused(), 1);
    setup.proxy.refuse(false);

    setup.proxy.blackhole_new(true);
    let mut client = setup.client().await.with_timeout(SILENCE);
    client.send(&["PING"]).await.unwrap();
    assert_eq!(end(&mut client).await, ErrorKind::TimedOut);
    assert_eq!(setup.server.connected_clients().await, 1);
    setup.proxy.blackhole_new(false);
    pong(&mut old).await;
    setup.proxy.thaw_all();
    assert_eq!(client.with_timeout(SOON).read().await.unwrap(), Value::Simple("PONG".into()));
}

#[tokio::test]
async fn cuts_after_bytes_that_reach_the_server() {
    let setup = Setup::start().await;
    let incr = encode_command(&["INCR", "n"]);
    setup.proxy.cut_after_client_bytes(incr.len() as u64 * 2 + 3);
    let mut client = setup.client().await;
    client.send_raw(&incr.repeat(5)).await.unwrap();
    while client.read().await.is_ok() {}
    let ran = || async { setup.server.command(&["GET", "n"]).await == Value::bulk("2") };
    eventually(SOON, "exactly two commands have run", ran).await;
    assert_eq!(setup.proxy.connections()[0].to_server, incr.len() as u64 * 2 + 3);
    let (mut next, id) = setup.connected().await;
    setup.proxy.cut_connection_after_client_bytes(id, incr.len() as u64);
    let _ = next.call(&["INCR", "n"]).await;
    setup.closes(id).await;
    let ran = || async { setup.server.command(&["GET", "n"]).await == Value::bulk("3") };
    eventually(SOON, "one more command has run", ran).await;
}

#[tokio::test]
async fn cuts_after_swallowing() {
    let setup = Setup::start().await;
    setup.proxy.cut_after_swallowing(5);
    assert!(setup.client().await.call(&["INCR", "n"]).await.is_err());
    let (mut next, id) = setup.connected().await;
    setup.proxy.cut_connection_after_swallowing(id, 1);
    assert!(next.call(&["INCR", "n"]).await.is_err());
    assert_eq!(setup.server.command(&["GET", "n"]).await, Value::Nil);
    assert_eq!(setup.proxy.connection(id).to_server, 14);
}

#[tokio::test]
async fn delays_each_direction() {
    let setup = Setup::start().await;
    let (mut client, _) = setup.connected().await;
    setup.proxy.delay(Duration::from_millis(60));
    let start = Instant::now();
    pong(&mut client).await;
    assert!(start.elapsed() >= Duration::from_millis(120), "{:?}", start.elapsed());
    setup.proxy.delay(Duration::ZERO);
    pong(&mut client).await;
}

#[tokio::test]
async fn splits_writes() {
    let sink = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = FaultProxy::start(sink.local_addr().unwrap()).await;
    proxy.split_writes(1);
    let mut client = RespClient::over(TcpStream::connect(proxy.addr()).await.unwrap());
    let (mut socket, _) = sink.accept().await.unwrap();
    let bytes = b"0123456789".repeat(10);
    client.send_raw(&bytes).await.unwrap();
    let mut got = Vec::new();
    let mut reads = 0;
    let mut buffer = [0; 64];
    while got.len() < bytes.len() {
        let length = socket.read(&mut buffer).await.unwrap();
        got.extend_from_slice(&buffer[..length]);
        reads += 1;
    }
    assert_eq!(got, bytes);
    assert!(reads > 2, "100 bytes came in {reads} reads");
}

#[tokio::test]
async fn is_pointed_elsewhere_and_finds_connections() {
    let setup = Setup::start().await;
    let (_plain, _) = setup.connected().await;
    let mut subscriber = setup.client().await;
    subscriber.call(&["subscribe", "c"]).await.unwrap();
    let id = setup.proxy.wait_for_connection("SUBSCRIBE").await;
    assert_eq!(id, ConnectionId(1));
    assert_eq!(setup.proxy.connection_containing(b"SUBSCRIBE"), Some(id));
    assert_eq!(setup.proxy.connection_containing("XREAD"), None);

    let other = RedisServer::start().await;
    other.command(&["SET", "who", "other"]).await;
    setup.proxy.retarget(other.addr());
    assert_eq!(setup.client().await.call(&["GET", "who"]).await.unwrap(), Value::bulk("other"));
    drop(other);
    assert!(setup.client().await.call(&["PING"]).await.is_err());
    setup.proxy.retarget(setup.server.addr());
    pong(&mut setup.client().await).await;
}
