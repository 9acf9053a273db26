//! What the store answered to a request.

use crate::BusError;
use crate::codec::outline::Shapes;
use crate::stream_store::{EntryId, Response};

/// What came of a request, and when.
#[derive(Debug)]
pub(super) struct StoreAnswer<'s> {
    pub(super) result: Result<Response, BusError>,
    pub(super) now: u64,
    /// A number from `[0, 1)` that spreads the wait before the next attempt. It counts only for a failure.
    pub(super) random: f64,
    /// The shapes for the entries that it brings, if the host wants any.
    pub(super) shapes: Option<&'s mut Shapes>,
}

/// The entries that a fenced request was not carried out for.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// Entries that other consumers own now.
    pub(super) taken: Vec<EntryId>,
    /// Entries that were deleted from the stream.
    pub(super) gone: Vec<EntryId>,
    /// How many dead letters had to go for others.
    pub(super) dropped: u64,
}

impl StoreAnswer<'_> {
    /// The answer to a fenced request.
    pub(super) fn into_lost(self) -> Result<Lost, BusError> {
        match self.result? {
            Response::Fenced { not_owned: taken, deleted: gone, dropped } => {
                Ok(Lost { taken, gone, dropped })
            }
            _ => Ok(Lost::default()),
        }
    }
}
