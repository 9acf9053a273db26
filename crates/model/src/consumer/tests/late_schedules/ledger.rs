//! What must become of each entry of a group, by what the store was asked.

use std::collections::{BTreeMap, BTreeSet};

use crate::routing::pattern;
use crate::stream_store::skipped::KEPT_FOR;
use crate::stream_store::{EntryId, GroupFacts, Position};

/// What is to become of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is to be handled.
    Owed,
    /// The group has read past it at that time.
    ReadPast(u64),
    /// A pattern has come for it too late: it may be handled, as the record is by minute, and keeps a backlog longer.
    Forgiven,
    /// A pattern has come for it whose subscription did not want it: it may not be handled.
    GivenUp,
}

#[derive(Debug)]
struct Account {
    event_type: &'static str,
    fate: Fate,
    /// The client starts that had it, each once for a subscription.
    taken: Vec<(u32, u32)>,
    handled: bool,
    trimmed: bool,
}

/// The entries of one group.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    accounts: BTreeMap<EntryId, Account>,
    /// The patterns of the group.
    patterns: Vec<String>,
    /// How many entries were told to be lost.
    pub(super) told: u64,
    /// The client starts that have died.
    crashed: BTreeSet<u32>,
}

fn takes(pattern: &str, event_type: &str) -> bool {
    pattern::matches(pattern.as_bytes(), event_type.as_bytes())
}

impl Ledger {
    pub(super) fn published(&mut self, id: EntryId, event_type: &'static str) {
        let account =
            Account { event_type, fate: Fate::Owed, taken: Vec::new(), handled: false, trimmed: false };
        self.accounts.insert(id, account);
    }

    /// The entry that is so many before the last.
    pub(super) fn back(&self, count: usize) -> EntryId {
        self.accounts.keys().rev().nth(count).copied().unwrap_or(EntryId::MIN)
    }

    /// The group has acknowledged an entry without having handled it.
    pub(super) fn skipped(&mut self, id: EntryId, now: u64) {
        let account = self.accounts.get_mut(&id).unwrap();
        let wanted = self.patterns.iter().find(|pattern| takes(pattern, account.event_type));
        assert_eq!(wanted, None, "{id} of type {} is skipped though a pattern takes it", account.event_type);
        // Who dies before it has acknowledged what it has handled leaves it to others, who may have no pattern for it.
        let alive = account.taken.iter().any(|(birth, _)| !self.crashed.contains(birth));
        assert!(!account.handled || !alive, "{id} is skipped though it was handled");
        account.fate = Fate::ReadPast(now);
    }

    /// The group was told of patterns, of which some turned out to be new. `starts` says where each begins.
    pub(super) fn told_patterns(
        &mut self,
        facts: &GroupFacts,
        starts: &BTreeMap<String, Position>,
        now: u64,
    ) {
        self.patterns.clone_from(&facts.patterns);
        for (id, account) in &mut self.accounts {
            let Fate::ReadPast(at) = account.fate else { continue };
            let new = facts.new_patterns.iter().filter(|pattern| takes(pattern, account.event_type));
            let Some(start) = new.map(|pattern| starts[pattern]).reduce(Position::earlier) else { continue };
            let wanted = match start {
                Position::New => false,
                Position::Beginning => true,
                Position::After(from) => *id > from,
            };
            account.fate = match wanted {
                false => Fate::GivenUp,
                true if now < at + KEPT_FOR => Fate::Owed,
                true => Fate::Forgiven,
            };
        }
    }

    /// A handler begins to have an entry. Only who died may have had it before.
    pub(super) fn taken(&mut self, id: EntryId, birth: u32, subscription: u32) {
        let account = self.accounts.get_mut(&id).unwrap();
        assert!(account.fate == Fate::Owed || account.fate == Fate::Forgiven, "{id}: {account:?}");
        account.taken.push((birth, subscription));
        let alive: Vec<_> = account.taken.iter().filter(|(birth, _)| !self.crashed.contains(birth)).collect();
        let starts: BTreeSet<u32> = alive.iter().map(|(birth, _)| *birth).collect();
        let calls: BTreeSet<_> = alive.iter().collect();
        assert!(starts.len() <= 1 && calls.len() == alive.len(), "{id} is handled twice: {account:?}");
    }

    pub(super) fn handled(&mut self, id: EntryId) {
        self.accounts.get_mut(&id).unwrap().handled = true;
    }

    pub(super) fn crashed(&mut self, birth: u32) {
        self.crashed.insert(birth);
    }

    /// Entries before this one are gone.
    pub(super) fn trimmed(&mut self, before: EntryId) {
        self.accounts.range_mut(..before).for_each(|(_, account)| account.trimmed = true);
    }

    /// How many entries are lost: they should have been handled, and are gone.
    fn lost(&self, letters: &BTreeSet<EntryId>) -> u64 {
        let lost = |(id, account): &(&EntryId, &Account)| {
            account.fate == Fate::Owed && account.trimmed && !account.handled && !letters.contains(id)
        };
        self.accounts.iter().filter(lost).count() as u64
    }

    /// Whether everything has come to its end. `letters`: what is a dead letter.
    pub(super) fn is_settled(&self, letters: &BTreeSet<EntryId>) -> bool {
        let settled = |(id, account): (&EntryId, &Account)| {
            let done = account.handled || account.trimmed || letters.contains(id);
            !matches!(account.fate, Fate::ReadPast(_)) && (done || account.fate != Fate::Owed)
        };
        self.accounts.iter().all(settled) && self.told >= self.lost(letters)
    }

    pub(super) fn check(&self, letters: &BTreeSet<EntryId>) {
        for (id, account) in &self.accounts {
            let done = account.handled || account.trimmed || letters.contains(id);
            assert!(done || account.fate != Fate::Owed, "{id} was lost without a word: {account:?}");
            assert!(
                !matches!(account.fate, Fate::ReadPast(_)),
                "every type has a pattern: {id}, {account:?}"
            );
        }
        let (lost, trimmed) = (self.lost(letters), self.accounts.values().filter(|a| a.trimmed).count());
        assert!(self.told >= lost, "of {lost} lost entries {} were told", self.told);
        if self.crashed.is_empty() {
            assert!(self.told <= trimmed as u64, "{} told, {trimmed} gone", self.told);
        }
    }
}
