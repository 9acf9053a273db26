//! TLS: certificates from the configuration, or the authorities that Node trusts too.
//!
//! - this file: [`Tls`], which shakes hands.
//! - `pem`: certificates and keys; `authorities`: who is trusted; `verifier`: who verifies.
//! - `refusals`: why a handshake failed, in words.

mod authorities;
mod pem;
mod refusals;
mod verifier;

use std::sync::Arc;

use oxbus_model::BusError;
use oxbus_model::config::{Address, Config, Notice, Servers, TlsConfig};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::redis::connection::stream::Stream;
use authorities::Authorities;
use pem::{certificates, invalid, private_key};
use verifier::Verifier;

pub(super) use refusals::{broken, unanswered};

/// A TLS configuration, ready for handshakes.
pub(in crate::redis) struct Tls {
    connector: TlsConnector,
    servername: Option<String>,
}

impl Tls {
    /// Reads certificates and keys, and tells what was passed over.
    pub(in crate::redis) fn new(config: &TlsConfig) -> Result<(Self, Vec<Notice>), BusError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| invalid("redis.tls", e))?
            .dangerous();
        let mut notices = Vec::new();
        let verifier = if config.reject_unauthorized {
            let trusted = Authorities::read(config)?;
            notices = trusted.notices;
            Verifier::trusting(trusted.roots, trusted.given, provider)
                .map_err(|e| invalid("redis.tls.ca", e))?
        } else {
            Verifier::of_anyone(provider)
        };
        let builder = builder.with_custom_certificate_verifier(Arc::new(verifier));
        let client = match (&config.cert, &config.key) {
            (Some(cert), Some(key)) => {
                let chain = certificates("redis.tls.cert", cert)?;
                let key = private_key(key, config.passphrase.as_ref())?;
                builder.with_client_auth_cert(chain, key).map_err(|e| invalid("redis.tls.cert", e))?
            }
            _ => builder.with_no_client_auth(),
        };
        let connector = TlsConnector::from(Arc::new(client));
        Ok((Tls { connector, servername: config.servername.clone() }, notices))
    }

    /// As [`Tls::new`], for sentinels.
    pub(in crate::redis) fn of_sentinels(config: &TlsConfig) -> Result<(Self, Vec<Notice>), BusError> {
        Tls::new(config).map_err(|error| {
            let of_sentinels = |text: &str| text.replace("redis.tls", "redis.sentinel.tls");
            BusError {
                path: error.path.as_deref().map(of_sentinels),
                message: of_sentinels(&error.message),
                ..error
            }
        })
    }

    /// Shakes hands with the server at `address`, whose name is `host`. There is no fall-back to plain text.
    pub(in crate::redis) async fn handshake(
        &self,
        stream: TcpStream,
        address: &Address,
        host: &str,
    ) -> Result<Box<dyn Stream>, BusError> {
        let name = self.servername.as_deref().unwrap_or(host);
        let server = ServerName::try_from(name.to_owned()).map_err(|_| refusals::no_name(name))?;
        let connected = self.connector.connect(server, stream).await;
        Ok(Box::new(connected.map_err(|error| broken(address, &error))?))
    }
}

/// Whether the certificates and keys of a configuration can be used. Answers what the log is to say of them.
///
/// # Errors
/// `INVALID_CONFIG` with the path of what cannot.
pub fn check(config: &Config) -> Result<Vec<Notice>, BusError> {
    let mut notices = Vec::new();
    if let Some(tls) = &config.redis.tls {
        notices.extend(Tls::new(tls)?.1);
    }
    if let Servers::Sentinel(sentinel) = &config.redis.servers
        && let Some(tls) = &sentinel.tls
    {
        notices.extend(Tls::of_sentinels(tls)?.1);
    }
    Ok(notices)
}
