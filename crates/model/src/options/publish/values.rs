//! From the text of a member to its value. An error names the member.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::{BusError, ErrorKind};
use crate::options::names::{check_identifier, check_name};
use crate::options::reader::Reader;
use crate::routing::channel::Channels;
use crate::time;

/// The kind of every error.
pub(super) const KIND: ErrorKind = ErrorKind::InvalidOptions;
/// The longest a publish may take, in milliseconds: one hour.
const MAX_TIMEOUT: u64 = 3_600_000;
/// For how long an event id is remembered unless told otherwise, in milliseconds.
const DEDUPLICATION: u64 = 120_000;
/// For how long at the most: one year.
const MAX_DEDUPLICATION: u64 = 31_536_000_000;
/// The most replicas that can be asked for.
const MAX_REPLICAS: u32 = 100;
/// The most channels of one event.
const MAX_CHANNELS: usize = 64;
/// The times whose ISO form has a year of four digits, in milliseconds since the Unix epoch.
pub(super) const TIMES: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;
/// The members of an event's metadata that Oxbus writes.
const RESERVED: [&str; 12] = [
    "timestamp",
    "source",
    "instanceId",
    "correlationId",
    "causationId",
    "traceparent",
    "tracestate",
    "userId",
    "organizationId",
    "room",
    "toUser",
    "key",
];

/// The type of the JSON value that `raw` begins with, in words.
pub(super) fn describe(raw: &str) -> &'static str {
    match raw.trim_start().bytes().next() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

pub(super) fn mismatch(name: &str, expected: &str, raw: &str) -> BusError {
    BusError::at(KIND, name, format_args!("expected {expected}, got {}", describe(raw)))
}

pub(super) fn text(name: &str, raw: &str, expected: &str) -> Result<String, BusError> {
    if !raw.starts_with('"') {
        return Err(mismatch(name, expected, raw));
    }
    // The text is valid JSON by now; what remains is half of a surrogate pair.
    serde_json::from_str(raw).map_err(|_| BusError::at(KIND, name, "is not valid Unicode"))
}

pub(super) fn identifier(name: &str, raw: &str) -> Result<String, BusError> {
    let text = text(name, raw, "a string")?;
    check_identifier(name, &text, KIND)?;
    Ok(text)
}

pub(super) fn timestamp(raw: &str) -> Result<String, BusError> {
    const NAME: &str = "timestamp";
    const EXPECTED: &str = "an ISO 8601 text with a time zone, or milliseconds";
    let ms = match serde_json::from_str::<f64>(raw) {
        // The range is checked below; a cast of anything beyond it saturates.
        Ok(ms) => Some(ms.floor() as i64),
        Err(_) => time::from_iso(&text(NAME, raw, EXPECTED)?),
    };
    let ms = ms.ok_or_else(|| BusError::at(KIND, NAME, format_args!("expected {EXPECTED}")))?;
    if !TIMES.contains(&ms) {
        return Err(BusError::at(KIND, NAME, "is not in the years 0 to 9999"));
    }
    Ok(time::to_iso(ms))
}

pub(super) fn timeout(raw: &str) -> Result<u64, BusError> {
    let ms = serde_json::from_str(raw).ok().filter(|ms| (1..=MAX_TIMEOUT).contains(ms));
    ms.ok_or_else(|| {
        BusError::at(
            KIND,
            "timeout",
            format_args!("expected an integer from 1 to {MAX_TIMEOUT} (milliseconds)"),
        )
    })
}

pub(super) fn stream(raw: &str) -> Result<String, BusError> {
    let name = text("stream", raw, "the name of a stream or false")?;
    check_identifier("stream", &name, KIND)?;
    Ok(name)
}

pub(super) fn channels(raw: &str) -> Result<Vec<String>, BusError> {
    const NAME: &str = "channels";
    if !raw.starts_with('[') {
        return Err(mismatch(NAME, "an array of strings", raw));
    }
    let names: Vec<&RawValue> =
        serde_json::from_str(raw).map_err(|_| BusError::at(KIND, NAME, "is no array"))?;
    if !(1..=MAX_CHANNELS).contains(&names.len()) {
        let message = format!("has 1 to {MAX_CHANNELS} channels, not {}", names.len());
        return Err(BusError::at(KIND, NAME, message));
    }
    let mut channels = Vec::with_capacity(names.len());
    for (index, raw) in names.into_iter().enumerate() {
        let path = format!("{NAME}[{index}]");
        let name = text(&path, raw.get(), "a string")?;
        check_name(&path, &name)?;
        if name.chars().any(char::is_control) {
            return Err(BusError::at(KIND, path, "must not hold control characters"));
        }
        if Channels::addresses_channels(&name) {
            return Err(BusError::at(KIND, path, "is the channel of a room, a user or broadcasts"));
        }
        if !channels.contains(&name) {
            channels.push(name);
        }
    }
    Ok(channels)
}

pub(super) fn deduplicate(raw: &str) -> Result<Option<u64>, BusError> {
    const NAME: &str = "deduplicate";
    match raw {
        "false" => return Ok(None),
        "true" => return Ok(Some(DEDUPLICATION)),
        _ if raw.starts_with('{') => {}
        _ => return Err(mismatch(NAME, "true, false or an object", raw)),
    }
    let fields = serde_json::from_str(raw).map_err(|_| BusError::at(KIND, NAME, "is not valid Unicode"))?;
    let mut r = Reader::of(KIND, NAME.to_owned(), fields);
    let ttl = r.integer("ttl", 1..=MAX_DEDUPLICATION)?.unwrap_or(DEDUPLICATION);
    r.finish()?;
    Ok(Some(ttl))
}

pub(super) fn replicas(raw: &str) -> Result<u32, BusError> {
    let count = serde_json::from_str(raw).ok().filter(|n| *n <= MAX_REPLICAS);
    count.ok_or_else(|| {
        BusError::at(KIND, "replicas", format_args!("expected an integer from 0 to {MAX_REPLICAS}"))
    })
}

pub(super) fn metadata(raw: &str) -> Result<Map<String, Value>, BusError> {
    const NAME: &str = "metadata";
    if !raw.starts_with('{') {
        return Err(mismatch(NAME, "an object", raw));
    }
    let members: Map<String, Value> =
        serde_json::from_str(raw).map_err(|_| BusError::at(KIND, NAME, "is not valid Unicode"))?;
    match RESERVED.iter().find(|name| members.contains_key(**name)) {
        Some(name) => {
            let message = "is set by Oxbus or by an option of its own";
            Err(BusError::at(KIND, format!("{NAME}.{name}"), message))
        }
        None => Ok(members),
    }
}

pub(super) fn flag(name: &str, raw: &str) -> Result<bool, BusError> {
    serde_json::from_str(raw).map_err(|_| mismatch(name, "true or false", raw))
}
