//! How often a target was sent on, lately.

use std::time::Duration;

use tokio::time::Instant;

/// After so long without one, redirects count anew.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(1);
/// A target is sent on so often without a pause: once where a slot has moved, and once more where that was heard of late.
const WITHOUT_PAUSE: u32 = 2;

/// Counts the redirects of a target.
#[derive(Default)]
pub(super) struct Hops {
    count: u32,
    last: Option<Instant>,
    /// How often the target has moved: a pause that began before it moved has no say.
    moves: u64,
}

impl Hops {
    /// The target moves.
    pub(super) fn moved(&mut self) {
        self.moves += 1;
    }

    /// How often it has moved.
    pub(super) fn moves(&self) -> u64 {
        self.moves
    }

    /// Counts another one, and says whether it is to wait.
    pub(super) fn are_many(&mut self, now: Instant) -> bool {
        if self.last.is_none_or(|last| now.duration_since(last) > FORGOTTEN_AFTER) {
            self.count = 0;
        }
        self.last = Some(now);
        self.count = self.count.saturating_add(1);
        self.count > WITHOUT_PAUSE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_in_a_row_wait_from_the_third_on() {
        let (mut hops, start) = (Hops::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!([0, 1, 2, 500].map(|ms| hops.are_many(at(ms))), [false, false, true, true]);
        assert!(!hops.are_many(at(1_501)));
    }
}
