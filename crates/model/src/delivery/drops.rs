//! What full queues drop, as it is told to people: the first time at once, then now and then.

/// The least time between two reports on one subscription, in milliseconds. So long after its last drop a subscription
/// is still one that drops.
pub const DROPS_INTERVAL: u64 = 30_000;

/// Events that the full queue of a subscription has dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DroppedEvents {
    /// The subscription.
    pub subscription: u32,
    /// How many.
    pub events: u64,
}

/// The drops of one subscription, from the first until [`DROPS_INTERVAL`] after the last.
#[derive(Debug)]
pub(super) struct Drops {
    events: u64,
    /// Those of them that no report has told of.
    untold: u64,
    last: u64,
    reported: Option<u64>,
}

impl Drops {
    pub(super) fn begin(now: u64) -> Drops {
        Drops { events: 0, untold: 0, last: now, reported: None }
    }

    pub(super) fn add(&mut self, events: u64, now: u64) {
        self.events += events;
        self.untold += events;
        self.last = now;
    }

    /// All of them.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// How many a report that is due now tells of; none when none is due.
    pub(super) fn report(&mut self, now: u64) -> u64 {
        if self.next_report().is_none_or(|at| now < at) {
            return 0;
        }
        self.reported = Some(now);
        std::mem::take(&mut self.untold)
    }

    /// When the next report is due, if there is something to tell.
    pub(super) fn next_report(&self) -> Option<u64> {
        (self.untold > 0).then(|| self.reported.map_or(0, |at| at.saturating_add(DROPS_INTERVAL)))
    }

    /// Whether it is over, and all was told.
    pub(super) fn is_over(&self, now: u64) -> bool {
        self.untold == 0 && !self.goes_on(now)
    }

    /// Whether the last drop was lately.
    pub(super) fn goes_on(&self, now: u64) -> bool {
        now < self.last.saturating_add(DROPS_INTERVAL)
    }
}
