//! Whether this process, or what drives it, stood still for so long that what it believes to own may be others'.

/// When the client was last at work. What comes right behind a standstill may have lain in a socket all the time, so it
/// counts as of the beginning of the standstill, until a request that was sent after it is answered.
#[derive(Debug, Default)]
pub(super) struct Standstill {
    last: Option<u64>,
    /// Since when, and when that was noticed.
    since: Option<(u64, u64)>,
}

impl Standstill {
    /// The client is at work. Returns whether it stood still before that, measured by the shortest of its leases.
    pub(super) fn note(&mut self, lease: Option<u64>, now: u64) -> bool {
        let before =
            self.last.replace(now).filter(|last| lease.is_some_and(|lease| is_long(*last, lease, now)));
        if let Some(last) = before {
            let since = self.since.map_or(last, |(since, _)| since);
            self.since = Some((since, now));
        }
        before.is_some()
    }

    /// A request was answered that was sent at `sent`.
    pub(super) fn answered(&mut self, sent: u64) {
        self.since = self.since.filter(|(_, noticed)| sent < *noticed);
    }

    /// As of when what comes in now is known to be this client's, under that lease.
    pub(super) fn known_at(&self, lease: u64, now: u64) -> u64 {
        match (self.since, self.last) {
            (Some((since, _)), _) => since,
            (None, Some(last)) if is_long(last, lease, now) => last,
            _ => now,
        }
    }
}

/// A client looks at what is pending three times in a lease, so it is never idle for half of one.
fn is_long(last: u64, lease: u64, now: u64) -> bool {
    now.saturating_sub(last) > lease / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_behind_a_standstill_is_as_old_as_that_until_an_answer_comes() {
        let mut still = Standstill::default();
        assert_eq!(still.known_at(100, 1_000), 1_000);
        assert!(!still.note(Some(100), 1_000) && !still.note(Some(100), 1_050));
        assert_eq!((still.known_at(100, 1_100), still.known_at(100, 1_101)), (1_100, 1_050));
        assert!(still.note(Some(100), 2_000) && !still.note(Some(100), 2_001));
        still.answered(1_050);
        assert_eq!(still.known_at(100, 2_002), 1_050);
        assert!(still.note(Some(100), 3_000));
        still.answered(2_003);
        assert_eq!(still.known_at(100, 3_000), 1_050, "it stood still once more");
        still.answered(3_000);
        assert_eq!(still.known_at(100, 3_001), 3_001);
        assert!(!still.note(None, 9_000), "without a group nothing is claimed");
    }
}
