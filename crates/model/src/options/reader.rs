//! Reads one JSON object field by field. Every fault names its path, and what nobody asked for is
//! refused by [`Reader::finish`]. Configuration, options and the arguments of calls are read with it.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::error::{BusError, ErrorKind};
use crate::options::names::check_identifier;
use crate::options::unknown_key;

/// The message for a key of the contract that a later release brings.
pub(crate) const NOT_AVAILABLE: &str = "not available in this release";

/// What a strange value may show of itself in a message, in characters.
const SHOWN: usize = 32;

/// One JSON object; each field that is read is taken out of it.
#[derive(Debug)]
pub struct Reader {
    kind: ErrorKind,
    path: String,
    fields: Map<String, Value>,
    /// The keys that were looked for.
    known: Vec<String>,
}

impl Reader {
    /// The object in `json`; `what` names it in errors, all of which are of `kind`.
    pub(crate) fn parse(what: &str, json: &str, kind: ErrorKind) -> Result<Self, BusError> {
        let value = serde_json::from_str(json)
            .map_err(|e| BusError::new(kind, format!("the {what} cannot be read as JSON: {e}")))?;
        match value {
            Value::Object(fields) => Ok(Reader::of(kind, String::new(), fields)),
            other => {
                Err(BusError::new(kind, format!("the {what} must be an object, not {}", type_name(&other))))
            }
        }
    }

    /// Reads an object that was taken from elsewhere.
    pub fn of(kind: ErrorKind, path: String, fields: Map<String, Value>) -> Self {
        Reader { kind, path, fields, known: Vec::new() }
    }

    /// The kind of all errors of this reader.
    pub(crate) fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The path of a field of this object.
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// An error at a field of this object.
    pub fn error(&self, key: &str, message: impl std::fmt::Display) -> BusError {
        BusError::at(self.kind, self.path_of(key), message)
    }

    /// The error for a value of the wrong type. It tells the type, never the value, as the value
    /// may be a secret in the wrong place.
    pub fn mismatch(&self, key: &str, expected: &str, got: &Value) -> BusError {
        self.error(key, format_args!("expected {expected}, got {}", type_name(got)))
    }

    /// Takes a field as it is.
    pub fn take(&mut self, key: &str) -> Option<Value> {
        self.known.push(key.to_owned());
        self.fields.remove(key)
    }

    /// A field that is there and not yet taken.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.fields.get(key)
    }

    /// Whether a field is there and not yet taken.
    pub fn has(&self, key: &str) -> bool {
        self.fields.contains_key(key)
    }

    /// Whether a field is there, not yet taken, and this very text.
    pub fn is(&self, key: &str, text: &str) -> bool {
        self.fields.get(key).is_some_and(|value| value == text)
    }

    /// A text of any content.
    pub fn string(&mut self, key: &str) -> Result<Option<String>, BusError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.mismatch(key, "a string", &other)),
        }
    }

    /// A text of 1–512 characters without control characters.
    pub fn identifier(&mut self, key: &str) -> Result<Option<String>, BusError> {
        let text = self.string(key)?;
        if let Some(text) = &text {
            check_identifier(&self.path_of(key), text, self.kind)?;
        }
        Ok(text)
    }

    /// A list of values; each is read by `read`, which is told its path, such as `streams[0]`.
    pub(crate) fn list<T>(
        &mut self,
        key: &str,
        mut read: impl FnMut(String, Value) -> Result<T, BusError>,
    ) -> Result<Option<Vec<T>>, BusError> {
        let path = self.path_of(key);
        match self.take(key) {
            None => Ok(None),
            Some(Value::Array(items)) => {
                let items = items.into_iter().enumerate();
                items.map(|(i, item)| read(format!("{path}[{i}]"), item)).collect::<Result<_, _>>().map(Some)
            }
            Some(other) => Err(self.mismatch(key, "an array", &other)),
        }
    }

    /// A list of texts, each of which `check` accepts at its path.
    pub(crate) fn strings(
        &mut self,
        key: &str,
        check: impl Fn(&str, &str) -> Result<(), BusError>,
    ) -> Result<Option<Vec<String>>, BusError> {
        let kind = self.kind;
        self.list(key, |path, value| match value {
            Value::String(text) => check(&path, &text).map(|()| text),
            other => {
                Err(BusError::at(kind, path, format_args!("expected a string, got {}", type_name(&other))))
            }
        })
    }

    /// One text, or a list of at least one.
    pub(crate) fn texts(
        &mut self,
        key: &str,
        check: impl Fn(&str, &str) -> Result<(), BusError>,
    ) -> Result<Option<Vec<String>>, BusError> {
        match self.get(key) {
            Some(Value::String(_)) => {
                let text = self.string(key)?.unwrap_or_default();
                check(&self.path_of(key), &text)?;
                Ok(Some(vec![text]))
            }
            Some(Value::Array(items)) if items.is_empty() => Err(self.error(key, "must not be empty")),
            None | Some(Value::Array(_)) => self.strings(key, check),
            Some(other) => Err(self.mismatch(key, "a string or an array of strings", other)),
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &str) -> Result<Option<bool>, BusError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(self.mismatch(key, "true or false", &other)),
        }
    }

    /// A whole number within `range`.
    pub fn integer(&mut self, key: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, BusError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let whole = value.as_u64().filter(|n| range.contains(n));
        whole.map(Some).ok_or_else(|| self.not_in(key, "an integer", range.start(), range.end(), &value))
    }

    /// A count or a size within `range`.
    pub fn size(&mut self, key: &str, range: RangeInclusive<u32>) -> Result<Option<usize>, BusError> {
        Ok(self.count(key, range)?.map(|n| n as usize))
    }

    /// A small whole number within `range`.
    pub(crate) fn count(&mut self, key: &str, range: RangeInclusive<u32>) -> Result<Option<u32>, BusError> {
        let wide = u64::from(*range.start())..=u64::from(*range.end());
        Ok(self.integer(key, wide)?.map(|n| n as u32))
    }

    /// A number, whole or not, within `range`.
    pub(crate) fn number(&mut self, key: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, BusError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let number = value.as_f64().filter(|n| range.contains(n));
        number.map(Some).ok_or_else(|| self.not_in(key, "a number", range.start(), range.end(), &value))
    }

    fn not_in(
        &self,
        key: &str,
        what: &str,
        low: &impl ToString,
        high: &impl ToString,
        value: &Value,
    ) -> BusError {
        let got = match value {
            Value::Number(number) => number.to_string(),
            // JSON has no NaN; it arrives as null.
            Value::Null => "null (or NaN)".to_owned(),
            other => type_name(other).to_owned(),
        };
        self.error(
            key,
            format_args!("expected {what} from {} to {}, got {got}", low.to_string(), high.to_string()),
        )
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Result<Option<T>, BusError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let found = words.iter().find(|(word, _)| value.as_str() == Some(word));
        found.map(|(_, meaning)| Some(*meaning)).ok_or_else(|| {
            let words: Vec<String> = words.iter().map(|(word, _)| format!("'{word}'")).collect();
            let got = match &value {
                Value::String(text) if text.chars().count() <= SHOWN => format!("{text:?}"),
                other => type_name(other).to_owned(),
            };
            self.error(key, format_args!("expected {}, got {got}", words.join(" or ")))
        })
    }

    /// An object, to be read by its own reader.
    pub(crate) fn object(&mut self, key: &str) -> Result<Option<Reader>, BusError> {
        let path = self.path_of(key);
        Ok(self.map(key)?.map(|fields| Reader::of(self.kind, path, fields)))
    }

    /// An object as it is.
    pub(crate) fn map(&mut self, key: &str) -> Result<Option<Map<String, Value>>, BusError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(fields)),
            Some(other) => Err(self.mismatch(key, "an object", &other)),
        }
    }

    /// The error for a field that must be there, once all others were taken: a key that nobody knows may be that field, misspelt.
    pub(crate) fn missing(&self, key: &str) -> BusError {
        match self.unknown() {
            Some((other, message)) => self.error(key, format_args!("is missing; '{other}' is an {message}")),
            None => self.error(key, "is missing"),
        }
    }

    /// A key that was not taken, and what is said of it.
    fn unknown(&self) -> Option<(&String, String)> {
        let key = self.fields.keys().next()?;
        Some((key, unknown_key::message(self.kind, &self.path, key, &self.known)))
    }

    /// Refuses what has not been taken.
    pub fn finish(self) -> Result<(), BusError> {
        match self.unknown() {
            Some((key, message)) => Err(self.error(key, message)),
            None => Ok(()),
        }
    }
}

/// The type of a JSON value, in words.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
