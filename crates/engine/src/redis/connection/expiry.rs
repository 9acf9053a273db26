//! When a queue of commands is searched for those whose time is over.

/// Commands in the queue for each millisecond between two searches of it: a long queue is not gone through every
/// millisecond, and 100,000 publishes expire at most 50 ms late.
const SEARCHED_PER_MS: u64 = 2_000;

/// When the next command may be late, on the client's clock.
#[derive(Clone, Copy, Debug)]
pub(in crate::redis) struct Expiry {
    next: u64,
}

impl Expiry {
    /// No command has a deadline.
    pub(in crate::redis) fn new() -> Expiry {
        Expiry { next: u64::MAX }
    }

    /// A command has to be settled by then.
    pub(in crate::redis) fn add(&mut self, deadline: u64) {
        self.next = self.next.min(deadline);
    }

    /// Whether the queue is to be searched.
    pub(in crate::redis) fn is_due(&self, now: u64) -> bool {
        now >= self.next
    }

    /// When it is to be searched next; `u64::MAX` for never.
    pub(in crate::redis) fn next(&self) -> u64 {
        self.next
    }

    /// The queue of `len` commands was searched; these are the deadlines that are left.
    pub(in crate::redis) fn searched(&mut self, now: u64, len: usize, left: impl Iterator<Item = u64>) {
        let soonest = now + len as u64 / SEARCHED_PER_MS;
        self.next = left.min().map_or(u64::MAX, |next| next.max(soonest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_queue_is_searched_rarely() {
        let mut expiry = Expiry::new();
        assert!(!expiry.is_due(u64::MAX - 1));
        expiry.add(700);
        expiry.add(900);
        assert!(!expiry.is_due(699) && expiry.is_due(700));
        expiry.searched(700, 10, [900, 800].into_iter());
        assert_eq!(expiry.next(), 800);
        expiry.searched(800, 100_000, [801].into_iter());
        assert_eq!(expiry.next(), 850);
        expiry.searched(900, 0, std::iter::empty());
        assert_eq!(expiry.next(), u64::MAX);
    }
}
