//! Certificates, against a real server and a real verifier.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;

use oxbus_testkit::{Certificates, Identity, RedisServer, RespClient, Value};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

async fn ping(server: &RedisServer, ca: &str, client: Option<&Identity>) -> std::io::Result<Value> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots);
    let config = match client {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let chain = vec![CertificateDer::from_pem_slice(identity.cert.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let socket = TcpStream::connect(server.addr()).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
    RespClient::over(stream).call(&["PING"]).await
}

#[tokio::test]
async fn a_tls_server_accepts_who_trusts_it() {
    let certificates = Certificates::generate();
    let server = RedisServer::builder().tls(&certificates).start().await;
    assert!(server.url().starts_with("rediss://localhost:"));
    assert_eq!(ping(&server, &certificates.ca.cert, None).await.unwrap(), Value::Simple("PONG".into()));
    let error = ping(&server, &certificates.other_ca.cert, None).await.unwrap_err().to_string();
    assert!(error.contains("UnknownIssuer") || error.contains("BadSignature"), "{error}");
    server.restart().await;
    ping(&server, &certificates.ca.cert, None).await.unwrap();
}

#[tokio::test]
async fn bad_certificates_are_bad_in_their_own_way() {
    let certificates = Certificates::generate();
    for (identity, fault) in [
        (&certificates.expired, "xpired"),
        (&certificates.other_name, "not valid for name"),
        (&certificates.untrusted, "UnknownIssuer"),
    ] {
        let server = RedisServer::builder().tls_as(&certificates, identity).start().await;
        let error = ping(&server, &certificates.ca.cert, None).await.unwrap_err().to_string();
        assert!(error.contains(fault), "{fault}: {error}");
    }
}

#[tokio::test]
async fn client_certificates_can_be_required() {
    let certificates = Certificates::generate();
    let server = RedisServer::builder().tls(&certificates).arg("tls-auth-clients", "yes").start().await;
    ping(&server, &certificates.ca.cert, None).await.unwrap_err();
    ping(&server, &certificates.ca.cert, Some(&certificates.client)).await.unwrap();
    ping(&server, &certificates.ca.cert, Some(&certificates.untrusted)).await.unwrap_err();
    assert_eq!(std::fs::read_to_string(&certificates.client.key_file).unwrap(), certificates.client.key);
}
