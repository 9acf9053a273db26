//! The wait for running handlers to end, so that suspected poison can run with nothing beside it.

/// While suspected poison waits for running handlers to end, no other starts for this time, in milliseconds; then others
/// go on for as long, and so forth. When handlers run for longer than that, the time in which none starts is doubled
/// until it suffices.
const PERIOD: u64 = 5000;

/// The wait for running handlers to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quiesce {
    /// Since when no handler starts.
    since: u64,
    /// For how long none does; others go on for [`PERIOD`] behind it.
    closed: u64,
    /// Whether all handlers have ended in this time.
    sufficed: bool,
}

impl Quiesce {
    pub(super) fn new(now: u64) -> Quiesce {
        Quiesce { since: now, closed: PERIOD, sufficed: false }
    }

    /// All handlers have ended.
    pub(super) fn suffices(&mut self) {
        self.sufficed = true;
    }

    /// When others may go on.
    pub(super) fn opens_at(&self) -> u64 {
        self.since.saturating_add(self.closed)
    }

    /// When others may not go on any more.
    pub(super) fn closes_at(&self) -> u64 {
        self.opens_at().saturating_add(PERIOD)
    }

    pub(super) fn is_closed(&self, now: u64) -> bool {
        !(self.opens_at()..self.closes_at()).contains(&now)
    }

    /// The wait as it goes on at `now`, where no handler runs for longer than `longest`.
    pub(super) fn after(self, now: u64, longest: u64) -> Quiesce {
        if now < self.closes_at() {
            return self;
        }
        let more = self.closed.saturating_mul(2).min(longest.max(PERIOD));
        let closed = if self.sufficed { self.closed } else { self.closed.max(more) };
        Quiesce { since: now, closed, sufficed: false }
    }
}
