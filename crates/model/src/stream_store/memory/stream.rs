//! A stream with its groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::stream_store::memory::expiring::Expiring;
use crate::stream_store::memory::group::Group;
use crate::stream_store::memory::log::Log;
use crate::stream_store::{EntryId, Fields, Position, Response, StreamInfo};

/// How many ids of events a stream knows, to find duplicates, at the most.
const MAX_DUPLICATES: usize = 1_000_000;
/// For how many milliseconds a janitor stays the one, unless it says so again.
const JANITOR_TIME: u64 = 15_000;
/// How many entries a janitor removes at once by their age, and as many by their number.
const MAX_RETAINED_AT_ONCE: u64 = 10_000;

/// A stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) log: Log,
    pub(super) groups: BTreeMap<Arc<str>, Group>,
    /// The entries of events that are not to be stored twice, by the id of the event.
    pub(super) duplicates: Expiring<EntryId>,
    /// Who trims, and until when nobody else does.
    janitor: Option<(Arc<str>, u64)>,
}

impl Default for Stream {
    fn default() -> Self {
        Stream {
            log: Log::default(),
            groups: BTreeMap::new(),
            duplicates: Expiring::new(MAX_DUPLICATES),
            janitor: None,
        }
    }
}

impl Stream {
    pub(super) fn append(&mut self, fields: Arc<Fields>, cap: Option<u64>, now_ms: u64) -> EntryId {
        let id = self.log.append(fields, now_ms);
        if let Some(cap) = cap {
            self.trim_to(cap);
        }
        id
    }

    /// Opens a group, and makes it where it is missing. Its facts are part of it here, so none is ever lost alone.
    pub(super) fn ensure_group(&mut self, group: Arc<str>, from: Position, restarted: bool) -> Response {
        let entries = restarted.then(|| self.log.extent());
        if let Some(group) = self.groups.get(&group) {
            return Response::Ensured {
                created: false,
                position: group.position(),
                recreated: false,
                entries,
            };
        }
        let mut position = self.log.position(from);
        if restarted && position > self.log.last() {
            position = EntryId::MIN;
        }
        self.groups.insert(group, Group::new(position));
        Response::Ensured { created: true, position, recreated: false, entries }
    }

    /// Keeps the newest `length` entries. Returns how many it has removed.
    pub(super) fn trim_to(&mut self, length: u64) -> u64 {
        self.trim(|log| log.len() > length)
    }

    /// Keeps the entries from `id` on. Returns how many it has removed.
    pub(super) fn trim_before(&mut self, id: EntryId) -> u64 {
        self.trim(|log| log.first().is_some_and(|first| first < id))
    }

    /// Removes the oldest entry while `goes_on`. Groups that had not read it miss it.
    fn trim(&mut self, goes_on: impl Fn(&Log) -> bool) -> u64 {
        let mut removed = 0;
        while goes_on(&self.log) {
            let Some(id) = self.log.remove_first() else { break };
            removed += 1;
            let next = self.log.first().unwrap_or(self.log.last().next());
            self.groups.values_mut().for_each(|group| group.miss(id, next));
        }
        removed
    }

    /// Trims by the retention, as the janitor or where there is none.
    pub(super) fn apply_retention(
        &mut self,
        instance: &Arc<str>,
        max_len: Option<u64>,
        max_age: Option<u64>,
        safe: bool,
        now_ms: u64,
    ) -> u64 {
        if self.janitor.as_ref().is_some_and(|(other, until)| other != instance && *until > now_ms) {
            return 0;
        }
        self.janitor = Some((instance.clone(), now_ms.saturating_add(JANITOR_TIME)));
        let needed = self.groups.values().filter(|_| safe).filter_map(|group| group.needs(now_ms)).min();
        let within = |id: EntryId| needed.map_or(id, |needed| needed.min(id));
        let mut removed = 0;
        if let Some(age) = max_age {
            let limit = within(EntryId::first_of(now_ms.saturating_sub(age)));
            let length = self.log.len().saturating_sub(MAX_RETAINED_AT_ONCE);
            removed += self.trim(|log| log.len() > length && log.first().is_some_and(|first| first < limit));
        }
        if let Some(length) = max_len {
            let length = length.max(self.log.len().saturating_sub(MAX_RETAINED_AT_ONCE));
            let limit = within(EntryId::MAX);
            removed += self.trim(|log| log.len() > length && log.first().is_some_and(|first| first < limit));
        }
        removed
    }

    pub(super) fn describe(&self, now_ms: u64) -> StreamInfo {
        StreamInfo {
            length: self.log.len(),
            first: self.log.first(),
            last: self.log.newest(),
            last_generated: self.log.last(),
            added: Some(self.log.added()),
            groups: self.groups.iter().map(|(name, group)| group.describe(name, &self.log, now_ms)).collect(),
        }
    }
}
