//! What a format says of dead letters and of the names of keys.

use super::decoded::Missing;
use super::mapped::Format;
use super::rewritten::rewritten;
use super::{Codec, KeyTexts, LetterFacts, LetterFormat};
use crate::stream_store::{EntryId, Fields};

impl Codec {
    /// How dead letters look besides what Oxbus says of them; `None`: no other way.
    pub fn letters(&self) -> Option<&LetterFormat> {
        self.with_letters()?.letters()
    }

    /// The names of keys, as far as a format says them.
    pub(crate) fn keys(&self) -> Option<&KeyTexts> {
        match self {
            Codec::Oxbus => None,
            Codec::Mapped(format) => format.keys(),
            Codec::Several(several) => several.all().find_map(Codec::keys),
        }
    }

    /// The format that says how dead letters look.
    fn with_letters(&self) -> Option<&Format> {
        match self {
            Codec::Oxbus => None,
            Codec::Mapped(format) => format.letters().map(|_| &**format),
            Codec::Several(several) => several.all().find_map(Codec::with_letters),
        }
    }

    /// A letter as it is put into a list: for the entry that has these fields. `None` where letters are in no list.
    pub fn listed_letter(&self, facts: LetterFacts<'_>, fields: &Fields) -> Option<Vec<u8>> {
        let format = self.with_letters()?;
        let pairs = fields.iter().map(|(name, value)| (&**name, &**value));
        let event = self.read_entry(pairs, (&facts.member.stream, facts.letter.id), None).ok();
        let message = event.and_then(|read| {
            rewritten(&read.event.json, |origin, event| {
                let mut message = Vec::with_capacity(event.data.len() + 512);
                format.write_message(&mut message, origin, event);
                message
            })
        });
        let message = message.and_then(|message| String::from_utf8(message).ok());
        let list = format.letters()?.list.as_ref()?;
        Some(list.letter(facts, message.as_deref(), fields).into_bytes())
    }

    /// Reads a letter of a list, which is of this stream: an id that its bytes have alone, and the fields that it would have in
    /// a stream. `None` where letters are in no list.
    pub fn read_listed(&self, bytes: &[u8]) -> Option<(EntryId, Fields)> {
        let format = self.with_letters()?;
        let fields_of = |message: &str| {
            let event = format.read_message(message.as_bytes(), b"", Missing::default, None).ok()?;
            let mut fields = Fields::new();
            let mut put = |name: &[u8], value: &[u8]| fields.push((name.into(), value.into()));
            rewritten(&event.json, |origin, event| self.write_entry(&mut put, origin, event))?;
            Some(fields)
        };
        Some(format.letters()?.list.as_ref()?.read(bytes, fields_of))
    }
}
