//! What became of every message of a test.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard};

use crate::lock::lock;

/// How a publish ended, from the publisher's point of view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// The server confirmed it.
    Resolved,
    /// Written, and no answer came.
    Unknown,
    /// The server refused it.
    Rejected,
    /// Never written.
    NotSent,
}

/// Records, per message id, that it was published, how the publish ended and how often it arrived.
///
/// Shared by publishers and subscribers of a test through a reference or an `Arc`.
#[derive(Debug, Default)]
pub struct Tracker {
    ledger: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    published: BTreeSet<String>,
    endings: BTreeMap<String, Ending>,
    arrivals: Vec<String>,
    counts: HashMap<String, usize>,
}

impl Tracker {
    /// A tracker that knows of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A publish of `id` has been started.
    ///
    /// # Panics
    /// When `id` was published before.
    pub fn published(&self, id: impl Into<String>) {
        let id = id.into();
        let fresh = self.ledger().published.insert(id.clone());
        assert!(fresh, "{id} was published twice by the test");
    }

    /// The publish of `id` was confirmed. Panics as [`Tracker::ended`] does.
    pub fn resolved(&self, id: impl Into<String>) {
        self.ended(id, Ending::Resolved);
    }

    /// The publish of `id` ended without an answer. Panics as [`Tracker::ended`] does.
    pub fn unknown(&self, id: impl Into<String>) {
        self.ended(id, Ending::Unknown);
    }

    /// The publish of `id` was refused by the server. Panics as [`Tracker::ended`] does.
    pub fn rejected(&self, id: impl Into<String>) {
        self.ended(id, Ending::Rejected);
    }

    /// The publish of `id` was never written. Panics as [`Tracker::ended`] does.
    pub fn not_sent(&self, id: impl Into<String>) {
        self.ended(id, Ending::NotSent);
    }

    /// The publish of `id` ended.
    ///
    /// # Panics
    /// When it was never started, or had ended already.
    pub fn ended(&self, id: impl Into<String>, ending: Ending) {
        let id = id.into();
        let mut ledger = self.ledger();
        let known = ledger.published.contains(&id);
        let before = ledger.endings.insert(id.clone(), ending);
        drop(ledger);
        assert!(known, "{id} ended as {ending:?} but was never published");
        assert!(before.is_none(), "{id} ended as {ending:?} after it had ended as {before:?}");
    }

    /// `id` has arrived once (more).
    pub fn received(&self, id: impl Into<String>) {
        let id = id.into();
        let mut ledger = self.ledger();
        *ledger.counts.entry(id.clone()).or_default() += 1;
        ledger.arrivals.push(id);
    }

    /// How many publishes were started.
    pub fn published_count(&self) -> usize {
        self.ledger().published.len()
    }

    /// How many publishes ended so.
    pub fn count(&self, ending: Ending) -> usize {
        self.ids(ending).len()
    }

    /// The ids whose publish ended so, sorted.
    pub fn ids(&self, ending: Ending) -> Vec<String> {
        self.ledger().endings.iter().filter(|(_, e)| **e == ending).map(|(id, _)| id.clone()).collect()
    }

    /// Everything that arrived, in the order of arrival, repetitions included.
    pub fn arrivals(&self) -> Vec<String> {
        self.ledger().arrivals.clone()
    }

    /// How many different ids arrived.
    pub fn received_count(&self) -> usize {
        self.ledger().counts.len()
    }

    /// The ids that arrived more than once, sorted.
    pub fn duplicates(&self) -> Vec<String> {
        let ledger = self.ledger();
        let repeated: BTreeSet<&String> =
            ledger.counts.iter().filter(|(_, n)| **n > 1).map(|(id, _)| id).collect();
        repeated.into_iter().cloned().collect()
    }

    /// The resolved ids that have not arrived (yet), sorted: to wait for, before asserting.
    pub fn missing(&self) -> Vec<String> {
        let ledger = self.ledger();
        let lost = |(id, ending): &(&String, &Ending)| {
            **ending == Ending::Resolved && !ledger.counts.contains_key(*id)
        };
        ledger.endings.iter().filter(lost).map(|(id, _)| id.clone()).collect()
    }

    /// Every publish that was started has ended.
    #[track_caller]
    pub fn assert_all_ended(&self) {
        let ledger = self.ledger();
        let open: Vec<_> =
            ledger.published.iter().filter(|id| !ledger.endings.contains_key(*id)).cloned().collect();
        drop(ledger);
        assert_none("publishes never ended", &open);
    }

    /// Every resolved message has arrived: nothing confirmed was lost.
    #[track_caller]
    pub fn assert_resolved_received(&self) {
        assert_none("resolved messages were lost", &self.missing());
    }

    /// Nothing rejected or not sent has arrived.
    #[track_caller]
    pub fn assert_failed_not_received(&self) {
        let ledger = self.ledger();
        let failed =
            |id: &&String| matches!(ledger.endings.get(*id), Some(Ending::Rejected | Ending::NotSent));
        let arrived: BTreeSet<String> = ledger.counts.keys().filter(failed).cloned().collect();
        drop(ledger);
        assert_none("messages arrived though rejected or not sent", &arrived.into_iter().collect::<Vec<_>>());
    }

    /// Nothing has arrived that was never published.
    #[track_caller]
    pub fn assert_only_published_received(&self) {
        let ledger = self.ledger();
        let strange: BTreeSet<String> =
            ledger.counts.keys().filter(|id| !ledger.published.contains(*id)).cloned().collect();
        drop(ledger);
        assert_none("messages arrived that were never published", &strange.into_iter().collect::<Vec<_>>());
    }

    /// Nothing has arrived twice.
    #[track_caller]
    pub fn assert_no_duplicates(&self) {
        assert_none("messages arrived more than once", &self.duplicates());
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }
}

/// Ids listed in a message before the rest is only counted.
const LISTED: usize = 10;

#[track_caller]
fn assert_none(what: &str, ids: &[String]) {
    assert!(ids.is_empty(), "{} {what}, among them {:?}", ids.len(), &ids[..ids.len().min(LISTED)]);
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn fails(check: impl FnOnce()) -> bool {
        catch_unwind(AssertUnwindSafe(check)).is_err()
    }

    #[test]
    fn finds_lost_repeated_strange_and_open_messages() {
        let tracker = Tracker::new();
        for id in ["a", "b", "c", "d"] {
            tracker.published(id);
        }
        tracker.resolved("a");
        tracker.resolved("b");
        tracker.unknown("c");
        tracker.received("a");
        assert_eq!(tracker.missing(), ["b"]);
        assert!(fails(|| tracker.assert_resolved_received()));
        assert!(fails(|| tracker.assert_all_ended()));
        tracker.received("b");
        tracker.not_sent("d");
        tracker.assert_resolved_received();
        tracker.assert_all_ended();
        tracker.assert_no_duplicates();
        tracker.assert_failed_not_received();
        tracker.assert_only_published_received();

        tracker.received("b");
        tracker.received("d");
        tracker.received("z");
        assert_eq!(tracker.duplicates(), ["b"]);
        assert!(fails(|| tracker.assert_no_duplicates()));
        assert!(fails(|| tracker.assert_failed_not_received()));
        assert!(fails(|| tracker.assert_only_published_received()));
        assert_eq!(tracker.arrivals(), ["a", "b", "b", "d", "z"]);
        assert_eq!(
            (tracker.published_count(), tracker.received_count(), tracker.count(Ending::Resolved)),
            (4, 4, 2)
        );
    }

    #[test]
    fn a_publish_ends_once() {
        let tracker = Tracker::new();
        assert!(fails(|| tracker.resolved("a")));
        tracker.published("b");
        tracker.rejected("b");
        assert!(fails(|| tracker.unknown("b")));
        assert!(fails(|| tracker.published("b")));
    }
}
