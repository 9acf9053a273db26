//! Bounds lines of the log that others can cause as often as they like.

/// So many lines in a period of the clock, at the most.
#[derive(Debug)]
pub(crate) struct LineLimit {
    lines: u32,
    /// How long a period is, in milliseconds.
    length: u64,
    /// The number of the period that it is.
    period: u64,
    admitted: u32,
    left_out: u64,
}

impl LineLimit {
    pub(crate) fn per_second(lines: u32) -> LineLimit {
        LineLimit::new(lines, 1_000)
    }

    pub(crate) fn per_minute(lines: u32) -> LineLimit {
        LineLimit::new(lines, 60_000)
    }

    fn new(lines: u32, length: u64) -> LineLimit {
        LineLimit { lines, length, period: 0, admitted: 0, left_out: 0 }
    }

    /// Whether one more line may be logged at `now_ms`. If so, returns how many were left out since the last that
    /// was logged.
    pub(crate) fn admit(&mut self, now_ms: u64) -> Option<u64> {
        let period = now_ms / self.length;
        if period != self.period {
            self.period = period;
            self.admitted = 0;
        }
        if self.admitted >= self.lines {
            self.leave_out(1);
            return None;
        }
        self.admitted += 1;
        Some(std::mem::take(&mut self.left_out))
    }

    /// Lines were left out without being asked for.
    pub(crate) fn leave_out(&mut self, lines: u64) {
        self.left_out += lines;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_in_a_second_is_told_with_the_next_line() {
        let mut limit = LineLimit::per_second(50);
        let admitted: Vec<_> = (0..60).map(|_| limit.admit(5_000)).collect();
        assert_eq!(admitted.iter().filter(|admitted| admitted.is_some()).count(), 50);
        assert_eq!((limit.admit(5_999), limit.admit(6_000), limit.admit(6_000)), (None, Some(11), Some(0)));
        limit.leave_out(3);
        assert_eq!(limit.admit(6_001), Some(3));
        let mut limit = LineLimit::per_minute(1);
        assert_eq!((limit.admit(0), limit.admit(59_999), limit.admit(60_000)), (Some(0), None, Some(1)));
    }
}
