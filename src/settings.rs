//! The configuration as the engine understood it, as far as JavaScript acts on it.

use napi_derive::napi;
use oxbus_model::BusError;
use oxbus_model::config::{Config, Environment, JsonRule, LogLevel, Mode, Notice};
use serde::Serialize;

use crate::values::ErrorValue;

/// The configuration as the engine understood it, as far as JavaScript acts on it. It holds no secret.
#[napi(object, object_from_js = false, object_to_js = false)]
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    pub service_name: String,
    #[napi(ts_type = "'redis' | 'memory' | 'hybrid'")]
    pub mode: Mode,
    /// The name of the memory broker.
    pub memory: String,
    /// What the channel of a type begins with, in the wire that is written first.
    pub channel_prefix: String,
    /// Whether what a handler publishes inherits from the event that it handles.
    pub inherit: bool,
    #[napi(ts_type = "import('./index').LogLevel | 'silent'")]
    pub log_level: LogLevel,
    pub validate_on_receive: bool,
    #[napi(ts_type = "'lenient' | 'strict'")]
    pub json: JsonRule,
    #[napi(ts_type = "number")]
    pub batch_size: usize,
    /// Milliseconds.
    #[napi(ts_type = "number")]
    pub batch_interval: u64,
    /// How often a publish that was `not_sent` is tried again. Default: 0.
    pub max_retries: u32,
    /// After how many milliseconds. Default: 100.
    #[napi(ts_type = "number")]
    pub retry_delay: u64,
    /// Milliseconds.
    #[napi(ts_type = "number")]
    pub command_timeout: u64,
    #[napi(ts_type = "number")]
    pub max_event_bytes: usize,
    #[napi(ts_type = "number")]
    pub max_data_bytes: usize,
    /// Lines for the log of a client that starts.
    #[napi(ts_type = "{ level: 'info' | 'warn'; code: string; message: string }[]")]
    pub notices: Vec<Notice>,
    /// Why the client cannot be used, if it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_address: Option<ErrorValue>,
}

impl From<Config> for Settings {
    fn from(config: Config) -> Settings {
        Settings {
            service_name: config.service_name,
            mode: config.mode,
            memory: config.memory,
            channel_prefix: config.wires.first_prefix().to_owned(),
            inherit: config.inherit,
            log_level: config.log_level,
            validate_on_receive: config.validate_on_receive,
            json: config.json,
            batch_size: config.performance.batch_size,
            batch_interval: config.performance.batch_interval,
            max_retries: config.performance.max_retries,
            retry_delay: config.performance.retry_delay,
            command_timeout: config.redis.command_timeout,
            max_event_bytes: config.limits.max_event_bytes,
            max_data_bytes: config.limits.max_data_bytes,
            notices: config.notices,
            no_address: config.no_address.as_ref().map(ErrorValue::from),
        }
    }
}

/// The configuration with all defaults.
pub(crate) fn resolve(config: &str, env: &str) -> Result<Config, BusError> {
    let mut config = Config::resolve(config, &Environment::from_json(env)?)?;
    config.notices.extend(oxbus_engine::check(&config)?);
    Ok(config)
}
