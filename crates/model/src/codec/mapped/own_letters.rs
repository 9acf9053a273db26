//! The dead letters and the keys of a format that a user describes.

#[cfg(test)]
mod tests;

use serde_json::Value;

use super::key_texts::KeyTexts;
use super::letters::{Letter, LetterFormat, ListFormat, OURS, Part};
use super::own_entries::check_name;
use super::own_places::{MAX_STEPS, map};
use crate::BusError;
use crate::options::reader::Reader;
use crate::stream_store::name_template::NameText;

/// The longest list of dead letters.
pub(crate) const MAX_LISTED: u64 = 100_000;
/// What stands in which field of a letter.
type LetterFields = Box<[(Box<str>, Part)]>;
/// How long a list of dead letters is, unless it is said.
const LISTED: u64 = 1_000;

/// Reads `keys`: `{ stream, event, history }`.
///
/// # Errors
/// `INVALID_CONFIG` with the path of the bad field.
pub(super) fn read_keys(r: &mut Reader) -> Result<Option<KeyTexts>, BusError> {
    let Some(mut r) = r.object("keys")? else { return Ok(None) };
    let stream = template(&mut r, "stream", Some("stream"))?;
    let event = template(&mut r, "event", Some("id"))?;
    let history = template(&mut r, "history", None)?;
    r.finish()?;
    Ok(Some(KeyTexts { stream, event, history }))
}

/// Reads `deadLetters`: `{ stream, fields, list, letter, push, maxLength }`.
///
/// # Errors
/// `INVALID_CONFIG` with the path of the bad field.
pub(super) fn read_letters(r: &mut Reader) -> Result<Option<LetterFormat>, BusError> {
    let Some(mut r) = r.object("deadLetters")? else { return Ok(None) };
    let stream = template(&mut r, "stream", Some("stream"))?;
    let list = template(&mut r, "list", Some("stream"))?;
    let needs =
        |key: &str, of: &str| r.error(key, format_args!("is for letters in a {of}, which has no name here"));
    match (&stream, &list) {
        (None, None) => return Err(r.error("stream", "is missing: name a stream, a list, or both")),
        (None, _) if r.has("fields") => return Err(needs("fields", "stream")),
        (_, None) => {
            if let Some(key) = ["letter", "push", "maxLength"].into_iter().find(|key| r.has(key)) {
                return Err(needs(key, "list"));
            }
        }
        _ => {}
    }
    let fields = letter_fields(&mut r)?;
    let letter = listed(&mut r)?;
    let at_front = r.choice("push", &[("left", true), ("right", false)])?.unwrap_or(true);
    let max_length = r.integer("maxLength", 1..=MAX_LISTED)?.unwrap_or(LISTED);
    r.finish()?;
    let keeps = stream.is_none();
    let list = list.map(|name| ListFormat { name, keeps, max_length, at_front, letter });
    Ok(Some(LetterFormat { stream, fields, list, described: true }))
}

fn template(r: &mut Reader, key: &str, place: Option<&str>) -> Result<Option<NameText>, BusError> {
    let Some(text) = r.string(key)? else { return Ok(None) };
    NameText::read(&text, place)
        .map(Some)
        .map_err(|message| r.error(key, format_args!("{text:?}: {message}")))
}

/// `fields`: what stands in which field of a letter in a stream.
fn letter_fields(r: &mut Reader) -> Result<LetterFields, BusError> {
    let mut fields = Vec::new();
    for (name, value) in map(r, "fields")?.unwrap_or_default() {
        let at = format!("fields.{name}");
        check_name(r, &at, &name)?;
        let part = part(r, &at, &value)?;
        if matches!(part, Part::Message | Part::Fields) {
            return Err(r.error(&at, "a letter in a stream has the fields of its entry"));
        }
        fields.push((name.into(), part));
    }
    Ok(fields.into())
}

/// `letter`: what stands where in a letter of a list.
fn listed(r: &mut Reader) -> Result<Letter, BusError> {
    let Some(places) = map(r, "letter")? else { return Ok(Letter::usual()) };
    let mut letter = Letter::default();
    let mut paths: Vec<String> = Vec::new();
    for (path, value) in places {
        let at = format!("letter.{path}");
        if path.split('.').any(str::is_empty) || path.split('.').count() > MAX_STEPS {
            return Err(r.error(&at, "is no path: names with dots between them, 8 at most"));
        }
        if path.split('.').next() == Some(OURS) {
            return Err(r.error(&at, format_args!("the member '{OURS}' is Oxbus's own")));
        }
        let inside = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.starts_with('.'));
        if let Some(other) = paths.iter().find(|other| inside(other, &path) || inside(&path, other)) {
            return Err(r.error(&at, format_args!("{other:?} and {path:?} are in the same place")));
        }
        letter.add(&path, part(r, &at, &value)?);
        paths.push(path);
    }
    Ok(letter)
}

fn part(r: &Reader, at: &str, value: &Value) -> Result<Part, BusError> {
    match value {
        Value::String(name) => Part::named(name).ok_or_else(|| {
            r.error(at, format_args!("{name:?} is no part of a dead letter: those are {}", Part::names()))
        }),
        Value::Object(constant) if constant.len() == 1 && constant.contains_key("value") => {
            Ok(Part::Constant(constant["value"].to_string().into()))
        }
        other => Err(r.mismatch(at, "a string or { value }", other)),
    }
}

impl Letter {
    /// The letter of campaign's bus: the message, the error with the time, and how often it was tried again.
    pub(super) fn usual() -> Letter {
        let mut letter = Letter::default();
        for (path, part) in [
            ("originalMessage", Part::Message),
            ("error.message", Part::OfError("message")),
            ("error.stack", Part::OfError("stack")),
            ("error.timestamp", Part::Time),
            ("retryCount", Part::Retries),
        ] {
            letter.add(path, part);
        }
        letter
    }
}

impl LetterFormat {
    /// That of campaign's bus, whose letters are in this list besides their stream.
    pub(in crate::codec) fn copied_to(list: &str) -> Option<LetterFormat> {
        let name = NameText::read(list, Some("stream")).ok()?;
        let letter = Letter::usual();
        let list = ListFormat { name, keeps: false, max_length: LISTED, at_front: true, letter };
        Some(LetterFormat { stream: None, fields: Box::default(), list: Some(list), described: false })
    }

    /// That of eventsource, whose letters have these fields.
    pub(in crate::codec) fn of_eventsource() -> LetterFormat {
        let fields = [
            ("original_message_id", Part::MessageId),
            ("retry_count", Part::Retries),
            ("dlq_timestamp", Part::Time),
        ];
        let fields = fields.into_iter().map(|(name, part)| (name.into(), part)).collect();
        LetterFormat { stream: None, fields, list: None, described: false }
    }
}
