//! Bounds lines of the log that others can cause as often as they like.

/// So many lines in a second of the clock, at the most.
#[derive(Debug)]
pub(crate) struct LineLimit {
    per_second: u32,
    second: u64,
    admitted: u32,
    left_out: u64,
}

impl LineLimit {
    pub(crate) fn new(per_second: u32) -> LineLimit {
        LineLimit { per_second, second: 0, admitted: 0, left_out: 0 }
    }

    /// Whether one more line may be logged at `now_ms`. If so, returns how many were left out since the last that
    /// was logged.
    pub(crate) fn admit(&mut self, now_ms: u64) -> Option<u64> {
        let second = now_ms / 1_000;
        if second != self.second {
            self.second = second;
            self.admitted = 0;
        }
        if self.admitted >= self.per_second {
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
        let mut limit = LineLimit::new(50);
        let admitted: Vec<_> = (0..60).map(|_| limit.admit(5_000)).collect();
        assert_eq!(admitted.iter().filter(|admitted| admitted.is_some()).count(), 50);
        assert_eq!((limit.admit(5_999), limit.admit(6_000), limit.admit(6_000)), (None, Some(11), Some(0)));
        limit.leave_out(3);
        assert_eq!(limit.admit(6_001), Some(3));
    }
}
