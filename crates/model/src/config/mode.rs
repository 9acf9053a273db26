//! Whether there is a Redis server.

use serde::Serialize;

use crate::config::environment::Environment;
use crate::config::notice::{Notice, NoticeLevel};
use crate::config::redis::RedisConfig;
use crate::error::{BusError, ErrorKind};
use crate::options::reader::Reader;

/// Where events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Through a Redis server.
    Redis,
    /// Through a broker in this process.
    Memory,
    /// To this client's own handlers at once, and through a Redis server to those of others.
    Hybrid,
}

impl Mode {
    /// Whether there is a Redis server.
    pub fn has_server(self) -> bool {
        self != Mode::Memory
    }
}

/// Where events go, and how to reach the server.
pub(super) struct Server {
    pub(super) mode: Mode,
    pub(super) redis: RedisConfig,
    /// Why there is none, where one is needed.
    pub(super) no_address: Option<BusError>,
}

pub(super) fn read_mode(r: &mut Reader) -> Result<Option<Mode>, BusError> {
    r.choice("mode", &[("redis", Mode::Redis), ("memory", Mode::Memory), ("hybrid", Mode::Hybrid)])
}

/// Decides whether there is a Redis server. A `redis` in the configuration keeps the environment out of it.
/// What is durable, for the reason that `durable` gives, does not end up in memory because an address was forgotten.
pub(super) fn resolve_mode(
    mode: Option<Mode>,
    redis: Option<RedisConfig>,
    durable: Option<&'static str>,
    env: &Environment,
    notices: &mut Vec<Notice>,
) -> Result<Server, BusError> {
    let server = |mode, redis| Ok(Server { mode, redis, no_address: None });
    if mode == Some(Mode::Memory) {
        return server(Mode::Memory, redis.unwrap_or_default());
    }
    let with_server = mode.unwrap_or(Mode::Redis);
    if let Some(redis) = redis {
        return server(with_server, redis);
    }
    if let Some(why) = env.redis_disabled()? {
        // The variable overrules the code, which its author may not expect.
        let level = if mode.is_some() || durable.is_some() { NoticeLevel::Warn } else { NoticeLevel::Info };
        notices.push(Notice::memory_mode(level, &why));
        return server(Mode::Memory, RedisConfig::default());
    }
    if let Some(redis) = RedisConfig::from_environment(env, notices)? {
        return server(with_server, redis);
    }
    let why = match mode {
        Some(Mode::Hybrid) => Some("the mode is 'hybrid'"),
        Some(_) => Some("the mode is 'redis'"),
        None if durable.is_some() => durable,
        None if env.production() => Some("NODE_ENV is production"),
        None => None,
    };
    if let Some(why) = why {
        let message = format!("no address, but {why}: set redis, REDIS_URL or REDIS_HOST, or mode: 'memory'");
        let no_address = Some(BusError::at(ErrorKind::InvalidConfig, "redis", message));
        return Ok(Server { mode: with_server, redis: RedisConfig::default(), no_address });
    }
    let why = "no Redis address is set (redis, REDIS_URL or REDIS_HOST)";
    notices.push(Notice::memory_mode(NoticeLevel::Warn, why));
    server(Mode::Memory, RedisConfig::default())
}
