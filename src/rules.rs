//! Functions without state.

use napi_derive::napi;
use oxbus_engine::panics::catch_panic_in;
use oxbus_model::config::{Config, Environment, Limits};
use oxbus_model::options::validate;
use oxbus_model::routing::pattern;
use oxbus_model::{BusError, ErrorKind};
use serde_json::Value;

use crate::values;

/// `[[code, category, retryable], …]` as JSON.
#[napi]
pub fn error_codes() -> String {
    let rows: Vec<_> = ErrorKind::ALL.iter().map(|k| (k.code(), k.category(), k.retryable())).collect();
    serde_json::to_value(rows).unwrap_or_default().to_string()
}

/// Validates a configuration. `Result<Settings>`.
#[napi]
pub fn settings(config: String, env: String) -> String {
    let settings = catch_panic_in("settings", || resolve(&config, &env)).and_then(|resolved| {
        let text = resolved?.settings_json();
        serde_json::from_str::<Value>(&text).map_err(|e| BusError::new(ErrorKind::Internal, e.to_string()))
    });
    values::result(settings)
}

/// The configuration with all defaults.
pub(crate) fn resolve(config: &str, env: &str) -> Result<Config, BusError> {
    let config = Config::resolve(config, &Environment::from_json(env)?)?;
    oxbus_engine::check(&config)?;
    Ok(config)
}

/// `text` as a pattern that matches nothing else.
#[napi]
pub fn escape_pattern(text: String) -> String {
    pattern::escape(&text)
}

/// Whether a pattern matches a text, bytewise.
#[napi]
pub fn matches(pattern: String, text: String) -> bool {
    pattern::matches(pattern.as_bytes(), text.as_bytes())
}

/// Validates a value given as JSON. `Result<null>`.
#[napi]
pub fn validate(what: String, text: String) -> String {
    let valid = catch_panic_in("validate", || validate::validate(&what, &text, &Limits::default()));
    values::result(valid.and_then(|valid| valid).map(|()| Value::Null))
}
