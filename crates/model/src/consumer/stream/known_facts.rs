//! What this client knows of the group of a stream.

use std::collections::BTreeMap;

use crate::stream_store::{EntryId, GroupFacts, Position};

/// The facts of the group that the last heartbeat has brought.
#[derive(Debug, Default)]
pub(crate) struct KnownFacts {
    facts: Option<GroupFacts>,
    /// When they were told.
    at: u64,
    /// The last entry that the group was given, as far as is known here.
    position: Option<EntryId>,
}

impl KnownFacts {
    /// Takes new facts. Returns whether the patterns of the group have changed.
    pub(crate) fn learn(&mut self, facts: GroupFacts, now: u64) -> bool {
        self.position = self.position.max(Some(facts.position));
        let changed = self.facts.as_ref().is_none_or(|known| known.patterns != facts.patterns);
        self.facts = Some(facts);
        self.at = now;
        changed
    }

    /// This client has skipped entries, judged by the facts of version `judged_by`, some of types that none was skipped of
    /// before: that is the difference to the facts of `version`. Where others are known by now, as answers overtake each
    /// other, their version stays: it says that they are outdated.
    pub(crate) fn skipped(&mut self, judged_by: u64, version: u64, new_types: &[String]) {
        if let Some(facts) = self.facts.as_mut().filter(|facts| facts.version == judged_by) {
            facts.version = version;
            facts.skipped.extend_from_slice(new_types);
        }
    }

    /// The highest format in which a client of the group has written facts; 0 where none is known.
    pub(crate) fn format(&self) -> u64 {
        self.facts.as_ref().map_or(0, |facts| facts.format)
    }

    /// The version of the facts; 0 where none is known.
    pub(crate) fn version(&self) -> u64 {
        self.facts.as_ref().map_or(0, |facts| facts.version)
    }

    /// The types that the group has read past and that one of these patterns takes, if it is new to the group; each with the
    /// position behind which its entries are taken up. `takes` says whether a pattern takes a type.
    pub(crate) fn types_to_take_up(
        &self,
        patterns: &BTreeMap<String, Position>,
        takes: impl Fn(&str, &str) -> bool,
    ) -> Vec<(String, Position)> {
        let Some(facts) = &self.facts else { return Vec::new() };
        let new: Vec<_> = patterns.iter().filter(|(pattern, _)| !facts.patterns.contains(pattern)).collect();
        let start = |event_type: &String| {
            let takers = new.iter().filter(|(pattern, _)| takes(pattern, event_type));
            let start = takers.map(|(_, from)| **from).reduce(Position::earlier)?;
            Some((event_type.clone(), start))
        };
        facts.skipped.iter().filter_map(start).collect()
    }

    /// The group has been given an entry.
    pub(crate) fn delivered(&mut self, id: EntryId) {
        self.position = self.position.max(Some(id));
    }

    /// The group was made, or met for the first time, at a position.
    pub(crate) fn opened_at(&mut self, position: EntryId) {
        self.position = Some(position);
    }

    /// Whether facts were told.
    pub(crate) fn are_known(&self) -> bool {
        self.facts.is_some()
    }

    /// The lease of the group, where it has one.
    pub(crate) fn lease(&self) -> Option<u64> {
        self.facts.as_ref().map(|facts| facts.lease).filter(|lease| *lease > 0)
    }

    /// The lease of entries of other programs' consumers, where the group has one.
    pub(crate) fn foreign_lease(&self) -> Option<u64> {
        self.facts.as_ref().map(|facts| facts.foreign_lease).filter(|lease| *lease > 0)
    }

    /// The patterns of all clients of the group.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &String> {
        self.facts.iter().flat_map(|facts| &facts.patterns)
    }

    /// The store's time, about.
    pub(crate) fn store_time(&self, now: u64) -> u64 {
        self.facts.as_ref().map_or(0, |facts| facts.time) + now.saturating_sub(self.at)
    }

    /// The low-water mark: everything up to it is settled, as far as is known; `None` when nothing is. `held` is the
    /// oldest entry that this client has not settled.
    pub(crate) fn mark(&self, held: Option<EntryId>) -> Option<EntryId> {
        let anywhere = self.facts.as_ref().and_then(|facts| facts.oldest_pending);
        match held.into_iter().chain(anywhere).min() {
            Some(oldest) => Some(oldest.previous()),
            None => self.position,
        }
    }
}
