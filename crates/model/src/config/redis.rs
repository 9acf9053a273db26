//! How to reach Redis.

use std::fmt;

use serde_json::Value;

use crate::config::address::Address;
use crate::config::cluster::{ClusterConfig, PubSub};
use crate::config::environment::Environment;
use crate::config::notice::Notice;
use crate::config::secret::Secret;
use crate::config::sentinel::SentinelConfig;
use crate::config::tls::TlsConfig;
use crate::config::url;
use crate::config::url::{DEFAULT_PORT, Differs, Endpoint, Place};
use crate::config::variables;
use crate::error::{BusError, ErrorKind};
use crate::options::reader::Reader;

/// The servers of a bus, and how the one that takes events is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Servers {
    /// One server.
    One(Address),
    /// A master and its replicas, watched by sentinels.
    Sentinel(Box<SentinelConfig>),
    /// The masters of a Redis Cluster and their replicas.
    Cluster(Box<ClusterConfig>),
}

impl Servers {
    /// How many lanes carry live events by sharded pub/sub; `None` where they go otherwise.
    pub fn lanes(&self) -> Option<u16> {
        match self {
            Servers::Cluster(cluster) => match cluster.pubsub {
                PubSub::Broadcast => None,
                PubSub::Sharded { lanes } => Some(lanes),
            },
            _ => None,
        }
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Servers::One(address) => address.fmt(f),
            Servers::Sentinel(sentinel) => sentinel.fmt(f),
            Servers::Cluster(cluster) => cluster.fmt(f),
        }
    }
}

/// How to reach Redis; times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisConfig {
    /// The servers. Default localhost:6379.
    pub servers: Servers,
    /// The user of the server's access list. Default none.
    pub username: Option<String>,
    /// Its password. Default none.
    pub password: Option<Secret>,
    /// The database, from 0. Default 0.
    pub database: u32,
    /// TLS, when it is used. Default none; `rediss://` and `valkeys://` switch it on.
    pub tls: Option<TlsConfig>,
    /// For `connect()`. 1–3 600 000, default 5000.
    pub connect_timeout: u64,
    /// For the answer to a command, and so for a publish. 1–3 600 000, default 5000.
    pub command_timeout: u64,
    /// The idle time before TCP probes the peer. 0 (off) – 3 600 000, default 30 000.
    pub keep_alive: u64,
    /// Between two pings of an idle connection. 100–60 000, default 5000.
    pub heartbeat: u64,
    /// Whether a server that is still loading counts as not ready. Default true.
    pub ready_check: bool,
    /// The name for `CLIENT SETNAME`: printable ASCII without spaces. Default none.
    pub connection_name: Option<String>,
    /// Whether `connect()` resolves at once and the first use connects. Default false.
    pub lazy_connect: bool,
}

const DEFAULT_HOST: &str = "localhost";
const TIMEOUT: std::ops::RangeInclusive<u64> = 1..=3_600_000;

/// Keys that other clients have, accepted so that a configuration can be taken over, and why they do nothing.
const IGNORED: [(&str, &str); 3] = [
    ("poolSize", "every client has its fixed connections, which are pipelined"),
    ("maxRetriesPerRequest", "a command waits for the connection until its timeout"),
    ("retryDelayOnFailover", "reconnecting backs off by itself"),
];

impl Default for RedisConfig {
    fn default() -> Self {
        RedisConfig {
            servers: Servers::One(Address::Tcp { host: DEFAULT_HOST.to_owned(), port: DEFAULT_PORT }),
            username: None,
            password: None,
            database: 0,
            tls: None,
            connect_timeout: 5000,
            command_timeout: 5000,
            keep_alive: 30_000,
            heartbeat: 5000,
            ready_check: true,
            connection_name: None,
            lazy_connect: false,
        }
    }
}

impl RedisConfig {
    /// Reads the `redis` of a configuration: a URL or an object.
    pub(super) fn from_value(value: Value, notices: &mut Vec<Notice>) -> Result<Self, BusError> {
        let kind = ErrorKind::InvalidConfig;
        match value {
            Value::String(text) => RedisConfig::from_endpoint(url::parse("redis", &text, notices)?),
            Value::Object(fields) => {
                RedisConfig::from_object(Reader::of(kind, "redis".to_owned(), fields), notices)
            }
            other => {
                let got = crate::options::reader::type_name(&other);
                Err(BusError::at(kind, "redis", format_args!("expected a URL or an object, got {got}")))
            }
        }
    }

    /// Reads the address that the environment gives, if it gives one.
    pub(super) fn from_environment(
        env: &Environment,
        notices: &mut Vec<Notice>,
    ) -> Result<Option<Self>, BusError> {
        variables::endpoint(env, notices)?.map(RedisConfig::from_endpoint).transpose()
    }

    fn from_endpoint(endpoint: Endpoint) -> Result<Self, BusError> {
        let d = RedisConfig::default();
        Ok(RedisConfig {
            servers: Servers::One(address(endpoint.place)),
            username: endpoint.username,
            password: endpoint.password,
            database: endpoint.database.unwrap_or(d.database),
            tls: endpoint.tls.then(TlsConfig::default),
            ..d
        })
    }

    fn from_object(mut r: Reader, notices: &mut Vec<Notice>) -> Result<Self, BusError> {
        let sentinel = SentinelConfig::read(&mut r, notices)?.map(|it| Servers::Sentinel(Box::new(it)));
        let cluster = ClusterConfig::read(&mut r)?.map(|it| Servers::Cluster(Box::new(it)));
        let several = match (sentinel, cluster) {
            (Some(_), Some(_)) => {
                return Err(r.error("cluster", "contradicts redis.sentinel: give one of them"));
            }
            (sentinel, cluster) => sentinel.or(cluster),
        };
        let of_cluster = matches!(several, Some(Servers::Cluster(_)));
        if let Some(key) = ["url", "host", "port"].into_iter().find(|key| several.is_some() && r.has(key)) {
            let (key_of, why) = match of_cluster {
                true => ("cluster", "its nodes say where the servers are"),
                false => ("sentinel", "the sentinels say where the master is"),
            };
            return Err(r.error(key, format_args!("contradicts {}: {why}", r.path_of(key_of))));
        }
        for (key, why) in IGNORED {
            if r.take(key).is_some() {
                notices.push(Notice::ignored(&r.path_of(key), why));
            }
        }
        let url = r.string("url")?.map(|text| url::parse(&r.path_of("url"), &text, notices)).transpose()?;
        let url = url.unwrap_or(Endpoint {
            place: Place::Tcp { host: None, port: None },
            username: None,
            password: None,
            database: None,
            tls: false,
        });
        let place = place(&mut r, url.place)?;
        let username = r.string("username")?;
        let username = agreed(&r, "username", username, url.username)?.filter(|name| !name.is_empty());
        let password = r.string("password")?.map(Secret::new);
        let password = agreed(&r, "password", password, url.password)?.filter(|p| !p.expose().is_empty());
        let database = r.count("database", 0..=url::MAX_DATABASE)?;
        let database = agreed(&r, "database", database, url.database)?;
        let tls = TlsConfig::read(&mut r, url.tls)?;
        if tls.as_ref().is_some_and(|tls| !tls.reject_unauthorized) {
            notices.push(Notice::not_verified(&format!("{}.rejectUnauthorized", r.path_of("tls"))));
        }
        if tls.is_some() && matches!(place, Place::Unix { .. }) {
            return Err(r.error("tls", "a unix socket does not use TLS"));
        }
        let d = RedisConfig::default();
        let config = RedisConfig {
            servers: several.unwrap_or_else(|| Servers::One(address(place))),
            username,
            password,
            database: database.unwrap_or(d.database),
            tls,
            connect_timeout: r.integer("connectTimeout", TIMEOUT)?.unwrap_or(d.connect_timeout),
            command_timeout: r.integer("commandTimeout", TIMEOUT)?.unwrap_or(d.command_timeout),
            keep_alive: r.integer("keepAlive", 0..=3_600_000)?.unwrap_or(d.keep_alive),
            heartbeat: r.integer("heartbeat", 100..=60_000)?.unwrap_or(d.heartbeat),
            ready_check: r.boolean("enableReadyCheck")?.unwrap_or(d.ready_check),
            connection_name: connection_name(&mut r)?.or(d.connection_name),
            lazy_connect: r.boolean("lazyConnect")?.unwrap_or(d.lazy_connect),
        };
        r.finish()?;
        Ok(config)
    }
}

/// What a field or the URL gives.
///
/// # Errors
/// `INVALID_CONFIG` when they give different values: one of them is not what is meant. No value is shown.
fn agreed<T: PartialEq>(
    r: &Reader,
    key: &str,
    field: Option<T>,
    of_url: Option<T>,
) -> Result<Option<T>, BusError> {
    url::agreed(field, of_url).map_err(|Differs| {
        let url = r.path_of("url");
        r.error(key, format_args!("contradicts {url}, which gives another {key}: give one of them"))
    })
}

/// The place of the URL, completed by `host` and `port`.
fn place(r: &mut Reader, url: Place) -> Result<Place, BusError> {
    let port = r.count("port", 1..=u32::from(u16::MAX))?.and_then(|port| u16::try_from(port).ok());
    let host = r.string("host")?.map(|host| url::without_brackets(&host).to_owned());
    if let Some(host) = &host {
        url::check_host(&r.path_of("host"), host)?;
    }
    match url {
        Place::Unix { .. } if host.is_some() => Err(r.error("host", "the url is a unix socket")),
        Place::Unix { .. } if port.is_some() => Err(r.error("port", "the url is a unix socket")),
        Place::Unix { path } => Ok(Place::Unix { path }),
        Place::Tcp { host: of_url, port: port_of_url } => {
            let same = url::same_host(host.as_deref(), of_url.as_deref());
            let host = if same { of_url } else { agreed(r, "host", host, of_url)? };
            Ok(Place::Tcp { host, port: agreed(r, "port", port, port_of_url)? })
        }
    }
}

fn address(place: Place) -> Address {
    match place {
        Place::Tcp { host, port } => Address::Tcp {
            host: host.unwrap_or_else(|| DEFAULT_HOST.to_owned()),
            port: port.unwrap_or(DEFAULT_PORT),
        },
        Place::Unix { path } => Address::Unix { path },
    }
}

fn connection_name(r: &mut Reader) -> Result<Option<String>, BusError> {
    let name = r.identifier("connectionName")?;
    match &name {
        Some(name) if !name.bytes().all(|b| b.is_ascii_graphic()) => {
            Err(r.error("connectionName", "expected printable ASCII without spaces"))
        }
        _ => Ok(name),
    }
}
