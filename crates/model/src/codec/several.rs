//! What is kept on the server, entries and events by their id, where a client has several formats: it writes the first of them, and
//! reads what was written in any.

use std::sync::Arc;

use super::Codec;
use super::decoded::{Decoded, DecodedEntry, Foreign, Missing};
use super::outline::Shapes;
use crate::stream_store::EntryId;

/// Several formats, two at least.
#[derive(Debug)]
pub struct Several {
    name: Box<str>,
    first: Codec,
    others: Box<[Codec]>,
}

impl Several {
    /// The codec of what is written in the format `first` and read in it and in `others`.
    pub(super) fn codec(first: Codec, others: impl Iterator<Item = Codec>) -> Codec {
        let mut all: Vec<Codec> = Vec::new();
        others.for_each(|codec| {
            if codec != first && !all.contains(&codec) {
                all.push(codec);
            }
        });
        if all.is_empty() {
            return first;
        }
        let names: Vec<&str> = std::iter::once(&first).chain(&all).map(Codec::name).collect();
        Codec::Several(Arc::new(Several { name: names.join(" and ").into(), first, others: all.into() }))
    }

    /// The names of all, for errors.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The format that is written.
    pub(super) fn first(&self) -> &Codec {
        &self.first
    }

    fn all(&self) -> impl Iterator<Item = &Codec> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Reads a message in the first format that can.
    pub(super) fn read_message<'a>(
        &self,
        message: &'a [u8],
        on: &[u8],
        missing: &mut dyn FnMut() -> Missing,
        mut shapes: Option<&mut Shapes>,
    ) -> Result<Decoded<'a>, Foreign> {
        let mut refused = None;
        for codec in self.all() {
            match codec.read_message(message, on, &mut *missing, shapes.as_deref_mut()) {
                Ok(decoded) => return Ok(decoded),
                Err(reason) => refused = refused.or(Some(reason)),
            }
        }
        Err(refused.unwrap_or(Foreign::NoType))
    }

    /// Reads an entry in the first format that can.
    pub(super) fn read_entry<'a>(
        &self,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        of: (&str, EntryId),
        mut shapes: Option<&mut Shapes>,
    ) -> Result<DecodedEntry<'a>, String> {
        let fields: Vec<(&[u8], &[u8])> = fields.collect();
        let mut refused = None;
        for codec in self.all() {
            match codec.read_entry(fields.iter().copied(), of, shapes.as_deref_mut()) {
                Ok(entry) => return Ok(entry),
                Err(reason) => refused = refused.or(Some(reason)),
            }
        }
        Err(refused.unwrap_or_default())
    }

    /// The type in an entry, as the first format says that finds one.
    pub(super) fn entry_type<'a>(
        &self,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Option<&'a [u8]> {
        let fields: Vec<(&[u8], &[u8])> = fields.collect();
        self.all().find_map(|codec| codec.entry_type(fields.iter().copied()))
    }
}
