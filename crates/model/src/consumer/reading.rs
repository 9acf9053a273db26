//! How much a group reads, and when.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::BusError;
use crate::consumer::entry::Load;
use crate::consumer::entry_table::EntryTable;
use crate::consumer::request_gate::RequestGate;
use crate::consumer::throughput::Throughput;
use crate::options::subscribe::OrderBy;

/// The most entries that a group of a client holds, and the most bytes of events.
const MAX_HELD: usize = 10_000;
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// The bounds of the entries that are read ahead of the handlers.
const PREFETCH: (usize, usize) = (16, 4096);
/// Entries that may wait for others of their key before they keep the group from reading.
const FREE_BLOCKED: usize = 1000;
/// Room for which a read is worth while, however much more there could be.
const GOOD_READ: usize = 256;
/// Entries settled in 100 ms from which on one read at a time is not enough.
const FLOWING: usize = 256;
/// Entries of one such read: a large one would keep handlers waiting for its first entry.
const SMOOTH_READ: usize = 512;

/// How many entries a group can take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Room {
    /// Entries that may be taken in now.
    pub(super) entries: usize,
    /// Entries that this client wants at the most.
    window: usize,
}

impl Room {
    /// Whether there is room for a good many entries, so that asking for them is worth it. It is reached: the rest of the
    /// window is entries that handlers are busy with, or get next.
    pub(super) fn is_good(self) -> bool {
        self.is_good_without(0)
    }

    /// The same, when `expected` entries are on their way.
    fn is_good_without(self, expected: usize) -> bool {
        self.entries.saturating_sub(expected) >= (self.window / 4).clamp(1, GOOD_READ)
    }
}

/// The reads of a group that are on their way, and what decides on the next one.
#[derive(Debug, Default)]
pub(super) struct Reading {
    connected: bool,
    /// The reads on their way: of which streams, and how many entries they may bring.
    in_flight: VecDeque<(Arc<[Arc<str>]>, usize)>,
    gate: RequestGate,
    throughput: Throughput,
    /// Why the last read was refused.
    trouble: Option<BusError>,
    /// Whether the host was told of it.
    told: bool,
}

impl Reading {
    /// Whether the reader is up.
    pub(super) fn is_connected(&self) -> bool {
        self.connected
    }

    /// The reader is up.
    pub(super) fn connect(&mut self) {
        self.connected = true;
        self.in_flight.clear();
        self.gate.succeeded();
    }

    /// The reader is down. A read that was on its way is over.
    pub(super) fn disconnect(&mut self) {
        self.connected = false;
        self.in_flight.clear();
    }

    /// A read has brought its entries.
    pub(super) fn succeeded(&mut self) {
        self.in_flight.pop_front();
        self.gate.succeeded();
        if self.trouble.take().is_some() {
            self.told = false;
        }
    }

    /// The server refuses reads. Returns whether the host is to be told, which is once: when nothing mends it by itself,
    /// and it has not passed with the next read.
    pub(super) fn refused(&mut self, error: &BusError) -> bool {
        let again = self.trouble.replace(error.clone()).is_some();
        let tells = again && !self.told && !error.kind.retryable();
        self.told |= tells;
        tells
    }

    /// Why the server refuses reads.
    pub(super) fn trouble(&self) -> Option<&BusError> {
        self.trouble.as_ref()
    }

    /// A read has found that a group is gone.
    pub(super) fn group_gone(&mut self) {
        self.in_flight.pop_front();
    }

    /// A read has failed.
    pub(super) fn failed(&mut self, now: u64, random: f64) {
        self.in_flight.pop_front();
        self.gate.failed(now, random);
    }

    /// An entry was settled.
    pub(super) fn settled(&mut self, now: u64) {
        self.throughput.count(now);
    }

    /// The room for entries where handlers take `demand` events at once. `known` are the entries that the group has not
    /// done with, those included that are only to be acknowledged.
    pub(super) fn room(
        &self,
        demand: usize,
        order: OrderBy,
        entries: &EntryTable,
        known: usize,
        now: u64,
    ) -> Room {
        if demand == 0 {
            return Room::default();
        }
        let prefetch = self.throughput.entries(now).clamp(demand.min(PREFETCH.0), PREFETCH.1);
        let window = demand.saturating_add(prefetch).min(MAX_HELD);
        let blocked = match order {
            OrderBy::Key => entries.load(Load::Blocked).saturating_sub(FREE_BLOCKED),
            _ => entries.load(Load::Blocked),
        };
        let room = window.saturating_sub(entries.load(Load::Busy) + blocked);
        let by_bytes = MAX_BYTES.saturating_sub(entries.bytes()) / entries.average_bytes().max(1);
        // Nothing is too large to be read alone.
        let by_bytes = by_bytes.max(usize::from(entries.bytes() == 0));
        Room { entries: room.min(MAX_HELD.saturating_sub(known)).min(by_bytes), window }
    }

    /// A read of new entries, once there is room for a good many: its streams, and how many entries it may bring of
    /// each. `streams` gives those that can be read.
    ///
    /// While entries flow, the next read is on its way when the answer to one comes, so that the store works on it
    /// while the entries are taken in.
    pub(super) fn next_read(
        &mut self,
        room: Room,
        ahead: bool,
        streams: impl FnOnce() -> Option<Arc<[Arc<str>]>>,
        now: u64,
    ) -> Option<(Arc<[Arc<str>]>, usize)> {
        let expected = self.in_flight.iter().map(|(_, entries)| entries).sum();
        let free = room.entries.saturating_sub(expected);
        let flows = ahead && self.throughput.entries(now) >= FLOWING;
        if self.in_flight.len() > usize::from(flows)
            || !self.connected
            || !room.is_good_without(expected)
            || !self.gate.is_open(now, 1)
        {
            return None;
        }
        let streams = streams()?;
        let free = if flows { free.min(SMOOTH_READ) } else { free };
        let limit = (free / streams.len().max(1)).max(1);
        self.in_flight.push_back((streams.clone(), limit.saturating_mul(streams.len())));
        Some((streams, limit))
    }

    /// The streams of the last read that is on its way.
    pub(super) fn streams_in_flight(&self) -> Option<&[Arc<str>]> {
        self.in_flight.back().map(|(streams, _)| &**streams)
    }

    /// When the next read may go, unless one is on its way.
    pub(super) fn due(&self) -> Option<u64> {
        (self.connected && self.in_flight.is_empty()).then_some(self.gate.opens_at())
    }
}
