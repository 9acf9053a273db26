//! When the leases of held entries are extended.

use crate::consumer::entry_table::EntryTable;
use crate::consumer::stream::Stream;
use crate::consumer::subscriptions::GroupSubscriptions;
use crate::stream_store::EntryId;

/// From how long a delay on the store keeps it, in milliseconds, unless the lease is shorter.
const LONG_DELAY: u64 = 30_000;

/// The lease of a group, and when the claims under it are looked at.
#[derive(Debug)]
pub(super) struct Lease {
    /// The lease in milliseconds: that of the client that set it first.
    ms: u64,
    /// Whether it was announced that this client is configured with another one, or with another one for entries of other
    /// programs' consumers.
    difference_announced: bool,
    foreign_difference_announced: bool,
    extend_at: u64,
    /// As of when all claims are known of which calls may be made, at least; `None` where there are none.
    known: Option<u64>,
}

impl Lease {
    pub(super) fn new(ms: u64) -> Self {
        Lease {
            ms: ms.max(1),
            difference_announced: false,
            foreign_difference_announced: false,
            extend_at: 0,
            known: None,
        }
    }

    /// The lease, in milliseconds.
    pub(super) fn ms(&self) -> u64 {
        self.ms
    }

    /// From how long a delay on, in milliseconds, an entry is not kept until its retry, and its due time is told at once.
    pub(super) fn long_delay(&self) -> u64 {
        self.ms.min(LONG_DELAY)
    }

    /// For how long an entry without a handler goes round among the clients, in milliseconds.
    pub(super) fn patience(&self) -> u64 {
        self.ms.saturating_mul(2)
    }

    /// Takes the leases that the streams' groups have; `configured` is this client's.
    pub(super) fn learn(&mut self, leases: impl Iterator<Item = u64>, configured: u64) {
        self.ms = leases.min().unwrap_or(configured).max(1);
    }

    /// Whether it is to be announced, for the first time, that the lease differs from the configured one.
    pub(super) fn announces_difference(&mut self, of_group: u64, configured: u64) -> bool {
        let differs = of_group != configured && of_group > 0;
        differs && !std::mem::replace(&mut self.difference_announced, true)
    }

    /// A claim came as of `known`. An old one is renewed at once, as its calls wait for that.
    pub(super) fn note_claim(&mut self, known: u64, now: u64) {
        if known.saturating_add(self.ms / 4) < now {
            self.extend_at = now;
        }
        self.known = Some(self.known.map_or(known, |oldest| oldest.min(known)));
    }

    /// Whether a claim may have expired, as its renewal has not been answered for a lease: no call may begin, as another
    /// client may make it.
    pub(super) fn is_doubtful(&self, now: u64) -> bool {
        self.known.is_some_and(|known| known.saturating_add(self.ms) <= now)
    }

    /// Looks as of when the claims are known.
    pub(super) fn look(&mut self, entries: &EntryTable) {
        let to_make = entries.iter().filter(|(_, entry)| entry.is_held() && entry.has_calls_to_make());
        self.known = to_make.map(|(_, entry)| entry.known).min();
    }

    /// The same for entries of other programs' consumers.
    pub(super) fn announces_foreign_difference(&mut self, of_group: u64, configured: u64) -> bool {
        let differs = of_group != configured && of_group > 0;
        differs && !std::mem::replace(&mut self.foreign_difference_announced, true)
    }

    /// Lists the claims that are to be renewed: each between a quarter and a third of the lease after it was made or
    /// renewed. One whose handler runs for longer than it may is not, and is lost with its lease: such entries are
    /// returned, with the indices of their streams.
    pub(super) fn extend(
        &mut self,
        entries: &mut EntryTable,
        streams: &mut [Stream],
        subscriptions: &GroupSubscriptions,
        now: u64,
    ) -> Vec<(usize, EntryId)> {
        let mut expired = Vec::new();
        if now < self.extend_at {
            return expired;
        }
        self.extend_at = now + (self.ms / 12).max(1);
        self.look(entries);
        let age = (self.ms / 4).max(1);
        for (_, entry) in entries.iter_mut() {
            if !entry.is_held() || now.saturating_sub(entry.renewed) < age {
                continue;
            }
            let Some(stream) = streams.get_mut(entry.stream) else { continue };
            let extensions = &mut stream.updates.lease_extensions;
            if entry.calls.iter().any(|call| subscriptions.is_overrun(call, now)) {
                if now.saturating_sub(entry.renewed) > self.ms {
                    expired.push((entry.stream, entry.id));
                }
            } else if extensions.len() < stream.slots.len() {
                // A list that is not taken has them already.
                extensions.push(entry.id, (entry.count != entry.stored).then_some((entry.count, entry.due)));
                entry.renewed = now;
            }
        }
        expired
    }

    /// When claims are looked at next.
    pub(super) fn due(&self) -> u64 {
        self.extend_at
    }
}
