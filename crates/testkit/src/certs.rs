//! Certificate authorities and certificates, good and bad, made anew for each test.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tempfile::TempDir;

/// The name in [`Certificates::other_name`], which no test server has.
pub const OTHER_NAME: &str = "elsewhere.example";

/// A certificate with its private key, as PEM text and as files.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate, PEM.
    pub cert: String,
    /// The private key, PEM (PKCS #8).
    pub key: String,
    /// A file with `cert`; gone with the last clone of the [`Certificates`].
    pub cert_file: PathBuf,
    /// A file with `key`; gone with the last clone of the [`Certificates`].
    pub key_file: PathBuf,
}

/// The certificate of an authority.
#[derive(Clone, Debug)]
pub struct Authority {
    /// The certificate, PEM.
    pub cert: String,
    /// A file with `cert`; gone with the last clone of the [`Certificates`].
    pub cert_file: PathBuf,
}

/// Two authorities and what they signed.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority that clients of a test trust.
    pub ca: Authority,
    /// An authority that nobody trusts.
    pub other_ca: Authority,
    /// For `localhost`, `127.0.0.1` and `::1`, valid, signed by `ca`.
    pub server: Identity,
    /// As `server`, but expired in 2021.
    pub expired: Identity,
    /// Valid and signed by `ca`, but for [`OTHER_NAME`] only.
    pub other_name: Identity,
    /// As `server`, but signed by `other_ca`.
    pub untrusted: Identity,
    /// A client certificate, valid, signed by `ca`.
    pub client: Identity,
    folder: Arc<TempDir>,
}

impl Certificates {
    /// Makes keys and certificates, and writes them to a temporary folder.
    pub fn generate() -> Self {
        let folder = TempDir::with_prefix("oxbus-certs-").expect("a temporary folder");
        let store = Store { folder: &folder };
        let (ca, ca_signer) = store.authority("ca");
        let (other_ca, other_signer) = store.authority("other-ca");
        let here = ["localhost", "127.0.0.1", "::1"];
        let server = ExtendedKeyUsagePurpose::ServerAuth;
        let client = ExtendedKeyUsagePurpose::ClientAuth;
        Self {
            server: store.identity("server", &here, VALID_UNTIL, server.clone(), &ca_signer),
            expired: store.identity("expired", &here, EXPIRED_IN, server.clone(), &ca_signer),
            other_name: store.identity("other-name", &[OTHER_NAME], VALID_UNTIL, server.clone(), &ca_signer),
            untrusted: store.identity("untrusted", &here, VALID_UNTIL, server, &other_signer),
            client: store.identity("client", &["client.example"], VALID_UNTIL, client, &ca_signer),
            ca,
            other_ca,
            folder: Arc::new(folder),
        }
    }

    /// The folder of the files.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

const VALID_FROM: i32 = 2020;
const EXPIRED_IN: i32 = 2021;
// Before 2050, where the encoding of dates in certificates changes.
const VALID_UNTIL: i32 = 2049;

type Signer = CertifiedIssuer<'static, KeyPair>;

struct Store<'a> {
    folder: &'a TempDir,
}

impl Store<'_> {
    fn authority(&self, name: &str) -> (Authority, Signer) {
        let mut params = params(name, &[], VALID_UNTIL);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let signer =
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        let cert = signer.pem();
        (Authority { cert_file: self.write(&format!("{name}.crt"), &cert), cert }, signer)
    }

    fn identity(
        &self,
        name: &str,
        hosts: &[&str],
        until: i32,
        usage: ExtendedKeyUsagePurpose,
        signer: &Signer,
    ) -> Identity {
        let mut params = params(name, hosts, until);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let pair = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&pair, signer).expect("a certificate").pem();
        let key = pair.serialize_pem();
        Identity {
            cert_file: self.write(&format!("{name}.crt"), &cert),
            key_file: self.write(&format!("{name}.key"), &key),
            cert,
            key,
        }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("a file in the temporary folder");
        path
    }
}

fn params(name: &str, hosts: &[&str], until: i32) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).expect("valid names");
    // A leaf with its authority's subject would look self-signed.
    params.distinguished_name.push(DnType::CommonName, format!("oxbus test {name}"));
    params.not_before = date_time_ymd(VALID_FROM, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    params
}
