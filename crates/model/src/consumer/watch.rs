//! How long a client has seen that nobody takes the entries that it has no handler for.

/// The time in which this client has found entries without a handler and was there to see whether another takes them. Times
/// in which it did not run, as its process was stopped, do not count: it has offered nothing then.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Since when it watches, with the subscriptions that it has; later by the time in which it did not run.
    since: Option<u64>,
    /// When it last looked for entries of others.
    looked_at: u64,
}

impl Watch {
    /// The subscriptions have changed: another one may be about to come.
    pub(super) fn begin_anew(&mut self) {
        self.since = None;
    }

    /// This client looks for entries of others, which it does at least every third of the lease while it runs.
    pub(super) fn looked(&mut self, lease: u64, now: u64) {
        let stopped = self.stopped(lease, now);
        self.looked_at = now;
        self.since = self.since.map(|since| since.saturating_add(stopped).min(now));
    }

    /// For how long the client has to go on watching until it has done so for `patience`. It may have been stopped since it
    /// looked last: what it judges then was on its way to it.
    pub(super) fn left(&mut self, lease: u64, patience: u64, now: u64) -> u64 {
        let stopped = self.stopped(lease, now);
        let since = self.since.get_or_insert(now).saturating_add(stopped).min(now);
        since.saturating_add(patience).saturating_sub(now)
    }

    /// For how long it has not run since it looked last.
    fn stopped(&self, lease: u64, now: u64) -> u64 {
        let paused = now.saturating_sub(self.looked_at);
        if paused > lease / 2 { paused - lease / 3 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_which_the_client_does_not_run_does_not_count() {
        let mut watch = Watch::default();
        watch.looked(30, 1_000);
        assert_eq!(watch.left(30, 60, 1_000), 60);
        watch.looked(30, 1_010);
        assert_eq!(watch.left(30, 60, 1_010), 50);
        watch.looked(30, 1_110);
        assert_eq!(watch.left(30, 60, 1_110), 40);
        // It has not looked again yet.
        assert_eq!((watch.left(30, 60, 1_120), watch.left(30, 60, 1_210)), (30, 30));
        watch.looked(30, 1_210);
        assert_eq!((watch.left(30, 60, 1_210), watch.left(30, 60, 1_220)), (30, 20));
        watch.begin_anew();
        assert_eq!(watch.left(30, 60, 1_220), 60);
    }
}
