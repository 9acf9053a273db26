//! What of an event stands in a place of a foreign message.

use crate::codec::decoded::Foreign;

/// A part that every event of Oxbus has, or that its host is told by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::codec) enum Slot {
    Id,
    Type,
    Data,
    Timestamp,
    Source,
    InstanceId,
    CorrelationId,
    CausationId,
    Room,
    Key,
}

/// How many slots there are.
pub(super) const SLOTS: usize = 10;

/// The slots that are members of the metadata, with their names.
pub(super) const OF_METADATA: [(&str, Slot); 7] = [
    ("timestamp", Slot::Timestamp),
    ("source", Slot::Source),
    ("instanceId", Slot::InstanceId),
    ("correlationId", Slot::CorrelationId),
    ("causationId", Slot::CausationId),
    ("room", Slot::Room),
    ("key", Slot::Key),
];

impl Slot {
    /// The slot of a member of the metadata.
    pub(super) fn of_metadata(name: &str) -> Option<Slot> {
        OF_METADATA.iter().find(|(known, _)| *known == name).map(|(_, slot)| *slot)
    }

    /// Its bit in a set of slots.
    pub(super) fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// What a place of a message is written from, and what is read from it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::codec) enum Source {
    /// A part of the event.
    Slot(Slot),
    /// The timestamp as a number: milliseconds since the Unix epoch. Reading takes a number or a text either way.
    Milliseconds,
    /// Another member of the metadata.
    Metadata(Box<str>),
    /// The members of the metadata that have no place of their own, as one object. Of an object that is read, all
    /// members that have no place of their own.
    OtherMetadata,
    /// The members of the data, among those of the object around them. Of an object that is read, all members that have
    /// no place of their own are the data.
    DataMembers,
    /// A member of the data, by its path. It is written, and not read.
    DataAt(Box<[Box<str>]>),
    /// This JSON. It is written, and not read.
    Constant(Box<str>),
    /// A message that has it is none of ours. It is read, and not written.
    Refused(Foreign),
}

impl Source {
    /// What the path of an event names: `id`, `type`, `data`, `data.a.b`, `metadata`, `metadata.key`, and `timestampMs`.
    pub(super) fn of_path(path: &str) -> Option<Source> {
        Some(match path.split_once('.') {
            None => match path {
                "id" => Source::Slot(Slot::Id),
                "type" => Source::Slot(Slot::Type),
                "data" => Source::Slot(Slot::Data),
                "metadata" => Source::OtherMetadata,
                "timestampMs" => Source::Milliseconds,
                _ => return None,
            },
            Some(("metadata", name)) if !name.is_empty() && !name.contains('.') => {
                Slot::of_metadata(name).map_or_else(|| Source::Metadata(name.into()), Source::Slot)
            }
            Some(("data", path)) => Source::DataAt(steps(path)?),
            Some(_) => return None,
        })
    }
}

/// The names of a path; `None` where one is empty.
pub(super) fn steps(path: &str) -> Option<Box<[Box<str>]>> {
    let steps: Box<[Box<str>]> = path.split('.').map(Box::from).collect();
    steps.iter().all(|step| !step.is_empty()).then_some(steps)
}
