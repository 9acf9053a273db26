//! The format of Oxbus.

pub(super) mod dead_letter;
pub(super) mod entry;
pub(super) mod message;
mod metadata;

use crate::codec::field_names::FieldNames;

/// The names of the fields that a store handles by itself.
pub(super) static FIELD_NAMES: FieldNames = FieldNames {
    only_group: entry::ONLY_GROUP,
    dead_letter_prefix: dead_letter::PREFIX,
    dead_letter_stream: dead_letter::STREAM,
    dead_letter_group: dead_letter::GROUP,
    dead_letter: dead_letter::ALL,
};
