//! Functions without state.

use napi_derive::napi;
use oxbus_model::ErrorKind;
use oxbus_model::config::Limits;
use oxbus_model::options::{unknown_key, validate};
use oxbus_model::routing::pattern;
use oxbus_model::topology::lanes::{LANES, Lanes};

use crate::settings::{Settings, resolve};
use crate::{calls, json, runtime};

/// The version of the addon. It has to be that of the package, as what crosses is no contract between versions.
#[napi]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Every error: `[code, category, retryable][]` as JSON.
#[napi]
pub fn error_codes() -> napi::Result<String> {
    calls::throwing("errorCodes", || {
        let rows: Vec<_> = ErrorKind::ALL.iter().map(|k| (k.code(), k.category(), k.retryable())).collect();
        json::text(&rows)
    })
}

/// The questions that `NativeClient.request` answers: `[name, arguments][]` as JSON.
#[napi]
pub fn questions() -> napi::Result<String> {
    calls::throwing("questions", || json::text(&oxbus_engine::questions().collect::<Vec<_>>()))
}

/// Starts the threads of the addon, if they do not run; a client needs them. Returns `NativeResult<null>` as JSON.
#[napi]
pub fn start() -> String {
    calls::result("start", || runtime::handle().map(|_| ()))
}

/// Validates a whole configuration. `config` is its JSON; `env` that of the environment variables that are read, with
/// the name in the nearest package.json as `package`. Returns `NativeResult<Settings>` as JSON.
#[napi]
pub fn settings(config: String, env: String) -> String {
    calls::result("settings", || resolve(&config, &env).map(Settings::from))
}

/// `text` as a pattern that matches nothing else.
#[napi]
pub fn escape_pattern(text: String) -> napi::Result<String> {
    calls::throwing("escapePattern", || pattern::escape(&text))
}

/// Whether a pattern matches a text, bytewise, as `PSUBSCRIBE` has it.
#[napi]
pub fn matches(pattern: String, text: String) -> napi::Result<bool> {
    calls::throwing("matches", || pattern::matches(pattern.as_bytes(), text.as_bytes()))
}

/// The channels of the lanes of a bus in a Redis Cluster, by their numbers. Empty unless `count` is from 1 to 256.
#[napi]
pub fn lanes(prefix: String, count: u32) -> napi::Result<Vec<String>> {
    calls::throwing("lanes", || {
        let count = u16::try_from(count).ok().filter(|count| LANES.contains(count));
        let lanes = count.map(|count| Lanes::new(&prefix, count));
        lanes.iter().flat_map(|lanes| lanes.all().map(|lane| lanes.channel(lane).to_owned())).collect()
    })
}

/// What is said of a key that is not among the `known` ones of the options of a call, or of a flat event: the same as the
/// engine says of those that it reads.
#[napi]
pub fn unknown_key(
    #[napi(ts_arg_type = "'options' | 'event'")] of: String,
    key: String,
    known: Vec<String>,
) -> napi::Result<String> {
    calls::throwing("unknownKey", || {
        let kind = if of == "options" { ErrorKind::InvalidOptions } else { ErrorKind::InvalidEvent };
        unknown_key::message(kind, "", &key, &known)
    })
}

/// Validates a value; `text` is its JSON. Returns `NativeResult<null>` as JSON.
#[napi]
pub fn validate(
    #[napi(ts_arg_type = "'event' | 'type' | 'metadata' | 'timestamp' | 'pattern'")] what: String,
    text: String,
) -> String {
    calls::result("validate", || validate::validate(&what, &text, &Limits::default()))
}
