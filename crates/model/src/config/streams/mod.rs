//! The streams of a configuration, and what becomes of events that cannot be handled.

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::codec::{LetterFormat, MAX_LISTED};
use crate::error::{BusError, ErrorKind};
use crate::options::names::{MAX_PATTERN_BYTES, check_identifier};
use crate::options::reader::{NOT_AVAILABLE, Reader, type_name};
use crate::stream_store::{NameTemplate, Position, keys};

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
    /// The name of the stream or the list that keeps those of a stream. Default the name of the stream with `:dlq` behind it.
    pub names: NameTemplate,
    /// How many are kept for each stream: in a stream about, in a list exactly. Default 10 000.
    pub max_length: u64,
    /// Whether a list keeps them, and not a stream. Default false.
    pub in_list: bool,
    /// Whether a new letter is the first one of a list, and not the last. Default true.
    pub at_front: bool,
    /// A list that gets a copy of each letter that a stream keeps. Default `None`.
    pub copies: Option<LetterCopies>,
}

/// A list with copies of the dead letters of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct LetterCopies {
    /// Its name, from that of the stream.
    pub names: NameTemplate,
    /// How many copies it has at the most.
    pub max_length: u64,
}

impl DeadLetterConfig {
    /// The same where nobody else reads them: in a stream, without copies.
    pub(super) fn in_memory(self) -> DeadLetterConfig {
        DeadLetterConfig { in_list: false, copies: None, ..self }
    }
}

impl Default for DeadLetterConfig {
    fn default() -> Self {
        DeadLetterConfig {
            enabled: true,
            names: keys::dead_letters(":dlq"),
            max_length: 10_000,
            in_list: false,
            at_front: true,
            copies: None,
        }
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
    let (name, events) = (r.identifier("name")?, r.texts("events", check_pattern)?);
    let safe_trim = r.boolean("safeTrim")?.unwrap_or(true);
    let (cap, max_length, max_age) = read_retention(r, safe_trim)?;
    let (groups, realtime) = (read_groups(r)?, read_realtime(r)?);
    // Behind the others: what is left by now may be the one that is missing, misspelt.
    let name = name.ok_or_else(|| r.missing("name"))?;
    let events = events.ok_or_else(|| r.missing("events"))?;
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
                let name = r.identifier("name")?;
                let words = [("new", Position::New), ("beginning", Position::Beginning)];
                let position = r.choice("from", &words)?.unwrap_or(Position::New);
                let name = name.ok_or_else(|| r.missing("name"))?;
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

/// Reads `deadLetter`. The format has a suffix and a format of letters, the latter for a client with this prefix.
pub(super) fn read_dead_letter(
    r: &mut Reader,
    suffix: Option<&str>,
    (letters, prefix): (Option<&LetterFormat>, &str),
) -> Result<DeadLetterConfig, BusError> {
    let mut d = DeadLetterConfig::default();
    if let Some(suffix) = suffix {
        d.names = keys::dead_letters(suffix);
    }
    let named = letters.and_then(|letters| letters.stream.as_ref()).map(|text| text.under(prefix));
    let has_name = named.is_some();
    d.names = named.unwrap_or(d.names);
    if let Some(list) = letters.and_then(|letters| letters.list.as_ref()) {
        d.at_front = list.at_front;
        let (names, max_length) = (list.name.under(prefix), list.max_length);
        if list.keeps {
            d = DeadLetterConfig { names, max_length, in_list: true, ..d };
        } else {
            d.copies = Some(LetterCopies { names, max_length });
        }
    }
    let is_named = has_name || d.in_list;
    if let Some(mut r) = r.object("deadLetter")? {
        let suffix = r.identifier("suffix")?;
        if is_named && suffix.is_some() {
            return Err(r.error("suffix", "the wire names its dead letters"));
        }
        let most = if d.in_list { MAX_LISTED } else { MAX_NUMBER };
        d = DeadLetterConfig {
            enabled: r.boolean("enabled")?.unwrap_or(d.enabled),
            names: suffix.map_or(d.names, |suffix| keys::dead_letters(&suffix)),
            max_length: r.integer("maxLength", 1..=most)?.unwrap_or(d.max_length),
            ..d
        };
        r.finish()?;
    }
    let copies_to = d.copies.as_ref().map(|copies| copies.names.of("s"));
    let names = [Some("s".to_owned()), Some(d.names.of("s")), copies_to];
    let twice =
        (1..names.len()).any(|index| names[index].is_some() && names[..index].contains(&names[index]));
    if twice {
        let message = "the dead letters of a stream need a name of their own, and so does a list of copies";
        return Err(BusError::at(KIND, "wire", message));
    }
    Ok(d)
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
