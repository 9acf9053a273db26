//! The consumer groups of a client: drives [`oxbus_model::claims`] with a transport's store and readers.

use oxbus_model::BusError;
use oxbus_model::claims::{Arrival, GroupKey};

use crate::shared::Shared;

impl Shared {
    /// The reader of a group can read, for the first time or again.
    pub(crate) fn reader_up(&self, _group: GroupKey) {}

    /// The reader of a group cannot read; a read that it had is over.
    pub(crate) fn reader_down(&self, _group: GroupKey, _error: &BusError) {}

    /// A read has ended, with the entries that came; empty when none came in time.
    pub(crate) fn arrived(&self, _group: GroupKey, _arrivals: Vec<Arrival>) {}

    /// A read was refused by the server; the connection stays.
    pub(crate) fn interrupted(&self, _group: GroupKey, _error: BusError) {}
}
