//! Copies of entries from one stream to another.

use std::sync::Arc;

use super::Streams;
use crate::BusError;
use crate::codec::field_names::FieldNames;
use crate::stream_store::memory::ownership::Lost;
use crate::stream_store::{ConsumerId, DeadLetterEntry, EntryId, Fields, Response};

impl Streams {
    /// Moves entries to the dead letters.
    pub(super) fn dead_letter(
        &mut self,
        member: &ConsumerId,
        to: Option<&str>,
        max_len: u64,
        letters: &[DeadLetterEntry],
        now_ms: u64,
    ) -> Result<Response, BusError> {
        let codec = self.codec.clone();
        let (log, group) = self.group_of(member)?;
        let (mut buried, mut lost) = (Vec::new(), Lost::default());
        for letter in letters {
            if !group.is_owned(letter.id, member) {
                lost.taken.push(letter.id);
                continue;
            }
            match log.get(letter.id) {
                Some(fields) => buried.push((fields.clone(), letter)),
                None => lost.gone.push(letter.id),
            }
            group.settle(letter.id);
        }
        if let Some(to) = to {
            lost.dropped = self.with(to, |dead| {
                let before = dead.log.len() + buried.len() as u64;
                for (fields, letter) in buried {
                    let added = codec.dead_letter_fields(member, letter, now_ms);
                    let fields: Fields = fields.iter().cloned().chain(added).collect();
                    dead.append(fields.into(), Some(max_len), now_ms);
                }
                before.saturating_sub(dead.log.len())
            });
        }
        Ok(lost.into())
    }

    /// Moves a dead letter back to its stream.
    pub(super) fn requeue_dead_letter(
        &mut self,
        letters: &str,
        id: EntryId,
        for_group: bool,
        now_ms: u64,
    ) -> Option<EntryId> {
        let names = self.codec.field_names();
        let fields = self.entry(letters, id)?;
        let told = |wanted: &str| {
            let value =
                fields.iter().rev().find(|(name, _)| **name == *wanted.as_bytes()).map(|(_, value)| value);
            value.filter(|value| !value.is_empty())
        };
        let stream = String::from_utf8_lossy(told(names.dead_letter_stream)?);
        let group = told(names.dead_letter_group).filter(|_| for_group).map(|group| &**group);
        let copy = copy(names, &fields, group);
        let revived = self.with(&stream, |s| s.append(copy.into(), None, now_ms));
        self.with(letters, |s| s.log.remove(id));
        Some(revived)
    }

    /// Appends a copy of an entry for one group only.
    pub(super) fn redeliver(
        &mut self,
        stream: &str,
        group: &str,
        id: EntryId,
        now_ms: u64,
    ) -> Option<EntryId> {
        let copy = copy(self.codec.field_names(), &*self.entry(stream, id)?, Some(group.as_bytes()));
        Some(self.with(stream, |s| s.append(copy.into(), None, now_ms)))
    }

    fn entry(&self, stream: &str, id: EntryId) -> Option<Arc<Fields>> {
        self.by_name.get(stream)?.log.get(id).cloned()
    }
}

/// The fields of the event for `group` only, or for all groups.
fn copy(names: &FieldNames, fields: &Fields, group: Option<&[u8]>) -> Fields {
    let (prefix, only_group) = (names.dead_letter_prefix.as_bytes(), names.only_group.as_bytes());
    let original = |name: &[u8]| !name.starts_with(prefix) && name != only_group;
    let originals = fields.iter().filter(|(name, _)| original(name)).cloned();
    originals.chain(group.map(|group| (only_group.into(), group.into()))).collect()
}
