//! TLS: certificates from the configuration, or the public roots that Node uses too.

use std::sync::Arc;

use oxbus_model::config::{Config, TlsConfig};
use oxbus_model::{BusError, ErrorKind};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::redis::connection::stream::Stream;

/// A TLS configuration, ready for handshakes.
pub(in crate::redis) struct Tls {
    connector: TlsConnector,
    servername: Option<String>,
}

impl Tls {
    /// Reads certificates and keys.
    pub(in crate::redis) fn new(config: &TlsConfig) -> Result<Self, BusError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| invalid("redis.tls", e))?;
        let builder = if config.reject_unauthorized {
            builder.with_root_certificates(roots(config)?)
        } else {
            let verifier = Arc::new(AnyCertificate(provider));
            builder.dangerous().with_custom_certificate_verifier(verifier)
        };
        let client = match (&config.cert, &config.key) {
            (Some(cert), Some(key)) => {
                let chain = certificates("redis.tls.cert", cert)?;
                let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
                    .map_err(|_| invalid("redis.tls.key", "not a private key in PEM form"))?;
                builder.with_client_auth_cert(chain, key).map_err(|e| invalid("redis.tls.cert", e))?
            }
            _ => builder.with_no_client_auth(),
        };
        Ok(Tls { connector: TlsConnector::from(Arc::new(client)), servername: config.servername.clone() })
    }

    /// Shakes hands. There is no fall-back to plain text.
    pub(in crate::redis) async fn handshake(
        &self,
        stream: TcpStream,
        host: &str,
    ) -> Result<Box<dyn Stream>, BusError> {
        let name = self.servername.as_deref().unwrap_or(host);
        let server = ServerName::try_from(name.to_owned())
            .map_err(|_| failed(format!("{name:?} is not a name that a certificate can have")))?;
        let stream = self.connector.connect(server, stream).await.map_err(|e| failed(e.to_string()))?;
        Ok(Box::new(stream))
    }
}

/// Whether the certificates and keys of a configuration can be used.
///
/// # Errors
/// `INVALID_CONFIG` with the path of what cannot.
pub fn check(config: &Config) -> Result<(), BusError> {
    config.redis.tls.as_ref().map_or(Ok(()), |tls| Tls::new(tls).map(drop))
}

fn roots(config: &TlsConfig) -> Result<RootCertStore, BusError> {
    let mut roots = RootCertStore::empty();
    match &config.ca {
        Some(ca) => {
            for certificate in certificates("redis.tls.ca", ca)? {
                roots.add(certificate).map_err(|e| invalid("redis.tls.ca", e))?;
            }
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    Ok(roots)
}

fn certificates(path: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>, BusError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(invalid(path, "no certificate in PEM form")),
    }
}

fn invalid(path: &str, why: impl std::fmt::Display) -> BusError {
    BusError::at(ErrorKind::InvalidConfig, path, why)
}

fn failed(why: String) -> BusError {
    BusError::new(ErrorKind::TlsFailed, format!("the TLS handshake failed: {why}"))
}

/// `rejectUnauthorized: false`: the connection is encrypted, and the peer can be anyone.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
