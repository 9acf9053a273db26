//! The environment variables that complete a configuration.

use serde_json::Value;

use crate::config::secret::Secret;
use crate::error::{BusError, ErrorKind};
use crate::options::reader::type_name;

/// The variables that are read, and the name of the user's package. Empty variables count as unset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `REDIS_URL`: the address; when set, the other `REDIS_…` variables are ignored, with a
    /// warning for each that says something else.
    pub redis_url: Option<Secret>,
    /// `REDIS_HOST`.
    pub redis_host: Option<String>,
    /// `REDIS_PORT`; alone, it means that port of localhost. A service link of Kubernetes (`tcp://10.0.0.11:6379`) is
    /// understood.
    pub redis_port: Option<String>,
    /// `REDIS_USERNAME`.
    pub redis_username: Option<String>,
    /// `REDIS_PASSWORD`.
    pub redis_password: Option<Secret>,
    /// `REDIS_DB`.
    pub redis_db: Option<String>,
    /// `REDIS_TLS`: whether the server of `REDIS_HOST` is reached by TLS.
    pub redis_tls: Option<String>,
    /// `ENABLE_REDIS_EVENTS`; `false`, `0`, `off` and `no` force memory mode.
    pub enable_redis_events: Option<String>,
    /// `SERVICE_NAME`.
    pub service_name: Option<String>,
    /// `NODE_ENV`; under `production` a missing address is an error.
    pub node_env: Option<String>,
    /// `NODE_EXTRA_CA_CERTS`: a file with authorities that Node trusts beside the public ones.
    pub extra_ca: Option<String>,
    /// `NODE_USE_SYSTEM_CA`: whether Node trusts the authorities of the system.
    pub system_ca: bool,
    /// The name in the nearest package.json.
    pub package: Option<String>,
}

impl Environment {
    /// Reads `{"REDIS_URL": "…", …, "package": "…"}`. Other variables are passed over, null is unset.
    ///
    /// # Errors
    /// `INVALID_CONFIG` when it is not an object of texts.
    pub fn from_json(json: &str) -> Result<Self, BusError> {
        let fault = |message| BusError::at(ErrorKind::InvalidConfig, "environment", message);
        // Not read as a map at once: the error of that would quote what it found, perhaps a secret.
        let mut variables = match serde_json::from_str(json) {
            Ok(Value::Object(variables)) => variables,
            Ok(other) => return Err(fault(format!("expected an object, got {}", type_name(&other)))),
            Err(e) => return Err(fault(format!("cannot be read as JSON: {e}"))),
        };
        let mut text = |name: &str| match variables.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(other) => {
                let message = format!("expected a string, got {}", type_name(&other));
                Err(BusError::at(ErrorKind::InvalidConfig, name, message))
            }
        };
        Ok(Environment {
            redis_url: text("REDIS_URL")?.map(Secret::new),
            redis_host: text("REDIS_HOST")?,
            redis_port: text("REDIS_PORT")?,
            redis_username: text("REDIS_USERNAME")?,
            redis_password: text("REDIS_PASSWORD")?.map(Secret::new),
            redis_db: text("REDIS_DB")?,
            redis_tls: text("REDIS_TLS")?,
            enable_redis_events: text("ENABLE_REDIS_EVENTS")?,
            service_name: text("SERVICE_NAME")?,
            node_env: text("NODE_ENV")?,
            extra_ca: text("NODE_EXTRA_CA_CERTS")?,
            // Node takes no other word for it.
            system_ca: text("NODE_USE_SYSTEM_CA")?.is_some_and(|text| text == "1"),
            package: text("package")?,
        })
    }

    /// Why `ENABLE_REDIS_EVENTS` forces memory mode, if it does.
    ///
    /// # Errors
    /// `INVALID_CONFIG` when it is neither a yes nor a no.
    pub(super) fn redis_disabled(&self) -> Result<Option<String>, BusError> {
        let Some(text) = &self.enable_redis_events else { return Ok(None) };
        let enabled = flag("ENABLE_REDIS_EVENTS", text)?;
        Ok((!enabled).then(|| format!("ENABLE_REDIS_EVENTS is {}", shown(text))))
    }

    /// Whether this is a production process.
    pub(super) fn production(&self) -> bool {
        self.node_env.as_deref() == Some("production")
    }
}

/// A yes or a no in an environment variable.
///
/// # Errors
/// `INVALID_CONFIG` for another text.
pub(super) fn flag(variable: &str, text: &str) -> Result<bool, BusError> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Ok(true),
        "false" | "0" | "off" | "no" => Ok(false),
        _ => {
            let message = format!("expected true, 1, on, yes or false, 0, off, no, got {}", shown(text));
            Err(BusError::at(ErrorKind::InvalidConfig, variable, message))
        }
    }
}

/// The most characters of a variable that a message shows.
const SHOWN: usize = 64;

/// The value of a variable that is no secret, for a message. One with an `@` may be an address with a password.
pub(super) fn shown(text: &str) -> String {
    if text.contains('@') {
        return "a text with '@', which is not shown because it may hold a password".to_owned();
    }
    let cut: String = text.chars().take(SHOWN).collect();
    if cut.len() < text.len() { format!("{cut:?}…") } else { format!("{cut:?}") }
}
