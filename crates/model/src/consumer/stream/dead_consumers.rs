//! When dead consumers of the group are removed.

/// Between two removals, in milliseconds: the first, and those that follow one that has found something.
const INTERVAL: u64 = 30_000;
/// Between two removals while none finds anything.
const QUIET_INTERVAL: u64 = 300_000;

/// For how long a removal by any client of the group is enough, in milliseconds.
pub(crate) const PAUSE: u64 = 25_000;

/// The removal of consumers that are dead and own nothing.
#[derive(Debug, Default)]
pub(crate) struct DeadConsumerRemoval {
    /// 0 before the group was open for the first time.
    at: u64,
    in_flight: bool,
}

impl DeadConsumerRemoval {
    /// Whether a request goes now, unless the client is `stopping`.
    pub(crate) fn next_request(&mut self, stopping: bool, now: u64) -> bool {
        if self.at == 0 {
            self.at = now + INTERVAL;
        }
        let due = !self.in_flight && now >= self.at && !stopping;
        if due {
            self.in_flight = true;
            self.at = now + QUIET_INTERVAL;
        }
        due
    }

    /// A request was answered; where it has `removed` a consumer, or failed, the next goes sooner.
    pub(crate) fn ended(&mut self, removed: bool, now: u64) {
        self.in_flight = false;
        if removed {
            self.at = self.at.min(now + INTERVAL);
        }
    }

    /// When the next request goes, unless one is on its way.
    pub(crate) fn due(&self) -> Option<u64> {
        (!self.in_flight).then_some(self.at)
    }
}
