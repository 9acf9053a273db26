//! The store's clock, watched by ours: it is a wall clock, and somebody may set it.

/// Differences up to this, in milliseconds, are no jump: clocks are slewed, and answers are slow.
const TOLERANCE: u64 = 5_000;

/// A jump of the store's clock against ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Jump {
    /// It went ahead by about so many milliseconds, or ours stood still.
    Ahead(u64),
    /// It went back.
    Back(u64),
}

/// What is known of the store's clock. Idle times, and until when something counts, are by that clock: after a jump, what they
/// tell is not believed until those who live have renewed what is theirs.
#[derive(Debug, Default)]
pub(super) struct StoreClock {
    /// The least and the most by which the store's clock can be ahead of ours. It is read at some time between question and
    /// answer.
    ahead: Option<(i64, i64)>,
    /// When it was noticed that it had jumped ahead.
    jumped_at: Option<u64>,
    /// How often it went back.
    went_back: u32,
}

impl StoreClock {
    /// The store's clock showed `time` at some time of ours between `sent` and `now`. Returns a jump since it was read before.
    pub(super) fn read(&mut self, time: u64, sent: u64, now: u64) -> Option<Jump> {
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let (least, most) = (signed(time) - signed(now), signed(time) - signed(sent.min(now)));
        let (before_least, before_most) = self.ahead.replace((least, most))?;
        let jump = if least > before_most {
            Jump::Ahead(least.abs_diff(before_most))
        } else if most < before_least {
            Jump::Back(most.abs_diff(before_least))
        } else {
            // Both are right, so what they have in common is.
            self.ahead = Some((least.max(before_least), most.min(before_most)));
            return None;
        };
        match jump {
            Jump::Ahead(by) if by > TOLERANCE => self.jumped_at = Some(now),
            Jump::Back(by) if by > TOLERANCE => self.went_back += 1,
            _ => return None,
        }
        Some(jump)
    }

    /// From when on what lasts for `ms` by the store's clock can be believed to be over.
    pub(super) fn believed_from(&self, ms: u64) -> u64 {
        self.jumped_at.map_or(0, |at| at.saturating_add(ms))
    }

    /// How often it went back.
    pub(super) fn went_back(&self) -> u32 {
        self.went_back
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    #[test]
    fn a_jump_is_told_once_and_slow_answers_are_none() {
        let mut clock = StoreClock::default();
        assert_eq!(clock.read(1_000_000, 0, 8_000), None);
        // The question before may have been read at its very beginning, or end.
        assert_eq!(clock.read(1_010_000, 10_000, 10_001), None);
        assert_eq!(clock.read(1_020_000, 13_000, 27_000), None);
        assert_eq!(clock.believed_from(30_000), 0);
        assert_eq!(clock.read(1_030_000 + HOUR, 30_000, 30_001), Some(Jump::Ahead(HOUR - 1)));
        assert_eq!((clock.believed_from(30_000), clock.went_back()), (60_001, 0));
        assert_eq!(clock.read(1_040_000 + HOUR, 40_000, 40_001), None);
        assert_eq!(clock.read(1_050_000, 50_000, 50_001), Some(Jump::Back(HOUR - 1)));
        assert_eq!(clock.went_back(), 1);
    }

    #[test]
    fn a_clock_that_is_slewed_does_not_jump() {
        let mut clock = StoreClock::default();
        for minute in 0..10_000 {
            // A second a minute is more than any server slews.
            assert_eq!(clock.read(1_000_000 + minute * 61_000, minute * 60_000, minute * 60_000 + 2), None);
        }
    }
}
