//! TLS: what must be refused, and what must not.

use oxbus_engine::State;
use oxbus_model::{BusError, ErrorKind};
use oxbus_testkit::{Certificates, FaultProxy, RedisServer};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::setup::{assert_between, attempts_since, ready, timed};
use crate::support::{Bus, Inbox};

const CONNECT_TIMEOUT: u64 = 3_000;

fn config(port: u16, tls: Value) -> Value {
    let url = format!("rediss://localhost:{port}");
    json!({ "redis": { "url": url, "tls": tls, "connectTimeout": CONNECT_TIMEOUT, "password": "secret" } })
}

/// Connects to `port` and gives the error, which must come in time.
async fn refusal(port: u16, tls: Value) -> BusError {
    let bus = Bus::with_config(config(port, tls));
    let (connected, took) = timed(bus.connect()).await;
    assert_between(took, 0, CONNECT_TIMEOUT);
    connected.unwrap_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_cannot_be_trusted_is_refused_in_time() {
    let certificates = Certificates::generate();
    let good = json!({ "ca": certificates.ca.cert });
    let start = async |identity| {
        RedisServer::builder().password("secret").tls_as(&certificates, identity).start().await
    };
    let server = start(&certificates.server).await;
    assert_eq!(
        refusal(server.port(), json!({ "ca": certificates.other_ca.cert })).await.kind,
        ErrorKind::TlsFailed
    );
    // Without an authority of one's own only the public ones are trusted.
    assert_eq!(refusal(server.port(), json!(true)).await.kind, ErrorKind::TlsFailed);
    let misnamed = json!({ "ca": certificates.ca.cert, "servername": "elsewhere.example" });
    assert_eq!(refusal(server.port(), misnamed).await.kind, ErrorKind::TlsFailed);
    for identity in [&certificates.expired, &certificates.other_name, &certificates.untrusted] {
        let server = start(identity).await;
        assert_eq!(refusal(server.port(), good.clone()).await.kind, ErrorKind::TlsFailed);
        assert_eq!(server.calls("hello").await, 0);
        let bus = ready(config(server.port(), json!({ "rejectUnauthorized": false }))).await;
        bus.publish("a", 1).await.unwrap();
    }
    let bus = ready(config(server.port(), good)).await;
    let inbox = Inbox::of(&bus, &["a"]).await;
    bus.publish_with("a", "x".repeat(300_000), json!({ "id": "large" })).await.unwrap();
    inbox.wait_for_id("large").await;
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_tls_gets_no_plain_text() {
    let certificates = Certificates::generate();
    let server = RedisServer::builder().password("secret").start().await;
    let bus = Bus::with_config(config(server.port(), json!({ "ca": certificates.ca.cert })));
    let (connected, took) = timed(bus.connect()).await;
    assert_eq!(connected.unwrap_err().kind, ErrorKind::TlsFailed);
    assert_between(took, 0, CONNECT_TIMEOUT);
    // The kit itself authenticates, but never says HELLO.
    for command in ["hello", "publish"] {
        assert_eq!(server.calls(command).await, 0, "{command}");
    }
    assert_eq!(bus.state(), State::Connecting);
    assert!(attempts_since(&bus, 0).iter().all(|kind| *kind == ErrorKind::TlsFailed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_text_and_tls_that_do_not_fit_are_told_with_what_to_write() {
    let certificates = Certificates::generate();
    let plain = RedisServer::builder().password("secret").start().await;
    let told = refusal(plain.port(), json!({ "ca": certificates.ca.cert })).await;
    assert!(told.message.contains("write redis:// instead of rediss://"), "{told}");
    let encrypted = RedisServer::builder().password("secret").tls(&certificates).start().await;
    let url = format!("redis://:secret@localhost:{}", encrypted.port());
    let bus = Bus::with_config(json!({ "redis": { "url": url, "connectTimeout": CONNECT_TIMEOUT } }));
    let told = bus.connect().await.unwrap_err();
    assert!(told.message.contains("write rediss:// instead of redis://"), "{told}");
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_is_cut_or_never_answered_ends_in_time() {
    let certificates = Certificates::generate();
    let server = RedisServer::builder().password("secret").tls(&certificates).start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let trusting = json!({ "ca": certificates.ca.cert });
    for bytes in [0, 1, 100] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let closing = tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let _ = socket.read_exact(&mut vec![0; bytes]).await;
            }
        });
        assert_eq!(refusal(port, trusting.clone()).await.kind, ErrorKind::TlsFailed, "{bytes} bytes");
        closing.abort();
    }
    proxy.blackhole_new(true);
    assert_eq!(refusal(proxy.port(), trusting).await.kind, ErrorKind::TlsFailed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_certificate_is_taken_at_the_next_connection_and_a_bad_one_is_not() {
    let (old, new) = (Certificates::generate(), Certificates::generate());
    let server = RedisServer::builder().password("secret").tls(&old).start().await;
    let both = format!("{}{}", old.ca.cert, new.ca.cert);
    let bus = ready(config(server.port(), json!({ "ca": both }))).await;
    let inbox = Inbox::of(&bus, &["a"]).await;
    let rotate = async |identity: &oxbus_testkit::Identity| {
        server.present(identity).await;
        server.command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
        server.client_kill_pubsub().await;
    };
    bus.loses(&["publisher", "subscriber"], rotate(&new.server)).await;
    bus.publish_with("a", 1, json!({ "timeout": 20_000 })).await.unwrap();
    bus.wait_until_ready(Some(20_000)).await.unwrap();
    let mark = bus.notices.mark();
    bus.loses(&["publisher", "subscriber"], rotate(&new.untrusted)).await;
    let refused = |n: &oxbus_engine::host::Notice| matches!(n, oxbus_engine::host::Notice::Reconnecting { error, .. } if error.kind == ErrorKind::TlsFailed);
    bus.notices.wait_from(mark, refused).await;
    server.present(&old.server).await;
    bus.publish_with("a", 2, json!({ "timeout": 20_000 })).await.unwrap();
    bus.wait_until_ready(Some(20_000)).await.unwrap();
    bus.publish_with("a", 3, json!({ "id": "last" })).await.unwrap();
    inbox.wait_for_id("last").await;
    bus.disconnect().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_wants_a_client_certificate_gets_it() {
    let certificates = Certificates::generate();
    let server = RedisServer::builder()
        .password("secret")
        .tls(&certificates)
        .arg("tls-auth-clients", "yes")
        .start()
        .await;
    let with = |cert: &str, key: &str| json!({ "ca": certificates.ca.cert, "cert": cert, "key": key });
    let bus = ready(config(server.port(), with(&certificates.client.cert, &certificates.client.key))).await;
    bus.publish("a", 1).await.unwrap();
    let without = refusal(server.port(), json!({ "ca": certificates.ca.cert })).await;
    assert_eq!(without.kind, ErrorKind::TlsFailed, "{without}");
    let strangers = Certificates::generate();
    let strange = refusal(server.port(), with(&strangers.client.cert, &strangers.client.key)).await;
    assert_eq!(strange.kind, ErrorKind::TlsFailed, "{strange}");
    bus.disconnect().await;
}
