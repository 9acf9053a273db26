//! The configuration of a client: read once, checked completely, every default in one place.
//!
//! # Layout
//!
//! - this file: [`Config`] and what it is resolved from
//! - `mode`: whether there is a server; `redis`, `address`, `url`, `url_parameters`, `sentinel`, `tls`: how to reach it; `environment`: the
//!   variables that are read; `variables`: the address that they give
//! - `retry`: the delays of a failed handler; `log_level`: what is logged; `notice`: remarks for the log; `secret`: what never prints
//! - `json_rule`: what becomes of values that JSON would change
//! - `durable`: which events must be stored; `streams`: what is stored, and what becomes of what cannot be handled
//! - `wire`: the format of messages and entries; `key_names`: the names of keys that it may say; `cluster`: what a server in cluster mode cannot do
//! - `reader`: one JSON object, field by field

mod address;
mod cluster;
mod cluster_check;
mod durable;
mod environment;
mod json_rule;
mod key_names;
mod log_level;
mod mode;
mod node_address;
mod notice;
mod redis;
pub(crate) mod retry;
mod secret;
mod sentinel;
mod streams;
#[cfg(test)]
mod tests;
mod tls;
mod url;
mod url_parameters;
mod variables;
mod wire;

use crate::codec::Codec;
use crate::codec::wires::Wires;
use crate::error::{BusError, ErrorKind};
use crate::options::names::check_identifier;
use crate::retry::RetryPolicy;
use crate::stream_store::keys;

pub use address::Address;
pub use cluster::{ClusterConfig, PubSub};
pub use durable::Durable;
pub use environment::Environment;
pub use json_rule::JsonRule;
pub use key_names::KeyNames;
pub use log_level::LogLevel;
pub use mode::Mode;
pub use notice::{Notice, NoticeLevel};
pub use redis::{RedisConfig, Servers};
pub use secret::Secret;
pub use sentinel::SentinelConfig;
pub use streams::{DeadLetterConfig, LetterCopies, PersistenceConfig, Realtime, StreamConfig};
pub use tls::TlsConfig;

use crate::options::reader::Reader;
use durable::read_durable;
use environment::shown;
use json_rule::read_json_rule;
use log_level::read_log_level;
use mode::{Server, read_mode, resolve_mode};
use retry::read_retry;
use streams::{read_dead_letter, read_persistence, read_streams};
use wire::{channel_prefix, read_wire, settle};

/// The service name when neither the configuration, the environment nor a package has one.
const DEFAULT_SERVICE_NAME: &str = "oxbus";
/// The longest message that a Redis server takes, by default.
const MAX_EVENT_BYTES: u32 = 512 << 20;

/// How large an event may be, in bytes of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The whole event. 1 – 512 MiB, default 1 MiB.
    pub max_event_bytes: usize,
    /// Its `data`. 1 – `max_event_bytes`, default 512 KiB.
    pub max_data_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_event_bytes: 1 << 20, max_data_bytes: 512 << 10 }
    }
}

/// How publishes are gathered, bounded and repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Performance {
    /// The most publishes in one batch. 1–65 536, default 256.
    pub batch_size: usize,
    /// The milliseconds for which publishes are gathered; 0: until the end of the tick. 0–1000, default 0.
    pub batch_interval: u64,
    /// How often a publish that was not sent is tried again. 0–100, default 0.
    pub max_retries: u32,
    /// The milliseconds before it is. 0–600 000, default 100.
    pub retry_delay: u64,
    /// The most unsettled publishes; one more is `QUEUE_FULL`. 1–10 000 000, default 100 000.
    pub max_in_flight: usize,
    /// Their most bytes. 1 – 2 GiB less one, default 64 MiB.
    pub max_in_flight_bytes: usize,
}

impl Default for Performance {
    fn default() -> Self {
        Performance {
            batch_size: 256,
            batch_interval: 0,
            max_retries: 0,
            retry_delay: 100,
            max_in_flight: 100_000,
            max_in_flight_bytes: 64 << 20,
        }
    }
}

/// A configuration that is complete and valid. `Debug` shows no secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The `source` of events: 1–512 characters. `serviceName`, else `SERVICE_NAME`, else the
    /// name of the package, else `oxbus`.
    pub service_name: String,
    /// Where events go.
    pub mode: Mode,
    /// How to reach Redis. In memory mode only its times are used.
    pub redis: RedisConfig,
    /// The name of the memory broker. Default `default`.
    pub memory: String,
    /// What keys begin with that are no streams, and every channel whose wire has no prefix of its own: at most 256 bytes
    /// without control characters. Default empty.
    pub channel_prefix: String,
    /// The formats of messages, each with its channels. Default one: that of Oxbus.
    pub wires: Wires,
    /// The format of entries and of kept events. Default [`Codec::Oxbus`].
    pub codec: Codec,
    /// The names of keys that a format may say.
    pub keys: KeyNames,
    /// How large events may be.
    pub limits: Limits,
    /// Whether schemas are applied to received events too. Default false.
    pub validate_on_receive: bool,
    /// What becomes of values in `data` that JSON would change without a word. Default lenient.
    pub json: JsonRule,
    /// The delays of subscriptions that give none of their own.
    pub retry: RetryPolicy,
    /// Whether events published by a handler inherit from the event being handled. Default true.
    pub inherit: bool,
    /// What is logged. Default info.
    pub log_level: LogLevel,
    /// Whether a server that may evict keys is refused. Default false.
    pub require_no_eviction: bool,
    /// How publishes are gathered, bounded and repeated.
    pub performance: Performance,
    /// Whether events are published live. Default true; without, only streams carry them.
    pub pubsub: bool,
    /// Whether the client only reads and administers: it creates no stream and no group, and publishes nothing.
    /// Default false.
    pub observe: bool,
    /// Which events must be stored: one of them that no stream stores is refused.
    pub durable: Durable,
    /// The streams, in the order in which they are asked whether they store an event.
    pub streams: Vec<StreamConfig>,
    /// How long an entry stays claimed without being renewed, in milliseconds. 100–86 400 000, default 30 000.
    pub lease: u64,
    /// How long an entry of a consumer of another program must have been idle before it is claimed, in milliseconds; less than
    /// the lease counts as that. 100–86 400 000, default 600 000.
    pub foreign_lease: u64,
    /// What becomes of entries that cannot be handled.
    pub dead_letter: DeadLetterConfig,
    /// Whether events are kept by their id. Default `None`.
    pub persistence: Option<PersistenceConfig>,
    /// Remarks for the log.
    pub notices: Vec<Notice>,
    /// Why the client cannot be used: it needs a server, and no address is given. Making it is no fault, as a program may be
    /// loaded where it does not run, such as in a build.
    pub no_address: Option<BusError>,
}

impl Config {
    /// The streams that this client makes and trims: those of its configuration, none for an observer.
    pub fn maintained_streams(&self) -> &[StreamConfig] {
        if self.observe { &[] } else { &self.streams }
    }

    /// Reads a configuration, completed by the environment where it names no Redis.
    ///
    /// # Errors
    /// `INVALID_CONFIG` with the path of the bad field, or the name of the bad variable.
    pub fn resolve(config_json: &str, env: &Environment) -> Result<Config, BusError> {
        let mut r = Reader::parse("configuration", config_json, ErrorKind::InvalidConfig)?;
        let mut notices = Vec::new();
        let given = read_wire(&mut r)?;
        let (traits, are_live) = (given.traits(), given.are_live());
        let pubsub = r.boolean("pubsub")?;
        let mode = read_mode(&mut r)?;
        let (wires, channel_prefix) = given.resolve(channel_prefix(&mut r)?)?;
        let redis = r.take("redis").map(|value| RedisConfig::from_value(value, &mut notices)).transpose()?;
        let config = Config {
            service_name: service_name(&mut r, env)?,
            memory: r.identifier("memory")?.unwrap_or_else(|| "default".to_owned()),
            codec: Codec::Oxbus,
            keys: KeyNames::plain(&channel_prefix),
            dead_letter: read_dead_letter(
                &mut r,
                traits.dead_letter_suffix,
                (wires.kept.letters(), &channel_prefix),
            )?,
            channel_prefix,
            wires,
            limits: read_limits(&mut r)?,
            validate_on_receive: r.boolean("validateOnReceive")?.unwrap_or(false),
            json: read_json_rule(&mut r)?,
            retry: read_retry(&mut r, &RetryPolicy::default())?,
            inherit: r.boolean("inherit")?.unwrap_or(true),
            log_level: read_log_level(&mut r)?,
            require_no_eviction: r.boolean("requireNoEviction")?.unwrap_or(false),
            performance: read_performance(&mut r)?,
            pubsub: pubsub.unwrap_or(are_live),
            observe: r.boolean("observe")?.unwrap_or(false),
            durable: read_durable(&mut r)?,
            streams: read_streams(&mut r)?,
            lease: r.integer("lease", 100..=86_400_000)?.unwrap_or(30_000),
            foreign_lease: r.integer("foreignLease", 100..=86_400_000)?.unwrap_or(600_000),
            persistence: read_persistence(&mut r)?,
            mode: Mode::Memory,
            redis: RedisConfig::default(),
            notices: Vec::new(),
            no_address: None,
        };
        r.finish()?;
        check_stream_names(&config)?;
        if config.observe {
            check_observer(&config, mode)?;
        }
        let durable = match (config.observe, config.streams.is_empty()) {
            (true, _) => Some("observe is true"),
            (false, false) => Some("there are streams"),
            (false, true) => None,
        };
        let Server { mode, mut redis, no_address } = resolve_mode(mode, redis, durable, env, &mut notices)?;
        let of_sentinels = match &mut redis.servers {
            Servers::Sentinel(sentinel) => sentinel.tls.as_mut(),
            Servers::One(_) | Servers::Cluster(_) => None,
        };
        redis.tls.iter_mut().chain(of_sentinels).for_each(|tls| tls.complete(env));
        let wires = settle(config.wires, (mode, &redis.servers), pubsub, config.persistence.is_some())?;
        let config = Config { codec: wires.kept.clone(), wires, mode, redis, notices, no_address, ..config };
        let config = with_keys_of_wire(config)?;
        if matches!(config.redis.servers, Servers::Cluster(_)) {
            check_cluster(&config).map_err(|error| BusError { kind: ErrorKind::InvalidConfig, ..error })?;
        }
        Ok(config)
    }
}

/// The same with the names of keys that its format says. In memory mode nobody else reads them.
///
/// # Errors
/// `INVALID_CONFIG` for names that meet.
fn with_keys_of_wire(mut config: Config) -> Result<Config, BusError> {
    if config.mode == Mode::Memory {
        config.dead_letter = config.dead_letter.in_memory();
        return Ok(config);
    }
    if config.codec.keys().is_some() {
        config.keys = KeyNames::of(&config.codec, &config.channel_prefix);
        for stream in &mut config.streams {
            stream.name = config.keys.of_stream(&stream.name).into_owned();
        }
        check_stream_names(&config)?;
    }
    Ok(config)
}

/// Accepts a configuration for a server in cluster mode.
///
/// # Errors
/// `CLUSTER_MODE` with the path of the field: a database other than 0, a stream whose keys cannot be in one slot, and, unless the
/// server is given as a Cluster, events that are to be stored in a stream and kept by their id in one step.
pub fn check_cluster(config: &Config) -> Result<(), BusError> {
    let is_one = !matches!(config.redis.servers, Servers::Cluster(_));
    let keeps_and_stores = config.persistence.is_some() && !config.streams.is_empty() && !config.observe;
    let keeps_and_stores = keeps_and_stores && is_one;
    let Config { redis, streams, dead_letter, codec, persistence, .. } = config;
    cluster_check::check(redis, streams, (dead_letter, codec), (persistence.is_some(), keeps_and_stores))
}

/// Refuses a stream whose key is that of something else that is kept.
fn check_stream_names(config: &Config) -> Result<(), BusError> {
    let history = config.persistence.filter(|kept| kept.history).map(|_| &config.keys.history);
    let letters = &config.dead_letter;
    for (index, stream) in config.streams.iter().enumerate() {
        let copied = |of: &str| letters.copies.as_ref().is_some_and(|to| to.names.of(of) == stream.name);
        let same_name = |other: &&StreamConfig| other.name == stream.name;
        if config.streams[..index].iter().any(|other| same_name(&other)) {
            let message = "a stream before it has the same key";
            return Err(BusError::at(ErrorKind::InvalidConfig, format!("streams[{index}].name"), message));
        }
        if letters.in_list && letters.names.name_in(&stream.name).is_some() {
            let message = "only a list of dead letters has a name of this form";
            return Err(BusError::at(ErrorKind::InvalidConfig, format!("streams[{index}].name"), message));
        }
        let letters =
            |other: &&StreamConfig| letters.names.of(&other.name) == stream.name || copied(&other.name);
        let taken = match config.streams.iter().find(letters) {
            Some(other) => format!("the dead letters of {:?} are kept under that name", other.name),
            None if history == Some(&stream.name) => "the history is kept under that name".to_owned(),
            None if keys::registry(&config.channel_prefix) == stream.name => {
                "the registry of streams is kept under that name".to_owned()
            }
            None if keys::wanted(&config.channel_prefix) == stream.name => {
                "the registry of groups is kept under that name".to_owned()
            }
            None => continue,
        };
        return Err(BusError::at(ErrorKind::InvalidConfig, format!("streams[{index}].name"), taken));
    }
    Ok(())
}

/// Refuses what an observer would have to create, or to publish.
fn check_observer(config: &Config, mode: Option<Mode>) -> Result<(), BusError> {
    if mode == Some(Mode::Hybrid) {
        let message = "an observer publishes nothing, so it has no hybrid mode";
        return Err(BusError::at(ErrorKind::InvalidConfig, "mode", message));
    }
    match config.streams.iter().position(|stream| !stream.groups.is_empty()) {
        Some(index) => {
            let path = format!("streams[{index}].consumerGroups");
            let message = "an observer creates no groups: leave them out, or leave out observe";
            Err(BusError::at(ErrorKind::InvalidConfig, path, message))
        }
        None => Ok(()),
    }
}

fn service_name(r: &mut Reader, env: &Environment) -> Result<String, BusError> {
    if let Some(name) = r.identifier("serviceName")? {
        return Ok(name);
    }
    if let Some(name) = &env.service_name {
        check_identifier("SERVICE_NAME", name, r.kind()).map_err(|error| BusError {
            message: format!("{}, got {}", error.message, shown(name)),
            ..error
        })?;
        return Ok(name.clone());
    }
    // The package's name was not written for Oxbus, so a strange one is no error of the user's.
    let package = env.package.as_ref().filter(|name| check_identifier("package", name, r.kind()).is_ok());
    Ok(package.map_or(DEFAULT_SERVICE_NAME, String::as_str).to_owned())
}

fn read_limits(r: &mut Reader) -> Result<Limits, BusError> {
    let d = Limits::default();
    let Some(mut r) = r.object("validation")? else { return Ok(d) };
    let max_event_bytes = r.size("maxEventBytes", 1..=MAX_EVENT_BYTES)?.unwrap_or(d.max_event_bytes);
    let max_data_bytes = match r.size("maxDataBytes", 1..=MAX_EVENT_BYTES)? {
        Some(data) if data > max_event_bytes => {
            let message = format!("must not exceed maxEventBytes ({max_event_bytes})");
            return Err(r.error("maxDataBytes", message));
        }
        Some(data) => data,
        None => d.max_data_bytes.min(max_event_bytes),
    };
    r.finish()?;
    Ok(Limits { max_event_bytes, max_data_bytes })
}

fn read_performance(r: &mut Reader) -> Result<Performance, BusError> {
    let d = Performance::default();
    let Some(mut r) = r.object("performance")? else { return Ok(d) };
    let performance = Performance {
        batch_size: r.size("batchSize", 1..=65_536)?.unwrap_or(d.batch_size),
        batch_interval: r.integer("batchInterval", 0..=1000)?.unwrap_or(d.batch_interval),
        max_retries: r.count("maxRetries", 0..=100)?.unwrap_or(d.max_retries),
        retry_delay: r.integer("retryDelay", 0..=600_000)?.unwrap_or(d.retry_delay),
        max_in_flight: r.size("maxInFlight", 1..=10_000_000)?.unwrap_or(d.max_in_flight),
        max_in_flight_bytes: r
            .size("maxInFlightBytes", 1..=i32::MAX as u32)?
            .unwrap_or(d.max_in_flight_bytes),
    };
    r.finish()?;
    Ok(performance)
}
