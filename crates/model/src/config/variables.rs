//! The address that environment variables give.

use std::fmt;

use crate::config::environment::{Environment, flag, shown};
use crate::config::notice::Notice;
use crate::config::url;
use crate::config::url::{DEFAULT_PORT, Endpoint, Place};
use crate::error::{BusError, ErrorKind};

/// The name of the service whose links Kubernetes writes to variables that begin with `REDIS_`.
const LINKED_SERVICE: &str = "redis";

/// Reads `REDIS_URL`, or else `REDIS_HOST` and its companions; `None` when neither a URL, a host nor a port is set.
pub(super) fn endpoint(env: &Environment, notices: &mut Vec<Notice>) -> Result<Option<Endpoint>, BusError> {
    if let Some(text) = &env.redis_url {
        let endpoint = url::parse("REDIS_URL", text.expose(), notices)?;
        notices.extend(overruled(env, &endpoint)?);
        return Ok(Some(endpoint));
    }
    if env.redis_host.is_none() && env.redis_port.is_none() {
        return Ok(None);
    }
    let host = env.redis_host.as_deref().map(|text| url::without_brackets(text.trim()));
    if let Some(host) = host {
        url::check_host("REDIS_HOST", host).map_err(|error| BusError {
            message: format!("{}, got {}", error.message, shown(host)),
            ..error
        })?;
    }
    let database = env.redis_db.as_deref().map(|text| number("REDIS_DB", text, 0, url::MAX_DATABASE));
    let (link, port) = match env.redis_port.as_deref().map(Port::read).transpose()? {
        Some(Port::Link { host, port }) => (Some(host), Some(port)),
        Some(Port::Number(port)) => (None, Some(port)),
        None => (None, None),
    };
    let place = match (host, link) {
        // The link is about the service of that name; the host may be another server.
        (Some(host), Some(linked)) if !is_service(host, &linked) => {
            notices.push(Notice::other_service(env.redis_port.as_deref().unwrap_or_default(), host));
            Place::Tcp { host: Some(host.to_owned()), port: None }
        }
        (Some(host), _) => Place::Tcp { host: Some(host.to_owned()), port },
        (None, link) => Place::Tcp { host: link, port },
    };
    Ok(Some(Endpoint {
        place,
        username: env.redis_username.clone(),
        password: env.redis_password.clone(),
        database: database.transpose()?,
        tls: tls(env)?.unwrap_or(false),
    }))
}

/// What `REDIS_PORT` holds.
enum Port {
    Number(u16),
    /// `tcp://10.0.0.11:6379`, which Kubernetes sets in every container beside a service named `redis`.
    Link {
        host: String,
        port: u16,
    },
}

impl Port {
    fn read(text: &str) -> Result<Port, BusError> {
        let link = text.trim().strip_prefix("tcp://").and_then(|link| link.rsplit_once(':'));
        let Some((host, port)) = link else {
            return number("REDIS_PORT", text, 1, u16::MAX).map(Port::Number);
        };
        let host = url::without_brackets(host);
        match port.parse() {
            Ok(port) if port > 0 && url::check_host("REDIS_PORT", host).is_ok() => {
                Ok(Port::Link { host: host.to_owned(), port })
            }
            _ => {
                let message = format!(
                    "expected a port, or a service link of Kubernetes such as tcp://10.0.0.11:6379, got {}",
                    shown(text)
                );
                Err(BusError::at(ErrorKind::InvalidConfig, "REDIS_PORT", message))
            }
        }
    }
}

/// Whether `host` is the service that the link is about: by its address, or by its name, with or without namespace.
fn is_service(host: &str, linked: &str) -> bool {
    let name = host.split('.').next().unwrap_or(host);
    host == linked || name.eq_ignore_ascii_case(LINKED_SERVICE)
}

fn tls(env: &Environment) -> Result<Option<bool>, BusError> {
    env.redis_tls.as_deref().map(|text| flag("REDIS_TLS", text)).transpose()
}

/// The variables that say something else than `REDIS_URL`, which counts.
fn overruled(env: &Environment, url: &Endpoint) -> Result<Vec<Notice>, BusError> {
    let (host, port) = match &url.place {
        Place::Tcp { host, port } => (host.as_deref(), Some(port.unwrap_or(DEFAULT_PORT))),
        Place::Unix { .. } => (None, None),
    };
    let differs = |variable: &Option<String>, of_url: Option<String>| {
        variable.is_some() && variable.as_deref().map(str::trim) != of_url.as_deref()
    };
    let given_host = env.redis_host.as_deref().map(|text| url::without_brackets(text.trim()));
    // Nobody has written a service link: Kubernetes sets it wherever there is such a service.
    let link =
        env.redis_port.as_deref().is_some_and(|text| matches!(Port::read(text), Ok(Port::Link { .. })));
    let password = env.redis_password.as_ref();
    let database = url.database.unwrap_or_default().to_string();
    let asked = tls(env)?;
    let variables = [
        ("REDIS_HOST", &env.redis_host, env.redis_host.is_some() && !url::same_host(given_host, host)),
        ("REDIS_PORT", &env.redis_port, !link && differs(&env.redis_port, port.map(|port| port.to_string()))),
        (
            "REDIS_USERNAME",
            &env.redis_username,
            env.redis_username.is_some() && env.redis_username != url.username,
        ),
        ("REDIS_PASSWORD", &None, password.is_some() && password != url.password.as_ref()),
        ("REDIS_DB", &env.redis_db, differs(&env.redis_db, Some(database))),
        ("REDIS_TLS", &env.redis_tls, asked.is_some_and(|asked| asked != url.tls)),
    ];
    let differing = variables.into_iter().filter(|(_, _, differs)| *differs);
    Ok(differing.map(|(variable, value, _)| Notice::overruled(variable, value.as_deref())).collect())
}

/// A number in an environment variable.
fn number<T>(variable: &str, text: &str, low: T, high: T) -> Result<T, BusError>
where
    T: std::str::FromStr + PartialOrd + fmt::Display,
{
    text.trim().parse().ok().filter(|n| *n >= low && *n <= high).ok_or_else(|| {
        let message = format!("expected an integer from {low} to {high}, got {}", shown(text));
        BusError::at(ErrorKind::InvalidConfig, variable, message)
    })
}
