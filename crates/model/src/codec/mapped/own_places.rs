//! The places that a description names, and what of an event stands there.

use serde_json::{Map, Value};

use super::source::{Slot, Source};
use crate::BusError;
use crate::options::reader::Reader;

/// The most places of a message, and the most rules and channels of one.
pub(super) const MAX_PLACES: usize = 64;
/// The deepest path of a place.
pub(super) const MAX_STEPS: usize = 8;

/// Where something of an event stands.
pub(super) type Places = Vec<(String, Source)>;

/// Whether a place that is written is read back.
pub(super) fn is_read(source: &Source) -> bool {
    !matches!(source, Source::Constant(_) | Source::DataAt(_))
}

/// An object with names of places, which is not empty.
pub(super) fn map(r: &mut Reader, key: &str) -> Result<Option<Map<String, Value>>, BusError> {
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

/// The part of an event that is named. `more` are names that may stand there, too.
pub(super) fn source(r: &Reader, at: &str, name: &str, more: &[&str]) -> Result<Source, BusError> {
    Source::of_path(name).ok_or_else(|| {
        let more: String = more.iter().map(|name| format!("'{name}', ")).collect();
        let known = "'id', 'type', 'data', 'data.<path>', 'metadata', 'metadata.<name>' and 'timestampMs'";
        r.error(at, format_args!("{name:?} is no part of an event: those are {more}{known}"))
    })
}

/// The place that a path names. `*` at its end stands for the members of the object before it.
pub(super) fn place(r: &Reader, at: &str, path: &str, source: &Source) -> Result<String, BusError> {
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
pub(super) fn members(path: &str, source: Source) -> Source {
    match source {
        Source::Slot(Slot::Data) if path.ends_with('*') => Source::DataMembers,
        source => source,
    }
}

/// Refuses a place in the value of another.
pub(super) fn check_nesting(r: &Reader, key: &str, places: &Places) -> Result<(), BusError> {
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
