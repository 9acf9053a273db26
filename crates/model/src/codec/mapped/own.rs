//! A format that a user describes, as data.

use serde_json::Value;

use super::channels::ChannelRules;
use super::entries::Entries;
use super::letters::LetterFormat;
use super::own_places::{MAX_PLACES, Places, check_nesting, is_read, map, members, place, source};
use super::source::{Slot, Source};
use super::{Format, Parts, Traits, own_entries, own_letters};
use crate::BusError;
use crate::codec::oxbus;
use crate::options::names::check_pattern;
use crate::options::reader::Reader;

/// Reads a format: `{ fields: { write, read }, channels, stream, keys, deadLetters }`.
///
/// # Errors
/// `INVALID_CONFIG` with the path of the bad field.
pub(in crate::codec) fn read(mut r: Reader, json: String) -> Result<Format, BusError> {
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
    let entries = own_entries::read(&mut r, &read)?;
    let keys = own_letters::read_keys(&mut r)?;
    let letters = own_letters::read_letters(&mut r)?;
    check_letter_fields(&r, entries.as_ref().map(|(entries, _)| entries), letters.as_ref())?;
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
    let kept_names_publisher = entries.as_ref().map_or(names_publisher, |(_, names)| *names);
    let traits =
        Traits { names_publisher, kept_names_publisher, names_id: has_id, names_type, ..Traits::default() };
    fn borrowed(places: &Places) -> Vec<(&str, Source)> {
        places.iter().map(|(path, source)| (&**path, source.clone())).collect()
    }
    let format = Format::new(Parts {
        name: &json,
        write: &borrowed(&write),
        read: &borrowed(&read),
        type_from_channel: !names_type,
        channels: rules,
        traits,
    });
    Ok(Format { entries: entries.map(|(entries, _)| entries), keys, letters, ..format })
}

/// Refuses a field of dead letters that entries have, those of Oxbus too, which are read beside others: a letter that goes back is
/// without it.
fn check_letter_fields(
    r: &Reader,
    entries: Option<&Entries>,
    letters: Option<&LetterFormat>,
) -> Result<(), BusError> {
    let is_taken =
        |name: &str| oxbus::entry::ALL.contains(&name) || entries.is_some_and(|entries| entries.knows(name));
    match letters.and_then(|letters| letters.field_names().find(|name| is_taken(name))) {
        Some(name) => {
            let message = "is a field of the entries themselves";
            Err(r.error(&format!("deadLetters.fields.{name}"), message))
        }
        None => Ok(()),
    }
}

/// `write`: what stands in which place.
fn places_to_write(r: &mut Reader) -> Result<Option<Places>, BusError> {
    let Some(entries) = map(r, "write")? else { return Ok(None) };
    let mut places = Places::new();
    for (path, value) in entries {
        let at = format!("write.{path}");
        let source = match &value {
            Value::String(name) => source(r, &at, name, &[])?,
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
        let source = source(r, &at, &name, &[])?;
        if !is_read(&source) {
            return Err(r.error(&at, "a member of data is not read by itself: name 'data'"));
        }
        places.push((place(r, &at, path, &source)?, members(path, source)));
    }
    check_nesting(r, "read", &places)?;
    Ok(Some(places))
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
