//! A stream of a group: where this client stands in it.
//!
//! # Layout
//!
//! - `opening`: whether the group is there; `starts`: where subscriptions ask to start; `heartbeat`, `known_facts`: what its clients tell each other;
//!   `dead_consumers`: the removal of those that have died;
//! - `own_scan`, `recovery`: pending entries that nobody works on, this consumer's own and others';
//! - `slot_index`, `route_cache`: the entries that have come; `unmatched_entries`: those that nobody wants;
//!   `take_up`: those that were skipped and are wanted now.

pub(super) mod dead_consumers;
pub(super) mod heartbeat;
pub(super) mod known_facts;
pub(super) mod opening;
pub(super) mod own_scan;
pub(super) mod recovery;
pub(super) mod refusals;
pub(super) mod route_cache;
pub(super) mod slot_index;
pub(super) mod starts;
pub(super) mod take_up;
pub(super) mod unmatched_entries;

use std::sync::Arc;

use crate::config::DeadLetterConfig;
use crate::consumer::membership::{Joining, Source};
use crate::consumer::stream::dead_consumers::DeadConsumerRemoval;
use crate::consumer::stream::heartbeat::Heartbeat;
use crate::consumer::stream::known_facts::KnownFacts;
use crate::consumer::stream::opening::Opening;
use crate::consumer::stream::own_scan::OwnScan;
use crate::consumer::stream::recovery::Recovery;
use crate::consumer::stream::refusals::Refusals;
use crate::consumer::stream::route_cache::RouteCache;
use crate::consumer::stream::slot_index::SlotIndex;
use crate::consumer::stream::starts::AskedStarts;
use crate::consumer::stream::take_up::TakeUp;
use crate::consumer::stream::unmatched_entries::UnmatchedEntries;
use crate::consumer::updates::StoreUpdates;
use crate::options::subscribe::OrderBy;
use crate::stream_store::{ConsumerId, EntryId};
use crate::{BusError, ErrorKind};

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) name: Arc<str>,
    /// This client as a consumer of the group.
    pub(super) member: ConsumerId,
    /// The number of this stream and group, for what is counted by them.
    pub(super) consumer_number: u16,
    /// Subscriptions that read it.
    pub(super) users: usize,
    /// Why it cannot be used.
    pub(super) trouble: Option<BusError>,
    /// What the server refuses to do for it.
    pub(super) refusals: Refusals,
    /// Whether everything was claimed that could be when this client came. Where an order is kept, reading waits for it:
    /// what is new must not pass what was handed back.
    pub(super) caught_up: bool,
    /// Another process has this consumer's name.
    pub(super) name_lost: bool,
    /// Another process may have this consumer's name, as this one was not seen to live. Nothing is read before that is
    /// known: a read is not fenced.
    pub(super) name_doubtful: bool,
    pub(super) opening: Opening,
    pub(super) starts: AskedStarts,
    pub(super) heartbeat: Heartbeat,
    pub(super) facts: KnownFacts,
    pub(super) dead_consumers: DeadConsumerRemoval,
    pub(super) own_scan: OwnScan,
    pub(super) recovery: Recovery,
    pub(super) slots: SlotIndex,
    pub(super) routes: RouteCache,
    pub(super) unmatched: UnmatchedEntries,
    pub(super) take_up: TakeUp,
    pub(super) updates: StoreUpdates,
}

impl Stream {
    /// The stream number `at` of a group, which is counted by `consumer_number`.
    pub(super) fn new(
        at: usize,
        source: &Source,
        joining: &Joining,
        dead_letter: &DeadLetterConfig,
        consumer_number: u16,
    ) -> Self {
        let dead_letters_to = dead_letter.enabled.then(|| dead_letter.names.of(&source.stream).into());
        Stream {
            name: source.stream.clone(),
            member: ConsumerId {
                stream: source.stream.clone(),
                group: joining.group.clone(),
                consumer: joining.consumer.clone(),
                instance: joining.instance.clone(),
            },
            consumer_number,
            users: 0,
            trouble: None,
            refusals: Refusals::default(),
            caught_up: joining.order_by == OrderBy::None,
            name_lost: false,
            name_doubtful: false,
            opening: Opening::new(source.from, source.given),
            starts: AskedStarts::default(),
            heartbeat: Heartbeat::new(),
            facts: KnownFacts::default(),
            dead_consumers: DeadConsumerRemoval::default(),
            own_scan: OwnScan::new(),
            recovery: Recovery::default(),
            slots: SlotIndex::new(at),
            routes: RouteCache::default(),
            unmatched: UnmatchedEntries::default(),
            take_up: TakeUp::default(),
            updates: StoreUpdates::new(dead_letters_to),
        }
    }

    /// The reader of the group is up: what a broken connection may have taken with it is looked for.
    pub(super) fn connected(&mut self) {
        self.own_scan.want();
        self.own_scan.hurry();
        self.opening.hurry();
    }

    /// Whether new entries may be read and others' claimed.
    pub(super) fn is_ready(&self) -> bool {
        self.opening.is_open() && !self.name_lost && self.facts.are_known()
    }

    /// Whether new entries are to be read: nothing older is to be found first, and the server would not refuse it. One
    /// stream that it refuses would make the read of all streams fail.
    pub(super) fn is_readable(&self) -> bool {
        let refused =
            |error: &BusError| matches!(error.kind, ErrorKind::WrongType | ErrorKind::PermissionDenied);
        self.is_ready()
            && !self.name_doubtful
            && self.own_scan.is_done()
            && self.caught_up
            && !self.trouble.as_ref().is_some_and(refused)
    }

    /// Whether it is not known when it can be read.
    pub(super) fn is_failing(&self) -> bool {
        self.trouble.is_some() || self.own_scan.is_failing()
    }

    /// This client start is not known to be seen. Each heartbeat shows its consumer for `alive` milliseconds.
    pub(super) fn doubt_name(&mut self, alive: u64, now: u64) {
        if self.facts.are_known() && !self.heartbeat.shows(alive, now) && !self.name_doubtful {
            self.name_doubtful = true;
            self.heartbeat.hurry();
        }
    }

    /// Whether fenced requests may go.
    pub(super) fn may_fence(&self) -> bool {
        self.opening.is_open() && !self.name_lost
    }

    /// Whether the store knows everything that must not be forgotten at the end.
    pub(super) fn is_settled(&self) -> bool {
        let is_told = self.unmatched.is_empty() && self.take_up.is_told();
        self.updates.are_told() && (is_told || self.name_lost)
    }

    /// Everything up to here is settled, as far as is known; `None` when nothing is.
    pub(super) fn mark(&self) -> Option<EntryId> {
        self.facts.mark(self.slots.oldest())
    }

    /// An entry is done with for good: it may come again, as another delivery.
    pub(super) fn forget(&mut self, id: EntryId) {
        self.slots.remove(id);
        self.own_scan.settled(id);
        self.heartbeat.entries_changed();
    }

    /// What the subscriptions of the group want has changed.
    pub(super) fn forget_routes(&mut self) {
        self.routes.clear();
        self.recovery.forget_left_to_peers();
    }

    /// Nothing is to be told of entries that are other consumers' now, acknowledgements apart.
    pub(super) fn forget_updates(&mut self) {
        self.unmatched.clear();
        self.updates.forget_fenced();
    }
}
