//! Messages and entries in frames of bytes.

use super::entries::outlined;
use super::reading::{self, Around};
use super::tree::Tree;
use crate::codec::decoded::{Decoded, DecodedEntry, Foreign, Missing};
use crate::codec::framing::Framing;
use crate::codec::new_event::NewEvent;
use crate::codec::outline::Shapes;
use crate::codec::oxbus;
use crate::options::names::check_event_type;
use crate::stream_store::EntryId;

/// The field of an entry that tells the type to the scripts of a store, beside the frame.
pub(super) const TYPE_FIELD: &str = "event_type";

/// Gives the fields of an entry to `out`: the type and the frame. True, as they are all.
pub(super) fn write_entry(
    framing: &Framing,
    field: &str,
    ours: &str,
    out: &mut impl FnMut(&[u8], &[u8]),
    event: &NewEvent<'_>,
) -> bool {
    let mut message = Vec::with_capacity(event.data.len() + 512);
    framing.write(&mut message, event, ours);
    out(TYPE_FIELD.as_bytes(), event.event_type.as_bytes());
    out(field.as_bytes(), &message);
    true
}

/// Reads a message that came on the channel `on`; `channel` is the channel where it may tell the type.
pub(super) fn read<'a>(
    framing: &Framing,
    tree: &Tree,
    (message, on): (&[u8], &[u8]),
    channel: Option<&[u8]>,
    missing: impl FnOnce() -> Missing,
    shapes: Option<&mut Shapes>,
) -> Result<Decoded<'a>, Foreign> {
    let json = framing.open(message, on)?;
    let event_type = channel.and_then(|on| std::str::from_utf8(on).ok()).filter(|on| !on.is_empty());
    let found = reading::find(tree, &json, None).map_err(|_| Foreign::Malformed)?;
    let event = found.event(&Around { event_type }, missing)?;
    Ok(outlined(event.into_owned(), shapes))
}

/// Reads an entry, or one of Oxbus on the same stream. The stream is the type where the entry tells none.
pub(super) fn read_entry<'a>(
    framing: &Framing,
    tree: &Tree,
    field: &str,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    (stream, id): (&str, EntryId),
    shapes: Option<&mut Shapes>,
) -> Result<DecodedEntry<'a>, String> {
    let fields: Vec<(&[u8], &[u8])> = fields.collect();
    let value = |wanted: &str| {
        fields.iter().rev().find(|(name, _)| *name == wanted.as_bytes()).map(|(_, value)| *value)
    };
    let Some(message) = value(field) else {
        if value(oxbus::entry::EVENT_TYPE).is_some() {
            return oxbus::entry::read(fields.into_iter(), id, shapes);
        }
        return Err(format!("the field {field} is missing"));
    };
    let only_group = value(oxbus::entry::ONLY_GROUP);
    let only_group =
        only_group.map(std::str::from_utf8).transpose().map_err(|_| "the field group is not UTF-8")?;
    let missing = || Missing { id: id.to_string(), timestamp_ms: i64::try_from(id.ms).unwrap_or_default() };
    let named = value(TYPE_FIELD).unwrap_or(stream.as_bytes());
    let event = read(framing, tree, (message, b""), Some(named), missing, shapes);
    let event = event.map_err(Foreign::reason)?;
    check_event_type(&event.event_type).map_err(|error| error.message)?;
    Ok(DecodedEntry { event, only_group })
}
