//! Certificates and keys from PEM text.

use std::fmt;

use oxbus_model::config::Secret;
use oxbus_model::{BusError, ErrorKind};
use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

const KEY: &str = "redis.tls.key";
const PASSPHRASE: &str = "redis.tls.passphrase";
const ENCRYPTED: (&str, &str) =
    ("-----BEGIN ENCRYPTED PRIVATE KEY-----", "-----END ENCRYPTED PRIVATE KEY-----");

/// The certificates in a text, at least one; errors are at `path`.
pub(super) fn certificates(path: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>, BusError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(invalid(path, "no certificate in PEM form")),
    }
}

/// The client's private key, opened with the passphrase where it is encrypted. As in Node, a passphrase beside a key that is
/// not encrypted does nothing.
pub(super) fn private_key(
    pem: &Secret,
    passphrase: Option<&Secret>,
) -> Result<PrivateKeyDer<'static>, BusError> {
    let text = pem.expose();
    if let Some(section) = encrypted(text) {
        let message = "is needed, because redis.tls.key is encrypted (BEGIN ENCRYPTED PRIVATE KEY)";
        let passphrase = passphrase.ok_or_else(|| invalid(PASSPHRASE, message))?;
        return open(section, passphrase.expose());
    }
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        let message = "is encrypted in the old form of OpenSSL (Proc-Type: 4,ENCRYPTED), which is not read here: convert it \
                       with 'openssl pkcs8 -topk8 -in old.pem -out new.pem'";
        return Err(invalid(KEY, message));
    }
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| invalid(KEY, "not a private key in PEM form"))
}

fn encrypted(text: &str) -> Option<&str> {
    let (begin, end) = ENCRYPTED;
    let section = &text[text.find(begin)?..];
    Some(&section[..section.find(end)? + end.len()])
}

fn open(section: &str, passphrase: &str) -> Result<PrivateKeyDer<'static>, BusError> {
    let unreadable =
        |error: pkcs8::Error| invalid(KEY, format_args!("is encrypted, and cannot be read: {error}"));
    let (_, document) = SecretDocument::from_pem(section).map_err(|error| unreadable(error.into()))?;
    let key = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(unreadable)?;
    let opened = key.decrypt(passphrase).map_err(|error| {
        invalid(
            PASSPHRASE,
            format_args!("does not open redis.tls.key (bad decrypt, wrong passphrase?): {error}"),
        )
    })?;
    Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(opened.as_bytes().to_vec())))
}

/// A fault of the configuration.
pub(super) fn invalid(path: &str, why: impl fmt::Display) -> BusError {
    BusError::at(ErrorKind::InvalidConfig, path, why)
}
