//! The address of one of several servers.

use serde_json::Value;

use crate::config::address::Address;
use crate::config::url;
use crate::error::{BusError, ErrorKind};
use crate::options::reader::{Reader, type_name};

/// A server of several: `host`, `host:port`, `[::1]:port`, or an object with both.
///
/// # Errors
/// With `path`, of this kind.
pub(super) fn node(
    path: &str,
    value: Value,
    default_port: u16,
    kind: ErrorKind,
) -> Result<Address, BusError> {
    let (host, port, at) = match value {
        Value::String(text) => {
            let text = text.trim();
            let (host, port) = match text.rsplit_once(':') {
                // An IPv6 address has brackets when a port follows.
                Some((host, _)) if host.contains(':') && !host.ends_with(']') => (text, None),
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            let port = port.map_or(Some(default_port), |port| port.parse().ok().filter(|port| *port > 0));
            let Some(port) = port else {
                let message = "expected 'host:port' with a port from 1 to 65535";
                return Err(BusError::at(kind, path, message));
            };
            (host.to_owned(), port, path.to_owned())
        }
        Value::Object(fields) => {
            let mut r = Reader::of(kind, path.to_owned(), fields);
            let host = r.string("host")?.ok_or_else(|| r.error("host", "is needed"))?;
            let port = r.count("port", 1..=u32::from(u16::MAX))?.and_then(|port| u16::try_from(port).ok());
            let at = r.path_of("host");
            r.finish()?;
            (host, port.unwrap_or(default_port), at)
        }
        other => {
            let got = type_name(&other);
            let message = format!("expected 'host:port' or {{ host, port }}, got {got}");
            return Err(BusError::at(kind, path, message));
        }
    };
    let host = url::without_brackets(&host);
    url::check_host(&at, host)?;
    Ok(Address::Tcp { host: host.to_owned(), port })
}
