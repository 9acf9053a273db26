//! What JavaScript needs to know of a configuration.

use serde::Serialize;

use super::{Config, LogLevel, Mode, Notice};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Settings<'a> {
    service_name: &'a str,
    mode: Mode,
    memory: &'a str,
    channel_prefix: &'a str,
    inherit: bool,
    log_level: LogLevel,
    validate_on_receive: bool,
    batch_size: usize,
    batch_interval: u64,
    max_retries: u32,
    retry_delay: u64,
    command_timeout: u64,
    max_event_bytes: usize,
    max_data_bytes: usize,
    notices: &'a [Notice],
}

impl Config {
    /// The `Settings` of the boundary as a JSON object; holds no secret.
    pub fn settings_json(&self) -> String {
        let settings = Settings {
            service_name: &self.service_name,
            mode: self.mode,
            memory: &self.memory,
            channel_prefix: &self.channel_prefix,
            inherit: self.inherit,
            log_level: self.log_level,
            validate_on_receive: self.validate_on_receive,
            batch_size: self.performance.batch_size,
            batch_interval: self.performance.batch_interval,
            max_retries: self.performance.max_retries,
            retry_delay: self.performance.retry_delay,
            command_timeout: self.redis.command_timeout,
            max_event_bytes: self.limits.max_event_bytes,
            max_data_bytes: self.limits.max_data_bytes,
            notices: &self.notices,
        };
        // Only maps with keys other than text cannot be written; there is none here.
        serde_json::to_string(&settings).unwrap_or_default()
    }
}
