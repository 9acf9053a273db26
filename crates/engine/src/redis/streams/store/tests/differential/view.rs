//! Answers as both sides should give them.

use oxbus_model::stream_store::StreamInfo;

use super::*;

/// The ids of one side, in the order of their entries.
#[derive(Default)]
pub(super) struct Names {
    /// The version of the facts of a group, the last that was told.
    pub(super) version: u64,
    pub(super) entries: Vec<EntryId>,
    pub(super) letters: Vec<EntryId>,
}

/// How an answer about a stream is shown.
pub(super) struct View<'a> {
    /// The entries of the stream.
    ids: &'a [EntryId],
    names: &'a Names,
}

impl Names {
    /// A view of the entries, or of the letters.
    pub(super) fn of(&self, stream: &str) -> View<'_> {
        View { ids: if stream == LETTERS { &self.letters } else { &self.entries }, names: self }
    }
}

impl View<'_> {
    pub(super) fn name(&self, id: EntryId) -> String {
        match self.ids.binary_search(&id) {
            Ok(number) => format!("entry {number}"),
            Err(_) => format!("other {}", id == EntryId::MIN),
        }
    }

    fn names(&self, mut ids: Vec<EntryId>) -> Vec<String> {
        ids.sort();
        ids.into_iter().map(|id| self.name(id)).collect()
    }

    fn maybe(&self, id: Option<EntryId>) -> Option<String> {
        id.map(|id| self.name(id))
    }

    fn entry(&self, entry: &StoredEntry) -> String {
        let StoredEntry { id, deliveries, started, unhandled_since, due_in, fields } = entry;
        let fields: Vec<String> = fields.iter().filter_map(|field| self.field(field)).collect();
        let (name, unhandled) = (self.name(*id), unhandled_since.is_some());
        format!("{name} ×{deliveries} {started} {unhandled} {} {fields:?}", due_in.is_some())
    }

    fn rows(&self, rows: &[oxbus_model::stream_store::PendingEntry]) -> String {
        let row = |row: &oxbus_model::stream_store::PendingEntry| {
            (self.name(row.id), row.consumer.clone(), row.deliveries, row.foreign)
        };
        format!("{:?}", rows.iter().map(row).collect::<Vec<_>>())
    }

    fn field(&self, (name, value): &(Box<[u8]>, Box<[u8]>)) -> Option<String> {
        let value = match &name[..] {
            b"dlq-time" => return None,
            b"dlq-id" => self.names.of(STREAM).name(EntryId::from_bytes(value).unwrap()),
            _ => String::from_utf8_lossy(value).into_owned(),
        };
        Some(format!("{}={value}", String::from_utf8_lossy(name)))
    }

    /// An answer, as both sides should give it.
    pub(super) fn shown(&self, answer: Result<Response, BusError>) -> String {
        let response = match answer {
            Ok(response) => response,
            Err(error) => return format!("{:?}", error.kind),
        };
        match response {
            Response::Ensured { created, position, recreated, entries } => {
                // The ids are each side's own.
                let first = entries.filter(|ids| !ids.is_empty()).map(|ids| self.name(*ids.start()));
                format!("{created} {} {recreated} {first:?}", self.name(position))
            }
            Response::Fenced { not_owned: taken, deleted: gone, .. } => {
                format!("{:?} {:?}", self.names(taken), self.names(gone))
            }
            Response::Skipped { done, version, mut new_types, not_owned } => {
                new_types.sort();
                format!("{done} {version} {new_types:?} {:?}", self.names(not_owned))
            }
            Response::TakenUp { entries, done, gone } => {
                let entries: Vec<String> = entries.iter().map(|entry| self.entry(entry)).collect();
                let gone: Vec<_> = gone.iter().map(|(number, missed)| (number, missed.count)).collect();
                format!("{entries:?} {done:?} {gone:?}")
            }
            Response::Claimed { entries, deleted } => {
                let entries: Vec<String> = entries.iter().map(|entry| self.entry(entry)).collect();
                format!("{entries:?} {:?}", self.names(deleted))
            }
            Response::Entries(entries) => {
                format!("{:?}", entries.iter().map(|entry| self.entry(entry)).collect::<Vec<_>>())
            }
            Response::Pending(rows) => self.rows(&rows),
            // A server also tells when it looks next at what is not pending any more.
            Response::Expired { entries, .. } => self.rows(&entries),
            Response::Facts(mut facts) => {
                facts.patterns.sort();
                let (position, oldest) = (self.name(facts.position), self.maybe(facts.oldest_pending));
                facts.skipped.sort();
                facts.take_up.sort_by_key(|task| task.number);
                format!(
                    "{} {} {:?} {:?} {position} {oldest:?} {} {} {:?} {:?} {:?} {:?}",
                    facts.lease,
                    facts.foreign_lease,
                    facts.taken_by,
                    facts.patterns,
                    facts.version,
                    facts.outdated,
                    facts.skipped,
                    facts.take_up,
                    facts.new_patterns,
                    self.maybe(facts.last)
                )
            }
            Response::Stream(facts) => format!(
                "{:?}",
                facts.filter(|facts| !is_untouched(facts)).map(|facts| {
                    let groups: Vec<_> = facts
                        .groups
                        .into_iter()
                        .map(|group| {
                            let mut consumers: Vec<_> = group
                                .consumers
                                .into_iter()
                                .map(|c| (c.name, c.pending))
                                .filter(|c| c.1 > 0)
                                .collect();
                            consumers.sort();
                            let (position, oldest) =
                                (self.name(group.last_delivered), self.maybe(group.oldest_pending));
                            let mut skipped = group.skipped;
                            skipped.sort();
                            (group.name, consumers, group.pending, position, oldest, skipped)
                        })
                        .collect();
                    let (first, last) = (self.maybe(facts.first), self.maybe(facts.last));
                    (facts.length, first, last, self.name(facts.last_generated), groups)
                })
            ),
            Response::Appended(id) => format!("{:?}", self.maybe(id)),
            other => format!("{other:?}"),
        }
    }
}

/// Whether a stream never had an entry or a group: then it is as good as none.
fn is_untouched(facts: &StreamInfo) -> bool {
    facts.last_generated == EntryId::MIN && facts.groups.is_empty()
}
