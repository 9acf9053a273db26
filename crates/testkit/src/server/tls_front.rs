//! TLS in front of a server that was built without it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;

use crate::listening::Listening;
use crate::lock::lock;

/// Serves TLS on the port of a server, and hands what it reads to the server's Unix socket.
pub(super) struct TlsFront {
    config: Arc<Mutex<Arc<ServerConfig>>>,
    clients: Option<RootCertStore>,
    _listening: Listening,
}

impl TlsFront {
    /// Listens on `port` with a certificate and its key. `clients` is the authority whose certificates clients have to show;
    /// without one they show none.
    pub(super) async fn start(
        port: u16,
        (cert, key): (&str, &str),
        clients: Option<&str>,
        socket: &Path,
    ) -> io::Result<TlsFront> {
        let clients = clients.map(|ca| {
            let mut roots = RootCertStore::empty();
            roots.add(certificate(ca)).expect("an authority");
            roots
        });
        let config = Arc::new(Mutex::new(configure(cert, key, clients.clone())));
        let (shown, socket) = (config.clone(), socket.to_owned());
        let listening = Listening::on(port, move |client| {
            Some(forward(TlsAcceptor::from(lock(&shown).clone()), client, socket.clone()))
        });
        Ok(TlsFront { config, clients, _listening: listening.await? })
    }

    /// Shows another certificate to those who connect from now on.
    pub(super) fn present(&self, cert: &str, key: &str) {
        *lock(&self.config) = configure(cert, key, self.clients.clone());
    }
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
}

fn configure(cert: &str, key: &str, clients: Option<RootCertStore>) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider.clone());
    let config = config.with_safe_default_protocol_versions().expect("protocol versions");
    let config = match clients {
        None => config.with_no_client_auth(),
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            config.with_client_cert_verifier(verifier.expect("a verifier of clients"))
        }
    };
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a private key");
    Arc::new(config.with_single_cert(vec![certificate(cert)], key).expect("a certificate with its key"))
}

async fn forward(acceptor: TlsAcceptor, client: TcpStream, socket: PathBuf) {
    let Ok(mut client) = acceptor.accept(client).await else { return };
    let Ok(mut server) = UnixStream::connect(socket).await else { return };
    let _ = copy_bidirectional(&mut client, &mut server).await;
}
