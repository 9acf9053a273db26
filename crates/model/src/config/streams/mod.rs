//! The streams of a configuration, and what becomes of events that cannot be handled.

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::error::{BusError, ErrorKind};
use crate::options::names::{MAX_PATTERN_BYTES, check_identifier};
use crate::options::reader::{NOT_AVAILABLE, Reader, type_name};
use crate::stream_store::Position;

/// The cap of a stream that has none of its own.
const DEFAULT_CAP: u64 = 1_000_000;
/// The largest whole number that JavaScript writes exactly.
const MAX_NUMBER: u64 = (1 << 53) - 1;
/// A hundred years, in milliseconds.
const MAX_AGE: u64 = 3_153_600_000_000;
const KIND: ErrorKind = ErrorKind::InvalidConfig;

/// A stream, and which events it stores.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamConfig {
    /// Its key in Redis: 1–512 characters without control characters, unique in the configuration.
    pub name: String,
    /// Patterns of the types that it stores; at least one.
    pub events: Vec<String>,
    /// The most entries, about: what publishers trim to. Default 1 000 000.
    pub cap: u64,
    /// How many entries are kept, about, by the janitor. `None`: as many as the cap allows.
    pub max_length: Option<u64>,
    /// For how many milliseconds entries are kept. `None`: for ever.
    pub max_age: Option<u64>,
    /// Groups that exist from the start, and where they begin.
    pub groups: Vec<(String, Position)>,
    /// Which of the stored events are published live as well.
    pub realtime: Realtime,
    /// Whether nothing is trimmed that a live group has not read and settled, but by the cap. Default true.
    pub safe_trim: bool,
}

/// Which events of a stream are published live as well.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Realtime {
    /// All. The default.
    #[default]
    All,
    /// None.
    Nothing,
    /// Those whose type matches one of these patterns.
    Matching(Vec<String>),
}

/// What becomes of entries that cannot be handled.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetterConfig {
    /// Whether they are kept. Default true.
    pub enabled: bool,
    /// What the name of their stream ends with. Default `:dlq`.
    pub suffix: String,
    /// How many are kept for each stream, about. Default 10 000.
    pub max_length: u64,
}

impl Default for DeadLetterConfig {
    fn default() -> Self {
        DeadLetterConfig { enabled: true, suffix: ":dlq".to_owned(), max_length: 10_000 }
    }
}

/// Whether events are kept by their id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PersistenceConfig {
    /// For how many milliseconds. Default 86 400 000.
    pub ttl: u64,
    /// Whether there is a stream of all of them. Default true.
    pub history: bool,
}

/// How long the entries of a stream are kept.
#[derive(Clone, Copy)]
enum Retention {
    Count,
    Time,
}

/// Reads `streams`.
pub(super) fn read_streams(r: &mut Reader) -> Result<Vec<StreamConfig>, BusError> {
    let mut streams: Vec<StreamConfig> = Vec::new();
    r.list("streams", |path, value| {
        let mut r = reader_of(path, value)?;
        let stream = read_stream(&mut r)?;
        if streams.iter().any(|other| other.name == stream.name) {
            return Err(
                r.error("name", format_args!("there is another stream of the name {:?}", stream.name))
            );
        }
        r.finish()?;
        streams.push(stream);
        Ok(())
    })?;
    Ok(streams)
}

fn read_stream(r: &mut Reader) -> Result<StreamConfig, BusError> {
    if r.has("partitions") {
        return Err(r.error("partitions", NOT_AVAILABLE));
    }
    let name = r.identifier("name")?.ok_or_else(|| r.error("name", "is missing"))?;
    let events = r.texts("events", check_pattern)?.ok_or_else(|| r.error("events", "is missing"))?;
    let safe_trim = r.boolean("safeTrim")?.unwrap_or(true);
    let (cap, max_length, max_age) = read_retention(r, safe_trim)?;
    let (groups, realtime) = (read_groups(r)?, read_realtime(r)?);
    Ok(StreamConfig { name, events, cap, max_length, max_age, groups, realtime, safe_trim })
}

/// Reads `retention`, `maxLength` and `retentionValue`: the cap, the length and the age that are kept.
///
/// The janitor trims by length as carefully as it is told to; publishers, which trim without asking
/// who has read what, then only keep the stream from growing without end.
fn read_retention(r: &mut Reader, safe: bool) -> Result<(u64, Option<u64>, Option<u64>), BusError> {
    let words = [("count", Retention::Count), ("time", Retention::Time)];
    let retention = r.choice("retention", &words)?;
    let length = r.integer("maxLength", 1..=MAX_NUMBER)?;
    if let Some(Retention::Time) = retention {
        let age = r.integer("retentionValue", 1..=MAX_AGE)?;
        let age = age.ok_or_else(|| r.error("retentionValue", "is missing: for how many milliseconds"))?;
        return Ok((length.unwrap_or(DEFAULT_CAP), None, Some(age)));
    }
    let value = r.integer("retentionValue", 1..=MAX_NUMBER)?;
    let length = length.or(value);
    let cap = match length {
        Some(length) if safe => length.max(DEFAULT_CAP),
        Some(length) => length,
        None => DEFAULT_CAP,
    };
    Ok((cap, length, None))
}

/// Reads `consumerGroups`: names, or objects with `name` and `from`.
fn read_groups(r: &mut Reader) -> Result<Vec<(String, Position)>, BusError> {
    let mut groups: Vec<(String, Position)> = Vec::new();
    r.list("consumerGroups", |path, value| {
        let (name, position) = match value {
            Value::String(name) => {
                check_identifier(&path, &name, KIND)?;
                (name, Position::New)
            }
            value => {
                let mut r = reader_of(path.clone(), value)?;
                let name = r.identifier("name")?.ok_or_else(|| r.error("name", "is missing"))?;
                let words = [("new", Position::New), ("beginning", Position::Beginning)];
                let position = r.choice("from", &words)?.unwrap_or(Position::New);
                r.finish()?;
                (name, position)
            }
        };
        if groups.iter().any(|(other, _)| *other == name) {
            return Err(BusError::at(
                KIND,
                path,
                format_args!("there is another group of the name {name:?}"),
            ));
        }
        groups.push((name, position));
        Ok(())
    })?;
    Ok(groups)
}

/// Reads `realtime`: `true`, `false`, or patterns.
fn read_realtime(r: &mut Reader) -> Result<Realtime, BusError> {
    match r.get("realtime") {
        None | Some(Value::Array(_)) => {}
        Some(Value::Bool(_)) => {
            let all = r.boolean("realtime")?.unwrap_or(true);
            return Ok(if all { Realtime::All } else { Realtime::Nothing });
        }
        Some(other) => return Err(r.mismatch("realtime", "true, false or an array of patterns", other)),
    }
    let patterns = r.strings("realtime", check_pattern)?;
    Ok(match patterns {
        None => Realtime::All,
        Some(patterns) if patterns.is_empty() => Realtime::Nothing,
        Some(patterns) => Realtime::Matching(patterns),
    })
}

/// Reads `deadLetter`.
pub(super) fn read_dead_letter(r: &mut Reader, suffix: Option<&str>) -> Result<DeadLetterConfig, BusError> {
    let mut d = DeadLetterConfig::default();
    if let Some(suffix) = suffix {
        d.suffix = suffix.to_owned();
    }
    let Some(mut r) = r.object("deadLetter")? else { return Ok(d) };
    let config = DeadLetterConfig {
        enabled: r.boolean("enabled")?.unwrap_or(d.enabled),
        suffix: r.identifier("suffix")?.unwrap_or(d.suffix),
        max_length: r.integer("maxLength", 1..=MAX_NUMBER)?.unwrap_or(d.max_length),
    };
    r.finish()?;
    Ok(config)
}

/// Reads `persistence`; given without `enabled`, it is enabled.
pub(super) fn read_persistence(r: &mut Reader) -> Result<Option<PersistenceConfig>, BusError> {
    let Some(mut r) = r.object("persistence")? else { return Ok(None) };
    let enabled = r.boolean("enabled")?.unwrap_or(true);
    let config = PersistenceConfig {
        ttl: r.integer("ttl", 1..=MAX_AGE)?.unwrap_or(86_400_000),
        history: r.boolean("history")?.unwrap_or(true),
    };
    r.finish()?;
    Ok(enabled.then_some(config))
}

fn reader_of(path: String, value: Value) -> Result<Reader, BusError> {
    match value {
        Value::Object(fields) => Ok(Reader::of(KIND, path, fields)),
        other => Err(BusError::at(KIND, path, format_args!("expected an object, got {}", type_name(&other)))),
    }
}

pub(super) fn check_pattern(path: &str, pattern: &str) -> Result<(), BusError> {
    match pattern.len() {
        0 => Err(BusError::at(KIND, path, "a pattern must not be empty")),
        1..=MAX_PATTERN_BYTES => Ok(()),
        long => {
            let message = format_args!("a pattern has at most {MAX_PATTERN_BYTES} bytes, not {long}");
            Err(BusError::at(KIND, path, message))
        }
    }
}
