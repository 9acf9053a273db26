//! Counts publishes that have succeeded. Every transport counts here, and nowhere else.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxbus_model::observe::metrics::Table;
use oxbus_model::observe::stats::Stats;

/// Publishes that have succeeded: how many in all, and how many by stream and event type.
pub(crate) struct PublishCounts {
    stats: Arc<Stats>,
    /// By row and number of the event type; see [`PublishReport::count`](crate::transport::events::PublishReport::count).
    table: Mutex<Table<u64>>,
}

/// The stream of a row, as its index in the configuration; `None` for row 0, which counts publishes that no stream
/// stores.
pub(crate) fn stream_of(row: usize) -> Option<usize> {
    row.checked_sub(1)
}

impl PublishCounts {
    pub(crate) fn new(stats: Arc<Stats>) -> Self {
        PublishCounts { stats, table: Mutex::default() }
    }

    /// Counts publishes, each given by its row and the number of its event type.
    pub(crate) fn count(&self, publishes: impl IntoIterator<Item = (u16, u16)>) {
        let mut counted = 0;
        let mut table = self.table();
        for (row, type_number) in publishes {
            *table.at(row, type_number) += 1;
            counted += 1;
        }
        drop(table);
        self.stats.events_published.add(counted);
    }

    /// The publishes by row and number of the event type.
    pub(crate) fn table(&self) -> MutexGuard<'_, Table<u64>> {
        // A count stays a number, whatever happened while the lock was held.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_is_counted_in_all_and_by_stream_and_type() {
        let stats = Arc::new(Stats::default());
        let counts = PublishCounts::new(stats.clone());
        counts.count([(0, 3), (2, 3), (2, 3)]);
        let table = counts.table();
        let counted: Vec<_> = table.iter().filter(|(_, _, n)| **n > 0).map(|(r, t, n)| (r, t, *n)).collect();
        assert_eq!(counted, [(0, 3, 1), (2, 3, 2)]);
        assert_eq!((stream_of(0), stream_of(2)), (None, Some(1)));
        assert_eq!(stats.events_published.get(), 3);
    }
}
