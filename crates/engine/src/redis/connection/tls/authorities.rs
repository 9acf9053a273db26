//! Which authorities are trusted: those of `tls.ca`, or else the ones that Node trusts.

use std::fs;

use oxbus_model::BusError;
use oxbus_model::config::{Notice, NoticeLevel, TlsConfig};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use super::pem::{certificates, invalid};

/// The warning about authorities that were to be trusted and are not.
const CODE: &str = "CA_IGNORED";

/// The trusted authorities.
pub(super) struct Authorities {
    pub(super) roots: RootCertStore,
    /// Those that are not among the public ones.
    pub(super) given: Vec<CertificateDer<'static>>,
    /// What could not be read.
    pub(super) notices: Vec<Notice>,
}

impl Authorities {
    /// Reads `tls.ca`; without it the public authorities are trusted, those of the file that `NODE_EXTRA_CA_CERTS` names, and
    /// with `NODE_USE_SYSTEM_CA` those of the system. As in Node, a file that cannot be read is a warning, no error.
    pub(super) fn read(config: &TlsConfig) -> Result<Self, BusError> {
        let mut read = Authorities { roots: RootCertStore::empty(), given: Vec::new(), notices: Vec::new() };
        if let Some(ca) = &config.ca {
            for certificate in certificates("redis.tls.ca", ca)? {
                read.trust(certificate).map_err(|e| invalid("redis.tls.ca", e))?;
            }
            return Ok(read);
        }
        read.roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        if let Some(path) = &config.extra_ca {
            read.extra(path);
        }
        if config.system_ca {
            read.system();
        }
        Ok(read)
    }

    fn trust(&mut self, certificate: CertificateDer<'static>) -> Result<(), rustls::Error> {
        self.roots.add(certificate.clone())?;
        self.given.push(certificate);
        Ok(())
    }

    fn extra(&mut self, path: &str) {
        let found = match fs::read_to_string(path) {
            Ok(text) => certificates("NODE_EXTRA_CA_CERTS", &text).map_err(|error| error.message),
            Err(error) => Err(format!("NODE_EXTRA_CA_CERTS: {error}")),
        };
        match found {
            Ok(found) => {
                for certificate in found {
                    if let Err(error) = self.trust(certificate) {
                        self.ignored(format!("a certificate of NODE_EXTRA_CA_CERTS ({path:?}): {error}"));
                    }
                }
            }
            Err(why) => self.ignored(format!("{why} ({path:?})")),
        }
    }

    fn system(&mut self) {
        let found = rustls_native_certs::load_native_certs();
        // Some of the system's certificates are always of a kind that cannot be used.
        for certificate in found.certs {
            let _ = self.trust(certificate);
        }
        if let (true, Some(error)) = (self.given.is_empty(), found.errors.first()) {
            self.ignored(format!("the authorities of the system (NODE_USE_SYSTEM_CA): {error}"));
        }
    }

    fn ignored(&mut self, what: String) {
        let message = format!("authorities are not trusted, because they cannot be read: {what}");
        self.notices.push(Notice { level: NoticeLevel::Warn, code: CODE, message });
    }
}
