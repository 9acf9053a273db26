//! TLS towards Redis.

use serde_json::Value;

use crate::config::environment::Environment;
use crate::config::secret::Secret;
use crate::error::BusError;
use crate::options::reader::Reader;

/// TLS towards Redis. Certificates and keys are PEM texts, not file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// The authorities to trust instead of the public ones.
    pub ca: Option<String>,
    /// A file with authorities to trust beside the public ones: `NODE_EXTRA_CA_CERTS`. Counts without `ca` only.
    pub extra_ca: Option<String>,
    /// Whether the authorities of the system are trusted beside the public ones: `NODE_USE_SYSTEM_CA`. Counts without `ca` only.
    pub system_ca: bool,
    /// The client's certificate, with its chain. Comes with `key`.
    pub cert: Option<String>,
    /// The client's private key. Comes with `cert`.
    pub key: Option<Secret>,
    /// What opens the key, where it is encrypted.
    pub passphrase: Option<Secret>,
    /// The name that the server's certificate must have. Default: the host.
    pub servername: Option<String>,
    /// Whether a certificate that cannot be verified ends the connection. Default true.
    pub reject_unauthorized: bool,
}

impl Default for TlsConfig {
    fn default() -> Self {
        TlsConfig {
            ca: None,
            extra_ca: None,
            system_ca: false,
            cert: None,
            key: None,
            passphrase: None,
            servername: None,
            reject_unauthorized: true,
        }
    }
}

impl TlsConfig {
    /// Reads `tls`: an object, `true` (all defaults) or `false`, which a `rediss://` URL contradicts; without it, `by_url`
    /// decides. A `redis://` URL may be completed by it.
    pub(super) fn read(r: &mut Reader, by_url: bool) -> Result<Option<Self>, BusError> {
        match r.take("tls") {
            None => Ok(by_url.then(TlsConfig::default)),
            Some(Value::Bool(false)) if by_url => {
                let url = r.path_of("url");
                let message =
                    format!("contradicts {url}, whose scheme (rediss:// or valkeys://) asks for TLS");
                Err(r.error("tls", message))
            }
            Some(Value::Bool(on)) => Ok(on.then(TlsConfig::default)),
            Some(Value::Object(fields)) => {
                TlsConfig::from_object(Reader::of(r.kind(), r.path_of("tls"), fields)).map(Some)
            }
            Some(other) => Err(r.mismatch("tls", "an object or true or false", &other)),
        }
    }

    /// Takes over which further authorities Node trusts.
    pub(super) fn complete(&mut self, env: &Environment) {
        self.extra_ca.clone_from(&env.extra_ca);
        self.system_ca = env.system_ca;
    }

    fn from_object(mut r: Reader) -> Result<Self, BusError> {
        let config = TlsConfig {
            ca: pem(&mut r, "ca")?,
            cert: pem(&mut r, "cert")?,
            key: pem(&mut r, "key")?.map(Secret::new),
            passphrase: r.string("passphrase")?.map(Secret::new),
            servername: r.identifier("servername")?,
            reject_unauthorized: r
                .boolean("rejectUnauthorized")?
                .unwrap_or(TlsConfig::default().reject_unauthorized),
            ..TlsConfig::default()
        };
        match (&config.cert, &config.key) {
            (Some(_), None) => return Err(r.error("key", "is needed together with cert")),
            (None, Some(_)) => return Err(r.error("cert", "is needed together with key")),
            (None, None) if config.passphrase.is_some() => {
                return Err(r.error("key", "is needed together with passphrase, which opens it"));
            }
            _ => {}
        }
        r.finish()?;
        Ok(config)
    }
}

/// A PEM text: a string, a Node `Buffer`, or an array of either, which are joined.
fn pem(r: &mut Reader, key: &str) -> Result<Option<String>, BusError> {
    const EXPECTED: &str = "PEM text (a string, a Buffer or an array of them)";
    let Some(value) = r.take(key) else { return Ok(None) };
    let parts = match value {
        Value::Array(parts) => parts,
        one => vec![one],
    };
    let mut joined = String::new();
    for part in parts {
        let text = match &part {
            Value::String(text) => Some(text.clone()),
            other => buffer_text(other),
        };
        let text = text.ok_or_else(|| r.mismatch(key, EXPECTED, &part))?;
        if !text.contains("-----BEGIN ") {
            return Err(r.error(key, "is not PEM text; give the content of the file, not its name"));
        }
        joined.push_str(text.trim());
        joined.push('\n');
    }
    if joined.is_empty() {
        return Err(r.error(key, "must not be empty"));
    }
    Ok(Some(joined))
}

/// The text of a `Buffer` as `JSON.stringify` writes it: `{"type":"Buffer","data":[45,…]}`.
fn buffer_text(value: &Value) -> Option<String> {
    let fields = value.as_object().filter(|fields| fields.get("type").is_some_and(|t| t == "Buffer"))?;
    let byte = |n: &Value| n.as_u64().and_then(|n| u8::try_from(n).ok());
    let bytes = fields.get("data")?.as_array()?.iter().map(byte).collect::<Option<Vec<u8>>>()?;
    String::from_utf8(bytes).ok()
}
