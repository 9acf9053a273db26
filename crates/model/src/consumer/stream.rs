//! A stream of a group: where this client stands in it, and what it has to tell the store.

use std::collections::HashMap as FloodedMap;
use std::sync::Arc;

// The keys are ids that the store has given.
use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use super::{Joining, Source};
use crate::config::DeadLetterConfig;
use crate::consumer::retry_gate::Gate;
use crate::consumer::unmatched::Doubtful;
use crate::stream_store::{ConsumerId, EntryId, GroupFacts, Position, keys};
use crate::{BusError, ErrorKind};

/// A group that has disappeared is created again after so many milliseconds at the earliest.
const REOPEN: u64 = 1000;
/// Types whose subscriptions are remembered.
const MAX_ROUTES: usize = 4096;
/// Entries remembered that nobody here handles.
const MAX_STRANGERS: usize = 10_000;

/// Whether the group of a stream is known to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    Closed,
    Asked,
    Open,
}

/// How far the search for this consumer's own pending entries has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    Wanted { after: EntryId },
    Asked { after: EntryId },
    Done,
}

/// Which subscriptions take events of a type: (subscription, index of its pattern).
#[derive(Clone, Debug, Default)]
pub(super) struct Route {
    pub(super) takers: Arc<[(u32, u32)]>,
    /// Whether some client of the group wants them.
    pub(super) wanted: bool,
    /// The number of the type, for what is counted by it.
    pub(super) type_number: u16,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) name: Arc<str>,
    /// The number of this stream of this group, for what is counted by them.
    pub(super) consumer_number: u16,
    pub(super) member: ConsumerId,
    /// Where dead letters go.
    pub(super) letters_to: Option<Arc<str>>,
    /// Subscriptions that read it.
    pub(super) users: usize,
    pub(super) start: Position,
    pub(super) given: bool,
    pub(super) opening: Opening,
    /// Whether the group has been there before.
    pub(super) opened: bool,
    pub(super) open_at: u64,
    pub(super) open_gate: Gate,
    /// Why it cannot be used.
    pub(super) trouble: Option<BusError>,
    pub(super) facts: Option<GroupFacts>,
    facts_at: u64,
    /// Another process has this consumer's name.
    pub(super) taken: bool,
    pub(super) beat_at: u64,
    pub(super) beating: bool,
    /// Heartbeats are numbered: the one that is wanted, the one sent last, the one answered last.
    pub(super) beat: (u32, u32, u32),
    /// Heartbeats that were sent, and when the last one was.
    pub(super) beats: u64,
    pub(super) beaten_at: u64,
    /// Entries that wait for one, in the order in which they came.
    pub(super) doubtful: Vec<Doubtful>,
    pub(super) own: Own,
    pub(super) own_gate: Gate,
    /// Whether the search must begin again when it is answered.
    search_again: bool,
    /// Whether the own entries of an earlier process have all been taken up.
    pub(super) inherited: bool,
    pub(super) recover_at: u64,
    pub(super) recovering: bool,
    /// How many overdue entries were not to be claimed, the last time.
    pub(super) passed_over: usize,
    pub(super) sweep_at: u64,
    pub(super) sweeping: bool,
    /// Slots of the entries held, and entries that were settled without an answer so far: their slots are
    /// those of others by now.
    pub(super) known: HashMap<EntryId, u32>,
    /// Entries of other consumers that are to be acknowledged because a handler here succeeded.
    pub(super) late: HashSet<EntryId>,
    /// Entries that were done with while the own ones were asked for.
    meanwhile: HashSet<EntryId>,
    /// Entries that nobody here handles, and until when they are left to others.
    pub(super) strangers: HashMap<EntryId, u64>,
    pub(super) acks: Vec<EntryId>,
    pub(super) ack_gate: Gate,
    /// Whether a fenced request is on its way: there is one at a time, as they may overtake each other.
    pub(super) fenced: bool,
    pub(super) holds: Vec<(EntryId, Option<u32>)>,
    pub(super) hold_gate: Gate,
    /// Entries to bury. A slot may be another's by the time when the list is worked off.
    pub(super) letters: Vec<EntryId>,
    pub(super) bury_gate: Gate,
    /// Entries to hand back, and those that have no handler here.
    pub(super) releases: [Vec<EntryId>; 2],
    pub(super) release_gate: Gate,
    pub(super) begin_gate: Gate,
    /// The last entry that the group was given, as far as is known here.
    pub(super) position: Option<EntryId>,
    /// Types come from publishers, so the table is one that they cannot flood with collisions.
    routes: FloodedMap<Box<str>, Route>,
}

impl Stream {
    pub(super) fn new(
        source: &Source,
        joining: &Joining,
        dead_letter: &DeadLetterConfig,
        consumer_number: u16,
    ) -> Self {
        let letters_to =
            dead_letter.enabled.then(|| keys::dead_letters(&source.stream, &dead_letter.suffix).into());
        Stream {
            consumer_number,
            name: source.stream.clone(),
            member: ConsumerId {
                stream: source.stream.clone(),
                group: joining.group.clone(),
                consumer: joining.consumer.clone(),
                instance: joining.instance.clone(),
            },
            letters_to,
            users: 0,
            start: source.from,
            given: source.given,
            opening: Opening::Closed,
            opened: false,
            open_at: 0,
            open_gate: Gate::default(),
            trouble: None,
            facts: None,
            facts_at: 0,
            taken: false,
            beat_at: 0,
            beating: false,
            beat: (1, 0, 0),
            beats: 0,
            beaten_at: 0,
            doubtful: Vec::new(),
            own: Own::Wanted { after: EntryId::MIN },
            own_gate: Gate::default(),
            search_again: false,
            inherited: false,
            recover_at: 0,
            recovering: false,
            passed_over: 0,
            sweep_at: 0,
            sweeping: false,
            known: HashMap::default(),
            late: HashSet::default(),
            meanwhile: HashSet::default(),
            strangers: HashMap::default(),
            acks: Vec::new(),
            ack_gate: Gate::default(),
            fenced: false,
            holds: Vec::new(),
            hold_gate: Gate::default(),
            letters: Vec::new(),
            bury_gate: Gate::default(),
            releases: [Vec::new(), Vec::new()],
            release_gate: Gate::default(),
            begin_gate: Gate::default(),
            position: None,
            routes: FloodedMap::new(),
        }
    }

    /// Whether the group is known to be there.
    pub(super) fn is_open(&self) -> bool {
        self.opening == Opening::Open
    }

    /// Whether new entries may be read and others' claimed.
    pub(super) fn is_ready(&self) -> bool {
        self.opening == Opening::Open && !self.taken && self.facts.is_some()
    }

    /// Whether the server refuses what is asked of it, as it would refuse a read.
    pub(super) fn is_refused(&self) -> bool {
        let refused =
            |error: &BusError| matches!(error.kind, ErrorKind::WrongType | ErrorKind::PermissionDenied);
        self.trouble.as_ref().is_some_and(refused)
    }

    /// Whether something is to be told to the store that must not be forgotten at the end.
    pub(super) fn is_settled(&self) -> bool {
        self.acks.is_empty()
            && (self.doubtful.is_empty() || self.taken)
            && self.letters.is_empty()
            && self.releases.iter().all(Vec::is_empty)
            && !self.ack_gate.is_busy()
            && !self.bury_gate.is_busy()
            && !self.release_gate.is_busy()
    }

    /// A request found that the group is gone.
    pub(super) fn group_gone(&mut self) {
        if self.opening == Opening::Open {
            self.opening = Opening::Closed;
        }
    }

    /// Nothing is to be told of entries any more, acknowledgements apart.
    pub(super) fn forget_tasks(&mut self) {
        self.doubtful.clear();
        self.holds.clear();
        self.letters.clear();
        self.releases.iter_mut().for_each(Vec::clear);
    }

    /// The group is asked for. Not again for a while.
    pub(super) fn asked_to_open(&mut self, now: u64) {
        self.opening = Opening::Asked;
        self.open_at = now + REOPEN;
    }

    /// The own pending entries are to be found. A search for those of an earlier process goes on where it
    /// is, because what it has found has been counted.
    pub(super) fn search_own(&mut self) {
        match self.own {
            Own::Asked { .. } => self.search_again = self.inherited,
            Own::Wanted { .. } if !self.inherited => {}
            _ => self.own = Own::Wanted { after: EntryId::MIN },
        }
    }

    /// Everything up to here is settled, as far as is known; `None` when nothing is.
    pub(super) fn mark(&self) -> Option<EntryId> {
        let here = self.known.keys().min().copied();
        let anywhere = self.facts.as_ref().and_then(|facts| facts.oldest_pending);
        match here.into_iter().chain(anywhere).min() {
            Some(oldest) => Some(oldest.previous()),
            None => self.position,
        }
    }

    /// New facts. Returns whether the patterns have changed.
    pub(super) fn learn(&mut self, facts: GroupFacts, now: u64) {
        self.position = self.position.max(Some(facts.position));
        if self.facts.as_ref().is_none_or(|known| known.patterns != facts.patterns) {
            self.routes.clear();
            self.strangers.clear();
        }
        self.facts = Some(facts);
        self.facts_at = now;
    }

    /// The store's time, about.
    pub(super) fn store_time(&self, now: u64) -> u64 {
        self.facts.as_ref().map_or(0, |facts| facts.time) + now.saturating_sub(self.facts_at)
    }

    /// An entry is done with for good: it may come again, as another delivery.
    pub(super) fn forget(&mut self, id: EntryId) {
        self.known.remove(&id);
        if matches!(self.own, Own::Asked { .. }) {
            self.meanwhile.insert(id);
        }
    }

    /// Whether an entry was done with after the own ones had been asked for.
    pub(super) fn has_ended(&self, id: EntryId) -> bool {
        self.meanwhile.contains(&id)
    }

    /// The own entries were found.
    pub(super) fn found_own(&mut self, own: Own) {
        self.meanwhile.clear();
        let again = std::mem::take(&mut self.search_again);
        self.own = if again { Own::Wanted { after: EntryId::MIN } } else { own };
    }

    /// Leaves an entry to others for a while.
    pub(super) fn pass_over(&mut self, id: EntryId, until: u64) {
        if self.strangers.len() >= MAX_STRANGERS {
            self.strangers.clear();
        }
        self.strangers.insert(id, until);
    }

    /// The subscriptions for a type: remembered, else found by `find`.
    pub(super) fn route(&mut self, event_type: &str, find: impl FnOnce(&Self) -> Route) -> Route {
        if let Some(route) = self.routes.get(event_type) {
            return route.clone();
        }
        let route = find(self);
        if self.routes.len() >= MAX_ROUTES {
            self.routes.clear();
        }
        self.routes.insert(event_type.into(), route.clone());
        route
    }

    /// The subscriptions have changed.
    pub(super) fn forget_routes(&mut self) {
        self.routes.clear();
        self.strangers.clear();
    }
}
