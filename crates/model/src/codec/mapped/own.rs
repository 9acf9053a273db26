//! A format that a user describes, as data.

use serde_json::{Map, Value};

use super::channels::ChannelRules;
use super::source::{Slot, Source};
use super::{Format, Parts, Traits};
use crate::BusError;
use crate::options::names::check_pattern;
use crate::options::reader::{NOT_AVAILABLE, Reader};

/// The most places of a message, and the most rules and channels of one.
const MAX_PLACES: usize = 64;
/// The deepest path of a place.
const MAX_STEPS: usize = 8;

/// Where something of an event stands.
type Places = Vec<(String, Source)>;

/// Reads a format: `{ fields: { write, read }, channels }`.
///
/// # Errors
/// `INVALID_CONFIG` with the path of the bad field.
pub(in crate::codec) fn read(mut r: Reader, json: String) -> Result<Format, BusError> {
    for key in ["stream", "keys", "deadLetters"] {
        if r.has(key) {
            return Err(r.error(key, NOT_AVAILABLE));
        }
    }
    let Some(mut fields) = r.object("fields")? else { return Err(r.error("fields", "is missing")) };
    let Some(write) = places_to_write(&mut fields)? else { return Err(fields.error("write", "is missing")) };
    let read = match places_to_read(&mut fields)? {
        Some(read) => read,
        None => write.iter().filter(|(_, source)| is_read(source)).cloned().collect(),
    };
    let kind = r.kind();
    let (at_write, at_channels) = (fields.path_of("write"), r.path_of("channels"));
    fields.finish()?;
    let rules = channels(&mut r)?;
    r.finish()?;
    let lacks = |message: &str| Err(BusError::at(kind, &*at_write, message));

    let has = |places: &Places, wanted: &Source| places.iter().any(|(_, source)| source == wanted);
    let carries = |slot: Slot| {
        let both = [&write, &read];
        both.iter().all(|places| has(places, &Source::Slot(slot)) || has(places, &Source::OtherMetadata))
    };
    let writes_data = has(&write, &Source::Slot(Slot::Data)) || has(&write, &Source::DataMembers);
    if !writes_data {
        return lacks("has no place for data: it would be lost");
    }
    let names_type = has(&write, &Source::Slot(Slot::Type)) && has(&read, &Source::Slot(Slot::Type));
    if rules.is_some() && !names_type {
        return lacks("has no place for type, and channels do not tell it");
    }
    let several = rules.as_ref().is_some_and(|rules| rules.iter().any(|(_, to)| to.len() > 1));
    let has_id = has(&write, &Source::Slot(Slot::Id)) && has(&read, &Source::Slot(Slot::Id));
    if several && !has_id {
        let message =
            "has no place for id, by which an event that comes on several channels is told to be one";
        return lacks(message);
    }
    let rules = rules
        .map(|rules| compile(&rules).map_err(|message| BusError::at(kind, at_channels, message)))
        .transpose()?;
    let names_publisher = carries(Slot::InstanceId);
    let traits = Traits { names_publisher, names_id: has_id, names_type, ..Traits::default() };
    fn borrowed(places: &Places) -> Vec<(&str, Source)> {
        places.iter().map(|(path, source)| (&**path, source.clone())).collect()
    }
    Ok(Format::new(Parts {
        name: &json,
        write: &borrowed(&write),
        read: &borrowed(&read),
        type_from_channel: !names_type,
        channels: rules,
        traits,
    }))
}

/// Whether a place that is written is read back.
fn is_read(source: &Source) -> bool {
    !matches!(source, Source::Constant(_) | Source::DataAt(_))
}

/// `write`: what stands in which place.
fn places_to_write(r: &mut Reader) -> Result<Option<Places>, BusError> {
    let Some(entries) = map(r, "write")? else { return Ok(None) };
    let mut places = Places::new();
    for (path, value) in entries {
        let at = format!("write.{path}");
        let source = match &value {
            Value::String(name) => source(r, &at, name)?,
            Value::Object(constant) if constant.len() == 1 && constant.contains_key("value") => {
                Source::Constant(constant["value"].to_string().into())
            }
            other => return Err(r.mismatch(&at, "a string or { value }", other)),
        };
        places.push((place(r, &at, &path, &source)?, members(&path, source)));
    }
    check_nesting(r, "write", &places)?;
    Ok(Some(places))
}

/// `read`: in which place what stands.
fn places_to_read(r: &mut Reader) -> Result<Option<Places>, BusError> {
    let Some(entries) = map(r, "read")? else { return Ok(None) };
    let mut places = Places::new();
    for (name, value) in entries {
        let at = format!("read.{name}");
        let Value::String(path) = &value else { return Err(r.mismatch(&at, "a string", &value)) };
        let source = source(r, &at, &name)?;
        if !is_read(&source) {
            return Err(r.error(&at, "a member of data is not read by itself: name 'data'"));
        }
        places.push((place(r, &at, path, &source)?, members(path, source)));
    }
    check_nesting(r, "read", &places)?;
    Ok(Some(places))
}

fn map(r: &mut Reader, key: &str) -> Result<Option<Map<String, Value>>, BusError> {
    match r.take(key) {
        None => Ok(None),
        Some(Value::Object(map)) if map.is_empty() => Err(r.error(key, "must not be empty")),
        Some(Value::Object(map)) if map.len() > MAX_PLACES => {
            Err(r.error(key, format_args!("has at most {MAX_PLACES} members, not {}", map.len())))
        }
        Some(Value::Object(map)) => Ok(Some(map)),
        Some(other) => Err(r.mismatch(key, "an object", &other)),
    }
}

fn source(r: &Reader, at: &str, name: &str) -> Result<Source, BusError> {
    Source::of_path(name).ok_or_else(|| {
        let known = "'id', 'type', 'data', 'data.<path>', 'metadata', 'metadata.<name>' and 'timestampMs'";
        r.error(at, format_args!("{name:?} is no part of an event: those are {known}"))
    })
}

/// The place that a path names. `*` at its end stands for the members of the object before it.
fn place(r: &Reader, at: &str, path: &str, source: &Source) -> Result<String, BusError> {
    let object = path.strip_suffix('*').map(|object| object.strip_suffix('.').unwrap_or(object));
    if object.is_some() && !matches!(source, Source::OtherMetadata | Source::Slot(Slot::Data)) {
        return Err(r.error(at, "'*' stands for the members of 'data' or 'metadata' only"));
    }
    let steps = object.unwrap_or(path);
    let bad = !(object.is_some() && steps.is_empty())
        && steps.split('.').any(|step| step.is_empty() || step == "*");
    if bad || steps.split('.').count() > MAX_STEPS {
        let message = format!("{path:?} is no path: names with dots between them, {MAX_STEPS} at most");
        return Err(r.error(at, message));
    }
    Ok(steps.to_owned())
}

/// The source of a place whose path ends with `*`.
fn members(path: &str, source: Source) -> Source {
    match source {
        Source::Slot(Slot::Data) if path.ends_with('*') => Source::DataMembers,
        source => source,
    }
}

/// Refuses a place in the value of another.
fn check_nesting(r: &Reader, key: &str, places: &Places) -> Result<(), BusError> {
    for (index, (path, source)) in places.iter().enumerate() {
        let holds = matches!(source, Source::OtherMetadata | Source::DataMembers);
        let inside = |other: &str| {
            other == path || (!holds && other.strip_prefix(&**path).is_some_and(|rest| rest.starts_with('.')))
        };
        let clash = places.iter().enumerate().find(|(i, (other, _))| *i != index && inside(other));
        if let Some((_, (other, _))) = clash {
            return Err(r.error(key, format_args!("{other:?} and {path:?} are in the same place")));
        }
    }
    Ok(())
}

type Rules = Vec<(String, Vec<String>)>;

/// `channels`: `{ events, to }` for each rule. Several patterns of one rule are as many rules.
fn channels(r: &mut Reader) -> Result<Option<Rules>, BusError> {
    let kind = r.kind();
    let rules = r.list("channels", |path, value| {
        let Value::Object(rule) = value else {
            return Err(BusError::at(kind, path, "expected an object { events, to }"));
        };
        let mut rule = Reader::of(kind, path, rule);
        let events = rule.texts("events", |path, text| match check_pattern(text) {
            Ok(()) => Ok(()),
            Err(error) => Err(BusError::at(kind, path, error.message)),
        })?;
        let to = rule.texts("to", |_, _| Ok(()))?;
        let (Some(events), Some(to)) = (events, to) else {
            return Err(rule.error("to", "a rule has 'events' and 'to'"));
        };
        rule.finish()?;
        Ok((events, to))
    })?;
    let Some(rules) = rules else { return Ok(None) };
    if rules.is_empty() || rules.len() > MAX_PLACES || rules.iter().any(|(_, to)| to.len() > MAX_PLACES) {
        return Err(r.error("channels", format_args!("must have 1 to {MAX_PLACES} rules and channels")));
    }
    Ok(Some(
        rules.into_iter().flat_map(|(events, to)| events.into_iter().map(move |e| (e, to.clone()))).collect(),
    ))
}

fn compile(rules: &Rules) -> Result<ChannelRules, String> {
    let texts: Vec<Vec<&str>> = rules.iter().map(|(_, to)| to.iter().map(String::as_str).collect()).collect();
    let borrowed: Vec<(&str, &[&str])> =
        rules.iter().zip(&texts).map(|((events, _), to)| (&**events, &**to)).collect();
    ChannelRules::new(&borrowed).map_err(|(rule, template, message)| {
        let shown = texts.get(rule).and_then(|to| to.get(template)).copied().unwrap_or_default();
        format!("{shown:?}: {message}")
    })
}
